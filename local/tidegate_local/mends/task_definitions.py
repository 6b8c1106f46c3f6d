"""A family's name means its newest ACTIVE revision, and only that family.

AWS: where a task definition is named by family alone, "the latest ACTIVE revision is used" (ECS API,
DescribeTaskDefinition, RunTask, UpdateService), and `familyPrefix` of ListTaskDefinitions is "the full
family name".
MiniStack: takes the newest revision even if it was deregistered, and matches `familyPrefix` as a prefix,
so that `api` lists `api-worker` too.
Mended by resolving to the newest ACTIVE one and by comparing whole names.
"""

from typing import Any

from ministack.core.responses import json_response
from ministack.services import ecs

from tidegate_local.seam import graft

PAGE = 100


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def resolve(reference: str) -> str | None:
        key: str | None = original(reference)
        if not reference or ":" in reference.rsplit("/", 1)[-1]:
            return key
        family = reference.rsplit("/", 1)[-1]
        active = [td["revision"] for td in _of_family(family) if td["status"] == "ACTIVE"]
        return f"{family}:{max(active)}" if active else key

    original = graft(
        ecs, "_resolve_td_key", resolve, signature="(ref)", shows="rev = _task_def_latest.get(ref)"
    )
    graft(
        ecs,
        "_list_task_definitions",
        _list_task_definitions,
        signature="(data)",
        shows='td["family"].startswith(family_prefix)',
    )
    ecs._ACTION_MAP["ListTaskDefinitions"] = _list_task_definitions


def _of_family(family: str) -> list[dict[str, Any]]:
    return [td for td in ecs._task_defs.values() if td["family"] == family]


def _list_task_definitions(data: dict[str, Any]) -> Any:
    family, status = data.get("familyPrefix", ""), data.get("status", "ACTIVE")
    chosen = _of_family(family) if family else list(ecs._task_defs.values())
    chosen = [td for td in chosen if td["status"] == status]
    chosen.sort(key=lambda td: (td["family"], td["revision"]), reverse=data.get("sort", "ASC") == "DESC")
    start, size = int(data.get("nextToken") or 0), int(data.get("maxResults") or PAGE)
    answer: dict[str, Any] = {
        "taskDefinitionArns": [td["taskDefinitionArn"] for td in chosen[start : start + size]]
    }
    if start + size < len(chosen):
        answer["nextToken"] = str(start + size)
    return json_response(answer)
