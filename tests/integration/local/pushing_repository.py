"""A git repository of a person, for tests: commits and pushes as the real git makes them."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+01:00",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+01:00",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


@dataclass(frozen=True)
class WorkTree:
    """A repository with a work tree in `path`."""

    path: Path

    @classmethod
    def make(cls, path: Path, branch: str = "main") -> "WorkTree":
        path.mkdir(parents=True, exist_ok=True)
        tree = cls(path)
        tree.git("init", "--quiet", f"--initial-branch={branch}")
        return tree

    def git(self, *arguments: str, **environ: str) -> str:
        """What git printed, standard error included; fails where git does."""
        done = self.try_git(*arguments, **environ)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def try_git(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**clean, **_PERSON, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """Write the files (None removes one), commit; the commit's id."""
        for name, content in files.items():
            file = self.path / name
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")
