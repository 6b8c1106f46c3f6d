"""A service is asked until it answers well, or for as long as it was given; time passes only in the fake web."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.ports import Answer
from tidegate.steps.smoke import run

from tests.support.fakes import World

CANARY = "canary-7f3a"
URL = f"https://api.example.com/health?token={CANARY}"
PAYLOAD: dict[str, Any] = {
    "service": "api",
    "url": URL,
    "expect": 200,
    "body": None,
    "latency": None,
    "within": 60,
}
GOOD, AWAY = Answer(200, f"all is ok, {CANARY}".encode(), 0.1), Answer(503, CANARY.encode(), 0.1)


def asked(*answers: Answer | str, world: World | None = None, **changes: object) -> Mapping[str, Any]:
    world = world or World()
    world.web.answers = [*answers]
    result = run(PAYLOAD | changes, world.ports)
    assert CANARY not in str(result)
    return result


def pauses(world: World) -> list[float]:
    return [round(seconds, 6) for name, (seconds, *_) in world.web.calls if name == "wait"]


def timeouts(world: World) -> list[float]:
    return [args[1] for name, args in world.web.calls if name == "get"]


def test_a_good_answer_is_enough() -> None:
    world = World()
    assert asked(GOOD, world=world) == {
        "outcome": "Healthy",
        "reason": "GET https://api.example.com/health answered 200 after 1 attempt in 0.1 s",
        "attempts": 1,
        "status": 200,
    }
    assert world.web.calls == [("get", (URL, 10.0))]


def test_a_service_has_its_time_to_get_well() -> None:
    world = World()
    refused = "connection refused"
    result = asked(refused, refused, AWAY, AWAY, AWAY, GOOD, world=world)
    assert (result["outcome"], result["attempts"], result["status"]) == ("Healthy", 6, 200)
    assert pauses(world) == [1, 2, 4, 5, 5]
    assert result["reason"].endswith("answered 200 after 6 attempts in 17.4 s")


def test_a_service_that_stays_away_is_unhealthy() -> None:
    world = World()
    assert asked(AWAY, world=world) == {
        "outcome": "Unhealthy",
        "reason": "GET https://api.example.com/health answered 503 after 15 attempts in 59.1 s (expected 200)",
        "attempts": 15,
        "status": 503,
    }
    # The last pause is shorter, so that the last attempt still has its second.
    assert pauses(world) == [1, 2, 4, *[5] * 10, 0.6]


def test_what_is_no_answer_has_no_status() -> None:
    result = asked("connection refused", within=1)
    assert result == {
        "outcome": "Unhealthy",
        "reason": "GET https://api.example.com/health gave no answer after 1 attempt in 0.1 s (connection refused)",
        "attempts": 1,
        "status": None,
    }


def test_the_last_answer_is_told() -> None:
    assert asked(AWAY, "connection refused", within=5)["status"] is None
    assert asked("connection refused", AWAY, within=5)["status"] == 503


@pytest.mark.parametrize("status", [204, 301, 302, 404, 500])
def test_any_other_status_is_not_well(status: int) -> None:
    """A redirect too: where it leads is another address, which nobody asked for."""
    result = asked(Answer(status, b"", 0.1), within=1)
    assert (result["outcome"], result["status"]) == ("Unhealthy", status)
    assert asked(Answer(status, b"", 0.1), within=1, expect=status)["outcome"] == "Healthy"


def test_the_body_must_contain_the_text() -> None:
    assert asked(GOOD, body="is ok")["outcome"] == "Healthy"
    result = asked(GOOD, body="is OK", within=1)
    assert result["outcome"] == "Unhealthy"
    assert result["reason"].endswith(
        "answered 200 after 1 attempt in 0.1 s (without the expected text in its body)"
    )
    assert asked(Answer(200, "größe".encode(), 0.1), body="öß")["outcome"] == "Healthy"
    assert asked(Answer(200, b"\xff\xfe ok", 0.1), body="ok")["outcome"] == "Healthy"


@pytest.mark.parametrize(
    ("seconds", "outcome"), [(1.999, "Healthy"), (2.0, "Healthy"), (2.001, "Unhealthy"), (3.2, "Unhealthy")]
)
def test_an_answer_that_comes_late_is_not_well(seconds: float, outcome: str) -> None:
    assert asked(Answer(200, b"", seconds), latency=2, within=1.5)["outcome"] == (
        "Unhealthy" if seconds > 1.5 else outcome
    )
    assert asked(Answer(200, b"", seconds), latency=2.0, within=5)["outcome"] == outcome


def test_a_late_answer_is_told_with_both_times() -> None:
    result = asked(Answer(200, b"", 2.001), latency=2.0, within=3)
    assert result["reason"].endswith("(took 2.01 s, at most 2 s is good)")
    assert result["status"] == 200


def test_the_first_thing_that_is_wrong_is_told() -> None:
    assert "expected 200" in asked(Answer(503, b"", 3), body="ok", latency=1, within=3)["reason"]


def test_a_service_that_hangs_is_asked_again() -> None:
    world = World()
    result = asked(Answer(200, b"", 3600), world=world)
    assert result["outcome"] == "Unhealthy"
    assert timeouts(world)[:4] == [10.0] * 4
    assert world.web.called("get") == 5
    assert "(no answer within " in result["reason"]


def test_no_attempt_is_given_more_than_what_is_left() -> None:
    world = World()
    asked(Answer(200, b"", 3600), within=3, world=world)
    assert timeouts(world) == [3]


def test_a_check_ends_before_its_invocation_does() -> None:
    """Guards LONGEST_SECONDS: Lambda stops a function after 900 s, and nobody would hear how it went."""
    world = World()
    began = world.clock.now()
    asked(Answer(200, b"", 3600), within=900, world=world)
    assert (world.clock.now() - began).total_seconds() <= 885


def test_a_function_that_was_held_up_asks_a_last_time() -> None:
    world = World()
    wait = world.web.wait
    world.web.wait = lambda seconds: wait(seconds + 100)  # type: ignore[method-assign, misc]
    assert asked(AWAY, GOOD, world=world)["outcome"] == "Healthy"
    assert timeouts(world)[-1] == 0.1


def test_nothing_but_the_web_is_used() -> None:
    """It may run where no API of AWS can be reached."""
    world = World()
    asked(AWAY, world=world)
    for name in ("containers", "images", "registry", "executions", "bus", "logs", "alarms", "references"):
        assert getattr(world, name).calls == []
    assert world.store.items == {}


def test_a_bad_payload_is_an_error_that_names_the_field() -> None:
    with pytest.raises(BadInputError) as raised:
        run(PAYLOAD | {"within": "60s"}, World().ports)
    assert raised.value.field == "within"


def test_it_does_not_load_pydantic() -> None:
    code = "import sys, tidegate.steps.smoke; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


answers = st.one_of(
    st.builds(Answer, st.sampled_from([200, 503]), st.sampled_from([b"", b"ok"]), st.floats(0.001, 30)),
    st.sampled_from(["connection refused", "no answer within 1 s"]),
)


@given(
    st.lists(answers, min_size=1, max_size=8),
    st.floats(1, 900),
    st.sampled_from([None, "ok"]),
    st.sampled_from([None, 1.0, 5.0]),
)
def test_it_never_takes_longer_than_it_was_given(
    given_answers: list[Answer | str], within: float, body: str | None, latency: float | None
) -> None:
    world = World()
    began = world.clock.now()
    result = asked(*given_answers, world=world, within=within, body=body, latency=latency)
    took = (world.clock.now() - began).total_seconds()
    assert took <= min(within, 885) + 0.01
    assert result["attempts"] == world.web.called("get")
    assert all(0 < timeout <= 10 for timeout in timeouts(world))
    assert all(0 < pause <= 5 for pause in pauses(world))
    if result["outcome"] == "Unhealthy":
        # It did not give up while there was time for another attempt.
        assert took >= min(within, 885) - 1.11
