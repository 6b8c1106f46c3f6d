"""The files that docker would send to the engine: a folder without what its .dockerignore names."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tidegate_local.images import File


@dataclass(frozen=True)
class Context:
    """The context at `root`. Paths are relative to it, with slashes."""

    root: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """All files and links by path, in order."""
        ignored = _Ignored(self.root / ".dockerignore")
        found = {
            path.relative_to(self.root).as_posix(): path
            for path in sorted(self.root.rglob("*"))
            if path.is_symlink() or path.is_file()
        }
        return {name: path for name, path in found.items() if not ignored.covers(name)}

    @cached_property
    def contents(self) -> dict[str, File]:
        """What is in them."""
        return {name: _file(path) for name, path in self.files.items()}

    def has(self, pattern: str) -> bool:
        """Whether a file or a folder fits the source of a COPY, wild cards as Go's filepath.Match has them."""
        wanted = _normal(pattern)
        if wanted in ("", "."):
            return True
        expression = re.compile(_expression(wanted) + r"(?:/.*)?")
        return any(expression.fullmatch(name) for name in [*self.files, *self._folders()])

    def digest(self) -> str:
        """SHA-256 of the files' names, modes and contents."""
        total = hashlib.sha256()
        for name, path in self.files.items():
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            mode = "l" if path.is_symlink() else oct(path.stat().st_mode & 0o111)
            total.update(f"{name}\0{mode}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return total.hexdigest()

    def _folders(self) -> Iterator[str]:
        """Empty ones count too."""
        for path in self.root.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                yield path.relative_to(self.root).as_posix()


def select(paths: Iterable[str], pattern: str) -> tuple[dict[str, str], bool]:
    """What a COPY takes of these paths, by the name it gets there; whether the pattern fits a folder, of which COPY
    takes what is in it."""
    wanted = _normal(pattern)
    if not wanted:
        return {path: path for path in paths}, True
    expression = re.compile(_expression(wanted))
    found: dict[str, str] = {}
    is_folder = False
    for path in paths:
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            if expression.fullmatch("/".join(parts[:count])):
                found["/".join(parts[count:]) or parts[-1]] = path
                is_folder = is_folder or count < len(parts)
                break
    return found, is_folder


def _file(path: Path) -> File:
    if path.is_symlink():
        return File(link=str(path.readlink()))
    return File(path.read_bytes(), executable=bool(path.stat().st_mode & 0o111))


class _Ignored:
    """The rules of a .dockerignore file; the last that fits counts (Dockerfile reference, ".dockerignore file")."""

    def __init__(self, file: Path) -> None:
        lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
        self._rules = [
            (not line.startswith("!"), re.compile(_expression(_normal(line.lstrip("!"))) + r"(?:/.*)?"))
            for line in (line.strip() for line in lines)
            if line and not line.startswith("#")
        ]

    def covers(self, name: str) -> bool:
        covered = False
        for ignores, expression in self._rules:
            if expression.fullmatch(name):
                covered = ignores
        return covered


def _normal(pattern: str) -> str:
    parts: list[str] = []
    for part in pattern.strip().split("/"):
        if part == "..":
            # Above the context is nothing: docker takes /../x for /x.
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _expression(pattern: str) -> str:
    """Go's filepath.Match, and `**` for any number of folders."""
    translated = ""
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            translated, position = translated + "(?:.*/)?", position + 3
        elif rest.startswith("**"):
            translated, position = translated + ".*", position + 2
        elif match := re.match(r"\[\^?[^]]+]", rest):
            translated, position = translated + match.group(), position + match.end()
        else:
            translated += {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0]))
            position += 1
    return translated
