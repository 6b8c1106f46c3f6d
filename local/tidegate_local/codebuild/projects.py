"""Properties of a CodeBuild project that MiniStack drops.

AWS: BatchGetProjects shows what CreateProject, UpdateProject and AWS::CodeBuild::Project were given, also Cache,
LogsConfig, QueuedTimeoutInMinutes, Visibility, VpcConfig, ConcurrentBuildLimit and BadgeEnabled (CodeBuild API,
Project; CloudFormation template reference, AWS::CodeBuild::Project).
MiniStack: keeps a dozen fields and forgets the others; a stack update leaves EncryptionKey as it was.
Mended by keeping them beside its own fields.
"""

import json
from typing import Any

from ministack.services import codebuild
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes, graft

KIND = "AWS::CodeBuild::Project"
KEPT = (
    "cache",
    "logsConfig",
    "queuedTimeoutInMinutes",
    "vpcConfig",
    "concurrentBuildLimit",
    "secondarySources",
    "secondaryArtifacts",
    "fileSystemLocations",
    "projectVisibility",
    "autoRetryLimit",
)
# What the template calls otherwise than the API, lower-case first letters aside.
_RENAMED = {"Visibility": "projectVisibility"}
_OF_THE_TEMPLATE = {name[0].upper() + name[1:]: name for name in KEPT} | _RENAMED

Json = dict[str, Any]


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    to_api = expect(provisioners, "_codebuild_cfn_to_api", signature="(value)")
    provision = expect(provisioners, "_codebuild_project_create", signature="(logical_id, props, stack_name)")
    change = expect(
        provisioners,
        "_codebuild_project_update",
        signature="(physical_id, old_props, new_props, stack_name)",
        shows='("Environment", "environment"), ("ServiceRole", "serviceRole")',
    )

    def created(data: Json) -> Any:
        answer = create(data)
        return _with_kept(answer, data)

    def updated(data: Json) -> Any:
        answer = update(data)
        return _with_kept(answer, data)

    def shape(project: Json) -> Json:
        return {**shown(project), **{name: project[name] for name in KEPT if name in project}}

    def provision_all(logical_id: str, props: Json, stack_name: str) -> Any:
        answer = provision(logical_id, props, stack_name)
        _keep(answer[0], props, to_api)
        return answer

    def change_all(physical_id: str, old_props: Json, new_props: Json, stack_name: str) -> Any:
        answer = change(physical_id, old_props, new_props, stack_name)
        _keep(answer[0], new_props, to_api)
        return answer

    create = graft(codebuild, "_create_project", created, signature="(data)")
    update = graft(codebuild, "_update_project", updated, signature="(data)")
    shown = graft(codebuild, "_project_shape", shape, signature="(project)")
    handlers = provisioners._RESOURCE_HANDLERS[KIND]
    handlers["create"], handlers["update"] = provision_all, change_all


def _with_kept(answer: Any, data: Json) -> Any:
    """The answer of CreateProject or UpdateProject with the further fields, which are kept now."""
    status, headers, body = answer
    if status != 200:
        return answer
    project = codebuild._projects[json.loads(body)["project"]["name"]]
    project.update({name: data[name] for name in KEPT if name in data})
    return status, headers, json.dumps({"project": codebuild._project_shape(project)}).encode()


def _keep(name: str, props: Json, to_api: Any) -> None:
    project = codebuild._projects[name]
    for title, field in _OF_THE_TEMPLATE.items():
        if title in props:
            project[field] = to_api(props[title])
        else:
            project.pop(field, None)
    if "EncryptionKey" in props:
        project["encryptionKey"] = props["EncryptionKey"]
    # A template's numbers and booleans arrive as they were written, or as a parameter's text.
    for field in ("queuedTimeoutInMinutes", "concurrentBuildLimit", "autoRetryLimit"):
        if field in project:
            project[field] = int(project[field])
    environment = project.get("environment") or {}
    if "privilegedMode" in environment:
        environment["privilegedMode"] = str(environment["privilegedMode"]).lower() == "true"
