"""The HTTP service.

`<health path>`: the version, 200 as soon as it listens: a database that is away is no reason to start tasks anew.
`<…>/status`: whom it logs in as, and whether the cache answers; 503 where the database lets nobody in.
`<…>/items`: GET lists, POST `{"name": …}` adds. Everything else is answered with the name and the version, so that a
load balancer's rule can be seen by its answer.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app import items
from app.cache import Cache
from app.database import DatabaseError, session
from app.settings import Settings

MAX_BYTES = 10_000
Answer = tuple[int, Mapping[str, Any]]


class Service:
    """What is answered; knows nothing of sockets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = Cache(settings.redis, settings.redis_password)

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        known = {"service": self._settings.service, "version": self._settings.version}
        path = path.partition("?")[0]
        try:
            if path.endswith("/status"):
                return 200, {**known, **self._status()}
            if path.endswith("/items"):
                return self._items(method, body)
        except DatabaseError as error:
            return 503, {**known, "error": str(error)}
        if path == self._settings.health:
            return 200, {**known, "status": "ok"}
        return 200, {**known, "path": path}

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = {"cache": self._cache.state(), "database": None}
        if self._settings.database is not None:
            with session(self._settings.database) as database:
                database.rows("SELECT 1")
                status["database"] = database.user
        return status

    def _items(self, method: str, body: bytes) -> Answer:
        if self._settings.database is None:
            return 404, {"error": "there is no database"}
        if method == "GET":
            return 200, json.loads(self._cache.get("items", self._listed))
        if method != "POST":
            return 405, {"error": "GET or POST"}
        try:
            name = json.loads(body)["name"]
        except (ValueError, KeyError, TypeError):
            return 400, {"error": 'a body {"name": …} is needed', "field": "name"}
        if not isinstance(name, str) or not 0 < len(name) <= 200:
            return 400, {"error": "a name has 1 to 200 characters", "field": "name"}
        with session(self._settings.database) as database:
            identity = items.add(database, name)
        self._cache.forget("items")
        return 201, {"id": identity}

    def _listed(self) -> str:
        assert self._settings.database is not None  # noqa: S101 -- asked before
        with session(self._settings.database) as database:
            return json.dumps({"items": items.every(database)})


def serve(settings: Settings) -> None:
    """Until SIGTERM, which ECS sends first: what is being answered is answered."""
    server = listening(settings)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{settings.service} {settings.version} listens on {settings.port}")
    server.serve_forever()
    server.server_close()


def listening(settings: Settings) -> ThreadingHTTPServer:
    """At `settings.port`, 0 for any."""
    service = Service(settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            size = min(int(self.headers.get("Content-Length") or 0), MAX_BYTES)
            status, said = service.answer(self.command, self.path, self.rfile.read(size))
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Load balancers ask every few seconds."""

    server = ThreadingHTTPServer(("", settings.port), Handler)
    server.daemon_threads = False
    return server
