"""Secrets of each kind, a database that knows them, and one who plays the machine `rotate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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
Step = Callable[..., Answer]


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

    def ask(self, step: str, ports: Any = None, **changes: Any) -> Answer:
        try:
            answer = run(self.payload(step, **changes), ports or self.world.ports)
        except Exception as error:
            self.said.append(repr(error))
            raise
        assert all(login.closed for _, login in self.world.logins.opened)
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

    def works(self, text: str | None = None) -> bool:
        """Whether a value logs in, that which is current unless another one is given; asks no port for it."""
        found = self.world.secrets.secrets[SECRET]
        text = found.versions[found.labels[CURRENT]].text if text is None else text
        if self.kind == TOKEN:
            return True
        own: Credential = read(text, "json", self.kind)
        user = self.world.logins.users.get(own.username)
        return user is not None and user.opens(own.password)


@dataclass
class Run:
    """One execution of `rotate`: a step that is cut off is asked again. `ports` makes those of each invocation."""

    rotations: Rotations
    deployment: str = DEPLOYMENT
    ports: Callable[[str], Any] | None = None
    gives_up: str = ""
    previous: str | None = None

    def to_the_end(self) -> str:
        for step in FORWARD:
            answer = self.step(step)
            if answer is None or answer["outcome"] != GOOD[step]:
                return "FailedDirty" if step == RETIRE else self._undone()
            if step == PRECHECK:
                self.previous = answer["previous"]
        return "Rotated"

    def step(self, step: str) -> Answer | None:
        """None where it was cut off, and is not asked again."""
        for _ in range(TRIES):
            try:
                return self.rotations.ask(
                    step,
                    self.ports(step) if self.ports is not None else None,
                    deployment=self.deployment,
                    previous=self.previous,
                )
            except (TransientError, KilledError):
                if step == self.gives_up:
                    return None
        return None

    def _undone(self) -> str:
        restored, abandoned = self.step(RESTORE), self.step(ABANDON)
        if restored is None or abandoned is None or restored["outcome"] == "Moved":
            return "FailedDirty"
        return "FailedClean"
