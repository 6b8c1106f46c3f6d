"""The real git, without the settings of the person or the machine it runs for."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECONDS = 60.0


class GitError(Exception):
    """git ended with another exit code than 0; the message is the last line it said."""


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """`given`, or this process's, in which git finds no settings but the repository's own."""
    kept = {
        name: value
        for name, value in (os.environ if given is None else given).items()
        if not name.startswith("GIT_")
    }
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def run(*arguments: str, folder: Path | None = None, repository: Path | None = None) -> bytes:
    """What `git <arguments>` prints, run in `folder` or on the bare `repository`. Raises `GitError`."""
    where = [f"--git-dir={repository}"] if repository else []
    try:
        finished = subprocess.run(
            ["git", *where, *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError("there is no git on this machine: install it") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} did not end within {SECONDS:g} s") from error
    if finished.returncode != 0:
        said = finished.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(said[-1] if said else f"git {arguments[0]} ended with {finished.returncode}")
    return finished.stdout


def text(*arguments: str, folder: Path | None = None, repository: Path | None = None) -> str:
    """The same, as one string without the last line's end."""
    return run(*arguments, folder=folder, repository=repository).decode(errors="replace").rstrip("\n")
