"""Secrets of each kind, a database that knows them, and one who plays the machine `rotate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from tidegate.domain.credentials import Credential, read
from tidegate.domain.errors import TransientError
from tidegate.domain.rotation import (
    ABANDON,
    CURRENT,
    PRECHECK,
    PROMOTE,
    RESTORE,
    RETIRE,
    SET,
    STAGE,
    TEST,
    TOKEN,
    version_of,
)
from tidegate.ports import Ports
from tidegate.runtime.handler import handler
from tidegate.steps.rotate_secret import run

from tests.support.fakes import World
from tests.support.logins import ADMIN, HOST, FakeUser
from tests.support.secrets import CANARY, FIRST
from tests.unit.steps.invoked import KilledError

DEPLOYMENT, NEXT_DEPLOYMENT = "01JD6QZ5N8W3F4T7X2V9K1M0AB", "01JD6QZ5N8W3F4T7X2V9K1M0AC"
SECRET, ADMIN_SECRET = "shop/production/database", "shop/production/database-admin"
OLD_PASSWORD, ADMIN_PASSWORD = f"{CANARY}old'\"\\", f"{CANARY}admin"
GRANTS = frozenset({"SELECT ON orders", "DELETE ON orders WITH GRANT OPTION"})
# In the order of the machine.
FORWARD: Final = (PRECHECK, STAGE, SET, TEST, PROMOTE, RETIRE)
GOOD: Final = {
    PRECHECK: "Ready",
    STAGE: "Staged",
    SET: "Set",
    TEST: "Tested",
    PROMOTE: "Promoted",
    RETIRE: "Retired",
}
# (kind, strategy) by what the tests call them.
KINDS: Final = {
    "postgres": ("postgres", "alternating"),
    "mysql": ("mysql", "alternating"),
    "mysql-dual": ("mysql", "dual-password"),
    "token": (TOKEN, "regenerate"),
}
TRIES: Final = 4

Answer = Mapping[str, Any]

_LOG = StringIO()
_LOGGER = Logger(service="rotations", stream=_LOG)


def credential(username: str, password: str, **changes: Any) -> dict[str, Any]:
    """As Secrets Manager keeps it."""
    return {
        "host": HOST,
        "port": 5432,
        "username": username,
        "password": password,
        "dbname": "shop",
    } | changes


@dataclass
class Rotations:
    """`ask` is one invocation; `rotate` a run to its end. What came out is in `said`."""

    kind: str
    strategy: str
    world: World = field(default_factory=World)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, name: str) -> Rotations:
        kind, strategy = KINDS[name]
        made = cls(kind, strategy)
        secrets, users = made.world.secrets, made.world.logins.users
        secrets.put(ADMIN_SECRET, credential(ADMIN, ADMIN_PASSWORD))
        users[ADMIN] = FakeUser(ADMIN_PASSWORD, may_change=True)
        if kind == TOKEN:
            secrets.put(SECRET, {"keys": [OLD_PASSWORD], "issuer": "shop"})
            return made
        secrets.put(SECRET, credential("app", OLD_PASSWORD, engine=kind, note="kept"))
        users["app"] = FakeUser(OLD_PASSWORD, grants=set(GRANTS))
        if strategy == "alternating":
            users["app_clone"] = FakeUser(f"{CANARY}idle", login=False, grants=set(GRANTS))
        return made

    def payload(self, step: str, deployment: str = DEPLOYMENT, **changes: Any) -> dict[str, Any]:
        return {
            "step": step,
            "system": "shop",
            "environment": "production",
            "deployment": deployment,
            "secret": SECRET,
            "kind": self.kind,
            "strategy": self.strategy,
            "admin": None if self.kind == TOKEN else ADMIN_SECRET,
            "users": [],
            "format": "json",
            "tls": "verify-full",
            "version": version_of(deployment),
            "previous": FIRST,
            "statements": None,
        } | changes

    def ask(self, step: str, ports: Ports | None = None, **changes: Any) -> Answer:
        """As Lambda does it, log lines and all."""
        asked = handler(run, ports or self.world.ports, _LOGGER, table=False)
        try:
            answer = asked(self.payload(step, **changes), None)
        except Exception as error:
            self.said.append(repr(error))
            raise
        finally:
            self.said.append(_LOG.getvalue())
            _LOG.seek(0)
            _LOG.truncate()
        assert ports is not None or all(login.closed for _, login in self.world.logins.opened)
        self.said.append(repr(answer))
        return answer

    def go(self, *steps: str, deployment: str = DEPLOYMENT, **changes: Any) -> list[str]:
        """The outcomes of these steps."""
        return [self.ask(step, deployment=deployment, **changes)["outcome"] for step in steps]

    def rotate(self, deployment: str = DEPLOYMENT) -> str:
        """Rotated, FailedClean or FailedDirty, as the machine would have it."""
        return Run(self, deployment).to_the_end()

    @property
    def current(self) -> str:
        return self.world.secrets.stages(SECRET)[CURRENT]

    def text(self, stage: str = CURRENT) -> str:
        """Without asking a port."""
        found = self.world.secrets.secrets[SECRET]
        return found.versions[found.labels[stage]].text

    def works(self, text: str) -> bool:
        """Whether a value logs in, without asking a port; that of a token has no one to log in at."""
        if self.kind == TOKEN:
            return True
        own: Credential = read(text, "json", self.kind)
        user = self.world.logins.users.get(own.username)
        return user is not None and user.opens(own.password)

    def keeps_quiet(self) -> bool:
        """No password and no host in what was answered, raised or logged: both have CANARY in them."""
        return CANARY not in "".join(self.said)


@dataclass
class Run:
    """One execution of `rotate`. A step that is cut off is asked again, unless it `gives_up`; after the step
    `stops_after` somebody aborts. `ports` makes those of each invocation."""

    rotations: Rotations
    deployment: str = DEPLOYMENT
    ports: Callable[[str], Ports] | None = None
    gives_up: Sequence[str] = ()
    stops_after: str = ""
    previous: str | None = None
    promoted: bool = False

    def to_the_end(self) -> str:
        for step in FORWARD:
            answer = self.step(step)
            if answer is None or answer["outcome"] != GOOD[step]:
                return "FailedDirty" if step == RETIRE else self._undone()
            if step == PRECHECK:
                self.previous = answer["previous"]
            self.promoted = self.promoted or step == PROMOTE
            if step == self.stops_after:
                return self._undone()
        return "Rotated"

    def step(self, step: str) -> Answer | None:
        """None where it was cut off, and is not asked again."""
        for _ in range(TRIES):
            ports = self.ports(step) if self.ports is not None else None
            try:
                return self.rotations.ask(step, ports, deployment=self.deployment, previous=self._known(step))
            except (TransientError, KilledError):
                if step in self.gives_up:
                    return None
        return None

    def _known(self, step: str) -> str | None:
        return None if step == PRECHECK else self.previous

    def _undone(self) -> str:
        restored, abandoned = self.step(RESTORE), self.step(ABANDON)
        if restored is None or abandoned is None or (self.promoted and restored["outcome"] != "Restored"):
            return "FailedDirty"
        return "FailedClean"


def begun(name: str, until: str) -> Rotations:
    """A rotation up to a step, which comes next; one that undoes it comes after Promote."""
    rotations = Rotations.of(name)
    rotations.go(*FORWARD[: FORWARD.index(until if until in FORWARD else RETIRE)])
    return rotations
