"""Function `smoke`: asks a service until it answers well, or for as long as its manifest gives it.

It may run in a VPC from which no API of AWS can be reached: it reads no table and no parameter, only its payload.
That a service is not well is an outcome, not an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.domain.errors import TransientError
from tidegate.domain.smoke import SmokeCheck
from tidegate.ports import Answer, Ports

# A service that hangs must not use up the time in which it could be asked again.
ATTEMPT_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 5.0
# Of a pause, and of an attempt: what is left of the time is not divided any further.
SHORTEST_SECONDS: Final = 0.1
# Less has no use: the last attempt has at least this, and a pause before it gets shorter.
LAST_ATTEMPT_SECONDS: Final = 1.0
# An invocation ends after 900 s, however it stands: this leaves time to say how it went.
LONGEST_SECONDS: Final = 885.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One attempt: `fault` is None where the answer was good; there is no `status` where there was no answer."""

    status: int | None
    fault: str | None


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`domain.smoke` has the payload; gives `{"outcome": "Healthy" | "Unhealthy", "reason", "attempts", "status"}`,
    the status being that of the last answer, null where there was none. The reason shows neither the body nor the
    query of the address. Raises BadInputError for another payload, and nothing else."""
    check = SmokeCheck.from_payload(event)
    began = ports.clock.now()
    longest = min(check.within, LONGEST_SECONDS)
    pauses = _pauses()
    attempts = 0

    def passed() -> float:
        return (ports.clock.now() - began).total_seconds()

    while True:
        attempts += 1
        # A function that was held up while it waited has no time left, and a socket takes no negative one.
        seen = _look(check, ports, max(SHORTEST_SECONDS, min(ATTEMPT_SECONDS, longest - passed())))
        pause = min(next(pauses), longest - passed() - LAST_ATTEMPT_SECONDS)
        if seen.fault is None or pause < SHORTEST_SECONDS:
            return _told(check, seen, attempts, passed())
        ports.web.wait(pause)


def _pauses() -> Iterator[float]:
    """1, 2, 4, 5, 5 … seconds."""
    pause = 1.0
    while True:
        yield min(pause, LONGEST_PAUSE)
        pause = min(pause * 2, LONGEST_PAUSE)


def _look(check: SmokeCheck, ports: Ports, timeout: float) -> _Seen:
    try:
        answer = ports.web.get(check.url, timeout)
    except TransientError as error:
        return _Seen(None, error.message)
    return _Seen(answer.status, _fault(check, answer))


def _fault(check: SmokeCheck, answer: Answer) -> str | None:
    if answer.status != check.expect:
        return f"expected {check.expect}"
    if check.body is not None and check.body.encode() not in answer.body:
        return "without the expected text in its body"
    if check.latency is not None and answer.seconds > check.latency:
        # Rounded up: what took 2.001 s is not said to have taken 2 s, where 2 s would have been good.
        return f"took {math.ceil(answer.seconds * 100) / 100:g} s, at most {check.latency:g} s is good"
    return None


def _told(check: SmokeCheck, seen: _Seen, attempts: int, seconds: float) -> Mapping[str, Any]:
    tried = f"after {attempts} attempt{'' if attempts == 1 else 's'} in {_shown(seconds)}"
    answered = "gave no answer" if seen.status is None else f"answered {seen.status}"
    fault = "" if seen.fault is None else f" ({seen.fault})"
    return {
        "outcome": "Healthy" if seen.fault is None else "Unhealthy",
        "reason": f"GET {check.shown} {answered} {tried}{fault}",
        "attempts": attempts,
        "status": seen.status,
    }


def _shown(seconds: float) -> str:
    return f"{max(0.1, round(seconds, 1)):g} s"
