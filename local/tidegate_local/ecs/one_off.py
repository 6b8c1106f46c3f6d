"""RunTask as ECS answers it.

ECS: a request with the `clientToken` of an earlier one starts nothing and answers with its tasks, and is a
ConflictException where it asks for something else ("Ensuring idempotency", ECS API reference); an awsvpc task needs a
`networkConfiguration`, an override has to name a container of the task definition (RunTask); where there is no room,
nothing is raised: `failures` says so ("API failure reasons", ECS developer guide); `propagateTags` hands down the
tags of the task definition.
MiniStack without Docker: knows no token, asks for no network, takes any override, always has room, leaves tags out.
"""

import json
import re
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, error_response_json, json_response
from ministack.services import ecs

from tidegate_local.ecs.records import Record
from tidegate_local.ecs.scheduler import Scheduler
from tidegate_local.seam import Handler

NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)
_TOKEN = re.compile(r"[!-~]{1,64}")
_TAKEN = (
    "The provided clientToken is already in use with a different RunTask request. The resourceIds are the existing "
    "task ARNs which are already associated with the clientToken."
)


def run_task(original: Handler, scheduler: Scheduler) -> Handler:
    """The handler in the place of MiniStack's; called with the ECS lock held."""
    tokens: Any = AccountRegionScopedDict()  # `<cluster> <token>`: the request, the ARNs of its tasks

    def answer(data: Record) -> Any:
        definition = ecs._task_defs[ecs._resolve_td_key(data["taskDefinition"])]
        data = _completed(data, definition)
        refusal = _refuse(data, definition)
        if refusal:
            return refusal
        token = data.get("clientToken")
        key = f"{ecs._resolve_cluster_name(data.get('cluster', 'default'))} {token}"
        request = json.dumps(data, sort_keys=True)
        if token and key in tokens:
            before, arns = tokens[key]
            if before != request:
                return _conflict(arns)
            known = [ecs._tasks[arn] for arn in arns if arn in ecs._tasks]
            return _answered(known)
        if scheduler.refuses(data["group"]):
            return json_response({"tasks": [], "failures": [{"reason": NO_CAPACITY}]})
        started = original(data)
        if started[0] >= 400:
            return started
        records = scheduler.begin_tasks(started)
        if token:
            tokens[key] = (request, [record["taskArn"] for record in records])
        return _answered(records)

    return answer


def _completed(data: Record, definition: Record) -> Record:
    more: Record = {"taskDefinition": definition["taskDefinitionArn"]}
    if not data.get("group"):
        more["group"] = f"family:{definition['family']}"
    if data.get("propagateTags") == "TASK_DEFINITION":
        handed = {tag["key"]: tag for tag in ecs._tags.get(definition["taskDefinitionArn"], [])}
        own = {tag["key"]: tag for tag in data.get("tags") or []}
        more["tags"] = [*{**handed, **own}.values()]
    return {**data, **more}


def _refuse(data: Record, definition: Record) -> Any:
    names = {container["name"] for container in definition["containerDefinitions"]}
    for override in (data.get("overrides") or {}).get("containerOverrides") or []:
        if override.get("name") not in names:
            return _invalid(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    network = (data.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    if definition.get("networkMode") == "awsvpc" and not network.get("subnets") and not _of_service(data):
        return _invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if data.get("clientToken") and not _TOKEN.fullmatch(data["clientToken"]):
        return _invalid("clientToken must be 1 to 64 ASCII characters in the range of 33-126.")
    return None


def _of_service(data: Record) -> bool:
    return str(data["group"]).startswith("service:")


def _answered(records: list[Record]) -> Any:
    return json_response({"tasks": [ecs._sanitize(record) for record in records], "failures": []})


def _invalid(message: str) -> Any:
    return error_response_json("InvalidParameterException", message, 400)


def _conflict(arns: list[str]) -> Any:
    status, headers, body = error_response_json("ConflictException", _TAKEN, 400)
    return status, headers, json.dumps({**json.loads(body), "resourceIds": arns}).encode()
