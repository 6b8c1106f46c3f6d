"""GET /health: the version, and how many orders there are."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from database import engine
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

VERSION = Path(__file__).with_name("version").read_text().strip()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            with engine().connect() as connection:
                orders = connection.scalar(text("SELECT count(*) FROM orders"))
            self.answer(200, {"version": VERSION, "orders": orders})
        except SQLAlchemyError as error:
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
