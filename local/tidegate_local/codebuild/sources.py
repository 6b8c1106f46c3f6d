"""DOWNLOAD_SOURCE: what a build begins with."""

from dataclasses import dataclass
from pathlib import Path

from tidegate_local.codebuild.identity import IdentityError, Session
from tidegate_local.codebuild.orders import Order
from tidegate_local.codebuild.records import Context
from tidegate_local.codecommit import git, reading
from tidegate_local.codecommit.repositories import (
    InvalidNameError,
    NoSuchRepositoryError,
    Repositories,
    clone_prefix,
)


class SourceError(Exception):
    """There is no source to build; `context` is what the phase shows."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.context = Context("CLIENT_ERROR", message)


@dataclass(frozen=True, slots=True)
class Source:
    """The folder the build begins in, the commit in it and where that came from; both empty without a source."""

    folder: Path
    commit: str = ""
    url: str = ""


def download(order: Order, repositories: Repositories, session: Session, folder: Path) -> Source:
    """Put the source into `folder`. Raises `SourceError`."""
    kind, url = order.source.get("type"), str(order.source.get("location") or "")
    if kind == "NO_SOURCE":
        folder.mkdir(parents=True)
        return Source(folder)
    if kind != "CODECOMMIT":
        raise SourceError(
            f"the embedded CodeBuild builds CODECOMMIT and NO_SOURCE, not {kind}; push the commits to it: "
            "tidegate local push SYSTEM DIR"
        )
    prefix = clone_prefix(repositories.settings.region)
    if not url.startswith(prefix):
        raise SourceError(f"source location {url!r} is not of the form {prefix}<name>")
    name = url.removeprefix(prefix).rstrip("/")
    version = f"primary source and source version {order.version}"
    try:
        session.require("codecommit:GitPull", repositories.arn(name))
        bare = repositories.get(name).path
    except IdentityError as error:
        raise SourceError(f"authorization failed for {version}: {error}") from error
    except (InvalidNameError, NoSuchRepositoryError) as error:
        raise SourceError(f"repository not found for {version}: {name}") from error
    try:
        commit = reading.resolve(bare, order.version or "HEAD")
    except (reading.InvalidSpecifierError, reading.NoSuchCommitError) as error:
        raise SourceError(f"reference not found for {version}") from error
    try:
        _clone(bare, folder, commit, url)
    except git.GitError as error:
        raise SourceError(f"git clone failed for {version}: {error}") from error
    return Source(folder, commit, url)


def _clone(bare: Path, folder: Path, commit: str, url: str) -> None:
    # Without hard links: a build that damages its clone must not damage the repository.
    git.run("clone", "--quiet", "--no-hardlinks", "--no-checkout", str(bare), str(folder))
    git.run("checkout", "--quiet", "--detach", commit, folder=folder)
    git.run("remote", "set-url", "origin", url, folder=folder)
