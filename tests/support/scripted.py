"""What every fake can do besides its port: remember its calls, and fail when told to."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from tidegate.domain.errors import TransientError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Scripted")


class Scripted:
    """`calls` are (method, positional arguments) in order; `fails` and `loses` act on the next calls of a method."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._before: dict[str, list[Exception]] = defaultdict(list)
        self._after: dict[str, list[Exception]] = defaultdict(list)

    def fails(self, method: str, *errors: Exception) -> None:
        """The next calls of `method` raise these, one each, and do nothing."""
        self._before[method] += errors or (TransientError(f"{method} was throttled"),)

    def loses(self, method: str, times: int = 1) -> None:
        """The next calls of `method` are carried out, but the caller gets a time-out."""
        self._after[method] += [TransientError(f"the answer of {method} was lost") for _ in range(times)]

    def called(self, method: str) -> int:
        return sum(name == method for name, _ in self.calls)


def recorded(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    name = function.__name__

    @functools.wraps(function)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.calls.append((name, args))
        if self._before[name]:
            raise self._before[name].pop(0)
        answer = function(self, *args, **kwargs)
        if self._after[name]:
            raise self._after[name].pop(0)
        return answer

    return call
