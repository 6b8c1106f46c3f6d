"""What is known of a running embedded cloud: `cloud.json` in its state folder."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tidegate_local.engine import Engine
from tidegate_local.lifecycle.environment import LOOPBACK
from tidegate_local.postgres.access import Access
from tidegate_local.settings import ACCOUNT

STACK = "tidegate"
Docker: TypeAlias = Literal["auto", "require", "off"]


@dataclass(frozen=True, slots=True)
class Options:
    """What `local up` was asked for."""

    port: int = 4566
    region: str = "us-east-1"
    iam: bool = True
    ecs_events: bool = True
    docker: Docker = "auto"
    """Containers by Docker: where an engine answers, or else not at all, or never."""
    stack: str = STACK

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def registry(self) -> str:
        """Host and port of the container registry, which is the cloud itself."""
        return f"{LOOPBACK}:{self.port}"


@dataclass(frozen=True, slots=True)
class Cloud:
    """A started embedded cloud. `pid` leads its process group; `deployed` names what was built and deployed
    into it, None until that is done; `engine` runs its tasks, None where they are simulated."""

    options: Options
    pid: int
    deployed: str | None = None
    engine: Engine | None = None
    postgres: Access | None = None
    """Known while it runs, and not written down: the server keeps it where nobody else can read it."""

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return self.options.endpoint_url

    def with_deployed(self, deployed: str) -> "Cloud":
        """The same, with that deployed."""
        return replace(self, deployed=deployed)

    def with_postgres(self, access: Access | None) -> "Cloud":
        """The same, with its database."""
        return replace(self, postgres=access)

    def document(self) -> dict[str, Any]:
        """What `local up --json` prints."""
        return {
            "endpoint_url": self.endpoint_url,
            "account": ACCOUNT,
            "region": self.options.region,
            "registry": self.options.registry,
            "postgres": self.postgres.document() if self.postgres else None,
            "docker": self.engine is not None,
            "iam": self.options.iam,
        }


def read(path: Path) -> Cloud | None:
    """The record; None where there is none, or one that was cut off."""
    try:
        content = json.loads(path.read_text())
        engine = Engine(**content["engine"]) if content.get("engine") else None
        return Cloud(**{**content, "options": Options(**content["options"]), "engine": engine})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(path: Path, cloud: Cloud) -> None:
    """In one piece: a reader sees the old record or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    content = {key: value for key, value in asdict(cloud).items() if key != "postgres"}
    draft.write_text(json.dumps(content, indent=1))
    draft.replace(path)
