"""What the steps of a rotation share: the versions of its secret, and how one of them says that it cannot go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tidegate.domain.errors import TransientError
from tidegate.domain.rotation import CURRENT
from tidegate.domain.secret_rotation import SecretRotation
from tidegate.ports import Ports, SecretValue


class FailedError(Exception):
    """A step cannot be done, and asking again does not help. `reason` is for a person, and shows no value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Readiness(NamedTuple):
    """`sessions` are those of the idle user."""

    user: str
    next_user: str
    sessions: int


class Kind(Protocol):
    """What is different from one kind of secret to another. Each may be called again after it has succeeded, and raises
    FailedError."""

    def look(self, current: SecretValue) -> Readiness:
        """Can it be rotated? Changes nothing."""

    def successor(self, text: str) -> str:
        """The secret's text with a new value, another one each time."""

    def set(self) -> None:
        """Make the new value work; the old one goes on working."""

    def test(self) -> None:
        """Does the new value work?"""

    def retire(self) -> str:
        """The old value works no more. Gives the version that is current then."""

    def adoption(self) -> list[str]:
        """The statements that prepare a secret of a single user; none where nothing is to be done."""

    def adopt(self, statements: list[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Versions:
    """Those of the secret that a request is about."""

    request: SecretRotation
    ports: Ports

    def current(self) -> SecretValue:
        return self.ports.secrets.current(self.request.secret)

    def before(self) -> SecretValue:
        """The one that was current when the rotation began."""
        request = self.request
        found = None
        if request.previous is not None:
            found = self.ports.secrets.version(request.secret, request.previous)
        if found is None:
            raise FailedError(f"version {request.previous}, which was current, is there no more")
        return found

    def new(self) -> SecretValue:
        """The one that Stage wrote: Secrets Manager may not show it everywhere at once (its user guide: "eventually
        consistent"), so that one that is not found says nothing."""
        found = self.ports.secrets.version(self.request.secret, self.request.version)
        if found is None:
            raise TransientError("the new version cannot be seen yet")
        return found

    def expect_here(self, current: SecretValue) -> None:
        """Whether it is still this rotation that decides what is current."""
        if current.version not in (self.request.previous, self.request.version):
            raise FailedError(moved(current.version))


def moved(version: str | None) -> str:
    return f"somebody else has moved {CURRENT}, which is at version {version or 'none'}"
