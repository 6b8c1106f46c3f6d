"""`sam build` for this machine, once for each state of the sources."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tidegate_local.lifecycle import environment, processes
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError, failed
from tidegate_local.lifecycle.locking import exclusive

SECONDS = 300.0
DRAFT = "draft"
KEPT = 3
"""Builds kept: switching between two branches builds neither again."""

_SOURCES = ("template.yaml", "functions", "layers", "statemachines", "infrastructure")
_IGNORED = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "tests"})


def build(checkout: Checkout, say: Callable[[str], None]) -> Path:
    """The built template; its folder's name stands for the sources it was made from.

    Raises `LocalError` with the log's last lines.
    """
    wanted = checkout.cache / "builds" / fingerprint(checkout)
    with exclusive(
        checkout.cache / "lock",
        what="sam build",
        seconds=SECONDS,
        waiting=lambda: say("waiting for another sam build"),
    ):
        if (wanted / "template.yaml").is_file():
            wanted.touch()
            say("sam build: nothing changed since the last one")
            return wanted / "template.yaml"
        say("sam build")
        _sam_build(checkout, wanted)
        _forget_old_builds(wanted)
    return wanted / "template.yaml"


def fingerprint(checkout: Checkout) -> str:
    """A digest of everything that goes into the build, and of what it is built for."""
    digest = hashlib.sha256(f"{environment.runtime()} {environment.architecture()}".encode())
    for path in sorted(_files(checkout.root / name for name in _SOURCES)):
        name = path.relative_to(checkout.root).as_posix()
        digest.update(f"\0{name}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def overrides() -> list[str]:
    """The template's parameters that depend on the machine that builds."""
    return [f"PythonRuntime={environment.runtime()}", f"Architecture={environment.architecture()}"]


def sam() -> list[str]:
    """The SAM CLI of this interpreter: of the pinned version, whatever the path holds."""
    return [sys.executable, "-m", "samcli"]


def _sam_build(checkout: Checkout, wanted: Path) -> None:
    # As deep as what it becomes: the built template refers to the state machines by relative paths.
    draft = wanted.with_name(DRAFT)
    shutil.rmtree(draft, ignore_errors=True)
    command = [*sam(), "build", "--template-file", str(checkout.template), "--build-dir", str(draft)]
    command += ["--cache-dir", str(checkout.cache / "cache"), "--cached", "--parallel"]
    command += ["--parameter-overrides", *overrides()]
    # SAM keeps downloaded dependencies under the folder it is called in: not among those of a build for AWS.
    run(command, checkout, environment.clean(checkout), log="build", folder=checkout.cache, seconds=SECONDS)
    _compile(checkout, draft)
    shutil.rmtree(wanted, ignore_errors=True)
    draft.rename(wanted)


def _compile(checkout: Checkout, folder: Path) -> None:
    """Bytecode that stays valid: what sam build copies has other time stamps than its .pyc files expect, so
    that every cold start would compile everything (aws-lambda-builders #924)."""
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    command += ["-f", str(folder)]
    run(command, checkout, environment.clean(checkout), log="build", folder=checkout.cache, seconds=SECONDS)


def run(
    command: list[str], checkout: Checkout, environ: dict[str, str], *, log: str, folder: Path, seconds: float
) -> None:
    """Run one step to its end, its output in the log. Raises `LocalError` when it fails or takes too long."""
    folder.mkdir(parents=True, exist_ok=True)
    checkout.temporary.mkdir(parents=True, exist_ok=True)
    what = " ".join(command[1:4]).removeprefix("-m ")
    path = checkout.log(log)
    try:
        exit_code = processes.run(command, environ=environ, log=path, folder=folder, seconds=seconds)
    except subprocess.TimeoutExpired:
        raise failed(f"{what} did not end within {seconds:g} s", path) from None
    except OSError as error:
        raise LocalError(f"{what} cannot be run: {error}") from error
    if exit_code != 0:
        raise failed(f"{what} ended with exit code {exit_code}", path)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            for path in place.rglob("*"):
                inner = path.relative_to(place).parts
                if path.is_file() and not _IGNORED.intersection(inner) and path.suffix != ".pyc":
                    yield path


def _forget_old_builds(newest: Path) -> None:
    builds = sorted(newest.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in [path for path in builds if path != newest][KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
