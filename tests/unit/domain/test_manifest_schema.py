"""The published schema and the reference say what the models say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tidegate.domain.manifest import load_manifest, parse_manifest
from tidegate.domain.manifest.schema import json_schema
from tidegate.domain.supported import NOT_BUILT, REFUSED_VALUES

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = DOCS / "tidegate.schema.json"
REFERENCE = DOCS / "manifest.md"


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field of the schema: its path (`environments.*.freeze[].from`), its schema, whether it is required."""
    definitions = json_schema()["$defs"]

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        return {**definitions[part["$ref"].rpartition("/")[2]], **part} if "$ref" in part else part

    for form in (node, *map(resolved, node.get("anyOf", []))):
        for name, field in form.get("properties", {}).items():
            inner = f"{path}.{name}".lstrip(".")
            yield inner, field, name in form.get("required", [])
            yield from fields(resolved(field), inner)
        for field in form.get("patternProperties", {}).values():
            yield from fields(resolved(field), f"{path}.*")
        if "items" in form:
            yield from fields(resolved(form["items"]), f"{path}[]")


FIELDS = {path: (field, required) for path, field, required in fields(json_schema())}
ROWS = {
    row[1]: (row[2].strip(), row[3])
    for row in re.finditer(
        r"^\| `([^`]+)` \| ([^|]+) \| (.+) \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE
    )
    if not row[3].startswith(("two", "one", "none"))
}


def test_the_published_schema_is_the_one_of_the_models() -> None:
    """To write it anew: `.venv/bin/tidegate schema > docs/tidegate.schema.json`."""
    expected = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text(encoding="utf-8") == expected


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_has_a_description_and_an_example_that_fits(path: str) -> None:
    field, _ = FIELDS[path]
    assert field["description"].endswith(".")
    assert field["examples"]
    for example in field["examples"]:
        jsonschema.validate(
            example, {**field, "$defs": json_schema()["$defs"]}, jsonschema.Draft202012Validator
        )


def test_the_reference_has_a_row_for_every_field_and_no_other() -> None:
    assert sorted(ROWS) == sorted(FIELDS)


@pytest.mark.parametrize("path", FIELDS)
def test_the_reference_has_the_default(path: str) -> None:
    field, required = FIELDS[path]
    expected = f"`{field['default']}`" if "default" in field else "-"
    assert ROWS[path][0] == ("required" if required else expected)


def test_the_reference_marks_what_is_not_built() -> None:
    marked = {path for path, (_, meaning) in ROWS.items() if "not supported yet" in meaning.lower()}
    values = [refused.path for refused in REFUSED_VALUES if "not supported yet" in refused.said]
    assert marked == {".".join(pattern) for pattern in (*NOT_BUILT, *values)}


def examples() -> list[Any]:
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    return [data for data in map(yaml.safe_load, blocks) if data is not None]


def test_the_examples_of_the_reference_are_valid_and_the_small_one_can_be_used() -> None:
    small, complete = examples()
    load_manifest(small)
    parse_manifest(complete)
    for example in (small, complete):
        jsonschema.validate(example, json_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"system": "Arive"},
        {"system": None},
        {"environments": {}},
        {"images": {"a b": {"repository": "rr"}}},
        {"images": {"app": {"repository": "A"}}},
        {"images": {"app": {}}},
        {"services": {"api": {"image": "app", "wave": 0}}},
        {"database": {}},
        {"database": {"cluster": "a", "instance": "b"}},
        {"environments": {"production": {"region": "us-east-9", "cluster": "c"}}},
        {"environments": {"production": {"region": "us-east-1", "cluster": "c", "bake": None}}},
        {"environments": {"production": {"region": "us-east-1", "cluster": "c", "approval": {"by": "me"}}}},
    ],
)
def test_an_editor_shows_what_would_be_refused(change: dict[str, Any]) -> None:
    small, _ = examples()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**small, **change}, json_schema(), jsonschema.Draft202012Validator)
