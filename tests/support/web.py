"""Services that answer HTTP, on a clock that moves only by what they take."""

from __future__ import annotations

from tidegate.domain.errors import TransientError
from tidegate.ports import Answer

from tests.support.clock import FakeClock
from tests.support.scripted import Scripted, recorded


class FakeWeb(Scripted):
    """`answers` are given one after the other, the last of them for ever; a text is why there was none."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.answers: list[Answer | str] = [Answer(200, b"ok", 0.1)]

    @recorded
    def get(self, url: str, timeout: float) -> Answer:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TransientError(answer)
        self._clock.advance(min(answer.seconds, timeout))
        if answer.seconds > timeout:
            raise TransientError(f"no answer within {round(timeout, 1):g} s")
        return answer

    @recorded
    def wait(self, seconds: float) -> None:
        self._clock.advance(seconds)
