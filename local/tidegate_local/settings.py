"""What one embedded cloud was started with."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT = "000000000000"
"""The one account. MiniStack derives it from the key pair; `test` means this one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast tasks move, in seconds.

    ECS takes minutes where this takes tenths of a second: a task is PENDING for `start`, then has to
    stay up for `steady` before it counts as healthy. One with an injected fault dies half way through `steady`.
    """

    start: float = 0.1
    steady: float = 0.2
    tick: float = 0.05

    @classmethod
    def of_containers(cls) -> "Pace":
        """A real process may take a second to find out that it cannot start."""
        return cls(start=0.0, steady=2.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """One embedded cloud: where it listens, what it enforces, where it may write."""

    port: int
    region: str
    state_dir: Path
    iam: bool = True
    ecs_events: bool = True
    docker: bool = False
    """Tasks are containers, and ECR's registry is one that Docker can reach."""
    docker_host: str = ""
    """Address of the engine, as DOCKER_HOST has it; empty unless `docker`. The process's own environment hides
    the engine, so that MiniStack starts no containers that nobody removes: hand this one to who needs it."""
    postgres: bool = False
    """A PostgreSQL server of its own runs beside it, and databases of RDS have servers."""
    pace: Pace = field(default_factory=Pace)
    build_minute_seconds: float = 60.0
    """How long a minute of a CodeBuild time-out is; a test cannot wait for five of them."""
    account: str = ACCOUNT
    without: frozenset[str] = frozenset()
    """Mends left out, to see whether a newer MiniStack still needs them (and by their tests)."""

    @property
    def registry(self) -> str:
        """Host and port of the container registry: the cloud itself is one."""
        return f"127.0.0.1:{self.port}"

    @property
    def cloud_id(self) -> str:
        """Names the containers of this cloud: 12 hexadecimal characters, the same for the same state folder."""
        return cloud_id(self.state_dir)


def cloud_id(state_dir: Path) -> str:
    """`Settings.cloud_id` of the cloud with this state folder."""
    return hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:12]
