"""Where our code is sewn into MiniStack's.

MiniStack has no plug-in interface, so a mend replaces a function of it. That is only safe while the
function is the one the mend was written against, so each replacement states what it expects; a newer
release that moved the seam stops the server at start with the name of the mend, never with a strange
result in a test.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[..., Any]


class MendDoesNotFitError(RuntimeError):
    """MiniStack changed where a mend is sewn in."""

    def __init__(self, place: str, expected: str, found: str) -> None:
        super().__init__(
            f"{place} is not what this mend was written for: expected {expected}, found {found}. "
            "Look whether this MiniStack still needs the mend, then adapt or drop it."
        )


def graft(module: Any, name: str, replacement: Handler, *, signature: str, shows: str = "") -> Handler:
    """Put `replacement` in the place of `module.name` and return what stood there.

    `signature` is the text of `inspect.signature`, annotations included; `shows` is a fragment of its
    source that proves the behaviour being mended is still the one that was read (white space ignored).
    Raises `MendDoesNotFitError`.
    """
    original = expect(module, name, signature=signature, shows=shows)
    setattr(module, name, replacement)
    return original


def expect(module: Any, name: str, *, signature: str, shows: str = "") -> Handler:
    """The function a mend leans on, checked as `graft` checks it but left in place."""
    place = f"{module.__name__}.{name}"
    original: Handler | None = getattr(module, name, None)
    if original is None:
        raise MendDoesNotFitError(place, "a function", "nothing")
    found = str(inspect.signature(original))
    if found != signature:
        raise MendDoesNotFitError(place, signature, found)
    if shows and _bare(shows) not in _bare(inspect.getsource(original)):
        raise MendDoesNotFitError(place, f"the fragment {shows!r}", "a body without it")
    return original


def graft_text(module: Any, name: str, old: str, new: str) -> None:
    """Replace the one occurrence of `old` in the string `module.name`. Raises `MendDoesNotFitError`."""
    text = getattr(module, name, "")
    if not isinstance(text, str) or text.count(old) != 1:
        raise MendDoesNotFitError(f"{module.__name__}.{name}", f"one occurrence of {old!r}", "another text")
    setattr(module, name, text.replace(old, new))


def expect_attributes(module: Any, *names: str) -> None:
    """The private names of a MiniStack module that a mend reads. Raises `MendDoesNotFitError`."""
    for name in names:
        if not hasattr(module, name):
            raise MendDoesNotFitError(f"{module.__name__}.{name}", "the name", "nothing")


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)
