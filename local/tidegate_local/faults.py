"""Which ECS services and groups of one-off tasks fail on purpose, and how."""

import threading
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

FaultMode: TypeAlias = Literal["crash", "hang"]


@dataclass(frozen=True, slots=True)
class Value:
    """A version of a secret, given by its name or ARN."""

    secret: str
    version: str


@dataclass(frozen=True, slots=True)
class Fault:
    """New deployments of one ECS service fail, or one-off tasks of one group.

    `crash`: its tasks exit with `exit_code` soon after they started; `hang`: they never leave PENDING.
    A return to the last COMPLETED deployment is spared unless `all`. With `unless` it is so of each deployment, and
    spared are the tasks of a service that start while that version is current: they can do with no other value.
    """

    mode: FaultMode
    all: bool = False
    exit_code: int = 1
    unless: Value | None = None

    def document(self) -> dict[str, Any]:
        """As `GET /_tidegate/faults` shows it."""
        document = asdict(self)
        if self.unless is None:
            del document["unless"]
        return document


class FaultBoard:
    """The faults that are set, by ECS service name or by group. Read by the service scheduler's thread."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._refusals: dict[str, int] = {}
        self._lock = threading.Lock()

    def set(self, service: str, fault: Fault) -> None:
        """New deployments of `service` fail from now on."""
        with self._lock:
            self._faults[service] = fault

    def clear(self, service: str) -> bool:
        """New deployments are healthy again, and one that hangs comes up; False if none was set."""
        with self._lock:
            return self._faults.pop(service, None) is not None

    def of(self, service: str) -> Fault | None:
        """The fault of `service`, if any."""
        with self._lock:
            return self._faults.get(service)

    def refuse(self, group: str, times: int) -> None:
        """The next so many calls of RunTask for `group` find no capacity."""
        with self._lock:
            self._refusals[group] = times

    def refuses(self, group: str) -> bool:
        """Whether one more call is refused; that it was is remembered."""
        with self._lock:
            left = self._refusals.get(group, 0)
            self._refusals[group] = max(0, left - 1)
        return left > 0

    def document(self) -> dict[str, dict[str, Any]]:
        """Every fault by service name."""
        with self._lock:
            return {name: fault.document() for name, fault in sorted(self._faults.items())}
