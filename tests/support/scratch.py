"""A scratch git repository, as a developer has one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scratch:
    """A repository with a branch `main`; nothing of the caller's git settings reaches it."""

    folder: Path

    @classmethod
    def begin(cls, folder: Path, source: Path | None = None) -> Scratch:
        """A new one, with a copy of `source` in it; nothing is committed yet."""
        folder.mkdir(parents=True)
        if source is not None:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        scratch = cls(folder)
        scratch.git("init", "--quiet", "--initial-branch", "main")
        return scratch

    def write(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def commit(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Commit everything; the commit's id."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        """What git prints. Raises CalledProcessError."""
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **IDENTITY},
            check=True,
            capture_output=True,
            text=True,
        ).stdout


IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
