"""What CodeCommit tells of a repository's branches, commits, differences, folders and files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tidegate_local.codecommit import git

COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_SPECIFIER = re.compile(r"[^\s~^:?*\[\\\x00-\x1f-][^\s~^:?*\[\\\x00-\x1f]*")
_MODES = {"100644": "NORMAL", "100755": "EXECUTABLE", "120000": "SYMLINK"}
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # the tree without entries; git knows it everywhere

Json = dict[str, Any]


class InvalidSpecifierError(ValueError):
    """Nothing that could name a commit."""


class NoSuchCommitError(LookupError):
    """The specifier names no commit of this repository."""


class NoSuchPathError(LookupError):
    """The commit has no such file or folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `git ls-tree`."""

    mode: str
    kind: Literal["blob", "tree", "commit"]
    id: str
    name: str


def default_branch(path: Path) -> str | None:
    """The branch HEAD names; None in a repository without commits."""
    try:
        git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", repository=path)
        return git.text("symbolic-ref", "--short", "HEAD", repository=path)
    except git.GitError:
        return None


def branches(path: Path) -> list[str]:
    """The names of all branches."""
    return git.text(
        "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", repository=path
    ).splitlines()


def branch(path: Path, name: str) -> str:
    """The commit at the tip of a branch. Raises `InvalidSpecifierError`, `NoSuchCommitError`."""
    return _parse(path, f"refs/heads/{_checked(name)}")


def resolve(path: Path, specifier: str) -> str:
    """The commit that a branch, a tag, HEAD, a full reference or a full commit id names.

    Raises `InvalidSpecifierError`, `NoSuchCommitError`.
    """
    _checked(specifier)
    if COMMIT_ID.fullmatch(specifier) or specifier == "HEAD" or specifier.startswith("refs/"):
        return _parse(path, specifier)
    try:
        return _parse(path, f"refs/heads/{specifier}")
    except NoSuchCommitError:
        return _parse(path, f"refs/tags/{specifier}")


def commit(path: Path, commit_id: str) -> Json:
    """The `commit` of GetCommit. Raises `NoSuchCommitError`."""
    content = git.run("cat-file", "commit", _parse(path, commit_id), repository=path).decode(errors="replace")
    head, _, message = content.partition("\n\n")
    described: Json = {"commitId": commit_id, "parents": [], "message": message, "additionalData": ""}
    for line in head.splitlines():
        name, _, value = line.partition(" ")
        if name == "tree":
            described["treeId"] = value
        elif name == "parent":
            described["parents"].append(value)
        elif name in ("author", "committer"):
            described[name] = _person(value)
    return described


def differences(
    path: Path, before: str | None, after: str, *, before_path: str = "", after_path: str = ""
) -> list[Json]:
    """The `differences` of GetDifferences between two commits, by path; all files where `before` is None.

    A path leaves only what is at or below it. Renames are a D and an A, as CodeCommit shows them.
    """
    tree = f"{before}^{{tree}}" if before else _EMPTY_TREE
    command = ["diff-tree", "-r", "-z", "--raw", "--full-index", "--no-renames", tree, f"{after}^{{tree}}"]
    fields = git.run(*command, repository=path).decode("utf-8", "surrogateescape").split("\0")
    found = []
    for line, name in zip(fields[::2], fields[1::2], strict=False):
        old_mode, mode, old_id, new_id, change = line.removeprefix(":").split(" ")
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        difference: Json = {"changeType": change if change in ("A", "D") else "M"}
        if change != "A" and _below(shown, before_path):
            difference["beforeBlob"] = {"blobId": old_id, "path": shown, "mode": old_mode}
        if change != "D" and _below(shown, after_path):
            difference["afterBlob"] = {"blobId": new_id, "path": shown, "mode": mode}
        if len(difference) > 1:
            found.append(difference)
    return found


def has_path(path: Path, commit_id: str, name: str) -> bool:
    """Whether the commit has a file or folder of that name."""
    try:
        _object(path, commit_id, name)
    except NoSuchPathError:
        return False
    return True


def folder(path: Path, commit_id: str, name: str) -> Json:
    """The answer of GetFolder. Raises `NoSuchPathError`."""
    name = name.strip("/")
    tree = _object(path, commit_id, name, kind="tree")
    answer: Json = {
        "commitId": commit_id,
        "folderPath": name,
        "treeId": tree,
        "subFolders": [],
        "files": [],
        "symbolicLinks": [],
        "subModules": [],
    }
    for entry in _entries(path, tree):
        where = {
            "absolutePath": f"{name}/{entry.name}" if name else entry.name,
            "relativePath": entry.name,
        }
        if entry.kind == "tree":
            answer["subFolders"].append({"treeId": entry.id, **where})
        elif entry.kind == "commit":
            answer["subModules"].append({"commitId": entry.id, **where})
        else:
            listed = "symbolicLinks" if entry.mode == "120000" else "files"
            mode = _MODES.get(entry.mode, "NORMAL")
            answer[listed].append({"blobId": entry.id, "fileMode": mode, **where})
    return answer


def file(path: Path, commit_id: str, name: str) -> tuple[str, str, bytes]:
    """Blob id, mode and content of a file. Raises `NoSuchPathError`."""
    name = name.strip("/")
    blob = _object(path, commit_id, name, kind="blob")
    listed = git.text("ls-tree", "-z", "--full-tree", commit_id, "--", f":(literal){name}", repository=path)
    mode = _MODES.get(listed.split(" ", 1)[0], "NORMAL")
    return blob, mode, git.run("cat-file", "blob", blob, repository=path)


def _entries(path: Path, tree: str) -> Iterator[Entry]:
    for line in git.run("ls-tree", "-z", tree, repository=path).decode(errors="replace").split("\0"):
        if line:
            description, _, name = line.partition("\t")
            mode, kind, identifier = description.split(" ")
            yield Entry(mode, kind, identifier, name)  # type: ignore[arg-type]


def _object(path: Path, commit_id: str, name: str, *, kind: str = "") -> str:
    wanted = f"{commit_id}:{name.strip('/')}"
    try:
        found = git.text("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, repository=path)
        if kind and git.text("cat-file", "-t", found, repository=path) != kind:
            raise NoSuchPathError(name)
    except git.GitError as error:
        raise NoSuchPathError(name) from error
    return found


def _parse(path: Path, name: str) -> str:
    command = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        return git.text(*command, repository=path)
    except git.GitError as error:
        raise NoSuchCommitError(name) from error


def _checked(name: str) -> str:
    if not _SPECIFIER.fullmatch(name) or ".." in name or "@{" in name:
        raise InvalidSpecifierError(name)
    return name


def _below(name: str, folder_or_file: str) -> bool:
    wanted = folder_or_file.strip("/")
    return not wanted or name == wanted or name.startswith(f"{wanted}/")


def _person(value: str) -> Json:
    """`Ada <ada@example.com> 1484167798 -0800` in its parts; the date keeps git's form, as CodeCommit's does."""
    name, _, rest = value.partition(" <")
    mail, _, date = rest.partition("> ")
    return {"name": name, "email": mail, "date": date}
