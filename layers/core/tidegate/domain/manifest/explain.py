"""Pydantic's errors in plain words, each with its mend."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tidegate.domain.manifest.fields import REFUSAL
from tidegate.domain.manifest.json_like import name_of
from tidegate.domain.manifest.model import Manifest
from tidegate.domain.manifest.parts import Part
from tidegate.domain.manifest.problems import Path, Problem, one_of, shown, suggestion

# Pydantic's mark, at the end of a location, of an error about a mapping's key.
_KEY_MARK: Final = "[key]"


@dataclass(frozen=True, slots=True)
class _Found:
    """One of pydantic's errors: where, what was given there, and what else pydantic says about it."""

    path: Path
    value: object
    context: Mapping[str, Any]


def problem_of(detail: ErrorDetails) -> Problem:
    path: Path = detail["loc"]
    if path and path[-1] == _KEY_MARK and detail["type"] == REFUSAL:
        path = path[:-1]
    said, hint = _EXPLANATIONS.get(detail["type"], _unexpected)(
        _Found(path, detail.get("input"), detail.get("ctx", {}))
    )
    return Problem(path, f"{name_of(path)} {said}", hint)


def expects_number(path: Path) -> bool:
    """Whether the schema wants a whole number there: YAML cannot tell the number 1234567 from such a commit or tag."""
    field = _field_at(path)
    return field is not None and int in _options(field.annotation)


def _missing(found: _Found) -> tuple[str, str]:
    return "is missing", f"add it, for example {_example(found.path)}"


def _unknown_key(found: _Found) -> tuple[str, str]:
    part = _part_at(found.path[:-1])
    if part is None:
        return "is not a key that belongs here", "remove it"
    known = [_written(name, field) for name, field in part.model_fields.items()]
    otherwise = f"remove it; the keys of {part.noun} are {', '.join(known)}"
    return f"is not a key of {part.noun}", suggestion(found.path[-1], known, otherwise=otherwise)


def _not_text(found: _Found) -> tuple[str, str]:
    mend = f"write it as text, for example {_example(found.path)}"
    if isinstance(found.value, bool | int | float):
        mend = f'put it in quotes: "{shown(found.value)}"'
    return f"must be text, not {shown(found.value)}", mend


def _not_whole(found: _Found) -> tuple[str, str]:
    return (
        f"must be a whole number, not {shown(found.value)}",
        f"write a number, for example {_example(found.path)}",
    )


def _too_small(found: _Found) -> tuple[str, str]:
    bound = found.context["ge"]
    return f"must be {bound} or more, not {shown(found.value)}", f"use {bound} or more"


def _too_large(found: _Found) -> tuple[str, str]:
    bound = found.context["le"]
    return f"must be {bound} or less, not {shown(found.value)}", f"use {bound} or less"


def _no_such_word(found: _Found) -> tuple[str, str]:
    field = _field_at(found.path)
    words = [word for word in _options(field.annotation) if isinstance(word, str)] if field else []
    otherwise = f"use {one_of(words)}"
    # YAML 1.1 readers turn a bare off into false.
    if found.value is False and "off" in words:
        otherwise = 'put it in quotes: "off"'
    return f"must be {one_of(words)}, not {shown(found.value)}", suggestion(
        found.value, words, otherwise=otherwise
    )


def _not_a_mapping(found: _Found) -> tuple[str, str]:
    return (
        f"must be a mapping of keys to values, not {shown(found.value)}",
        f"write it as {_example(found.path)}",
    )


def _not_a_list(found: _Found) -> tuple[str, str]:
    return f"must be a list, not {shown(found.value)}", f"write it as {_example(found.path)}"


def _empty(found: _Found) -> tuple[str, str]:
    return "must not be empty", f"name at least one, for example {_example(found.path)}"


def _refused(found: _Found) -> tuple[str, str]:
    return found.context["said"], found.context["hint"]


def _unexpected(found: _Found) -> tuple[str, str]:
    return f"cannot be {shown(found.value)}", f"write it as {_example(found.path)}"


# docs.pydantic.dev, "Validation Errors".
_EXPLANATIONS: Final[Mapping[str, Callable[[_Found], tuple[str, str]]]] = {
    REFUSAL: _refused,
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "string_type": _not_text,
    "int_type": _not_whole,
    "greater_than_equal": _too_small,
    "less_than_equal": _too_large,
    "literal_error": _no_such_word,
    "model_type": _not_a_mapping,
    "model_attributes_type": _not_a_mapping,
    "dict_type": _not_a_mapping,
    "mapping_type": _not_a_mapping,
    "tuple_type": _not_a_list,
    "list_type": _not_a_list,
    "too_short": _empty,
}


def _example(path: Path) -> str:
    """How the field is written, from its first example: `region: us-east-1`."""
    field = _field_at(path)
    if field is None or not field.examples:
        part = _part_at(path)
        if part is None or not path:
            return "what docs/manifest.md shows"
        required = [
            (_written(name, field), field) for name, field in part.model_fields.items() if field.is_required()
        ]
        return _flow({name: (field.examples or ["..."])[0] for name, field in required})
    return f"{path[-1]}: {_flow(field.examples[0])}"


def _flow(value: object) -> str:
    """YAML flow style, which a person can paste."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    text = str(value)
    return (
        f'"{text}"'
        if isinstance(value, str) and any(character in text for character in "{}[],:#*& ")
        else text
    )


def _written(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _part_at(path: Path) -> type[Part] | None:
    """The model that describes the mapping at a place; None where the schema has none."""
    return next((option for option in _options(_annotation_at(path)) if _is_part(option)), None)


def _field_at(path: Path) -> FieldInfo | None:
    part = _part_at(path[:-1]) if path else None
    if part is None:
        return None
    return next(
        (field for name, field in part.model_fields.items() if _written(name, field) == path[-1]), None
    )


def _annotation_at(path: Path) -> object:
    annotation: object = Manifest
    for index, item in enumerate(path):
        inner: object = None
        for option in _options(annotation):
            if _is_part(option):
                field = _field_at(path[: index + 1])
                inner = field.annotation if field else None
            elif (
                isinstance(item, str)
                and get_origin(option) is not None
                and issubclass(get_origin(option), Mapping)
            ):
                inner = get_args(option)[1]
            elif isinstance(item, int) and get_origin(option) is tuple:
                inner = get_args(option)[0]
        annotation = inner
    return annotation


def _is_part(option: object) -> bool:
    return isinstance(option, type) and issubclass(option, Part)


def _options(annotation: object) -> list[Any]:
    """What an annotation allows: the members of a union, the words of a Literal, else itself."""
    if hasattr(annotation, "__metadata__"):
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for option in get_args(annotation) for inner in _options(option)]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [annotation]
