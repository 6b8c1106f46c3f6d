"""The bare repositories of one embedded cloud, below its state folder."""

import json
import re
import shlex
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tidegate_local.codecommit import git
from tidegate_local.settings import Settings

FOLDER = "repositories"
RECORD = "codecommit.json"
_NAME = re.compile(r"[\w.-]{1,100}")  # botocore's model: RepositoryName


class InvalidNameError(ValueError):
    """No name that a repository can have."""


class NameExistsError(Exception):
    """There is one of that name already."""


class NoSuchRepositoryError(LookupError):
    """There is no repository of that name."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository: what CodeCommit knows of it beside what git keeps. Times are seconds since 1970."""

    name: str
    path: Path
    id: str
    description: str = ""
    created: float = field(default_factory=time.time)
    tags: dict[str, str] = field(default_factory=dict)


class Repositories:
    """Finds, makes and removes them; the disk is what counts, so they survive a restart of the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._root = root(settings.state_dir)
        self._lock = threading.Lock()
        # The process may listen on another port than the one that made them.
        for repository in self.every():
            _install_hook(repository.path, self._endpoint, repository.name)

    def create(self, name: str, description: str = "", tags: dict[str, str] | None = None) -> Repository:
        """A new, empty one. Raises `InvalidNameError`, `NameExistsError`, `GitError`."""
        path = self._path(name)
        with self._lock:
            if path.exists():
                raise NameExistsError(name)
            repository = Repository(name, path, str(uuid.uuid4()), description, time.time(), tags or {})
            draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
            try:
                _initialize(draft, self._endpoint, repository)
                draft.rename(path)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return repository

    def get(self, name: str) -> Repository:
        """Raises `InvalidNameError`, `NoSuchRepositoryError`."""
        found = _read(self._path(name))
        if found is None:
            raise NoSuchRepositoryError(name)
        return found

    def delete(self, name: str) -> str | None:
        """Remove it with all its commits; its id, None if there was none. Raises `InvalidNameError`."""
        with self._lock:
            found = _read(self._path(name))
            if found is not None:
                shutil.rmtree(found.path)
        return found.id if found else None

    def every(self) -> Iterator[Repository]:
        """All of them, by name."""
        for path in sorted(self._root.glob("[!.]*.git")):
            found = _read(path)
            if found is not None:
                yield found

    def arn(self, name: str) -> str:
        """`arn:aws:codecommit:<region>:<account>:<name>`."""
        return f"arn:aws:codecommit:{self.settings.region}:{self.settings.account}:{name}"

    def clone_url(self, name: str) -> str:
        """The address CodeCommit gives; on this machine the bare repository is cloned instead."""
        return f"{clone_prefix(self.settings.region)}{name}"

    @property
    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith(".git"):
            raise InvalidNameError(name)
        return path_of(self.settings.state_dir, name)


def root(state_dir: Path) -> Path:
    """The folder of all bare repositories of the embedded cloud with that state folder."""
    return state_dir / FOLDER


def path_of(state_dir: Path, name: str) -> Path:
    """The bare repository `name`, whether it is there or not; what `git push` is pointed at."""
    return root(state_dir) / f"{name}.git"


def clone_prefix(region: str) -> str:
    """What the addresses of all repositories of the region begin with."""
    return f"https://git-codecommit.{region}.amazonaws.com/v1/repos/"


def _initialize(path: Path, endpoint: str, repository: Repository) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(path))
    for name, value in (
        # Somebody's own core.hooksPath would hide our hook: the repository's own setting comes before it.
        ("core.hooksPath", "hooks"),
        ("core.logAllRefUpdates", "true"),
        ("gc.auto", "0"),
        ("receive.autogc", "false"),
        ("uploadpack.allowAnySHA1InWant", "true"),
    ):
        git.run("config", name, value, repository=path)
    _install_hook(path, endpoint, repository.name)
    content = {name: value for name, value in asdict(repository).items() if name not in ("name", "path")}
    (path / RECORD).write_text(json.dumps(content))


def _install_hook(path: Path, endpoint: str, name: str) -> None:
    hook = path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-I", "-m", "tidegate_local.codecommit.hook", endpoint, name]
    hook.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    hook.chmod(0o755)


def _read(path: Path) -> Repository | None:
    try:
        content = json.loads((path / RECORD).read_text())
    except OSError:
        return None
    return Repository(path.name.removesuffix(".git"), path, **content)
