"""A recipe's folder, copied as a user copies it, and the commands of its manifest run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.support import ROOT

RECIPES = ROOT / "systems" / "recipes"
ENDS_SECONDS = 120.0
# Of the database's user in every test; no output may have it.
PASSWORD = "canary-Wk3@:/%25'x"
DEPLOYMENT = "d-20261121-0001"


@dataclass(frozen=True)
class Ran:
    exit_code: int
    output: str


@dataclass(frozen=True)
class Recipe:
    """`environment` is what ECS would put into the container; nothing else of this process's reaches the commands
    but its PATH."""

    folder: Path
    environment: Mapping[str, str]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def copy(cls, name: str, folder: Path, environment: Mapping[str, str]) -> Recipe:
        shutil.copytree(RECIPES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return cls(folder, environment, yaml.safe_load((folder / "tidegate.yaml").read_text()))

    def migrate(self, **more: str) -> Ran:
        """The command of the manifest."""
        return self.run(*self.manifest["migrations"]["command"], **more)

    def verify(self) -> Ran:
        """The manifest's second command."""
        return self.run(*self.manifest["migrations"]["verify"])

    def run(self, *command: str, **more: str) -> Ran:
        return ended(self.start(*command, **more))

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "LANG": "C.UTF-8",
                **self.environment,
                **more,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def move(self, name: str, folder: str) -> None:
        """As a user does with a migration that waits for its release."""
        (self.folder / name).rename(self.folder / folder / Path(name).name)


def ended(process: subprocess.Popen[str]) -> Ran:
    """What it printed, which may name no password, once it is over."""
    output, _ = process.communicate(timeout=ENDS_SECONDS)
    assert PASSWORD not in output
    return Ran(process.returncode, output)


def of_postgres(host: str, port: int, user: str, database: str) -> dict[str, str]:
    """What the task definition of a recipe for PostgreSQL takes from the secret, and what Tidegate adds."""
    return {
        "PGHOST": host,
        "PGPORT": str(port),
        "PGUSER": user,
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": database,
        "PGAPPNAME": f"tidegate-migrate-{DEPLOYMENT}",
        "PGOPTIONS": "-c lock_timeout=1000 -c statement_timeout=60000",
        **_of_tidegate(),
    }


def of_mariadb(host: str, port: int, user: str, database: str) -> dict[str, str]:
    """The same of a recipe for MySQL and MariaDB."""
    return {
        "DATABASE_HOST": host,
        "DATABASE_PORT": str(port),
        "DATABASE_USER": user,
        "DATABASE_PASSWORD": PASSWORD,
        "DATABASE_NAME": database,
        "DATABASE_TLS": "off",
        **_of_tidegate(),
    }


def _of_tidegate() -> dict[str, str]:
    return {
        "TIDEGATE_DEPLOYMENT": DEPLOYMENT,
        "TIDEGATE_LOCK_TIMEOUT": "1",
        "TIDEGATE_STATEMENT_TIMEOUT": "60",
    }
