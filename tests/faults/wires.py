"""A wire between one Lambda function and AWS, on which calls are cut off, answers are lost, and nobody answers."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

# botocore sends a call so often before it gives up (tidegate.adapters.clients, ATTEMPTS).
SENT = 3
_READS = ("Get", "Describe", "List", "Query", "Batch", "Lookup")
_UPDATED_SECONDS = 30.0


class Fault(Enum):
    """What becomes of one request: whether it reaches AWS, and what the function hears of it."""

    CUT = "it does not arrive, and the connection breaks"
    LOST = "it takes effect, and the connection breaks"
    SWALLOWED = "it does not arrive, and nothing is ever answered"
    SILENT = "it takes effect, and nothing is ever answered"
    THROTTLED = "it is refused: too many requests"
    UNSEEN = "it is refused: what was just written is not found yet"


_REFUSALS: dict[Fault | None, bytes] = {
    Fault.THROTTLED: b'{"__type":"ThrottlingException","message":"Rate exceeded"}',
    Fault.UNSEEN: b'{"__type":"ResourceNotFoundException","message":"there is no such thing"}',
}
Answer = tuple[int, dict[str, str], bytes]
ARRIVES = (None, Fault.LOST, Fault.SILENT)


@dataclass(frozen=True)
class Call:
    """`operation` as AWS names it, e.g. RunTask; `nth` counts the others of this operation that took effect before.

    One that is sent again, word for word, keeps its number; what a retry of the machine asks instead of one that never
    arrived has the same.
    """

    operation: str
    nth: int
    body: bytes = field(repr=False)

    @property
    def changes(self) -> bool:
        return not self.operation.startswith(_READS)

    def __str__(self) -> str:
        return f"{self.operation} {self.nth}"


Decision = Callable[[Call], Fault | None]


@dataclass
class Wire:
    """`decide` says what becomes of a request; `met` are the faults that happened, and `passed` the calls that arrived,
    in order."""

    endpoint: str
    decide: Decision
    met: list[tuple[str, Fault]] = field(default_factory=list)
    passed: list[Call] = field(default_factory=list)
    _numbers: dict[tuple[str, bytes], int] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def faults(self, fault: Fault) -> list[str]:
        """The calls that met a fault, each once, as `str(Call)` has them."""
        return list(dict.fromkeys(call for call, one in self.met if one is fault))

    @contextmanager
    def carrying(self) -> Iterator[str]:
        """Its URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            self._over.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def _judged(self, operation: str, body: bytes) -> Fault | None:
        with self._lock:
            before = {call.body for call in self.passed if call.operation == operation}
            call = Call(operation, self._numbers.setdefault((operation, body), len(before)), body)
            fault = self.decide(call)
            if fault in ARRIVES:
                self.passed.append(call)
            if fault is not None:
                self.met.append((str(call), fault))
            return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wire, cloud = self, urlsplit(self.endpoint)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = wire._judged(_operation(self.headers, self.path, body), body)
                answer: Answer = (400, {}, _REFUSALS.get(fault, b""))
                if fault in ARRIVES:
                    answer = self._passed_on(body)
                if fault in (Fault.SWALLOWED, Fault.SILENT):
                    wire._over.wait()
                if fault is not None and fault not in _REFUSALS:
                    self.close_connection = True
                    return
                self._answer(*answer)

            def _passed_on(self, body: bytes) -> Answer:
                connection = http.client.HTTPConnection(str(cloud.hostname), cloud.port, timeout=60)
                try:
                    # All of them, Host too: they are signed.
                    connection.request("POST", self.path, body, dict(self.headers.items()))
                    answer = connection.getresponse()
                    return answer.status, dict(answer.getheaders()), answer.read()
                finally:
                    connection.close()

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in (
                        "content-length",
                        "transfer-encoding",
                        "connection",
                        "date",
                        "server",
                    ):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        return Handler


def _operation(headers: Any, path: str, body: bytes) -> str:
    """The JSON protocols name it in a header, RPC v2 in the path, the query protocol in the body."""
    target = headers.get("X-Amz-Target")
    if target is not None:
        return str(target).rpartition(".")[2]
    if "/operation/" in path:
        return path.rpartition("/")[2]
    return str(parse_qs(body.decode()).get("Action", ["?"])[0])


@contextmanager
def wired(
    cloud: SampleCloud, function: str, decide: Decision, *, timeout: int | None = None
) -> Iterator[Wire]:
    """Every call of a function goes over a wire; with `timeout`, in seconds, Lambda ends it earlier."""
    known = cloud.client("lambda").get_function_configuration(FunctionName=f"tidegate-{function}")
    before = {"Environment": {"Variables": known["Environment"]["Variables"]}, "Timeout": known["Timeout"]}
    wire = Wire(cloud.cloud.endpoint_url, decide)
    with wire.carrying() as url:
        variables = {**before["Environment"]["Variables"], "AWS_ENDPOINT_URL": url}
        try:
            _update(
                cloud, function, Environment={"Variables": variables}, Timeout=timeout or before["Timeout"]
            )
            yield wire
        finally:
            _update(cloud, function, **before)


@contextmanager
def shortened(cloud: SampleCloud, function: str, timeout: int) -> Iterator[None]:
    """Lambda ends a function after so many seconds."""
    known = cloud.client("lambda").get_function_configuration(FunctionName=f"tidegate-{function}")
    _update(cloud, function, Timeout=timeout)
    try:
        yield
    finally:
        _update(cloud, function, Timeout=known["Timeout"])


def _update(cloud: SampleCloud, function: str, **settings: Any) -> None:
    client, name = cloud.client("lambda"), f"tidegate-{function}"
    client.update_function_configuration(FunctionName=name, **settings)
    wait_until(
        lambda: client.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful",
        what=f"the new settings of {function}",
        seconds=_UPDATED_SECONDS,
    )


# --- what may be decided


def first_time(fault: Fault, chosen: Callable[[Call], bool], times: int = 1) -> Decision:
    """Each chosen call meets the fault so many times, then it passes."""
    met = Counter[str]()

    def decide(call: Call) -> Fault | None:
        if not chosen(call) or met[str(call)] >= times:
            return None
        met[str(call)] += 1
        return fault

    return decide
