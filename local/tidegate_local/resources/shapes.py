"""Properties of a template as a request of the API that its service has.

A template writes `ContainerDefinitions`, the API `containerDefinitions`; what a nested stack passes on is text, also
where the API has numbers. The service's own model (botocore's) knows the names and the types.
"""

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from tidegate_local.resources.kinds import Given

_INTEGERS, _FRACTIONS = {"integer", "long"}, {"float", "double"}


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def request(service: str, operation: str, props: Given) -> dict[str, Any]:
    """The request of an operation that says the same. Raises `ValueError` for a property that the API does not have."""
    shape: Any = _model(service).operation_model(operation).input_shape
    found: dict[str, Any] = _value(shape, props, "")
    return found


def members(service: str, operation: str) -> set[str]:
    """The parameters of an operation."""
    shape: Any = _model(service).operation_model(operation).input_shape
    return set(shape.members)


def _value(shape: Any, given: Any, at: str) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(given, dict):
        return _structure(shape, given, at)
    if kind == "list" and isinstance(given, list):
        return [_value(shape.member, each, f"{at}/{place}") for place, each in enumerate(given)]
    if kind == "map" and isinstance(given, dict):
        return {str(name): _value(shape.value, each, f"{at}/{name}") for name, each in given.items()}
    if isinstance(given, dict | list) or kind in ("structure", "list", "map"):
        raise ValueError(f"#{at}: expected type: {kind.title()}, found: {type(given).__name__}")
    if kind in _INTEGERS:
        return int(given)
    if kind in _FRACTIONS:
        return float(given)
    if kind == "boolean":
        return str(given).lower() == "true"
    return str(given).lower() if isinstance(given, bool) else str(given)


def _structure(shape: Any, given: dict[str, Any], at: str) -> dict[str, Any]:
    # Names differ in their capitals alone: `EFSVolumeConfiguration`, `efsVolumeConfiguration`.
    names = {name.lower(): name for name in shape.members}
    found = {}
    for name, value in given.items():
        member = names.get(name.lower())
        if member is None:
            # AWS's words.
            raise ValueError(f"Properties validation failed: #{at}: extraneous key [{name}] is not permitted")
        found[member] = _value(shape.members[member], value, f"{at}/{name}")
    return found
