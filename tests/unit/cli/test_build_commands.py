"""build, builds, and show of a build: what is started, how it is followed, and which exit code comes of it."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from rich.console import Console
from tidegate.domain.errors import TransientError
from tidegate.domain.ids import is_ulid
from tidegate.steps import plan_release
from tidegate_cli.build_following import BuildFollower
from tidegate_cli.build_starting import BuildStarted
from tidegate_cli.rendering.build_progress import BuildBoard

from tests.support.clock import iso
from tests.unit.cli.building import Machine
from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, digest

BUILD = ("build", SYSTEM, "--commit", "c9", "--branch", "main")
ENTRY_KEYS = {
    "build",
    "commit",
    "ref",
    "outcome",
    "reason",
    "explanation",
    "actor",
    "images",
    "deployments",
    "started_at",
    "finished_at",
}


@pytest.fixture
def machine(terminal: Terminal) -> Machine:
    return Machine(terminal)


def goes_well(machine: Machine) -> None:
    machine.terminal.scenes = [
        machine.select,
        partial(machine.start, "app", "jobs"),
        partial(machine.push, "app", 7),
        partial(machine.push, "jobs", 8),
        partial(machine.publish, app=7, jobs=8),
        machine.end,
    ]


def fails(machine: Machine) -> None:
    machine.terminal.scenes = [
        machine.select,
        partial(machine.start, "app", "jobs"),
        partial(machine.push, "jobs", 8),
        partial(
            machine.fail,
            "app",
            "[Container] Running command make test",
            "collected 12 items",
            "E   assert 1 == 2",
            "[Container] Phase complete: BUILD State: FAILED",
            "[Container] Entering phase POST_BUILD",
        ),
        machine.give_up,
        machine.end,
    ]


# what is started


def test_build_starts_the_machine_under_a_new_ulid(terminal: Terminal, machine: Machine) -> None:
    started = terminal.json(*BUILD, "--image", "jobs", "--image", "app", "--reason", "base image mended")
    assert started == {"build": terminal.started.name, "execution": terminal.started.arn}
    assert is_ulid(started["build"])
    assert terminal.started.machine == "build"
    assert terminal.started.payload == {
        "system": SYSTEM,
        "commit": "c9",
        "ref": "refs/heads/main",
        "images": ["jobs", "app"],
        "reason": "base image mended",
        "actor": CALLER,
    }


def test_without_a_branch_only_the_commit_is_named(terminal: Terminal, machine: Machine) -> None:
    terminal.json("build", SYSTEM, "--commit", "c9")
    assert terminal.started.payload == {"system": SYSTEM, "commit": "c9", "actor": CALLER}
    human = terminal.run("--local", "build", SYSTEM, "--commit", "c9", "--ref", "refs/tags/v1").stdout
    assert terminal.started.payload["ref"] == "refs/tags/v1"
    assert f"tidegate --local show {terminal.started.name}" in human


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--commit", "c", "--ref", "main"], "--ref"),
        (["--commit", "c", "--ref", ""], "--ref"),
        (["--commit", "c", "--ref", "refs/heads/main", "--branch", "main"], "--ref"),
        (["--commit", "c", "--branch", "refs/heads/main"], "--branch"),
        (["--commit", "c", "--branch", ""], "--branch"),
        (["--commit", "c" * 65], "--commit"),
        (["--commit", ""], "--commit"),
        ([], "--commit"),
        (["--commit", "c", "--image", "a b"], "--image"),
        (["--commit", "c", "--reason", "x" * 2000], "--reason"),
        (["--commit", "c", "--timeout", "5m"], "--timeout"),
        (["--commit", "c", "--timeout", "soon", "--wait"], "--timeout"),
    ],
)
def test_a_slip_is_told_by_its_option_and_starts_nothing(
    terminal: Terminal, machine: Machine, arguments: list[str], field: str
) -> None:
    assert terminal.json("build", SYSTEM, *arguments, exit_code=2)["error"]["field"] == field
    assert terminal.shop.world.executions.started == []


def test_a_ref_that_is_no_ref_is_told_how_to_write_it(terminal: Terminal, machine: Machine) -> None:
    human = terminal.run("build", SYSTEM, "--commit", "c", "--ref", "main").stderr
    assert "'main' is not a full ref" in human
    assert "refs/heads/main" in human


def test_an_unknown_system_starts_nothing(terminal: Terminal, machine: Machine) -> None:
    error = terminal.json("build", "shpo", "--commit", "c", exit_code=2)["error"]
    assert (error["field"], error["hint"]) == ("SYSTEM", "did you mean shop?")
    assert terminal.shop.world.executions.started == []


# how it is followed


def test_a_build_that_goes_well_is_followed_image_by_image(terminal: Terminal, machine: Machine) -> None:
    goes_well(machine)
    result = terminal.run(*BUILD, "--wait")
    assert result.exit_code == 0, result.output
    told = result.stdout
    for line in (
        "app: Waiting",
        "app: Building shop-build:1",
        "jobs: Building shop-build:2",
        f"app: Built {digest(7)[:19]}",
        "released to production",
    ):
        assert line in told
    assert told.index("app: Waiting") < told.index("app: Building") < told.index("app: Built")
    assert told.index("asked for by") < told.index("app: Waiting")
    assert told.index("jobs: Built") < told.index("released to production")
    assert "Built  c9" in told
    assert "tidegate history shop production" in told


def test_the_document_is_the_machines_own(terminal: Terminal, machine: Machine) -> None:
    goes_well(machine)
    document = terminal.json(*BUILD, "--wait")
    assert document == machine.answer["document"]
    assert document.keys() == {"outcome", "build", "commit", "reason", "images", "deployments"}
    assert (document["outcome"], document["images"]["app"]) == (
        "Built",
        {"status": "Built", "digest": digest(7)},
    )
    assert document["deployments"] == {ENVIRONMENT: terminal.started.arn}


def test_a_failed_build_shows_phase_line_and_log_and_exits_10(terminal: Terminal, machine: Machine) -> None:
    fails(machine)
    result = terminal.run(*BUILD, "--wait")
    assert result.exit_code == 10, result.output
    for line in (
        "app: FAILED in phase BUILD: ",
        "E   assert 1 == 2",
        "collected 12 items",
        "nothing was released",
    ):
        assert line in result.stdout
    assert "POST_BUILD" not in result.stdout
    assert result.stdout.count("collected 12 items") == 1


def test_a_failed_build_as_json_exits_10(terminal: Terminal, machine: Machine) -> None:
    fails(machine)
    document = terminal.json(*BUILD, "--wait", exit_code=10)
    assert document["outcome"] == "Failed"
    assert "E   assert 1 == 2" in document["reason"]
    assert document["deployments"] == {}


def test_a_commit_that_is_built_already_is_reused(terminal: Terminal, machine: Machine) -> None:
    world = terminal.shop.world
    world.images.push("shop-app", digest(7), "c9")
    world.images.push("shop-jobs", digest(8), "c9")
    terminal.scenes = [machine.select, machine.publish, machine.end]
    result = terminal.run(*BUILD, "--wait")
    assert (result.exit_code, world.builds.started) == (0, [])
    assert "app: Reused" in result.stdout


def test_no_change_exits_0_and_refused_30(terminal: Terminal, machine: Machine) -> None:
    terminal.scenes = [machine.select, machine.end]
    document = terminal.json("build", SYSTEM, "--commit", "c9", "--image", "web", "--wait", exit_code=30)
    assert document["outcome"] == "Refused"
    assert "no image web" in document["reason"]
    again = Terminal(terminal.shop)
    again.scenes = [lambda: end(again, "NoChange")]
    assert again.json(*BUILD, "--wait")["outcome"] == "NoChange"


def end(terminal: Terminal, outcome: str) -> None:
    empty: dict[str, Any] = {"images": {}, "deployments": {}}
    terminal.end({"outcome": outcome, "build": terminal.started.name, "commit": "c9", "reason": "", **empty})


def test_a_refusal_is_told_to_a_person(terminal: Terminal, machine: Machine) -> None:
    terminal.scenes = [machine.select, machine.end]
    result = terminal.run("build", SYSTEM, "--commit", "c9", "--image", "web", "--wait")
    assert result.exit_code == 30
    assert "Refused  c9  nothing was released" in result.stdout


def test_a_timeout_stops_following_and_exits_124(terminal: Terminal, machine: Machine) -> None:
    terminal.scenes = [machine.select]
    document = terminal.json(*BUILD, "--wait", "--timeout", "5s", exit_code=124)
    assert document["error"]["code"] == "timeout"
    assert document["build"] == terminal.started.name
    assert terminal.started.name in document["error"]["hint"]


def test_ctrl_c_leaves_the_build_alone(terminal: Terminal, machine: Machine) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    terminal.scenes = [interrupt]
    document = terminal.json(*BUILD, "--wait", exit_code=130)
    assert (document["error"]["code"], document["build"]) == ("interrupted", terminal.started.name)


def test_a_stopped_execution_is_followed_to_the_sweeps_word(terminal: Terminal, machine: Machine) -> None:
    world = terminal.shop.world
    terminal.scenes = [
        machine.select,
        lambda: world.executions.end(terminal.started.arn, "ABORTED"),
        machine.give_up,
    ]
    result = terminal.run(*BUILD, "--wait")
    assert result.exit_code == 10, result.output
    assert "ended as ABORTED, without an outcome" in result.stdout
    assert terminal.paused < 10


def test_what_the_ledger_has_ended_was_not_left_without_an_outcome(
    terminal: Terminal, machine: Machine
) -> None:
    def gives_up() -> None:
        machine.give_up()
        terminal.shop.world.executions.end(terminal.started.arn, "ABORTED")

    terminal.scenes = [machine.select, gives_up]
    result = terminal.run(*BUILD, "--wait")
    assert result.exit_code == 10, result.output
    assert "ABORTED" not in result.stdout


def test_an_execution_that_died_before_it_began(terminal: Terminal, machine: Machine) -> None:
    terminal.scenes = [lambda: terminal.shop.world.executions.end(terminal.started.arn, "ABORTED")]
    assert terminal.json(*BUILD, "--wait", exit_code=1)["error"]["code"] == "not_recorded"


def test_a_cause_that_says_little_is_filled_up(terminal: Terminal, machine: Machine) -> None:
    terminal.scenes = [lambda: terminal.end({"outcome": "Failed", "build": None, "reason": "X: y"}, "FAILED")]
    document = terminal.json(*BUILD, "--wait", exit_code=10)
    assert document == {
        "outcome": "Failed",
        "build": terminal.started.name,
        "commit": None,
        "reason": "X: y",
        "images": {},
        "deployments": {},
    }


def test_a_throttled_look_is_looked_again(terminal: Terminal, machine: Machine) -> None:
    goes_well(machine)
    terminal.shop.world.executions.fails("describe", TransientError("throttled"))
    assert terminal.json(*BUILD, "--wait")["outcome"] == "Built"


def test_the_board_keeps_the_last_state_and_the_failures(terminal: Terminal, machine: Machine) -> None:
    run = BuildStarted(**_started(terminal))
    fails(machine)
    screen = io.StringIO()
    board = BuildBoard(Console(file=screen, width=120, force_terminal=False), "build shop")

    def pause(seconds: float) -> None:
        terminal.scenes.pop(0)()

    with board:
        BuildFollower(terminal.shop.world.ports, run).follow(
            board.show, timeout=None, pause=pause, monotonic=lambda: 75.0
        )
    lines = screen.getvalue().splitlines()
    assert lines[0].startswith("build shop  Failed")
    assert any(line.split() == ["app", "Failed", "in", "phase", "BUILD"] for line in lines)
    assert any(line.split()[:2] == ["jobs", "Building"] for line in lines)
    assert any("E   assert 1 == 2" in line for line in lines)


def _started(terminal: Terminal) -> dict[str, str]:
    return {"system": SYSTEM, **terminal.json(*BUILD)}


# builds and show


def test_builds_are_listed_newest_first(terminal: Terminal, machine: Machine) -> None:
    assert terminal.json("builds", SYSTEM) == []
    assert "nothing of shop was built yet" in terminal.run("builds", SYSTEM).stdout
    goes_well(machine)
    first = terminal.json(*BUILD, "--wait")["build"]
    terminal.shop.world.clock.advance(60)
    second = terminal.json("build", SYSTEM, "--commit", "c10", "--image", "app", "--reason", "again")["build"]
    machine.select()
    newest, oldest = terminal.json("builds", SYSTEM)
    assert newest.keys() == oldest.keys() == ENTRY_KEYS
    assert (newest["build"], oldest["build"]) == (second, first)
    assert (newest["outcome"], newest["commit"], newest["ref"], newest["reason"]) == (
        None,
        "c10",
        None,
        "again",
    )
    assert newest["images"] == {"app": {"status": "Waiting", "digest": None}}
    assert oldest["images"]["app"] == {"status": "Built", "digest": digest(7), "codebuild": "shop-build:1"}
    assert (oldest["outcome"], oldest["ref"], oldest["actor"]) == ("Built", "refs/heads/main", CALLER)
    assert [entry["build"] for entry in terminal.json("builds", SYSTEM, "--limit", "1")] == [second]
    human = terminal.run("builds", SYSTEM).stdout
    assert human.index("c10") < human.index("c9 ")
    assert "app Built, jobs Built" in human
    assert "on-call/ada" in human


def test_builds_of_an_unknown_system(terminal: Terminal, machine: Machine) -> None:
    assert terminal.json("builds", "shpo", exit_code=2)["error"]["hint"] == "did you mean shop?"


def test_show_of_a_failed_build(terminal: Terminal, machine: Machine) -> None:
    fails(machine)
    identity = terminal.json(*BUILD, "--wait", exit_code=10)["build"]
    document = terminal.json("show", identity.lower())
    assert document.keys() >= ENTRY_KEYS | {"system", "execution", "timeline", "failure", "releases"}
    [failed] = document["failure"]["images"]
    assert failed.keys() == {"image", "phase", "reason", "logs"}
    assert (failed["image"], failed["phase"]) == ("app", "BUILD")
    assert failed["logs"][-1] == "E   assert 1 == 2"
    assert {line["what"] for line in document["timeline"]} >= {"building", "build failed", "Failed"}
    human = terminal.run("show", identity).stdout
    for told in (
        "shop  build of c9  Failed",
        "nothing was released",
        "Why app failed",
        "app: FAILED in phase BUILD: ",
        "E   assert 1 == 2",
        "Timeline",
        "tidegate build shop --commit c9 --ref refs/heads/main --wait",
    ):
        assert told in human
    assert human.index("Why app failed") < human.index("Timeline")


def test_show_of_a_build_names_the_deployments_it_started(terminal: Terminal, machine: Machine) -> None:
    goes_well(machine)
    identity = terminal.json(*BUILD, "--wait")["build"]
    assert terminal.json("show", identity)["failure"] is None
    [started] = [run for run in terminal.shop.world.executions.started if run.machine == "deploy"]
    waiting = terminal.json("show", identity)["releases"][ENVIRONMENT]
    assert waiting == {"execution": started.arn, "deployment": None, "release": None, "outcome": None}
    execution = {
        "id": started.arn,
        "name": started.name,
        "started_at": iso(terminal.shop.world.clock.now()),
    }
    event = {"step": "Plan", "request": started.payload, "execution": execution}
    deployment = plan_release.run(event, terminal.shop.world.ports)["deployment"]
    assert terminal.json("show", identity)["releases"][ENVIRONMENT]["deployment"] == deployment
    assert f"tidegate show {deployment}" in terminal.run("show", identity).stdout
    # A recovery is another execution of the same deployment.
    ledger = terminal.shop.ledger
    found = ledger.find(deployment)
    assert found is not None
    ledger.save(replace(found, execution=f"{started.arn}-recovery-1"))
    assert terminal.json("show", identity)["releases"][ENVIRONMENT]["deployment"] == deployment


def test_show_finds_neither(terminal: Terminal) -> None:
    error = terminal.json("show", "01JQ8Z5T3M9X4N7V2B6C1D0EFG", exit_code=2)["error"]
    assert error["code"] == "not_found"
    assert "tidegate builds" in error["hint"]
