"""Which ECS services fail on purpose, and how."""

import threading
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

FaultMode: TypeAlias = Literal["crash", "hang"]


@dataclass(frozen=True, slots=True)
class Fault:
    """New deployments of one ECS service fail.

    `crash`: its tasks exit with `exit_code` soon after they started; `hang`: they never leave PENDING.
    A return to the last COMPLETED deployment is spared unless `all`.
    """

    mode: FaultMode
    all: bool = False
    exit_code: int = 1

    def document(self) -> dict[str, Any]:
        """As `GET /_tidegate/faults` shows it."""
        return asdict(self)


class FaultBoard:
    """The faults that are set, by ECS service name. Read by the service scheduler's thread."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
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

    def document(self) -> dict[str, dict[str, Any]]:
        """Every fault by service name."""
        with self._lock:
            return {name: fault.document() for name, fault in sorted(self._faults.items())}
