"""AWS Secrets Manager in memory: versions, labels, and a new version that is not seen at once."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from tidegate.domain.errors import BadInputError, ConflictError, NotFoundError
from tidegate.domain.rotation import CURRENT, PENDING, PREVIOUS
from tidegate.ports import Clock, MovedError, SecretState, SecretValue

from tests.support.clock import FakeClock, iso
from tests.support.scripted import Scripted, recorded

P = ParamSpec("P")
R = TypeVar("R")

# What no answer, log line or exception may have in it: every password here begins so.
CANARY = "canary5e1d"
FIRST = "00000000-0000-4000-8000-000000000001"


def locked(
    method: Callable[Concatenate[FakeSecrets, P], R],
) -> Callable[Concatenate[FakeSecrets, P], R]:
    """Threads of the tests read while another one rotates."""

    @functools.wraps(method)
    def call(self: FakeSecrets, /, *args: P.args, **more: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **more)

    return call


@dataclass
class FakeVersion:
    """`unseen` is how often it is still not found."""

    text: str
    created_at: str
    unseen: int = 0


@dataclass
class FakeSecret:
    name: str
    created_at: str
    versions: dict[str, FakeVersion] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


class FakeSecrets(Scripted):
    """`put` makes a secret, or makes another value current as somebody else would. A version without a label can be
    read, and is told by nobody (Secrets Manager user guide, "Deprecated" versions). `unseen` is how often a version
    that was just written is not found."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.secrets: dict[str, FakeSecret] = {}
        self.unseen = 0
        self.lock = threading.RLock()
        self._made = 0

    def __getstate__(self) -> dict[str, Any]:
        """A world that is copied gets a lock of its own."""
        return {name: known for name, known in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.RLock())

    @locked
    def put(self, name: str, value: object, version: str = FIRST) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        secret = self.secrets.setdefault(name, FakeSecret(name, self._now()))
        secret.versions[version] = FakeVersion(text, self._now())
        self._make_current(secret, version)

    @locked
    def label(self, name: str, version: str, stage: str) -> None:
        """As somebody else would."""
        self.secrets[name].labels[stage] = version

    @locked
    def stages(self, name: str) -> dict[str, str]:
        """The version of each label."""
        return dict(self.secrets[name].labels)

    @locked
    def value(self, name: str, stage: str = CURRENT) -> Any:
        secret = self.secrets[name]
        return json.loads(secret.versions[secret.labels[stage]].text)

    @locked
    @recorded
    def describe(self, secret: str) -> SecretState | None:
        found = self._find(secret)
        if found is None:
            return None
        stages: dict[str, frozenset[str]] = {}
        for stage, version in found.labels.items():
            stages[version] = stages.get(version, frozenset()) | {stage}
        arn = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{found.name}-a1b2c3"
        return SecretState(arn, found.name, stages, found.created_at, found.created_at)

    @locked
    @recorded
    def current(self, secret: str) -> SecretValue:
        found = self._find(secret)
        if found is None or CURRENT not in found.labels:
            raise NotFoundError(f"there is no secret {secret}", field="secret")
        return self._shown(found, found.labels[CURRENT])

    @locked
    @recorded
    def version(self, secret: str, version: str) -> SecretValue | None:
        found = self._find(secret)
        if found is None or version not in found.versions:
            return None
        if found.versions[version].unseen:
            found.versions[version].unseen -= 1
            return None
        return self._shown(found, version)

    @locked
    @recorded
    def put_pending(self, secret: str, version: str, text: str) -> None:
        found = self._there(secret)
        known = found.versions.get(version)
        if known is not None and known.text != text:
            raise ConflictError("this version has another text", field="version")
        if known is None:
            found.versions[version] = FakeVersion(text, self._now(), self.unseen)
            found.labels[PENDING] = version

    @locked
    @recorded
    def move_current(self, secret: str, *, to: str, from_: str) -> None:
        found = self._there(secret)
        if found.labels[CURRENT] != to:
            if found.labels[CURRENT] != from_:
                raise MovedError("AWSCURRENT is elsewhere")
            if to not in found.versions:
                raise BadInputError("there is no such version", field="version")
            self._make_current(found, to)
        self._drop(found, to)

    @locked
    @recorded
    def drop_pending(self, secret: str, version: str) -> None:
        found = self._find(secret)
        if found is not None:
            self._drop(found, version)

    @locked
    @recorded
    def password(self, length: int = 40) -> str:
        self._made += 1
        return f"{CANARY}{self._made:0{length - len(CANARY)}d}"

    def _make_current(self, secret: FakeSecret, version: str) -> None:
        """What was current is AWSPREVIOUS then (API reference, UpdateSecretVersionStage)."""
        before = secret.labels.get(CURRENT)
        if before is not None and before != version:
            secret.labels[PREVIOUS] = before
        secret.labels[CURRENT] = version

    @staticmethod
    def _drop(secret: FakeSecret, version: str) -> None:
        if secret.labels.get(PENDING) == version:
            del secret.labels[PENDING]

    def _shown(self, secret: FakeSecret, version: str) -> SecretValue:
        stages = frozenset(stage for stage, at in secret.labels.items() if at == version)
        known = secret.versions[version]
        return SecretValue(known.text, version, stages, known.created_at)

    def _find(self, secret: str) -> FakeSecret | None:
        return self.secrets.get(secret)

    def _there(self, secret: str) -> FakeSecret:
        found = self._find(secret)
        if found is None:
            raise NotFoundError(f"there is no secret {secret}", field="secret")
        return found

    def _now(self) -> str:
        return iso(self.clock.now())
