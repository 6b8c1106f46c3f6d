"""Where PostgreSQL listens and how to log in."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

USER = "postgres"
"""The superuser, and the database of that name."""


@dataclass(frozen=True, slots=True)
class Access:
    """`host` is reached from this machine and, where tasks are containers, from them as well."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def document(self) -> dict[str, Any]:
        """`{"host", "port", "user", "password"}`."""
        return asdict(self)

    def variables(self) -> dict[str, str]:
        """What psql and every other client of libpq reads from the environment."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }


def file_of(state_dir: Path) -> Path:
    """Where the cloud with that folder writes it."""
    return state_dir / "postgres" / "access.json"


def data_of(state_dir: Path) -> Path:
    """The server's own folder."""
    return file_of(state_dir).with_name("data")


def read(state_dir: Path) -> Access | None:
    """None where no server has come up yet."""
    try:
        return Access(**json.loads(file_of(state_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(state_dir: Path, access: Access) -> None:
    """In one piece, for its owner alone."""
    path = file_of(state_dir)
    draft = path.with_suffix(".draft")
    write_private(draft, json.dumps(access.document()))
    draft.replace(path)


def write_private(path: Path, text: str) -> None:
    """A file that is nobody else's to read from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
