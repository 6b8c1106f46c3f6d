"""Reads a manifest that a person wrote, YAML or JSON, and says in which line something is wrong.

PyYAML does the reading, up to its nodes. Turning nodes into values is done here, because its YAML 1.1 rules bite: there
`off` is false, `16:00` is 960, `0123456` (a commit) is octal. Here a bare scalar is text, except where the schema wants
a whole number. Anchors, aliases and tags are refused: what a file means should be what it shows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml
from tidegate.domain.errors import BadManifestError
from tidegate.domain.manifest import Manifest, ManifestError, parse_manifest, require_supported
from tidegate.domain.manifest.explain import expects_number
from tidegate.domain.manifest.problems import Path as KeyPath
from tidegate.domain.manifest.problems import dotted, shown

LARGEST: Final = 256 * 1024
# PyYAML composes with the stack; the deepest manifest has seven levels.
DEEPEST: Final = 30
STANDARD_INPUT: Final = "-"

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
# JSON's integers, of a length that int() takes from anybody.
_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_MENDS: Final = {
    "anchor": "remove the anchor and write the value where it is needed",
    "alias": "write the value in its place",
    "tag": "remove the tag; put text that looks like something else in quotes",
}


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column of a key (of a list's item: of the item), both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class FileProblem:
    """`field` is the dotted path of the key, empty for the file as a whole."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str

    def as_text(self) -> str:
        place = f"{self.file}:{self.line}: "
        return f"{place}{self.field + ': ' if self.field else ''}{self.message} — mend: {self.hint}"

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            **({"field": self.field} if self.field else {}),
            "message": self.message,
            "hint": self.hint,
        }


class ManifestFileError(BadManifestError):
    """A manifest file that cannot be used; `problems` are in the order of the file, the first is the error's own."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        first = self.problems[0]
        super().__init__(
            f"{first.file}:{first.line}: {first.message}", field=first.field or None, hint=first.hint
        )


def error_lines(error: ManifestFileError) -> list[str]:
    """A line a problem: `tidegate.yaml:12: environments.production.region: … — mend: …`."""
    return [problem.as_text() for problem in error.problems]


def error_document(error: ManifestFileError) -> dict[str, Any]:
    """The contract's JSON error for the first problem; all of them, with their lines, under `problems`."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            **({"field": error.field} if error.field else {}),
            "hint": error.hint,
            "problems": [problem.as_json() for problem in error.problems],
        }
    }


@dataclass(frozen=True, slots=True)
class ManifestText:
    """What a file says, before anybody asks whether it is a manifest: plain data, and where each key is."""

    file: str
    data: object
    positions: Mapping[KeyPath, Position]

    def problem(self, path: KeyPath, message: str, hint: str) -> FileProblem:
        """A problem at a path; a key that is missing is reported where its mapping begins."""
        known = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.positions), ())
        position = self.positions.get(known, Position(1, 1))
        return FileProblem(self.file, position.line, position.column, dotted(path), message, hint)

    def manifest(self) -> Manifest:
        """The manifest, fit to be worked with; ManifestFileError otherwise."""
        try:
            manifest = parse_manifest(self.data)
            require_supported(manifest)
        except ManifestError as error:
            problems = [
                self.problem(problem.path, problem.message, problem.hint) for problem in error.problems
            ]
            raise ManifestFileError(problems) from None
        return manifest


def load_manifest_file(name: str, *, standard_input: BinaryIO | None = None) -> Manifest:
    """The manifest in the file `name` (`-`: standard input), valid and without what is not built.

    ManifestFileError with every problem and its line, whatever the file holds.
    """
    content, shown_name = _content(name, standard_input)
    return read_manifest_text(content, shown_name).manifest()


def read_manifest_text(content: bytes, file: str) -> ManifestText:
    """The data and the positions in a manifest's bytes. ManifestFileError when it is not one plain YAML document."""

    def fail(line: int, message: str, hint: str) -> ManifestFileError:
        return ManifestFileError([FileProblem(file, line, 1, "", message, hint)])

    if len(content) > LARGEST:
        raise fail(
            1, f"the file is larger than {LARGEST // 1024} KiB", "split the system, or name the right file"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise fail(
            content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8", "save it as UTF-8"
        ) from None
    try:
        data, reader = _read(text, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise fail(
            mark.line + 1 if mark else 1, f"not valid YAML: {_said(error)}", _yaml_mend(error)
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise fail(
            line, "not valid YAML: a character that YAML does not allow", "remove the control character"
        ) from None
    # PyYAML lets these out for impossible escapes ("\U00110000"), directives and percent signs in tags.
    except (yaml.YAMLError, ValueError, OverflowError):
        raise fail(
            1, "not valid YAML: an escape or a directive that means nothing", "write the text plainly"
        ) from None
    if reader.problems:
        raise ManifestFileError(reader.problems)
    if data is None:
        raise fail(1, "the file is empty", "write a manifest; docs/manifest.md has an example")
    return ManifestText(file, data, reader.positions)


def _content(name: str, standard_input: BinaryIO | None) -> tuple[bytes, str]:
    if name == STANDARD_INPUT:
        return (standard_input or sys.stdin.buffer).read(LARGEST + 1), "<stdin>"
    try:
        with Path(name).open("rb") as file:
            return file.read(LARGEST + 1), name
    # ValueError: a name with a NUL character.
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
        problem = FileProblem(
            name, 1, 1, "", f"the file cannot be read: {said}", "name a file that is there, or -"
        )
        raise ManifestFileError([problem]) from None


def _said(error: yaml.MarkedYAMLError) -> str:
    said = error.problem or error.context or "it cannot be read"
    return "".join(character if character.isprintable() else "?" for character in said[:200])


def _yaml_mend(error: yaml.MarkedYAMLError) -> str:
    said = error.problem or ""
    if "\\t" in said or "'\t'" in said:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in said:
        return "check the indentation; put a value that holds ': ' in quotes"
    if "nested deeper" in said:
        return "see docs/manifest.md for the shape"
    return "check the indentation, the quotes and the brackets of this line and the one before"


class _Composer(yaml.SafeLoader):
    """Composes nodes, and notes on the way what the nodes no longer show: anchors, aliases and tags."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # Where a node begins, and what is wrong with how it is written: (kind, text).
        self.notes: dict[Position, tuple[str, str]] = {}
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        position = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self.notes[position] = "alias", f"*{event.anchor}"
            return yaml.ScalarNode("", "", event.start_mark, event.end_mark, style="'")  # type: ignore[arg-type]
        if event.tag is not None:
            self.notes[position] = "tag", event.tag
        if event.anchor is not None:
            self.notes[position] = "anchor", f"&{event.anchor}"
        if self.depth >= DEEPEST:
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {DEEPEST} levels", event.start_mark
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _read(text: str, file: str) -> tuple[object, _NodeReader]:
    """The text's data and the reader that knows its positions and its problems; the data of no document is None."""
    composer = _Composer(text)
    try:
        node = composer.get_node() if composer.check_node() else None
        more = composer.peek_event().start_mark if composer.check_node() else None  # type: ignore[no-untyped-call]
    finally:
        composer.dispose()
    reader = _NodeReader(file, composer.notes)
    data = None if node is None else reader.value(node, ())
    if more is not None:
        reader.refuse(
            Position(more.line + 1, 1), (), "the file holds more than one YAML document", "keep the first"
        )
    return data, reader


class _NodeReader:
    """Turns nodes into plain data, remembers where each key is, and refuses keys that are given twice."""

    def __init__(self, file: str, notes: dict[Position, tuple[str, str]]) -> None:
        self.file = file
        self.notes = notes
        self.positions: dict[KeyPath, Position] = {}
        self.problems: list[FileProblem] = []

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self.positions.setdefault(path, _position(node))
        self._check_note(node, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        # A bare scalar has no style; a quoted or a block one is text whatever it looks like.
        return str(node.value) if getattr(node, "style", None) else _bare(str(node.value), path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            position = _position(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self.refuse(
                    position, path, "a key must be text, not a list or a mapping", "write the key as text"
                )
                continue
            key = str(key_node.value)
            inner = (*path, key)
            self._check_note(key_node, inner)
            if key in found:
                first = self.positions[inner].line
                self.refuse(
                    position, inner, f"{shown(key)} is already there, in line {first}", "keep one of them"
                )
                continue
            self.positions[inner] = position
            found[key] = self.value(value_node, inner)
        return found

    def _check_note(self, node: yaml.Node, path: KeyPath) -> None:
        # Taken out: a mapping and its first key begin at one place.
        kind, written = self.notes.pop(_position(node), ("", ""))
        if kind:
            self.refuse(
                _position(node), path, f"a YAML {kind} is not allowed: {shown(written)}", _MENDS[kind]
            )

    def refuse(self, position: Position, path: KeyPath, message: str, hint: str) -> None:
        self.problems.append(
            FileProblem(self.file, position.line, position.column, dotted(path), message, hint)
        )


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _bare(text: str, path: KeyPath) -> str | int | None:
    if text in _NULLS:
        return None
    return int(text) if _WHOLE_NUMBER.fullmatch(text) and expects_number(path) else text
