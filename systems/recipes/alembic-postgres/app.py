"""GET /health: the version, and how many orders there are."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg

VERSION = Path(__file__).with_name("version").read_text().strip()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            # PGHOST, PGUSER, PGPASSWORD and so on say where and who.
            with psycopg.connect(connect_timeout=5) as connection:
                [orders] = connection.execute("SELECT count(*) FROM orders").fetchone()
            self.answer(200, {"version": VERSION, "orders": orders})
        except psycopg.Error as error:
            self.answer(503, {"version": VERSION, "error": type(error).__name__})

    def answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 80), Answer).serve_forever()
