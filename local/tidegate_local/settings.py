"""What one embedded cloud was started with."""

from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT = "000000000000"
"""The one account. MiniStack derives it from the key pair; `test` means this one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast simulated tasks move, in seconds.

    ECS takes minutes where this takes tenths of a second: a task is PENDING for `start`, then has to
    stay up for `steady` before it counts as healthy. A crashing one dies half way through `steady`.
    """

    start: float = 0.1
    steady: float = 0.2
    tick: float = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """One embedded cloud: where it listens, what it enforces, where it may write."""

    port: int
    region: str
    state_dir: Path
    iam: bool = True
    ecs_events: bool = True
    pace: Pace = field(default_factory=Pace)
    account: str = ACCOUNT
    without: frozenset[str] = frozenset()
    """Mends left out, to see whether a newer MiniStack still needs them (and by their tests)."""
