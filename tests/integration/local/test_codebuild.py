"""CodeBuild in the embedded cloud: commands really run, records and events say how it went."""

import json
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from tests.integration.local.building_project import Project, contexts, phases
from tests.support.embedded import Cloud, running_cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

SHAPES = yaml.safe_load((Path(__file__).parents[2] / "functions" / "documented_shapes.yaml").read_text())
EVERY_PHASE = [
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
]


@pytest.fixture
def project(cloud: Cloud) -> Project:
    return Project.make(cloud)


def test_a_build_is_in_progress_first_and_succeeds(project: Project) -> None:
    started = project.start(
        """
        version: 0.2
        env:
          exported-variables: [RESULT, NOTHING]
        phases:
          build:
            commands: [RESULT=good, echo done]
        """
    )
    assert (started["buildStatus"], started["currentPhase"], started["buildComplete"]) == (
        "IN_PROGRESS",
        "SUBMITTED",
        False,
    )
    assert started["buildNumber"] == 1
    assert "endTime" not in started
    build = project.ended(started["id"])
    assert (build["buildStatus"], build["currentPhase"]) == ("SUCCEEDED", "COMPLETED")
    assert list(phases(build)) == EVERY_PHASE
    assert {*phases(build).values()} == {"SUCCEEDED", ""}
    assert build["exportedEnvironmentVariables"] == [{"name": "RESULT", "value": "good"}]
    assert build["endTime"] >= build["startTime"]
    assert build["logs"]["groupName"] == f"/aws/codebuild/{project.name}"
    assert build["logs"]["streamName"] == build["id"].rpartition(":")[2]
    client = project.cloud.client("codebuild")
    assert client.list_builds_for_project(projectName=project.name)["ids"] == [build["id"]]
    assert project.get(build["arn"])["id"] == build["id"]
    assert project.run()["buildStatus"] == "FAILED"  # the project's own buildspec has no phases
    assert client.batch_get_builds(ids=["no:such"])["buildsNotFound"] == ["no:such"]


def test_variables_and_the_folder_live_from_phase_to_phase(project: Project) -> None:
    build = project.run(
        """
        version: 0.2
        env:
          shell: bash
          variables: {A: "spec", B: 1.10}
        phases:
          install:
            commands:
              - COUNT=1
              - mkdir -p inner/deep && cd inner
          pre_build:
            commands:
              - COUNT=$((COUNT + 1))
              - exit 0
          build:
            commands:
              - |
                set -eu
                text="two
                lines and 'quotes'"
              - echo "$COUNT $(basename "$PWD") $A $B"
              - echo "$text"
          post_build:
            commands: ['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"']
        """
    )
    assert build["buildStatus"] == "SUCCEEDED", project.lines(build)
    assert project.output(build)[-4:] == ["2 inner spec 1.10", "two", "lines and 'quotes'", "succeeding: 1"]


def test_the_log_is_in_codebuild_s_form(project: Project) -> None:
    build = project.run("{version: 0.2, phases: {build: {commands: [echo one, 'echo two >&2; exit 3']}}}")
    lines = project.lines(build)
    begin = lines.index("Entering phase BUILD")
    assert lines[begin:] == [
        "Entering phase BUILD",
        "Running command echo one",
        "one",
        "Running command echo two >&2; exit 3",
        "two",
        "Command did not exit successfully echo two >&2; exit 3 exit status 3",
        "Phase complete: BUILD State: FAILED",
        "Phase context status code: COMMAND_EXECUTION_ERROR Message: "
        "Error while executing command: echo two >&2; exit 3. Reason: exit status 3",
        "Entering phase POST_BUILD",
        "Phase complete: POST_BUILD State: SUCCEEDED",
        "Phase context status code:  Message: ",
    ]


@pytest.mark.parametrize(
    ("failing", "spec", "expected"),
    [
        ("BUILD", "build: {commands: [exit 7]}", {"POST_BUILD", "UPLOAD_ARTIFACTS"}),
        ("BUILD", "build: {commands: [exit 7], on-failure: ABORT}", {"UPLOAD_ARTIFACTS"}),
        ("PRE_BUILD", "pre_build: {commands: [exit 7]}", {"UPLOAD_ARTIFACTS"}),
        (
            "INSTALL",
            "install: {commands: [exit 7], on-failure: CONTINUE}",
            {"PRE_BUILD", "BUILD", "POST_BUILD"},
        ),
        ("BUILD", "build: {commands: [echo fine], finally: [exit 7, echo never]}", {"POST_BUILD"}),
    ],
)
def test_what_runs_after_a_failure(project: Project, failing: str, spec: str, expected: set[str]) -> None:
    build = project.run(f"{{version: 0.2, phases: {{{spec}}}}}")
    assert build["buildStatus"] == "FAILED"
    found = phases(build)
    assert found[failing] == "FAILED"
    assert expected <= {*found}
    after = EVERY_PHASE[EVERY_PHASE.index(failing) + 1 :]
    if failing == "PRE_BUILD":
        assert not {"BUILD", "POST_BUILD"} & {*found}
    if "ABORT" in spec:
        assert "POST_BUILD" not in found
    assert [name for name in found if name in after] == [name for name in after if name in found]
    (context,) = contexts(build, failing)
    assert context == {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: exit 7. Reason: exit status 7",
    }


def test_post_build_knows_that_the_build_failed(project: Project) -> None:
    build = project.run(
        """
        version: 0.2
        phases:
          build:
            commands: [KEPT=yes, "false", echo never]
            finally: ['echo "finally $KEPT"']
          post_build:
            commands: ['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"']
        """
    )
    assert project.output(build) == ["finally yes", "succeeding: 0"]


def test_a_phase_is_run_again(project: Project) -> None:
    build = project.run(
        "{version: 0.2, phases: {build: {on-failure: RETRY-2, commands: ['echo x >> n', '[ $(wc -l < n) = 3 ]']}}}"
    )
    assert build["buildStatus"] == "SUCCEEDED"


def test_what_a_build_finds_in_its_environment(cloud: Cloud) -> None:
    cloud.client("ssm").put_parameter(
        Name="/build/word", Value="whispered", Type="SecureString", Overwrite=True
    )
    secret = f"secret-{uuid.uuid4().hex[:8]}"
    cloud.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps({"key": "hush-hush"}))
    project = Project.make(
        cloud,
        {
            "Effect": "Allow",
            "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue"],
            "Resource": "*",
        },
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [
                {"name": "ONE", "value": "project"},
                {"name": "TWO", "value": "project"},
                {"name": "WORD", "value": "/build/word", "type": "PARAMETER_STORE"},
            ],
        },
    )
    build = project.run(
        f"""
        version: 0.2
        env:
          variables: {{ONE: spec, TWO: spec, THREE: spec}}
          secrets-manager: {{HUSH: "{secret}:key"}}
          exported-variables: [ONE, TWO, THREE, WORD, HUSH, SRC, FOUND]
        phases:
          build:
            commands:
              - SRC=$CODEBUILD_SRC_DIR
              - FOUND=$(env | cut -d= -f1 | sort | tr '\\n' ' ')
              - echo "it is $WORD, $HUSH"
              - env | grep '^CODEBUILD_' | sort
        """,
        environmentVariablesOverride=[{"name": "TWO", "value": "start", "type": "PLAINTEXT"}],
    )
    exported = {one["name"]: one["value"] for one in build["exportedEnvironmentVariables"]}
    assert (exported["ONE"], exported["TWO"], exported["THREE"]) == ("project", "start", "spec")
    assert (exported["WORD"], exported["HUSH"]) == ("whispered", "hush-hush")
    assert exported["SRC"].startswith(str(cloud.state_dir))
    names = {*exported["FOUND"].split()}
    assert {
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
    } <= names
    assert not {"AUTH", "MINISTACK_REGION", "LAMBDA_EXECUTOR", "VIRTUAL_ENV", "TIDEGATE_STATE_DIR"} & names
    assert project.output(build)[0] == "it is ***, ***"
    own = dict(line.split("=", 1) for line in project.output(build)[1:])
    assert own["CODEBUILD_BUILD_ID"] == build["id"]
    assert own["CODEBUILD_BUILD_ARN"] == build["arn"]
    assert own["CODEBUILD_BUILD_NUMBER"] == "1"
    assert own["CODEBUILD_BUILD_SUCCEEDING"] == "1"
    assert own["CODEBUILD_BUILD_IMAGE"] == "aws/codebuild/standard:7.0"
    assert own["CODEBUILD_LOG_PATH"] == build["logs"]["streamName"]
    assert own["CODEBUILD_PROJECT_ARN"] == f"arn:aws:codebuild:us-east-1:000000000000:project/{project.name}"
    assert {"CODEBUILD_INITIATOR", "CODEBUILD_START_TIME", "CODEBUILD_KMS_KEY_ID"} <= {*own}


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            "version: 0.1\nphases: {build: {commands: [x]}}",
            "YAML_FILE_ERROR",
            "version: 0.1 is not supported",
        ),
        (
            "version: 0.2\nphases: {bild: {commands: [x]}}",
            "YAML_FILE_ERROR",
            "phases.bild: there are install",
        ),
        (
            "version: 0.2\nphases: {build: {commands: [{echo a: b}]}}",
            "YAML_FILE_ERROR",
            "phases.build.commands.0",
        ),
        ("version: 0.2\nphases: [", "YAML_FILE_ERROR", "not YAML"),
        (
            "version: 0.2\nenv: {shell: fish}\nphases: {build: {commands: [x]}}",
            "YAML_FILE_ERROR",
            "env.shell",
        ),
        (
            "version: 0.2\nenv: {parameter-store: {A: /no/such}}\nphases: {build: {commands: [x]}}",
            "Decrypted Variables Error",
            "ssm:GetParameters",
        ),
    ],
)
def test_a_build_that_cannot_begin_says_why(project: Project, spec: str, code: str, message: str) -> None:
    build = project.run(spec)
    assert build["buildStatus"] == "FAILED"
    assert phases(build)["DOWNLOAD_SOURCE"] == "FAILED"
    assert "BUILD" not in phases(build)
    (context,) = contexts(build, "DOWNLOAD_SOURCE")
    assert context["statusCode"] == code
    assert message in context["message"]


def test_the_events_are_those_codebuild_documents(project: Project, queue: tuple[str, str]) -> None:
    url, arn = queue
    project.cloud.rule({"source": ["aws.codebuild"], "detail": {"project-name": [project.name]}}, arn)
    build = project.run(
        "{version: 0.2, env: {exported-variables: [A]}, phases: {build: {commands: [A=1, exit 1]}}}",
        sourceVersion="main",
        environmentVariablesOverride=[{"name": "B", "value": "2"}],
    )
    first, last = (project.cloud.message(url)["body"] for _ in range(2))
    if first["detail"]["build-status"] != "IN_PROGRESS":
        first, last = last, first
    assert last["detail-type"] == "CodeBuild Build State Change"
    assert last["resources"] == [build["arn"]]
    detail, information = last["detail"], last["detail"]["additional-information"]
    shape = SHAPES["CodeBuild Build State Change"]
    # A build without a source has no location, the project's own environment no variables.
    absent = {"detail.additional-information.source.location"}
    assert {*shape["documented"]} - absent <= {*paths(last)}
    assert {*paths(last)} | {*paths(first)} <= {*shape["documented"], *shape["also"]}
    assert (detail["build-status"], detail["build-id"]) == ("FAILED", build["arn"])
    assert (detail["current-phase"], detail["current-phase-context"]) == ("COMPLETED", "[]")
    assert information["exported-environment-variables"] == [{"name": "A", "value": "1"}]
    assert information["logs"]["stream-name"] == build["logs"]["streamName"]
    failed = next(phase for phase in information["phases"] if phase["phase-type"] == "BUILD")
    assert failed["phase-context"] == [
        "COMMAND_EXECUTION_ERROR: Error while executing command: exit 1. Reason: exit status 1"
    ]
    assert {*failed} == {
        "phase-context",
        "start-time",
        "end-time",
        "duration-in-seconds",
        "phase-type",
        "phase-status",
    }
    assert {*information["phases"][-1]} == {"start-time", "phase-type"}
    begun = first["detail"]
    assert (begun["build-status"], begun["current-phase"]) == ("IN_PROGRESS", "SUBMITTED")
    assert begun["additional-information"]["build-complete"] is False
    assert "stream-name" not in begun["additional-information"]["logs"]


def test_silence_loses_the_events_of_builds(project: Project, queue: tuple[str, str]) -> None:
    url, arn = queue
    pattern = {"source": ["aws.codebuild"], "detail": {"project-name": [project.name]}}
    project.cloud.rule(pattern, arn)
    spec = "{version: 0.2, phases: {build: {commands: [echo]}}}"
    project.cloud.control.silence("aws.codebuild")
    lost = project.run(spec)

    def statuses() -> list[str]:
        events = [event["detail"] for event in project.cloud.control.swallowed("aws.codebuild")]
        return [detail["build-status"] for detail in events if detail["build-id"] == lost["arn"]]

    wait_until(lambda: statuses() == ["IN_PROGRESS", "SUCCEEDED"], what="the last event")
    project.cloud.control.end_silence("aws.codebuild")
    heard = project.run(spec)
    assert project.cloud.message(url)["body"]["detail"]["build-id"] == heard["arn"]


def test_a_build_is_stopped_with_all_it_started(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    started = project.start(
        f"{{version: 0.2, phases: {{build: {{commands: ['sleep 600 & echo $! $$ > {place}; sleep 600']}}}}}}"
    )
    wait_until(lambda: place.exists() and place.read_text().split(), what="the command")
    pids = [int(pid) for pid in place.read_text().split()]
    stopped = project.cloud.client("codebuild").stop_build(id=started["id"])["build"]
    assert stopped["buildStatus"] == "STOPPED"
    assert phases(stopped)["BUILD"] == "STOPPED"
    assert "POST_BUILD" not in phases(stopped)
    wait_until(lambda: not any(map(_lives, pids)), what="the processes to end")
    assert not (project.cloud.state_dir / "builds" / started["id"].rpartition(":")[2]).exists()


def test_nothing_of_a_build_outlives_it(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "pid"
    commands = f"['sleep 600 & echo $! > {place}', 'kill -0 $(cat {place})']"
    build = project.run(f"{{version: 0.2, phases: {{build: {{commands: {commands}}}}}}}")
    assert build["buildStatus"] == "SUCCEEDED"
    wait_until(lambda: not _lives(int(place.read_text())), what="the process to end")


def test_a_token_asks_for_one_build(project: Project) -> None:
    spec = "{version: 0.2, phases: {build: {commands: [echo]}}}"
    first = project.start(spec, idempotencyToken="one")
    assert project.start(spec, idempotencyToken="one")["id"] == first["id"]
    assert project.start(spec, idempotencyToken="two")["id"] != first["id"]
    with pytest.raises(ClientError, match="idempotency token") as refused:
        project.start(spec, idempotencyToken="one", sourceVersion="other")
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"


def test_what_startbuild_refuses(project: Project) -> None:
    client = project.cloud.client("codebuild")
    with pytest.raises(ClientError) as refused:
        client.start_build(projectName="nobody")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError, match="timeoutInMinutesOverride is 5 to 2160"):
        project.start(timeoutInMinutesOverride=3000)
    with pytest.raises(ClientError) as refused:
        client.stop_build(id="no:such")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_without_a_role_that_may_there_is_no_build(cloud: Cloud) -> None:
    project = Project.make(cloud, serviceRole="arn:aws:iam::000000000000:role/nobody")
    build = project.run("{version: 0.2, phases: {build: {commands: [echo]}}}")
    (context,) = contexts(build, "PROVISIONING")
    assert context["statusCode"] == "CLIENT_ERROR"
    assert "sts:AssumeRole" in context["message"]
    project = Project.make(cloud, {"Effect": "Deny", "Action": "logs:CreateLogStream", "Resource": "*"})
    build = project.run("{version: 0.2, phases: {build: {commands: [echo]}}}")
    (context,) = contexts(build, "PROVISIONING")
    assert context["statusCode"] == "ACCESS_DENIED"


def test_permissions_to_start_and_to_look_are_those_of_the_project(cloud: Cloud, project: Project) -> None:
    build = project.run("{version: 0.2, phases: {build: {commands: [echo]}}}")
    probe = cloud.function(
        """
        import boto3
        def handler(event, context):
            client = boto3.client("codebuild")
            if "ids" in event:
                return len(client.batch_get_builds(**event)["builds"])
            return client.start_build(**event)["build"]["initiator"]
        """,
        {
            "Effect": "Allow",
            "Action": ["codebuild:StartBuild", "codebuild:BatchGetBuilds"],
            "Resource": f"arn:aws:codebuild:us-east-1:000000000000:project/{project.name}",
        },
        Timeout=30,
    )

    def call(**given: Any) -> str:
        answer = cloud.client("lambda").invoke(FunctionName=probe, Payload=json.dumps(given).encode())
        return str(answer["Payload"].read().decode())

    assert call(ids=[build["id"]]) == "1"
    assert "/" in call(projectName=project.name)
    other = Project.make(cloud)
    assert "codebuild:BatchGetBuilds" in call(ids=[build["id"], f"{other.name}:x"])
    assert "codebuild:StartBuild" in call(projectName=other.name)


def test_the_time_runs_out(tmp_path: Path) -> None:
    with running_cloud(tmp_path, ["--build-minute-seconds", "0.4", "--no-iam"]) as cloud:
        project = Project.make(cloud, timeoutInMinutes=5)
        build = project.run("{version: 0.2, phases: {build: {commands: [sleep 600]}}}")
        assert build["buildStatus"] == "TIMED_OUT"
        assert phases(build)["BUILD"] == "TIMED_OUT"
        assert contexts(build, "BUILD") == [
            {"statusCode": "BUILD_TIMED_OUT", "message": "Build has timed out."}
        ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_takes_its_builds_with_it(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "pid"
    with running_cloud(tmp_path, ["--no-iam"]) as cloud:
        Project.make(cloud).start(
            f"{{version: 0.2, phases: {{build: {{commands: ['echo $$ > {place}; exec sleep 600']}}}}}}"
        )
        wait_until(lambda: place.exists() and place.read_text(), what="the command")
        cloud.process.send_signal(number)
        cloud.process.wait(timeout=20)
        wait_until(lambda: not _lives(int(place.read_text())), what="the command to end")


def paths(value: object, at: str = "") -> Iterator[str]:
    """The dotted paths of the leaves."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")
    else:
        yield at


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
