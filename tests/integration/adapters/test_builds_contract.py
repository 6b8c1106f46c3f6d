"""CodeBuild: in memory and on moto; what moto's builds do not have (variables, failures, tokens), on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.codebuild import CodeBuildBuilds
from tidegate.domain.build import MARKER, BuildRun
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ports import Builds, Ports, Project

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused
from tests.support.clock import FakeClock
from tests.support.fakes import FakeBuilds

COMMIT = "5" * 40
LOCATION = f"https://git-codecommit.{REGION}.amazonaws.com/v1/repos/arive"
AddProject = Callable[[str, Mapping[str, str]], None]
Finish = Callable[[str], None]


@pytest.fixture(params=["fake", "moto"])
def builds(request: pytest.FixtureRequest) -> tuple[Builds, AddProject, Finish]:
    if request.param == "fake":
        fake = FakeBuilds()
        return (
            fake,
            lambda name, variables: (
                fake.add_project(name, "CODECOMMIT", LOCATION, "main", variables) and None
            ),
            lambda id_: fake.finish(id_) and None,
        )
    ports: Ports = request.getfixturevalue("on_moto")
    client = request.getfixturevalue("moto").client("codebuild")

    def add(name: str, variables: Mapping[str, str]) -> None:
        client.create_project(
            name=name,
            source={"type": "CODECOMMIT", "location": LOCATION},
            sourceVersion="main",
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:6.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [
                    *({"name": name, "value": value} for name, value in variables.items()),
                    {"name": "HIDDEN", "value": "/key", "type": "PARAMETER_STORE"},
                ],
            },
            serviceRole=f"arn:aws:iam::{ACCOUNT}:role/service-role/build",
        )

    return ports.builds, add, lambda id_: None  # moto's builds succeed as soon as they are looked at


def test_projects_are_found_by_name(builds: tuple[Builds, AddProject, Finish]) -> None:
    port, add, _ = builds
    assert port.projects(["arive-build"]) == {}
    add("arive-build", {"TIDEGATE_BUILD_ARGS": "A=1"})
    add("other", {})
    project = Project("arive-build", "CODECOMMIT", LOCATION, "main", {"TIDEGATE_BUILD_ARGS": "A=1"})
    assert port.projects(["arive-build", "missing", "not a name!", "x" * 151, "arive-build"]) == {
        "arive-build": project
    }
    assert port.projects([]) == {}


def test_a_build_runs_and_ends(builds: tuple[Builds, AddProject, Finish]) -> None:
    port, add, finish = builds
    add("arive-build", {})
    run = port.start("arive-build", COMMIT, {MARKER: "1" * 32}, "token")
    assert run.id.startswith("arive-build:")
    assert (run.project, run.status, run.source_version) == ("arive-build", "IN_PROGRESS", COMMIT)
    assert (run.phase, run.message) == (None, "")
    finish(run.id)
    gone = f"{run.id[:-1]}{'0' if run.id[-1] != '0' else '1'}"
    found = port.runs([run.id, gone, run.id])
    assert list(found) == [run.id]
    assert found[run.id].status == "SUCCEEDED"
    assert port.runs([]) == {}


def test_a_project_that_is_missing_is_not_started(builds: tuple[Builds, AddProject, Finish]) -> None:
    port, _, _ = builds
    with pytest.raises(NotFoundError, match="missing") as raised:
        port.start("missing", COMMIT, {}, "token")
    assert raised.value.field == "project"
    assert raised.value.hint


def test_a_token_gives_the_same_build_for_five_minutes() -> None:
    """In memory alone: moto takes no notice of tokens (the adapter sends one: see below)."""
    clock = FakeClock()
    fake = FakeBuilds(clock)
    fake.add_project("arive-build", variables={"A": "1", "B": "1"})
    first = fake.start("arive-build", COMMIT, {"B": "2"}, "token")
    assert first.variables == {"A": "1", "B": "2"}
    fake.finish(first.id, "FAILED", phase="BUILD", message="exit 1")
    again = fake.start("arive-build", COMMIT, {"B": "2"}, "token")
    assert (again.id, again.status, again.phase) == (first.id, "FAILED", "BUILD")
    with pytest.raises(OutsideError):
        fake.start("arive-build", COMMIT, {"B": "3"}, "token")
    assert fake.start("arive-build", COMMIT, {"B": "2"}, "other").id != first.id
    clock.advance(minutes=5)
    assert fake.start("arive-build", COMMIT, {"B": "2"}, "token").id not in (first.id, again.id)
    assert len(fake.started) == 3


BUILD = {
    "id": "arive-build:8d1e",
    "arn": f"arn:aws:codebuild:{REGION}:{ACCOUNT}:build/arive-build:8d1e",
    "projectName": "arive-build",
    "buildStatus": "FAILED",
    "sourceVersion": "main",
    "resolvedSourceVersion": COMMIT,
    "phases": [
        {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "contexts": []},
        {
            "phaseType": "BUILD",
            "phaseStatus": "FAILED",
            "contexts": [
                {
                    "statusCode": "COMMAND_EXECUTION_ERROR",
                    "message": "Error while executing command: false. ",
                },
                {"statusCode": "", "message": ""},
                {"statusCode": "X"},
                {"statusCode": "X", "message": "Reason: exit status 1"},
            ],
        },
        {"phaseType": "POST_BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "never mind"}]},
        {"phaseType": "COMPLETED"},
    ],
    "environment": {
        "type": "LINUX_CONTAINER",
        "image": "i",
        "computeType": "c",
        "environmentVariables": [
            {"name": MARKER, "value": "1" * 32, "type": "PLAINTEXT"},
            {"name": "EMPTY", "value": ""},
            {"name": "KEY", "value": "/arive/key", "type": "PARAMETER_STORE"},
            {"name": "PASSWORD", "value": "arive/database", "type": "SECRETS_MANAGER"},
        ],
    },
    "exportedEnvironmentVariables": [
        {"name": "TIDEGATE_IMAGE", "value": "app"},
        {"name": "TIDEGATE_DIGEST"},
    ],
    "logs": {
        "groupName": "/aws/codebuild/arive-build",
        "streamName": "8d1e",
        "deepLink": "https://console.aws.amazon.com/x",
    },
}


def test_a_failed_build_says_where_and_why(clients: Clients) -> None:
    client = clients.client("codebuild")
    Wire(client, ok({"builds": [BUILD], "buildsNotFound": ["arive-build:0"]}))
    found = CodeBuildBuilds(lambda: client).runs(["arive-build:8d1e", "arive-build:0"])
    run = BuildRun(
        "arive-build:8d1e",
        "arive-build",
        "FAILED",
        source_version="main",
        commit=COMMIT,
        phase="BUILD",
        message="Error while executing command: false.; Reason: exit status 1",
        exported={"TIDEGATE_IMAGE": "app", "TIDEGATE_DIGEST": ""},
        variables={MARKER: "1" * 32, "EMPTY": ""},
        log_group="/aws/codebuild/arive-build",
        log_stream="8d1e",
        url="https://console.aws.amazon.com/x",
    )
    assert found == {run.id: run}
    assert run.ours


@pytest.mark.parametrize("status", ["FAULT", "TIMED_OUT", "STOPPED", "CLIENT_ERROR"])
def test_every_bad_end_of_a_phase_is_named(clients: Clients, status: str) -> None:
    phases = [
        {"phaseType": "QUEUED", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "PROVISIONING", "phaseStatus": status},
    ]
    client = clients.client("codebuild")
    Wire(client, ok({"builds": [{**BUILD, "phases": phases}]}))
    (run,) = CodeBuildBuilds(lambda: client).runs(["arive-build:8d1e"]).values()
    assert (run.phase, run.message) == ("PROVISIONING", "")


def test_a_build_that_has_only_begun_has_no_logs_yet(clients: Clients) -> None:
    client = clients.client("codebuild")
    begun = {"id": "p:1", "projectName": "p", "buildStatus": "IN_PROGRESS"}
    Wire(client, ok({"builds": [begun]}))
    (run,) = CodeBuildBuilds(lambda: client).runs(["p:1"]).values()
    assert run == BuildRun("p:1", "p", "IN_PROGRESS")
    assert not run.ours


def test_a_build_is_started_with_its_commit_its_variables_and_its_token(clients: Clients) -> None:
    client = clients.client("codebuild")
    wire = Wire(client, *[ok({"build": BUILD})] * 2)
    port = CodeBuildBuilds(lambda: client)
    port.start("arive-build", COMMIT, {"TIDEGATE_TEST": "", MARKER: "1" * 32}, "token")
    port.start("arive-build", COMMIT, {MARKER: "1" * 32, "TIDEGATE_TEST": ""}, "token")
    first, second = wire.requests
    assert first == second  # else CodeBuild would see other parameters with the same token
    assert first == {
        "projectName": "arive-build",
        "sourceVersion": COMMIT,
        "environmentVariablesOverride": [
            {"name": MARKER, "value": "1" * 32, "type": "PLAINTEXT"},
            {"name": "TIDEGATE_TEST", "value": "", "type": "PLAINTEXT"},
        ],
        "idempotencyToken": "token",
    }


def test_a_full_queue_is_said(clients: Clients) -> None:
    client = clients.client("codebuild")
    Wire(client, refused("AccountLimitExceededException"))
    with pytest.raises(OutsideError, match="codebuild:StartBuild: AccountLimit") as raised:
        CodeBuildBuilds(lambda: client).start("p", COMMIT, {}, "t")
    assert "queue" in str(raised.value.hint)


def test_builds_and_projects_are_asked_for_by_hundreds(clients: Clients) -> None:
    client = clients.client("codebuild")

    def build(number: int) -> dict[str, Any]:
        return {"id": f"p:{number}", "projectName": "p", "buildStatus": "SUCCEEDED"}

    wire = Wire(
        client,
        ok({"builds": [build(0)]}),
        ok({"builds": [build(100)]}),
        ok({"projects": [{"name": "p0"}]}),
        ok({"projects": [{"name": "p100"}]}),
    )
    port = CodeBuildBuilds(lambda: client)
    names = [f"p{number}" for number in range(101)]
    assert list(port.runs([f"p:{number}" for number in range(101)] + ["p:0"])) == ["p:0", "p:100"]
    assert port.projects(["no name!", "", *names, "p0"]) == {
        name: Project(name, "", "") for name in ("p0", "p100")
    }
    assert [len(sent["ids"]) for sent in wire.requests[:2]] == [100, 1]
    assert [sent["names"] for sent in wire.requests[2:]] == [names[:100], names[100:]]


def test_other_refusals_are_errors(clients: Clients, no_waiting: None) -> None:
    client = clients.client("codebuild")
    port = CodeBuildBuilds(lambda: client)
    Wire(
        client,
        *[refused("AccessDeniedException")] * 2,
        refused("InvalidInputException"),
        *[refused("ThrottlingException")] * 3,
    )
    with pytest.raises(OutsideError) as raised:
        port.projects(["arive-build"])
    assert raised.value.hint == "allow codebuild:BatchGetProjects to the role that made this call"
    with pytest.raises(OutsideError):
        port.runs(["p:1"])
    with pytest.raises(OutsideError):  # a token that was used with other parameters, among others
        port.start("p", COMMIT, {}, "t")
    with pytest.raises(TransientError):
        port.start("p", COMMIT, {}, "t")
