"""doctor: each check over what it looks at, and how the whole is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_cli.connection import Connection
from tidegate_cli.doctor.checks_local import judged
from tidegate_cli.failures import CommandError
from tidegate_cli.options import Given
from tidegate_local import engine
from tidegate_local.lifecycle.cloud import Status
from tidegate_local.lifecycle.record import Cloud, Options

from tests.support.answered import Answer, Refused, denied
from tests.support.clock import iso
from tests.unit.cli.building import Machine, built_manifest
from tests.unit.cli.conftest import CALLER, FUNCTION, Terminal
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, digest, manifest

POLICY = f"lifecycle policy of {REPOSITORY}"
STATES = "arn:aws:states:eu-west-1:123456789012:stateMachine:tidegate-"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/tidegate-"
PARAMETERS = {"Clusters": "arn:aws:ecs:eu-west-1:123456789012:cluster/shop-*", "BuildTimeoutSeconds": "600"}
KEEP_MANY = {
    "tagStatus": "tagged",
    "tagPatternList": ["*"],
    "countType": "imageCountMoreThan",
    "countNumber": 1000,
}


@dataclass
class Ward:
    """A healthy installation, one part of which a test makes ill."""

    terminal: Terminal
    status: str = "UPDATE_COMPLETE"
    outputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=lambda: dict(PARAMETERS))
    messages: dict[str, int] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    mutability: str = "MUTABLE"
    auth_type: str = "AWS_IAM"
    functions: set[str] = field(default_factory=lambda: {"tidegate-control", "tidegate-smoke"})
    pushed: dict[str, float] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for machine in ("Deploy", "Rollback", "Roll", "Build", "Migrate", "Rotate"):
            self.outputs[f"{machine}MachineArn"] = f"{STATES}{machine.lower()}"
        for queue in (
            *(f"{one}DeadLetters" for one in ("Wake", "Sweep", "Rotation", "Notice")),
            "WakeFailures",
        ):
            self.outputs[f"{queue}Url"] = f"{QUEUE}{queue}"
        self.outputs["TableName"] = "tidegate"
        self.answer("sts", "GetCallerIdentity", lambda _: {"Arn": CALLER, "Account": "123456789012"})
        self.answer("cloudformation", "DescribeStacks", self._stacks)
        self.answer("cloudformation", "ListStackResources", self._resources)
        self.answer("stepfunctions", "DescribeStateMachine", self._machine)
        self.answer("dynamodb", "DescribeTable", lambda _: {"Table": {"TableStatus": "ACTIVE"}})
        self.answer("sqs", "GetQueueAttributes", self._queue)
        self.answer("lambda", "GetFunctionUrlConfig", self._function_url)
        self.answer("lambda", "GetFunctionConfiguration", self._function)
        self.answer("ecr", "GetLifecyclePolicy", self._policy)
        self.answer("ecr", "DescribeRepositories", self._repository)
        self.answer("ecr", "DescribeImages", self._images)
        self.answer("ssm", "GetParameters", self._told)

    def answer(self, service: str, operation: str, answer: Answer) -> None:
        self.terminal.aws.answers[service, operation] = answer

    def document(self, exit_code: int = 0) -> dict[str, Any]:
        return dict(self.terminal.json("doctor", exit_code=exit_code))

    def found(self, name: str, exit_code: int = 0) -> dict[str, Any]:
        """The one finding of this name."""
        [finding] = [entry for entry in self.document(exit_code)["checks"] if entry["name"] == name]
        return finding

    def keep(self, *rules: Mapping[str, Any], repository: str = REPOSITORY) -> None:
        """The lifecycle policy; priorities as listed."""
        entries = [
            {"rulePriority": number, "selection": dict(selection), "action": {"type": "expire"}}
            for number, selection in enumerate(rules, start=1)
        ]
        self.policies[repository] = json.dumps({"rules": entries})

    def _stacks(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["StackName"] != "tidegate" or not self.status:
            raise Refused("ValidationError", "Stack with id tidegate does not exist")
        stack = {
            "StackName": "tidegate",
            "CreationTime": self.terminal.shop.world.clock.now(),
            "StackStatus": self.status,
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()],
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()
            ],
        }
        return {"Stacks": [stack]}

    def _resources(self, _: dict[str, Any]) -> dict[str, Any]:
        resources = [
            ("AWS::CloudWatch::Alarm", "tidegate-failed-dirty"),
            ("AWS::CloudWatch::Alarm", "tidegate-sweep-errors"),
            ("AWS::DynamoDB::Table", "tidegate"),
        ]
        now = self.terminal.shop.world.clock.now()
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": physical,
                    "PhysicalResourceId": physical,
                    "ResourceType": type_,
                    "ResourceStatus": "CREATE_COMPLETE",
                    "LastUpdatedTimestamp": now,
                }
                for type_, physical in resources
            ]
        }

    def _machine(self, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters["stateMachineArn"]
        now = self.terminal.shop.world.clock.now()
        named = {
            "stateMachineArn": arn,
            "name": arn.rpartition(":")[2],
            "definition": "{}",
            "roleArn": "arn:x",
        }
        return {**named, "type": "STANDARD", "creationDate": now, "status": "ACTIVE"}

    def _queue(self, parameters: dict[str, Any]) -> dict[str, Any]:
        count = self.messages.get(parameters["QueueUrl"].removeprefix(QUEUE), 0)
        return {
            "Attributes": {
                name: str(count if name.endswith("Messages") else 0) for name in parameters["AttributeNames"]
            }
        }

    def _function_url(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._function(parameters)
        return {
            "FunctionUrl": "https://abc.lambda-url.eu-west-1.on.aws/",
            "FunctionArn": FUNCTION,
            "AuthType": self.auth_type,
            "CreationTime": "2026-03-02T09:00:00Z",
            "LastModifiedTime": "2026-03-02T09:00:00Z",
        }

    def _function(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["FunctionName"] not in self.functions:
            raise Refused("ResourceNotFoundException")
        return {"FunctionName": parameters["FunctionName"]}

    def _policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        text = self.policies.get(parameters["repositoryName"])
        if text is None:
            raise Refused("LifecyclePolicyNotFoundException")
        return {"lifecyclePolicyText": text}

    def _repository(self, parameters: dict[str, Any]) -> dict[str, Any]:
        [name] = parameters["repositoryNames"]
        if name not in self.terminal.shop.world.images.repositories:
            raise Refused("RepositoryNotFoundException")
        return {"repositories": [{"repositoryName": name, "imageTagMutability": self.mutability}]}

    def _told(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What infrastructure as code finds in Parameter Store."""
        registry = self.terminal.shop.world.registry
        known = {f"/tidegate/{s}/{e}/image/{key}": uri for (s, e, key), uri in registry.images.items()}
        known |= {f"/tidegate/{s}/{e}/count/{key}": count for (s, e, key), count in registry.counts.items()}
        names = parameters["Names"]
        assert len(names) <= 10
        found = [{"Name": name, "Value": known[name]} for name in names if name in known]
        return {"Parameters": found, "InvalidParameters": [name for name in names if name not in known]}

    def _images(self, parameters: dict[str, Any]) -> dict[str, Any]:
        now = self.terminal.shop.world.clock.now()
        stored = self.terminal.shop.world.images.repositories[parameters["repositoryName"]]
        return {
            "imageDetails": [
                {
                    "imageDigest": found,
                    "imageTags": sorted(tags),
                    "imagePushedAt": now - timedelta(days=self.pushed.get(found, 1)),
                    "imageStatus": "ARCHIVED" if found in self.archived else "ACTIVE",
                }
                for found, tags in stored.items()
            ]
        }


@pytest.fixture
def ward(terminal: Terminal) -> Ward:
    return Ward(terminal)


# the whole


def test_a_healthy_installation_has_nothing_to_mend(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    document = ward.document()
    assert document.keys() == {"checks", "ok"}
    assert document["ok"] is True
    assert {entry["status"] for entry in document["checks"]} == {"ok"}
    assert all(entry.keys() == {"name", "status", "message"} for entry in document["checks"])
    human = ward.terminal.run("doctor")
    assert human.exit_code == 0
    assert "✓ installation: stack tidegate is in UPDATE_COMPLETE" in human.stdout
    assert human.stdout.rstrip().endswith("nothing is wrong")


def test_nothing_is_changed(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    before = json.dumps(list(ward.terminal.shop.world.store.items.values()))
    started = list(ward.terminal.shop.world.executions.started)
    ward.document()
    assert json.dumps(list(ward.terminal.shop.world.store.items.values())) == before
    assert ward.terminal.shop.world.executions.started == started
    assert {call[1].startswith(("Get", "Describe", "List")) for call in ward.terminal.aws.asked} == {True}


def test_an_error_is_marked_with_its_mend_and_exits_1(ward: Ward) -> None:
    ward.status = ""
    result = ward.terminal.run("doctor")
    assert result.exit_code == 1
    assert "✗ installation: there is no CloudFormation stack tidegate in eu-west-1" in result.stdout
    assert "mend: check --stack" in result.stdout
    assert "1 error" in result.stdout
    assert ward.document(exit_code=1)["ok"] is False


def test_what_the_caller_may_not_see_is_skipped_and_hides_nothing_else(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.messages["WakeFailures"] = 3
    for operation in (("cloudformation", "ListStackResources"), ("ecr", "GetLifecyclePolicy")):
        ward.answer(*operation, denied)
    document = ward.document()
    by_name = {entry["name"]: entry for entry in document["checks"]}
    for name, action in (
        ("alarms", "cloudformation:ListStackResources"),
        (POLICY, "ecr:GetLifecyclePolicy"),
    ):
        assert by_name[name]["status"] == "skipped"
        assert action in by_name[name]["message"]
        assert f"allow {action}" in by_name[name]["hint"]
    assert by_name["dead letters"]["status"] == "warning"
    assert "2 skipped" in ward.terminal.run("doctor").stdout


def test_one_reason_is_told_once(ward: Ward) -> None:
    ward.answer("cloudformation", "DescribeStacks", denied)
    checks = {entry["name"]: entry for entry in ward.document()["checks"]}
    assert "cloudformation:DescribeStacks" in checks["installation"]["message"]
    for name in ("template", "state machines", "table", "reach", "dead letters", "alarms"):
        said = {"name": name, "status": "skipped", "message": "not looked at, as installation was not"}
        assert checks[name] == said
    assert checks["runs"]["status"] == "ok"


def test_a_check_that_breaks_is_a_line_not_a_traceback(ward: Ward) -> None:
    def broken(_: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("a bug")

    ward.answer("sqs", "GetQueueAttributes", broken)
    result = ward.terminal.run("doctor")
    assert result.exit_code == 1
    assert "✗ dead letters: the check itself failed: RuntimeError: a bug" in result.stdout
    assert "Traceback" not in result.output
    assert "alarms: 2 are quiet" in result.stdout


def test_no_answer_in_time_is_skipped(ward: Ward) -> None:
    ward.terminal.shop.world.alarms.fails("in_alarm", TransientError("cloudwatch:DescribeAlarms: Throttling"))
    assert ward.found("alarms")["status"] == "skipped"


def test_without_credentials_nothing_else_is_asked(ward: Ward) -> None:
    def expired(_: dict[str, Any]) -> dict[str, Any]:
        raise Refused("ExpiredToken", "the token has expired")

    ward.answer("sts", "GetCallerIdentity", expired)
    checks = ward.document(exit_code=1)["checks"]
    assert [(entry["name"], entry["status"]) for entry in checks] == [
        ("credentials", "error"),
        ("everything else", "skipped"),
    ]
    assert "sign in again" in checks[0]["hint"]


def test_no_connection_is_a_line_as_well(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(given: Given) -> Connection:
        raise CommandError("no region is chosen", code="no_region", hint="give --region")

    monkeypatch.setattr(ward.terminal, "_connect", nowhere)
    document = ward.document(exit_code=1)
    assert document["checks"] == [
        {"name": "connection", "status": "error", "message": "no region is chosen", "hint": "give --region"},
        {"name": "everything else", "status": "skipped", "message": "cannot be asked without that"},
    ]


# the installation


@pytest.mark.parametrize(
    ("status", "says", "exit_code"),
    [
        ("CREATE_COMPLETE", "ok", 0),
        ("IMPORT_COMPLETE", "ok", 0),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", 0),
        ("UPDATE_IN_PROGRESS", "warning", 0),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "warning", 0),
        ("ROLLBACK_COMPLETE", "error", 1),
        ("UPDATE_ROLLBACK_FAILED", "error", 1),
    ],
)
def test_the_stacks_status(ward: Ward, status: str, says: str, exit_code: int) -> None:
    ward.status = status
    finding = ward.found("installation", exit_code)
    assert finding["status"] == says
    assert status in finding["message"]


def test_an_installation_that_is_older_than_the_command(ward: Ward) -> None:
    del ward.outputs["BuildMachineArn"]
    finding = ward.found("template", exit_code=1)
    assert (finding["status"], "BuildMachineArn" in finding["message"]) == ("error", True)


def test_a_machine_and_a_table_that_are_gone(ward: Ward) -> None:
    def gone(code: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def answer(_: dict[str, Any]) -> dict[str, Any]:
            raise Refused(code)

        return answer

    ward.answer("stepfunctions", "DescribeStateMachine", gone("StateMachineDoesNotExist"))
    ward.answer("dynamodb", "DescribeTable", gone("ResourceNotFoundException"))
    assert "tidegate-deploy" in ward.found("state machines", exit_code=1)["message"]
    assert "not there" in ward.found("table", exit_code=1)["message"]


def test_the_functions_of_on_call_and_smoke_checks_are_looked_at(ward: Ward) -> None:
    assert (
        ward.found("control")["message"] == "the URL of function tidegate-control takes signed requests only"
    )
    assert ward.found("smoke checks")["message"] == "function tidegate-smoke is there"
    ward.functions.clear()
    control = ward.found("control", exit_code=1)
    assert (control["status"], "nobody can abort" in control["message"]) == ("error", True)
    assert "sam deploy" in control["hint"]
    assert ward.found("smoke checks", exit_code=1)["status"] == "error"


def test_a_control_whose_url_is_open_is_an_error(ward: Ward) -> None:
    ward.auth_type = "NONE"
    finding = ward.found("control", exit_code=1)
    assert (finding["status"], "AuthType NONE" in finding["message"]) == ("error", True)
    ward.answer("lambda", "GetFunctionUrlConfig", denied)
    assert "lambda:GetFunctionUrlConfig" in ward.found("control")["message"]


def test_parameters_that_were_left_wide(ward: Ward) -> None:
    ward.parameters |= {"TaskRoles": "this-account-and-region", "Repositories": "this-account-and-region"}
    finding = ward.found("reach")
    assert finding["status"] == "warning"
    assert "Repositories, TaskRoles" in finding["message"]
    assert "Clusters" not in finding["message"]


@pytest.mark.parametrize(
    ("port", "method", "name"),
    [
        ("store", "get", "permission: ledger"),
        ("store", "query_kind", "permission: index"),
        ("registry", "systems", "permission: registry"),
        ("executions", "describe", "permission: executions"),
    ],
)
def test_a_permission_that_is_missing_is_an_error(ward: Ward, port: str, method: str, name: str) -> None:
    getattr(ward.terminal.shop.world, port).fails(method, OutsideError("x: AccessDenied", hint="allow x"))
    finding = ward.found(name, exit_code=1)
    assert (finding["status"], finding["hint"]) == ("error", "allow x")


# what is stuck


def test_a_deployment_whose_execution_died(ward: Ward) -> None:
    planned = ward.terminal.shop.release(2)
    world = ward.terminal.shop.world
    execution = ward.terminal.shop.deployment(planned).execution
    assert ward.found("runs")["status"] == "ok"
    world.executions.end(execution, "ABORTED")
    assert ward.found("runs")["status"] == "warning"
    world.clock.advance(600)
    finding = ward.found("runs", exit_code=1)
    assert planned["deployment"] in finding["message"]
    assert "ABORTED" in finding["message"]
    assert "sweep" in finding["hint"]


def test_a_build_whose_execution_is_gone(ward: Ward) -> None:
    machine = Machine(ward.terminal)
    build = ward.terminal.json("build", SYSTEM, "--commit", "c9")["build"]
    machine.select()
    ward.terminal.shop.world.executions.forget(ward.terminal.started.arn)
    assert f"build {build} of shop" in ward.found("runs", exit_code=1)["message"]


def test_a_token_that_waits_longer_than_its_task_may(ward: Ward) -> None:
    machine = Machine(ward.terminal)
    ward.terminal.json("build", SYSTEM, "--commit", "c9")
    machine.select()
    machine.start("app")
    ward.terminal.shop.world.clock.advance(601)
    assert ward.found("waiting tasks")["status"] == "ok"
    ward.terminal.shop.world.clock.advance(300)
    finding = ward.found("waiting tasks")
    assert finding["status"] == "warning"
    assert machine.build_id("app") in finding["message"]


def test_a_lock_whose_owner_has_ended(ward: Ward) -> None:
    shop = ward.terminal.shop
    planned = shop.release(2)
    shop.acquire(planned)
    assert ward.found("locks")["message"] == "1 held, each by a run under way"
    shop.ledger.end(shop.deployment(planned), Outcome.FAILED_CLEAN, "why")
    assert ward.found("locks")["status"] == "warning"
    shop.world.clock.advance(600)
    finding = ward.found("locks", exit_code=1)
    assert planned["deployment"] in finding["message"]
    assert not Locks(shop.world.store, shop.world.clock).read(SYSTEM, ENVIRONMENT).free


def test_a_lock_that_failed_dirty_needs_a_person(ward: Ward) -> None:
    shop = ward.terminal.shop
    planned = shop.release(2)
    shop.acquire(planned)
    shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "why")
    finding = ward.found("locks", exit_code=1)
    assert "a person is needed" in finding["message"]
    assert f"tidegate show {planned['deployment']}" in finding["hint"]


# what rings


def test_dead_letters_and_alarms(ward: Ward) -> None:
    ward.messages["WakeDeadLetters"] = 2
    finding = ward.found("dead letters")
    assert (finding["status"], "tidegate-WakeDeadLetters has 2" in finding["message"]) == ("warning", True)
    ward.terminal.shop.world.alarms.alarming |= {"tidegate-failed-dirty", "somebody-elses"}
    finding = ward.found("alarms", exit_code=1)
    assert (finding["status"], finding["message"]) == ("error", "tidegate-failed-dirty is in ALARM")


# the systems


def test_a_manifest_that_does_not_parse(ward: Ward) -> None:
    ward.terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT] = '{"system": "shop"}'
    finding = ward.found(f"system {SYSTEM}/{ENVIRONMENT}", exit_code=1)
    assert "cannot be used" in finding["message"]
    ward.terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT] = "{"
    assert ward.found(f"system {SYSTEM}/{ENVIRONMENT}", exit_code=1)["status"] == "error"


def test_what_a_manifest_names_and_is_not_there(ward: Ward) -> None:
    world = ward.terminal.shop.world
    world.registry.put_manifest(SYSTEM, ENVIRONMENT, built_manifest())
    world.containers.clusters["shop-cluster"].pop("shop-api")
    checks = ward.document(exit_code=1)["checks"]
    told = [entry["message"] for entry in checks if entry["name"] == f"system {SYSTEM}/{ENVIRONMENT}"]
    assert told == [
        "image jobs: ECR has no repository shop-jobs",
        "image app: CodeBuild has no project shop-build",
        "image jobs: CodeBuild has no project shop-build",
        "service api: ECS has no active service shop-api in cluster shop-cluster",
    ]


def test_a_cluster_that_is_not_there(ward: Ward) -> None:
    environments = {ENVIRONMENT: {"region": "eu-west-1", "cluster": "other"}}
    ward.terminal.shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(environments=environments))
    assert (
        "none of its services in cluster other" in ward.found(f"system {SYSTEM}/{ENVIRONMENT}", 1)["message"]
    )


def logs_in(ward: Ward, **settings: Any) -> dict[str, Any]:
    """The finding about a system whose migrations log in to its database, as runners of the task have it."""
    task = {"runner": "task", "service": "api", "command": ["up"], "secret": "shop/{environment}/database"}
    environment = {**manifest()["environments"][ENVIRONMENT], **settings}
    data = manifest(migrations=task, environments={ENVIRONMENT: environment})
    ward.terminal.shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)
    named = f"system {SYSTEM}/{ENVIRONMENT}"
    exit_code = ward.terminal.run("doctor").exit_code
    return ward.found(named, exit_code)


def test_migrations_that_may_read_no_secret(ward: Ward) -> None:
    """Guards `_migrations`: without it the first who learns of this is the one whose release fails."""
    found = logs_in(ward)
    assert found["status"] == "error"
    assert "secret shop/production/database, and stack tidegate may read none" in found["message"]
    assert "MigrationSecrets" in found["hint"]
    ward.parameters["MigrationSecrets"] = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/*"
    assert logs_in(ward)["status"] == "ok"


def test_the_environments_own_runner_is_the_one_that_reads_the_secret(ward: Ward) -> None:
    found = logs_in(ward, runner="tidegate-runner-production")
    assert "no CloudFormation stack tidegate-runner-production" in found["message"]
    assert "infrastructure/runner.yaml" in found["hint"]


def test_no_system_at_all(ward: Ward) -> None:
    ward.terminal.shop.world.registry.texts.clear()
    finding = ward.found("systems")
    assert (finding["status"], "tidegate apply" in finding["hint"]) == ("skipped", True)


# lifecycle policies


def test_no_policy_deletes_nothing(ward: Ward) -> None:
    assert ward.found("lifecycle policies")["status"] == "skipped"
    ward.terminal.shop.go_out(2)
    finding = ward.found(POLICY)
    assert (finding["status"], finding["message"]) == ("ok", "none is set: ECR keeps what is needed")


def test_an_image_that_runs_and_would_be_deleted_now(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.pushed[digest(2)] = 10
    ward.keep({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2})
    finding = ward.found(POLICY, exit_code=1)
    assert finding["status"] == "error"
    for told in (
        "rule 1 (any, imageCountMoreThan 2) deletes",
        digest(2)[:19],
        "app of r1, which runs in shop/production",
        "now",
    ):
        assert told in finding["message"]
    for told in ('"tagPatternList": ["*"]', '"countNumber": 1000', "rulePriority below 1"):
        assert told in finding["hint"]


def test_the_way_back_is_needed_as_well(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.terminal.shop.world.clock.advance(60)
    ward.terminal.shop.go_out(3)
    ward.pushed |= {digest(1): 0.5, digest(3): 1, digest(2): 2}
    ward.keep({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2})
    finding = ward.found(POLICY, exit_code=1)
    assert "app of r1, which is the way back of shop/production" in finding["message"]
    assert "(and 1 more of its images)" in finding["message"]


def test_an_image_that_would_be_deleted_some_day_is_a_warning(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.keep({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30})
    finding = ward.found(POLICY)
    assert (finding["status"], "after " in finding["message"]) == ("warning", True)
    ward.keep({"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14})
    now = ward.terminal.shop.world.clock.now()
    assert iso(now + timedelta(days=13))[:10] in ward.found(POLICY)["message"]


def test_the_mend_that_is_proposed_mends(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.pushed[digest(2)] = 100
    days = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    ward.keep(days)
    hint = ward.found(POLICY, exit_code=1)["hint"]
    proposed = json.loads(hint[hint.index("{") : hint.rindex("}") + 1])
    assert proposed == KEEP_MANY
    ward.keep(proposed, days)
    assert ward.found(POLICY)["status"] == "ok"


def test_only_a_tag_that_moves_protects_it(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.terminal.shop.world.images.push(REPOSITORY, digest(2), "latest")
    latest = {**KEEP_MANY, "tagPatternList": ["latest"]}
    ward.keep(latest, {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30})
    finding = ward.found(POLICY)
    assert finding["status"] == "warning"
    assert "once a tag of it moves to another image" in finding["message"]
    ward.mutability = "IMMUTABLE"
    assert ward.found(POLICY)["status"] == "ok"


def test_an_image_that_is_gone_or_archived(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.archived.add(digest(2))
    assert "is in the archive" in ward.found(POLICY, exit_code=1)["message"]
    ward.terminal.shop.world.images.delete(REPOSITORY, digest(2))
    assert "not in ECR any more" in ward.found(POLICY, exit_code=1)["message"]


def test_a_policy_that_cannot_be_read_is_told(ward: Ward) -> None:
    ward.terminal.shop.go_out(2)
    ward.policies[REPOSITORY] = "{" + " " * 100
    finding = ward.found(POLICY)
    assert (finding["status"], "cannot be understood" in finding["message"]) == ("warning", True)
    del ward.policies[REPOSITORY]
    del ward.terminal.shop.world.images.repositories[REPOSITORY]
    assert "the repository is not there" in ward.found(POLICY, exit_code=1)["message"]


# the embedded cloud


def test_the_embedded_cloud_and_docker() -> None:
    there = engine.Engine("unix:///var/run/docker.sock", "29.1.0")
    running = Status("running", Cloud(Options(iam=False), 1))
    statuses = {finding.name: finding.status.value for finding in judged(running, there)}
    assert statuses == {"embedded cloud": "ok", "docker": "ok", "containers": "warning", "iam": "warning"}
    told = list(judged(Status("stopped", None), "no Docker engine answers at unix:///x"))
    assert [(finding.name, finding.status.value) for finding in told] == [
        ("embedded cloud", "error"),
        ("docker", "warning"),
    ]
    assert told[0].hint == "tidegate local up"
