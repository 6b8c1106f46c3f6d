"""The last scene of the demo: a new password for the sample's database, while somebody logs in all the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.domain.outcome import Outcome
from tidegate.ledger.records import Ledger
from tidegate_local import sample, sample_database

from tidegate_cli.connection import Connection
from tidegate_cli.environments import standstill
from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.following import Follower, Progress
from tidegate_cli.starting import Run, rotate_input, start
from tidegate_cli.views import shown_deployment, status_entry

TITLE = "rotation, while somebody logs in"
REASON = "the demo shows it"
MACHINE = "rotate"
CANARY = "api"
RUN_SECONDS = 120.0
FOLLOW_PAUSE_SECONDS = 0.3


class Logins(Protocol):
    """A client that logs in with whatever is current, for as long as it is entered."""

    @property
    def by_user(self) -> Mapping[str, int]: ...

    @property
    def failed(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Rotated:
    """What came of it. `rolled` are the services in the order in which they started again; `before` and `after` are the
    users that the secret named; `old_is_out` says that the password before opens nothing any more. `prepared` are the
    statements that made the second user, empty where it was there."""

    shown: dict[str, Any]
    running: dict[str, Any]
    seconds: float
    rolled: list[str]
    prepared: list[str]
    before: str
    after: str
    logins: dict[str, int]
    failed: list[str]
    old_is_out: bool

    @property
    def outcome(self) -> str:
        """The word it ended with."""
        return str(self.shown["outcome"])

    @property
    def as_told(self) -> bool:
        """It is rotated, the canary started first, both users logged in and nobody was refused, the old one is out and
        the lock is free."""
        return (
            self.outcome == Outcome.ROTATED.value
            and self.rolled[:1] == [CANARY]
            and set(self.rolled) == set(self.running["services"])
            and self.before != self.after
            and {self.before, self.after} <= set(self.logins)
            and not self.failed
            and self.old_is_out
            and self.running["lock"] is None
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`: the essence, not the whole timeline."""
        return {
            "title": TITLE,
            "expected": Outcome.ROTATED.value,
            "as_expected": self.as_told,
            "seconds": round(self.seconds, 1),
            "secret": sample_database.SECRET,
            "prepared": self.prepared,
            "rolled": self.rolled,
            "users": [self.before, self.after],
            "logins": self.logins,
            "failed_logins": self.failed,
            "old_is_out": self.old_is_out,
            **{key: self.shown[key] for key in ("deployment", "outcome", "explanation", "failure")},
        }


@dataclass(frozen=True, slots=True)
class RotationScene:
    """`logins` makes the client; `current` is what the secret says now; `lets_in` whether a user and its password open
    the database. `view` shows a run; `tell_statements` gets those that make the second user."""

    connection: Connection
    logins: Callable[[], AbstractContextManager[Logins]]
    current: Callable[[], dict[str, Any]]
    lets_in: Callable[[Mapping[str, Any]], bool]
    view: Callable[[Run], AbstractContextManager[Callable[[Progress], None]]]
    tell_title: Callable[[str], None]
    tell_statements: Callable[[list[str]], None]
    command: Callable[..., str]
    pause: Callable[[float], None]

    def tell(self) -> Rotated:
        """Raises CommandError when a run does not end in time, or cannot be begun."""
        self.tell_title(TITLE)
        prepared = self._adopted()
        before = self.current()
        with self.logins() as logins:
            began = time.monotonic()
            run, _ = self._followed(self._request(reason=REASON))
            seconds = time.monotonic() - began
        ledger = Ledger(self.connection.ports.store, self.connection.ports.clock)
        ended = ledger.find(run.deployment)
        if ended is None:
            raise CommandError(
                f"{TITLE}: deployment {run.deployment} left nothing in the ledger",
                code="not_recorded",
                exit_code=UNEXPECTED,
            )
        rollouts = sorted(ledger.rollouts(run.deployment), key=lambda rollout: rollout.started_at)
        return Rotated(
            shown=shown_deployment(ended, ledger.timeline(run.deployment), ledger.reports(run.deployment)),
            running=status_entry(standstill(self.connection.ports, sample.SYSTEM, sample.ENVIRONMENT)),
            seconds=seconds,
            rolled=[rollout.service for rollout in rollouts],
            prepared=prepared,
            before=str(before["username"]),
            after=str(self.current()["username"]),
            logins=dict(logins.by_user),
            failed=list(logins.failed),
            old_is_out=not self.lets_in(before),
        )

    def _adopted(self) -> list[str]:
        """The statements that were run: the user that the services have had so far becomes one of two."""
        _, planned = self._followed(self._request(adopt="plan"), silent=True)
        statements = list(planned.get("statements") or ())
        if planned.get("hash") is None:
            raise _not_prepared(planned)
        if statements:
            self.tell_statements(statements)
            agreed = str(planned["hash"])
            _, done = self._followed(self._request(adopt="apply", statements=agreed), silent=True)
            if Outcome(done["outcome"]).exit_code:
                raise _not_prepared(done)
        return statements

    def _request(self, **more: str) -> dict[str, Any]:
        return rotate_input(sample.SYSTEM, sample.ENVIRONMENT, sample_database.SECRET, **more)

    def _followed(self, request: dict[str, Any], *, silent: bool = False) -> tuple[Run, dict[str, Any]]:
        run = start(self.connection, MACHINE, request)
        follower = Follower(self.connection.ports, run, self.command("show", run.deployment))

        def follow(show: Callable[[Progress], None]) -> dict[str, Any]:
            return follower.follow(show, timeout=RUN_SECONDS, pause=self._pause, monotonic=time.monotonic)

        if silent:
            return run, follow(lambda _progress: None)
        with self.view(run) as show:
            return run, follow(show)

    def _pause(self, seconds: float) -> None:
        self.pause(min(seconds, FOLLOW_PAUSE_SECONDS))


def _not_prepared(document: Mapping[str, Any]) -> CommandError:
    return CommandError(
        f"{TITLE}: no second user: {document.get('reason')}", code="not_adopted", exit_code=UNEXPECTED
    )
