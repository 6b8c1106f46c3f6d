"""Permissions are checked against the resources that AWS checks them against: ECS, ECR, RDS, CodeBuild, SSM paths.

AWS (service authorization reference, "Actions, resources, and condition keys for Amazon ECS", and the same for
ECR): DescribeServices and UpdateService are checked on each `service/<cluster>/<service>`, ListTasks on
`container-instance/<cluster>/*`, DescribeTasks on each `task/<cluster>/<id>`, all with the key `ecs:cluster`;
RegisterTaskDefinition on the task definition, with `ecs:TagResource` (key `ecs:CreateAction`) where it carries tags
and `iam:PassRole` (key `iam:PassedToService`) for each role it names; RunTask on the revision, with PassRole for its
roles, StopTask on the task; DescribeTaskDefinition and ListTaskDefinitions know no resource; DescribeRepositories is
checked on each repository that is named, GetParametersByPath on the path; CreateDBSnapshot and
CreateDBClusterSnapshot on the database and on the snapshot, with `rds:AddTagsToResource` where it carries tags;
BatchGetBuilds, StopBuild and BatchGetProjects of CodeBuild on each project; CreateLogStream, PutLogEvents and
GetLogEvents on `log-group:<group>:log-stream:<stream>`. PutEvents has the key `events:source`, one value for each
entry; what reads or writes an item has `dynamodb:LeadingKeys`, the value of its partition key.
MiniStack: checks whatever names a cluster on the cluster, the rest, repositories, paths and builds on "*", log
streams on their group, snapshots on the database alone; it knows no `ecs:cluster`, `events:source` or
`dynamodb:LeadingKeys` and asks for neither TagResource nor PassRole. A role that is right on AWS is refused there, or
one that is wrong is let through.
Mended by naming the resources, by the condition keys, and by asking for the dependent actions as well.
"""

import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_actions, iam_evaluator

from tidegate_local.seam import graft

_EXTRACT = (
    "(service: str, method: str, path: str, headers: dict, body: bytes, query_params: dict, region: str,"
    " account_id: str) -> str"
)
_CONTEXT = "(service: str, iam_action: str, body: bytes, params: dict) -> dict"
_ENFORCE = (
    "(access_key_id: str, iam_action: str, service: str, region: str, resource_arn: str = '*',"
    " service_context: dict[str, typing.Any] | None = None)"
    " -> ministack.core.iam_evaluator.EvalResult | ministack.core.iam_evaluator.AuthError | None"
)


_ON_STREAMS = frozenset({"CreateLogStream", "GetLogEvents", "PutLogEvents"})


@dataclass(frozen=True, slots=True)
class Check:
    """One action on one resource; an empty `action` is the request's own."""

    resource: str
    action: str = ""
    context: dict[str, Any] = field(default_factory=dict)


# What a request needs beside the check that MiniStack makes itself.
_further: ContextVar[tuple[Check, ...]] = ContextVar("further", default=())


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        region: str,
        account_id: str,
    ) -> str:
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if service == "rds":  # the query protocol
            action, given = (
                _query(query_params, "Action"),
                {name: _query(query_params, name) for name in query_params},
            )
        else:
            given = _document(body)
        checks = tuple(_checks(service, action, given, region, account_id))
        _further.set(checks[1:])
        if checks:
            return checks[0].resource
        return str(extract(service, method, path, headers, body, query_params, region, account_id))

    def request_tag_context(
        service: str, iam_action: str, body: bytes, params: dict[str, Any]
    ) -> dict[str, Any]:
        found: dict[str, Any] = context(service, iam_action, body, params)
        return {**found, **_keys(service, iam_action.rpartition(":")[2], _document(body))}

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        further = _further.get()
        _further.set(())
        denied = decide(access_key_id, iam_action, service, region, resource_arn, service_context)
        for check in further:
            if denied:
                break
            given = {**(service_context or {}), **check.context}
            denied = decide(access_key_id, check.action or iam_action, service, region, check.resource, given)
        return denied

    extract = graft(
        iam_actions,
        "extract_resource_arn",
        extract_resource_arn,
        signature=_EXTRACT,
        shows='return f"arn:aws:ecs:{region}:{account_id}:cluster/{cluster}"',
    )
    context = graft(iam_actions, "request_tag_context", request_tag_context, signature=_CONTEXT)
    decide = graft(iam_evaluator, "enforce", enforce, signature=_ENFORCE)


def _checks(service: str, action: str, given: dict[str, Any], region: str, account: str) -> Iterator[Check]:
    arn = f"arn:aws:{service}:{region}:{account}"
    if service == "ecs":
        yield from _ecs_checks(action, given, arn, account)
    elif service == "rds":
        yield from _rds_checks(action, given, arn)
    elif service == "codebuild":
        yield from _codebuild_checks(action, given, f"{arn}:project")
    elif service == "codecommit":
        name = given.get("repositoryName")
        yield Check(f"{arn}:{name}" if name else "*")
    elif (service, action) == ("ecr", "DescribeRepositories"):
        for name in given.get("repositoryNames") or ["*"]:  # its name may hold a slash
            yield Check(f"{arn}:repository/{name}")
    elif service == "logs" and action in _ON_STREAMS:
        yield Check(
            f"{arn}:log-group:{given.get('logGroupName')}:log-stream:{given.get('logStreamName', '')}"
        )
    elif (service, action) == ("ssm", "GetParametersByPath"):
        yield Check(f"{arn}:parameter/{str(given.get('Path', '')).strip('/')}")


def _codebuild_checks(action: str, given: dict[str, Any], projects: str) -> Iterator[Check]:
    if action == "BatchGetProjects":
        yield from _each(projects, given.get("names"))
    elif action in ("BatchGetBuilds", "StopBuild"):
        for build in given.get("ids") or [given.get("id")]:  # <project>:<uuid>, or an ARN that ends so
            yield Check(f"{projects}/{_last(build).rpartition(':')[0] or '*'}")


def _rds_checks(action: str, given: dict[str, Any], arn: str) -> Iterator[Check]:
    database = _rds_resource(f"{arn}:db", given.get("DBInstanceIdentifier"))
    cluster = _rds_resource(f"{arn}:cluster", given.get("DBClusterIdentifier"))
    snapshot = _rds_resource(f"{arn}:snapshot", given.get("DBSnapshotIdentifier"))
    cluster_snapshot = _rds_resource(f"{arn}:cluster-snapshot", given.get("DBClusterSnapshotIdentifier"))
    match action:
        case "CreateDBSnapshot":
            yield from _snapshot_checks(database, snapshot, given)
        case "CreateDBClusterSnapshot":
            yield from _snapshot_checks(cluster, cluster_snapshot, given)
        case "DescribeDBInstances":
            yield Check(database)
        case "DescribeDBClusters":
            yield Check(cluster)
        case "DescribeDBSnapshots":
            yield from _named(given, {"DBSnapshotIdentifier": snapshot, "DBInstanceIdentifier": database})
        case "DescribeDBClusterSnapshots":
            wanted = {"DBClusterSnapshotIdentifier": cluster_snapshot, "DBClusterIdentifier": cluster}
            yield from _named(given, wanted)
        case "AddTagsToResource":
            yield Check(str(given.get("ResourceName", "*")))


def _snapshot_checks(database: str, snapshot: str, given: dict[str, Any]) -> Iterator[Check]:
    yield Check(database)
    yield Check(snapshot)
    if any(name.startswith("Tags.") for name in given):
        yield Check(snapshot, "rds:AddTagsToResource")


def _named(given: dict[str, Any], resources: dict[str, str]) -> Iterator[Check]:
    """Those that the request names; where it names none, the first as a whole."""
    named = [resource for name, resource in resources.items() if given.get(name)]
    for resource in named or [next(iter(resources.values()))]:
        yield Check(resource)


def _rds_resource(parent: str, name: object) -> str:
    return str(name) if str(name).startswith("arn:") else f"{parent}:{name or '*'}"


def _query(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name, "")
    return str(value[0] if isinstance(value, list) and value else value)


def _ecs_checks(action: str, given: dict[str, Any], arn: str, account: str) -> Iterator[Check]:
    cluster = _last(given.get("cluster") or "default")
    match action:
        case "DescribeServices":
            yield from _each(f"{arn}:service/{cluster}", given.get("services"))
        case "UpdateService":
            yield from _each(f"{arn}:service/{cluster}", [given.get("service")])
        case "ListTasks":
            yield Check(f"{arn}:container-instance/{cluster}/*")
        case "DescribeTasks":
            yield from _each(f"{arn}:task/{cluster}", given.get("tasks"))
        case "StopTask":
            yield from _each(f"{arn}:task/{cluster}", [given.get("task")])
        case "RunTask":
            yield from _run_task_checks(given, arn, cluster, account)
        case "DescribeTaskDefinition" | "ListTaskDefinitions":
            yield Check("*")
        case "RegisterTaskDefinition":
            yield from _registration(given, f"{arn}:task-definition/{given.get('family', '*')}:*", account)


def _keys(service: str, action: str, given: dict[str, Any]) -> dict[str, Any]:
    """The condition keys of a request."""
    match service, action:
        case "ecs", _ if given.get("cluster"):
            return {"ecs:cluster": _cluster_arn(str(given["cluster"]))}
        case "events", "PutEvents":
            entries = given.get("Entries") or []
            return {"events:source": [str(entry.get("Source")) for entry in entries]}
        case "dynamodb", "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
            return _leading_key(given)
    return {}


def _leading_key(given: dict[str, Any]) -> dict[str, Any]:
    from ministack.services.dynamodb import _tables  # noqa: PLC0415 - loaded when it is first called

    table = _tables.get(_last(given.get("TableName")))
    item = given.get("Key") or given.get("Item")
    if not table or not isinstance(item, dict):
        return {}
    value = item.get(table["pk_name"])
    return {"dynamodb:LeadingKeys": [str(next(iter(value.values())))]} if isinstance(value, dict) else {}


def _each(parent: str, names: Any) -> Iterator[Check]:
    for name in names or ["*"]:
        yield Check(f"{parent}/{_last(name)}")


def _run_task_checks(given: dict[str, Any], arn: str, cluster: str, account: str) -> Iterator[Check]:
    """On the revision that a family stands for (RunTask, API reference: resolved before authorization since 2024)."""
    from ministack.services import ecs  # noqa: PLC0415 - loaded when it is first called

    named = str(given.get("taskDefinition", ""))
    definition = ecs._task_defs.get(ecs._resolve_td_key(named)) or {}
    yield Check(definition.get("taskDefinitionArn") or f"{arn}:task-definition/{_last(named)}")
    if given.get("tags"):
        yield Check(f"{arn}:task/{cluster}/*", "ecs:TagResource", {"ecs:CreateAction": "RunTask"})
    yield from _passed({**definition, **(given.get("overrides") or {})}, account)


def _registration(given: dict[str, Any], resource: str, account: str) -> Iterator[Check]:
    yield Check(resource)
    if given.get("tags"):
        yield Check(resource, "ecs:TagResource", {"ecs:CreateAction": "RegisterTaskDefinition"})
    yield from _passed(given, account)


def _passed(given: dict[str, Any], account: str) -> Iterator[Check]:
    for key in ("taskRoleArn", "executionRoleArn"):
        role = given.get(key)
        if role:
            arn = role if str(role).startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
            yield Check(arn, "iam:PassRole", {"iam:PassedToService": "ecs-tasks.amazonaws.com"})


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _last(name: object) -> str:
    return str(name).rsplit("/", 1)[-1]


def _cluster_arn(cluster: str) -> str:
    from ministack.core.responses import get_account_id, get_region  # noqa: PLC0415 - the request's own

    return (
        cluster
        if cluster.startswith("arn:")
        else f"arn:aws:ecs:{get_region()}:{get_account_id()}:cluster/{cluster}"
    )
