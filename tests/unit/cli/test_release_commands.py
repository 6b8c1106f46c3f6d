"""plan, deploy, rollback: what is started, how it is followed, and which exit code comes of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.ids import is_ulid
from tidegate.domain.outcome import Outcome
from tidegate.ports import Scan

from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.cli.waiting import settings
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, REPOSITORY, SYSTEM, digest, manifest

PLACE = (SYSTEM, ENVIRONMENT)
IMAGE = f"app={digest(2)}"


def document(outcome: str, deployment: str = "01A") -> dict[str, Any]:
    return {"outcome": outcome, "deployment": deployment, "release": "r1", "reason": "why", "services": {}}


# plan


def test_a_plan_shows_the_difference_and_changes_nothing(terminal: Terminal) -> None:
    before = dict(terminal.shop.world.store.items)
    plan = terminal.json("plan", *PLACE, "--commit", "c2")
    assert plan["outcome_if_run"] == "Succeeded"
    [change] = plan["services"]["worker"]["differences"]
    assert change["path"] == "containerDefinitions[app].image"
    assert change["to"].endswith(digest(2))
    human = terminal.run("plan", *PLACE, "--image", IMAGE).stdout
    assert "containerDefinitions[app].image" in human
    assert "would end Succeeded" in human
    assert terminal.shop.world.store.items == before
    assert terminal.shop.world.executions.started == []


def test_a_plan_of_what_runs_already_is_no_change(terminal: Terminal) -> None:
    plan = terminal.json("plan", *PLACE, "--commit", "c1")
    assert plan["outcome_if_run"] == "NoChange"
    assert not any(service["changed"] for service in plan["services"].values())
    assert "unchanged" in terminal.run("plan", *PLACE, "--commit", "c1").stdout


def test_a_plan_that_would_be_refused_exits_0_with_the_reason(terminal: Terminal) -> None:
    terminal.shop.world.containers.service("shop-api").circuit_breaker = False
    plan = terminal.json("plan", *PLACE, "--commit", "c2")
    assert plan["outcome_if_run"] == "Refused"
    assert "circuit breaker" in plan["gates"][0]["reason"]
    assert "circuit breaker" in terminal.run("plan", *PLACE, "--commit", "c2").stdout


def test_a_plan_says_behind_whom_it_would_queue(terminal: Terminal) -> None:
    planned = terminal.shop.release(2)
    terminal.shop.acquire(planned)
    gates = {gate["gate"]: gate for gate in terminal.json("plan", *PLACE, "--commit", "c3")["gates"]}
    assert gates["lock"]["passes"] is False
    assert planned["deployment"] in gates["lock"]["reason"]


def scanned(terminal: Terminal, status: str, **findings: int) -> dict[str, Any]:
    """The gates of a plan in an environment that asks for ECR's scan, by name."""
    environment = {"region": "eu-west-1", "cluster": CLUSTER, "scan": {"fail_on": "HIGH"}}
    registered = manifest(environments={ENVIRONMENT: environment})
    terminal.shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, registered)
    terminal.shop.world.images.set_scan(REPOSITORY, digest(2), Scan(status, findings))
    return {gate["gate"]: gate for gate in terminal.json("plan", *PLACE, "--commit", "c2")["gates"]}


def test_a_plan_lists_the_scan_where_the_environment_asks_for_it(terminal: Terminal) -> None:
    gate = scanned(terminal, "COMPLETE", MEDIUM=3)["scan"]
    assert gate["passes"] is True
    assert "nothing HIGH or worse" in gate["reason"]
    assert "✓ scan:" in terminal.run("plan", *PLACE, "--commit", "c2").stdout


def test_a_plan_that_the_scan_would_refuse_names_that_gate(terminal: Terminal) -> None:
    gates = scanned(terminal, "COMPLETE", CRITICAL=1)
    assert gates["scan"]["passes"] is False
    assert "1 CRITICAL" in gates["scan"]["reason"]
    assert gates["plan"]["passes"] is True


def test_a_plan_lists_every_gate_behind_one_that_refuses(terminal: Terminal) -> None:
    """Guards `outlook`: who releases during an incident is told at once of all that is in the way."""
    settings(terminal, after="staging", approval={"by": "other"}, scan={"fail_on": "HIGH"})
    terminal.shop.world.containers.service("shop-api").circuit_breaker = False
    terminal.json("freeze", *PLACE, "--reason", "incident 93")
    plan = terminal.json("plan", *PLACE, "--commit", "c2")
    assert plan["outcome_if_run"] == "Refused"
    gates = {gate["gate"]: gate for gate in plan["gates"]}
    assert list(gates) == ["plan", "freeze", "after", "scan", "approval", "lock"]
    assert [name for name, gate in gates.items() if gate["passes"]] == ["lock"]
    assert "circuit breaker" in gates["plan"]["reason"]
    assert "incident 93" in gates["freeze"]["reason"]
    assert gates["after"]["field"] == "after"
    assert gates["approval"]["waits"] is True
    human = terminal.run("plan", *PLACE, "--commit", "c2").stdout
    assert "✗ freeze:" in human
    assert "… approval:" in human


def test_a_plan_of_images_that_are_not_there_still_tells_of_a_freeze(terminal: Terminal) -> None:
    settings(terminal, after="staging")
    terminal.json("freeze", *PLACE, "--reason", "incident 93")
    plan = terminal.json("plan", *PLACE, "--commit", "c9")
    assert plan["outcome_if_run"] == "Refused"
    assert [(gate["gate"], gate["passes"]) for gate in plan["gates"]] == [
        ("plan", False),
        ("freeze", False),
        ("lock", True),
    ]


def test_a_plan_shows_what_it_would_be_asked_and_watched_by(terminal: Terminal) -> None:
    settings(
        terminal,
        approval="required",
        bake={"for": "5m", "alarms": ["shop-5xx"]},
        freeze=[{"from": "Fri 16:00", "to": "Mon 08:00", "timezone": "Europe/London"}],
        services={"api": {"smoke": {"url": "https://shop.example/health", "within": "30s"}}},
    )
    plan = terminal.json("plan", *PLACE, "--commit", "c2")
    assert plan["outcome_if_run"] == "Succeeded"
    assert plan["bake"] == {"seconds": 300, "alarms": ["shop-5xx"]}
    assert plan["services"]["api"]["smoke"]["url"] == "https://shop.example/health"
    assert plan["services"]["worker"]["smoke"] is None
    gates = {gate["gate"]: gate for gate in plan["gates"]}
    assert gates["freeze"]["passes"] is True
    assert "Fri 16:00 to Mon 08:00 Europe/London" in gates["freeze"]["reason"]
    assert gates["approval"]["passes"] is False
    human = terminal.run("plan", *PLACE, "--commit", "c2").stdout
    assert "then watched for 300 s: shop-5xx" in human
    assert "then asked: https://shop.example/health within 30 s" in human
    unchanged = terminal.json("plan", *PLACE, "--commit", "c1")
    assert unchanged["outcome_if_run"] == "NoChange"
    assert "approval" not in {gate["gate"] for gate in unchanged["gates"]}


# what is started


def test_deploy_starts_the_machine_under_a_new_ulid(terminal: Terminal) -> None:
    started = terminal.json("deploy", *PLACE, "--image", IMAGE, "--reason", "hotfix")
    assert started == {"deployment": terminal.started.name, "execution": terminal.started.arn}
    assert is_ulid(started["deployment"])
    assert terminal.started.machine == "deploy"
    assert terminal.started.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "images": {"app": {"digest": digest(2)}},
        "reason": "hotfix",
        "actor": CALLER,
    }
    again = terminal.json("deploy", *PLACE, "--image", IMAGE, "--reason", "hotfix")
    assert again["deployment"] != started["deployment"]


def test_deploy_takes_a_release_a_commit_or_a_tag(terminal: Terminal) -> None:
    terminal.json("deploy", *PLACE, "--release", "r4")
    assert terminal.started.payload["release"] == "r4"
    terminal.json("deploy", *PLACE, "--commit", "c2", "--image", "app=c2")
    assert terminal.started.payload["commit"] == "c2"
    assert terminal.started.payload["images"] == {"app": {"tag": "c2"}}


def test_rollback_starts_its_machine(terminal: Terminal) -> None:
    terminal.json("rollback", *PLACE, "--reason", "orders are lost")
    assert terminal.started.machine == "rollback"
    assert terminal.started.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "to": "previous",
        "reason": "orders are lost",
        "actor": CALLER,
    }
    human = terminal.run("rollback", *PLACE, "--to", "r3", "--reason", "worse")
    assert f"tidegate show {terminal.started.name}" in human.stdout
    assert terminal.started.payload["to"] == "r3"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["deploy", *PLACE], "--release"),
        (["deploy", *PLACE, "--release", "41"], "--release"),
        (["deploy", *PLACE, "--release", "r1", "--commit", "c"], "--release"),
        (["deploy", *PLACE, "--image", "app"], "--image"),
        (["deploy", *PLACE, "--image", "app=sha256:12"], "--image"),
        (["deploy", *PLACE, "--image", IMAGE, "--image", IMAGE], "--image"),
        (["deploy", *PLACE, "--commit", "c" * 65], "--commit"),
        (["deploy", *PLACE, "--commit", "c", "--reason", "x" * 2000], "--reason"),
        (["deploy", "Shop", ENVIRONMENT, "--commit", "c"], "SYSTEM"),
        (["deploy", SYSTEM, "a b", "--commit", "c"], "ENV"),
        (["deploy", *PLACE, "--commit", "c", "--timeout", "5m"], "--timeout"),
        (["deploy", *PLACE, "--commit", "c", "--wait", "--timeout", "soon"], "--timeout"),
        (["rollback", *PLACE], "--reason"),
        (["rollback", *PLACE, "--reason", "x", "--to", "yesterday"], "--to"),
        (["plan", *PLACE], "--release"),
    ],
)
def test_a_slip_is_refused_before_anything_is_started(
    terminal: Terminal, arguments: list[str], field: str
) -> None:
    error = terminal.json(*arguments, exit_code=2)["error"]
    assert error["field"] == field
    assert error["hint"]
    assert terminal.shop.world.executions.started == []
    human = terminal.run(*arguments)
    assert (human.exit_code, human.stdout) == (2, "")
    assert field in human.stderr


@pytest.mark.parametrize(
    ("place", "field", "hint"),
    [
        (("shpo", ENVIRONMENT), "SYSTEM", "did you mean shop?"),
        ((SYSTEM, "prodution"), "ENV", "did you mean production?"),
        (("other-things", ENVIRONMENT), "SYSTEM", "there are shop"),
    ],
)
def test_a_place_that_is_not_registered_is_a_slip_too(
    terminal: Terminal, place: tuple[str, str], field: str, hint: str
) -> None:
    for command in (
        ["deploy", *place, "--commit", "c"],
        ["plan", *place, "--commit", "c"],
        ["history", *place],
    ):
        error = terminal.json(*command, exit_code=2)["error"]
        assert (error["code"], error["field"]) == ("not_found", field)
        assert hint in error["hint"]


def test_who_may_not_read_the_registry_may_still_release(terminal: Terminal) -> None:
    terminal.shop.world.registry.fails("manifest", OutsideError("ssm:GetParameter: AccessDenied"))
    assert terminal.json("deploy", *PLACE, "--commit", "c2").keys() == {"deployment", "execution"}


# following


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_exit_code_is_the_outcomes(terminal: Terminal, outcome: Outcome) -> None:
    status = "FAILED" if outcome.failed else "SUCCEEDED"
    terminal.scenes = [lambda: terminal.end(document(outcome.value), status)]
    result = terminal.run("--json", "deploy", *PLACE, "--commit", "c2", "--wait")
    assert result.exit_code == outcome.exit_code
    assert json.loads(result.stdout) == document(outcome.value)
    terminal.scenes = [lambda: terminal.end(document(outcome.value), status)]
    human = terminal.run("rollback", *PLACE, "--reason", "x", "--wait")
    assert human.exit_code == outcome.exit_code
    assert outcome.value in human.stdout


def test_each_event_is_one_line_once(terminal: Terminal) -> None:
    planned: list[Any] = []

    def finish() -> None:
        fence = terminal.shop.acquire(planned[0])
        for service in ("api", "worker"):
            terminal.shop.roll(planned[0], service, fence)
            terminal.shop.world.containers.complete(f"shop-{service}")
        terminal.end(terminal.shop.record(planned[0], "Succeed", fence)["document"])

    terminal.scenes = [lambda: planned.append(terminal.planned()), lambda: None, finish]
    result = terminal.run("deploy", *PLACE, "--commit", "c2", "--wait")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for told in ("deployment requested by", "lock acquired", "api: rolling", "worker: rolling"):
        assert sum(told in line for line in lines) == 1
    assert any(line.startswith("Succeeded  r1") for line in lines)
    assert "\x1b" not in result.output


def test_with_json_progress_goes_to_standard_error(terminal: Terminal) -> None:
    terminal.scenes = [terminal.planned, lambda: terminal.end(document("Succeeded"))]
    result = terminal.run("deploy", *PLACE, "--commit", "c2", "--wait", "--json")
    assert json.loads(result.stdout) == document("Succeeded")
    assert "deployment requested by" in result.stderr


def test_when_the_timeout_runs_out_the_deployment_goes_on(terminal: Terminal) -> None:
    result = terminal.run(
        "--stack", "two", "deploy", *PLACE, "--commit", "c2", "--wait", "--timeout", "90s", "--json"
    )
    assert result.exit_code == 124
    said = json.loads(result.stdout)
    assert (said["error"]["code"], said["deployment"]) == ("timeout", terminal.started.name)
    assert "goes on" in said["error"]["message"]
    assert said["error"]["hint"] == f"tidegate --stack two show {terminal.started.name}"
    assert terminal.paused == 90
    assert terminal.shop.world.executions.executions[terminal.started.arn].running


def test_ctrl_c_leaves_the_deployment_alone(terminal: Terminal) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    terminal.scenes = [interrupt]
    result = terminal.run("deploy", *PLACE, "--commit", "c2", "--wait")
    assert result.exit_code == 130
    assert "goes on" in result.stderr
    assert terminal.shop.world.executions.executions[terminal.started.arn].running


def test_a_stopped_execution_is_followed_until_the_sweep_has_an_outcome(terminal: Terminal) -> None:
    executions = terminal.shop.world.executions
    planned: list[Any] = []

    def recover() -> None:
        terminal.shop.record(
            planned[0], "Fail", error={"name": "Stopped", "cause": "an execution was stopped"}
        )

    terminal.scenes = [
        lambda: planned.append(terminal.planned()),
        lambda: executions.end(terminal.started.arn, "ABORTED"),
        lambda: None,
        recover,
    ]
    result = terminal.run("deploy", *PLACE, "--commit", "c2", "--wait", "--json")
    assert result.exit_code == 10
    assert json.loads(result.stdout)["outcome"] == "FailedClean"
    assert result.stderr.count("ended as ABORTED, without an outcome") == 1


def test_the_document_of_a_recovery_counts(terminal: Terminal) -> None:
    executions, ledger = terminal.shop.world.executions, terminal.shop.ledger
    recovery: list[str] = []

    def sweep() -> None:
        deployment = ledger.find(terminal.started.name)
        assert deployment is not None
        recovery.append(executions.run("deploy", f"{deployment.id}-recovery-1"))
        ledger.save(type(deployment).from_json({**deployment.to_json(), "execution": recovery[0]}))

    terminal.scenes = [
        terminal.planned,
        lambda: executions.end(terminal.started.arn, "TIMED_OUT"),
        sweep,
        lambda: executions.end(recovery[0], "FAILED", json.dumps(document("FailedDirty"))),
    ]
    assert terminal.run("deploy", *PLACE, "--commit", "c2", "--wait").exit_code == 20


def test_an_execution_that_died_before_it_began_is_not_waited_for(terminal: Terminal) -> None:
    terminal.scenes = [lambda: terminal.shop.world.executions.end(terminal.started.arn, "ABORTED")]
    error = terminal.json("deploy", *PLACE, "--commit", "c2", "--wait", exit_code=1)["error"]
    assert error["code"] == "not_recorded"
    assert "nothing was changed" in error["message"]


def test_an_outcome_counts_when_the_execution_hangs_after_it(terminal: Terminal) -> None:
    planned: list[Any] = []
    terminal.scenes = [
        lambda: planned.append(terminal.planned()),
        lambda: terminal.shop.record(planned[0], "Fail", error={"name": "X", "cause": "y"}),
    ]
    assert terminal.run("deploy", *PLACE, "--commit", "c2", "--wait").exit_code == 10


def test_an_execution_that_step_functions_forgot_is_read_from_the_ledger(terminal: Terminal) -> None:
    planned: list[Any] = []
    terminal.scenes = [
        lambda: planned.append(terminal.planned()),
        lambda: terminal.shop.world.executions.forget(terminal.started.arn),
        lambda: terminal.shop.record(planned[0], "Fail", error={"name": "X", "cause": "y"}),
    ]
    assert terminal.run("deploy", *PLACE, "--commit", "c2", "--wait").exit_code == 10


def test_a_moment_without_answer_is_endured_and_a_long_one_is_not(terminal: Terminal) -> None:
    executions = terminal.shop.world.executions
    executions.fails("describe", *[TransientError("states:DescribeExecution: throttled")] * 5)
    terminal.scenes = [*[lambda: None] * 6, lambda: terminal.end(document("Succeeded"))]
    assert terminal.run("deploy", *PLACE, "--commit", "c2", "--wait").exit_code == 0
    executions.fails("describe", *[TransientError("states:DescribeExecution: throttled")] * 20)
    error = terminal.json("deploy", *PLACE, "--commit", "c2", "--wait", exit_code=1)["error"]
    assert (error["code"], error["hint"]) == ("transient", "AWS did not answer in time: try again")


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"outcome": "Odd"}', '{"outcome": null}'])
def test_an_execution_that_left_no_document_is_judged_by_the_ledger(terminal: Terminal, text: str) -> None:
    planned: list[Any] = []
    terminal.scenes = [
        lambda: planned.append(terminal.planned()),
        partial(lambda: terminal.shop.world.executions.end(terminal.started.arn, "FAILED", text)),
        lambda: terminal.shop.record(planned[0], "Fail", error={"name": "X", "cause": "y"}),
    ]
    assert terminal.run("deploy", *PLACE, "--commit", "c2", "--wait").exit_code == 10
