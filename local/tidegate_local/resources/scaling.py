"""Application Auto Scaling: what it was told, and the bounds. No policy scales here, for nothing is under load.

"If the resource's current capacity is outside of this range, it changes the resource's current capacity to a value that
is inside of this range" (API reference, RegisterScalableTarget); a scheduled action does the same when its time comes
(user guide, "How scheduled scaling works"), which is here once, when it is put.

`answer` are the operations of its API that keep and tell scalable targets, policies and scheduled actions; `KINDS`
the resource types on top of them.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import (
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    json_response,
)
from ministack.services import ecs

from tidegate_local.resources.kinds import Attributes, Given, Kind, Made, arn, fresh

Json = dict[str, Any]
JSON = "application/x-amz-json-1.1"
_KEY = ("ServiceNamespace", "ResourceId", "ScalableDimension")

_targets = AccountRegionScopedDict()
_policies = AccountRegionScopedDict()
_actions = AccountRegionScopedDict()


class RefusedError(ValueError):
    """Answered as the error `code` of the service model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer(target: str, body: bytes) -> Any:
    """Status, headers and body of one request, as MiniStack's handlers give them."""
    name = target.rpartition(".")[2]
    operation = _OPERATIONS.get(name)
    if operation is None:
        message = f"the embedded Application Auto Scaling has no {name}"
        return error_response_json("UnknownOperationException", message, 400)
    try:
        return json_response(operation(json.loads(body or b"{}")), content_type=JSON)
    except RefusedError as refused:
        return error_response_json(refused.code, str(refused), 400)


# -- the API ---------------------------------------------------------------------------------------


def _register(given: Given) -> Json:
    key = _key(given)
    target = _targets.get(key)
    if target is None:
        if "MinCapacity" not in given or "MaxCapacity" not in given:
            raise RefusedError("ValidationException", "MinCapacity and MaxCapacity are required")
        target = {
            **{name: given[name] for name in _KEY},
            "CreationTime": time.time(),
            "RoleARN": _service_role(given["ServiceNamespace"]),
            "ScalableTargetARN": arn("application-autoscaling", f"scalable-target/{fresh('', 24)}"),
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
        }
    changed = {**target}
    for name in ("MinCapacity", "MaxCapacity"):
        if name in given:
            changed[name] = int(given[name])
    if changed["MinCapacity"] > changed["MaxCapacity"]:
        raise RefusedError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    if "SuspendedState" in given:
        changed["SuspendedState"] = {**changed["SuspendedState"], **_typed(given["SuspendedState"])}
    _targets[key] = changed
    _bring_inside(changed)
    return {"ScalableTargetARN": changed["ScalableTargetARN"]}


def _deregister(given: Given) -> Json:
    key = _key(given)
    if _targets.pop(key, None) is None:
        raise RefusedError("ObjectNotFoundException", f"No scalable target found for {'|'.join(key)}")
    for store in (_policies, _actions):
        for name in [name for name in store if name[:3] == key]:
            store.pop(name, None)
    return {}


def _put_policy(given: Given) -> Json:
    key = _registered(given)
    name = (*key, given["PolicyName"])
    kept = _policies.get(name) or {
        "PolicyARN": arn(
            "autoscaling",
            f"scalingPolicy:{fresh('', 32)}:resource/{given['ServiceNamespace']}/{given['ResourceId']}"
            f":policyName/{given['PolicyName']}",
        ),
        "CreationTime": time.time(),
        "Alarms": [],
    }
    wanted = {member: given[member] for member in given if member.endswith("Configuration")}
    _policies[name] = {
        **kept,
        **{member: given[member] for member in (*_KEY, "PolicyName")},
        "PolicyType": given.get("PolicyType", "StepScaling"),
        **_typed(wanted),
    }
    return {"PolicyARN": kept["PolicyARN"], "Alarms": []}


def _put_action(given: Given) -> Json:
    key = _registered(given)
    name = (*key, given["ScheduledActionName"])
    kept = _actions.get(name) or {
        "ScheduledActionARN": arn(
            "autoscaling",
            f"scheduledAction:{fresh('', 32)}:resource/{given['ServiceNamespace']}/{given['ResourceId']}"
            f":scheduledActionName/{given['ScheduledActionName']}",
        ),
        "CreationTime": time.time(),
    }
    _actions[name] = {**kept, **_typed(given)}
    wanted = {bound: int(value) for bound, value in (given.get("ScalableTargetAction") or {}).items()}
    _targets[key] = {**_targets[key], **wanted}
    _bring_inside(_targets[key])
    return {}


def _bring_inside(target: Json) -> None:
    """A service of ECS whose desired count is out of bounds."""
    if target["ServiceNamespace"] != "ecs":
        return
    _, cluster, name = str(target["ResourceId"]).split("/")
    service = ecs._services.get(f"{cluster}/{name}")
    if service is None or service["status"] != "ACTIVE":
        return
    count = min(max(service["desiredCount"], target["MinCapacity"]), target["MaxCapacity"])
    if count != service["desiredCount"]:
        ecs._update_service({"cluster": cluster, "service": name, "desiredCount": count})


def _describe(store: Any, answered: str, named: str = "") -> Callable[[Given], Json]:
    def describe(given: Given) -> Json:
        if not given.get("ServiceNamespace"):
            raise RefusedError("ValidationException", "ServiceNamespace is required")
        resources = given.get("ResourceIds") or [given[name] for name in ("ResourceId",) if given.get(name)]
        names = given.get(f"{named}s") or [] if named else []
        found = [
            record
            for record in store.values()
            if record["ServiceNamespace"] == given["ServiceNamespace"]
            and (not resources or record["ResourceId"] in resources)
            and given.get("ScalableDimension") in (None, record["ScalableDimension"])
            and (not names or record[named] in names)
        ]
        return {answered: found}

    return describe


def _remove(store: Any, named: str) -> Callable[[Given], Json]:
    def remove(given: Given) -> Json:
        if store.pop((*_key(given), given[named]), None) is None:
            raise RefusedError("ObjectNotFoundException", f"No {named} {given[named]} found")
        return {}

    return remove


def _key(given: Given) -> tuple[str, str, str]:
    missing = [name for name in _KEY if not given.get(name)]
    if missing:
        raise RefusedError("ValidationException", f"{', '.join(missing)} is required")
    return (str(given[_KEY[0]]), str(given[_KEY[1]]), str(given[_KEY[2]]))


def _registered(given: Given) -> tuple[str, str, str]:
    key = _key(given)
    if key not in _targets:
        raise RefusedError("ObjectNotFoundException", f"No scalable target registered for {'|'.join(key)}")
    return key


def _service_role(namespace: str) -> str:
    linked = "ECSService" if namespace == "ecs" else namespace.title()
    path = f"aws-service-role/{namespace}.application-autoscaling.amazonaws.com"
    name = f"AWSServiceRoleForApplicationAutoScaling_{linked}"
    return f"arn:aws:iam::{get_account_id()}:role/{path}/{name}"


_INTEGERS = {
    "MinCapacity", "MaxCapacity", "ScaleInCooldown", "ScaleOutCooldown", "Cooldown", "ScalingAdjustment",
    "MinAdjustmentMagnitude",
}  # fmt: skip
_FRACTIONS = {"TargetValue", "MetricIntervalLowerBound", "MetricIntervalUpperBound"}


def _typed(given: Any, name: str = "") -> Any:
    """The types of the API: a template's numbers may be text."""
    if isinstance(given, dict):
        return {member: _typed(value, member) for member, value in given.items()}
    if isinstance(given, list):
        return [_typed(value) for value in given]
    if name in _INTEGERS:
        return int(given)
    if name in _FRACTIONS:
        return float(given)
    if name == "ReturnData" or name.endswith("Suspended") or name == "DisableScaleIn":
        return str(given).lower() == "true"
    return given


_OPERATIONS: dict[str, Callable[[Given], Json]] = {
    "RegisterScalableTarget": _register,
    "DeregisterScalableTarget": _deregister,
    "DescribeScalableTargets": _describe(_targets, "ScalableTargets"),
    "PutScalingPolicy": _put_policy,
    "DeleteScalingPolicy": _remove(_policies, "PolicyName"),
    "DescribeScalingPolicies": _describe(_policies, "ScalingPolicies", "PolicyName"),
    "PutScheduledAction": _put_action,
    "DeleteScheduledAction": _remove(_actions, "ScheduledActionName"),
    "DescribeScheduledActions": _describe(_actions, "ScheduledActions", "ScheduledActionName"),
    "DescribeScalingActivities": lambda _given: {"ScalingActivities": []},
    "ListTagsForResource": lambda _given: {"Tags": {}},
}


# -- the resource types ----------------------------------------------------------------------------


def _make_target(props: Given, _name: str) -> Made:
    key = _key(props)
    _register(props)
    for name in [name for name in _actions if name[:3] == key]:
        _actions.pop(name, None)
    for action in props.get("ScheduledActions") or []:
        _put_action({**dict(zip(_KEY, key, strict=True)), **action})
    # "Ref" and `Id`: resource, dimension and namespace (template reference, "Return values").
    identifier = f"{key[1]}|{key[2]}|{key[0]}"
    return identifier, {"Id": identifier}


def _forget_target(identifier: str, _props: Given) -> None:
    resource, dimension, namespace = identifier.split("|")
    if (namespace, resource, dimension) in _targets:
        _deregister(dict(zip(_KEY, (namespace, resource, dimension), strict=True)))


def _make_policy(props: Given, _name: str) -> Made:
    given = _policy_of(props)
    own = str(_put_policy(given)["PolicyARN"])
    return own, {"Arn": own}


def _policy_of(props: Given) -> Json:
    """A policy may name its target by its id instead of by its parts."""
    given = dict(props)
    if given.get("ScalingTargetId"):
        resource, dimension, namespace = str(given.pop("ScalingTargetId")).split("|")
        given.update(ServiceNamespace=namespace, ResourceId=resource, ScalableDimension=dimension)
    return given


def _change_policy(own: str, props: Given) -> Attributes:
    _put_policy(_policy_of(props))
    return {"Arn": own}


def _forget_policy(own: str, _props: Given) -> None:
    for name in [name for name, policy in _policies.items() if policy["PolicyARN"] == own]:
        _policies.pop(name, None)


KINDS: dict[str, Kind] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        _make_target, lambda _id, props: _make_target(props, "")[1], _forget_target, _KEY
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Kind(
        _make_policy, _change_policy, _forget_policy, (*_KEY, "PolicyName", "ScalingTargetId")
    ),
}
