"""A scratch git repository with the sample's application: where the demo's commits are made, and pushed from."""

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tidegate_local import pushing, sample
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.pushing import Say, WorkTree

BRANCH = "main"
AUTHOR = ("Tidegate demo", "demo@example.com")
CRASHING_WORKER = """\
#!/bin/sh
# Somebody has forgotten to set a variable where it runs. To the stream of what was said before, so that this is last.
echo "worker: QUEUE_URL is not set"
exit 1
"""


class SampleRepository:
    """A clone of the sample's repository in the embedded cloud, with the checkout's application in it.

    Every commit has a version of its own, so that no image is another one's, however often the demo is run.
    """

    def __init__(self, folder: Path, application: Path) -> None:
        self._folder = folder
        self._application = application
        self._stamp = secrets.token_hex(2)
        self.version = ""

    @classmethod
    @contextmanager
    def begin(cls, checkout: Checkout) -> Iterator["SampleRepository"]:
        """In a temporary folder that is removed in the end. The repository in the cloud must be there."""
        with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as folder:
            repository = cls(Path(folder), sample.folder(checkout) / "app")
            repository._clone(pushing.bare_repository(checkout, sample.SYSTEM))
            yield repository

    def commit(self, number: int, message: str, files: Mapping[str, str] | None = None) -> str:
        """Commit the checkout's application as version `<number>.0.0+…`, with `files` (by path below app/) instead of
        its own; the commit's id. Raises `LocalError`."""
        application = self._folder / "app"
        kept = self._migrations(application)
        shutil.rmtree(application, ignore_errors=True)
        shutil.copytree(self._application, application)
        self.version = f"{number}.0.0+{self._stamp}"
        for name, content in {**kept, "version": f"{self.version}\n", **(files or {})}.items():
            (application / name).write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return self._git("rev-parse", "HEAD").strip()

    @staticmethod
    def _migrations(application: Path) -> dict[str, str]:
        """What was committed before: a file that ran is never taken away again."""
        files = sorted(application.glob("migrations/*.sql"))
        return {f"migrations/{file.name}": file.read_text() for file in files}

    def push(self, say: Say) -> None:
        """Raises `LocalError`."""
        WorkTree.at(self._folder).push(BRANCH, say)

    def _clone(self, bare: Path) -> None:
        self._git("init", "--quiet")
        self._git("symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
        # The settings of whoever runs it do not matter here: no signature, no hook of theirs.
        name, address = AUTHOR
        for setting, value in {
            "user.name": name,
            "user.email": address,
            "commit.gpgSign": "false",
            "core.hooksPath": "/dev/null",
            "core.autocrlf": "false",
        }.items():
            self._git("config", setting, value)
        self._git("remote", "add", pushing.REMOTE, str(bare))
        if re.search(rf"\trefs/heads/{BRANCH}$", self._git("ls-remote", pushing.REMOTE), re.MULTILINE):
            # A demo before this one, or somebody's own push: what comes now comes after it.
            self._git("fetch", "--quiet", pushing.REMOTE, BRANCH)
            self._git("reset", "--quiet", "--hard", "FETCH_HEAD")

    def _git(self, *arguments: str) -> str:
        return WorkTree(self._folder).git(*arguments)
