"""The manifest's JSON Schema, for editors. Not imported with the package: nothing in the cloud needs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tidegate.domain.durations import format_duration
from tidegate.domain.manifest.model import Manifest

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of the whole manifest, draft 2020-12. Rules between fields are left to `parse_manifest`."""
    return {
        "$schema": DIALECT,
        **Manifest.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator),
        "title": "tidegate.yaml",
    }


class _Generator(GenerateJsonSchema):
    """Pydantic's own, but for what would mislead an editor."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        # A key is left out or has a value; null is refused.
        return self.generate_inner(schema["schema"])

    def encode_default(self, dft: Any) -> Any:
        # As a person would write it, not ISO 8601.
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default") in (None, [], {}):
            described.pop("default", None)
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        # Keys that break the pattern are refused, not ignored.
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described["additionalProperties"] = False
        return described

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - a title that repeats the key is noise
        return False
