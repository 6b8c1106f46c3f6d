"""What a load balancer makes of a target's answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tidegate_local.ecs.balancing import Check, Watch

from tests.support.waiting import wait_until


class Application:
    """Answers what it is told to, 200 at first."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []


@contextmanager
def served(application: Application) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            application.asked.append(self.path)
            self.send_response(application.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def port(application: Application) -> Iterator[int]:
    with served(application) as number:
        yield number


def group(**settings: Any) -> dict[str, Any]:
    return {"HealthCheckPath": "/health", "HealthCheckTimeoutSeconds": 2, **settings}


@pytest.mark.parametrize(
    ("status", "codes", "passes"),
    [
        (200, "200", True),
        (204, "200", False),
        (204, "200,204", True),
        (302, "200-399", True),
        (400, "200-399", False),
        (404, "200-299, 404", True),
    ],
)
def test_the_matcher_says_which_answers_are_good(
    application: Application, port: int, status: int, codes: str, passes: bool
) -> None:
    application.status = status
    check = Check.of(group(Matcher={"HttpCode": codes}), "127.0.0.1", port)
    assert check.passes() is passes
    assert application.asked == ["/health"]


def test_a_check_may_have_a_port_of_its_own(application: Application, port: int) -> None:
    assert Check.of(group(HealthCheckPort=str(port)), "127.0.0.1", 1).passes()
    assert not Check.of(group(HealthCheckPort="traffic-port"), "127.0.0.1", 1).passes()


@contextmanager
def watched(port: int, grace: float) -> Iterator[Watch]:
    check = Check("127.0.0.1", port, "/health", "200", interval=0.01, timeout=2, bad=3)
    watch = Watch([check], grace, lambda: None)
    watch.begin()
    try:
        yield watch
    finally:
        watch.over.set()


def test_one_good_answer_is_enough_and_some_bad_ones_are_too_many(
    application: Application, port: int
) -> None:
    with watched(port, grace=0.0) as watch:
        wait_until(lambda: watch.judge() == "healthy", what="a good answer")
        application.status = 500
        wait_until(lambda: watch.judge() == "unhealthy", what="bad answers")
        application.status = 200
        wait_until(lambda: watch.judge() == "healthy", what="a good answer again")


def test_fewer_bad_answers_than_the_threshold_are_forgiven(application: Application, port: int) -> None:
    application.status = 500
    with watched(port, grace=0.0) as watch:
        assert watch.judge() == "initial"
        wait_until(lambda: watch.judge() == "unhealthy", what="the threshold")
        assert len(application.asked) >= 3


def test_nothing_is_held_against_it_in_its_grace_period(application: Application, port: int) -> None:
    application.status = 500
    with watched(port, grace=60.0) as watch:
        wait_until(lambda: len(application.asked) > 5, what="bad answers")
        assert watch.judge() == "initial"


def test_nobody_asks_any_more_when_it_is_over(application: Application, port: int) -> None:
    with watched(port, grace=0.0) as watch:
        wait_until(lambda: application.asked, what="a question")
        watch.over.set()
        names = {thread.name for thread in threading.enumerate()}
        wait_until(
            lambda: "tidegate-target-127.0.0.1" not in {thread.name for thread in threading.enumerate()},
            what=f"the end of its thread among {names}",
        )
