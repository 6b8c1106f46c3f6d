"""JSON as DynamoDB attribute values and back.

boto3's TypeSerializer would do, but it needs boto3, gives Decimals, and takes sets and bytes, which are not JSON.
Floats are refused: DynamoDB's decimals would not give the same number back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Attribute = dict[str, Any]


def attribute(value: Any) -> Attribute:
    """`"a"` -> `{"S": "a"}`, `1` -> `{"N": "1"}`, ... TypeError for what is not JSON, and for floats."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int():
            return {"N": str(int(value))}
        case Mapping():
            return {"M": attributes(value)}
        case list() | tuple():
            return {"L": [attribute(item) for item in value]}
    raise TypeError(f"the table does not take {type(value).__name__}")


def attributes(item: Mapping[str, Any]) -> dict[str, Attribute]:
    for name in item:
        if not isinstance(name, str):
            raise TypeError(f"a name must be text, not {type(name).__name__}")
    return {name: attribute(value) for name, value in item.items()}


def value_of(stored: Mapping[str, Any]) -> Any:
    ((kind, value),) = stored.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value)
        case "NULL":
            return None
        case "L":
            return [value_of(item) for item in value]
        case "M":
            return item_of(value)
    raise TypeError(f"the table holds a value of type {kind}, which Tidegate never writes")


def item_of(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value_of(value) for name, value in stored.items()}
