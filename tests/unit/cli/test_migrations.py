"""Migrations on the command line: planned, approved, run alone, failed, and a schema that is ahead."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.steps import lock

from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.cli.migrating import CONTRACT, EXPAND, SQL, TASK, bring, migrate, migrates, run_task
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, digest

PLACE = (SYSTEM, ENVIRONMENT)
RELEASE = ("--release", "r1")


def succeed(terminal: Terminal, version: int, head: str, before: str | None = None) -> str:
    """A version goes out, with its migration; the deployment's id."""
    shop = terminal.shop
    planned = shop.release(version)
    assert planned["outcome"] == "Ready", planned["reason"]
    fence = shop.acquire(planned, f"lock-{version}")
    if planned["migration"]:
        migrate(shop, planned, fence, "Migrated", head=head, head_before=before)
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"
    return str(planned["deployment"])


def awaited(terminal: Terminal, version: int) -> str:
    """A release that asks for approval; the deployment's id."""
    planned = terminal.shop.release(version)
    token = terminal.shop.world.executions.wait(f"approval-{version}")
    execution = terminal.shop.deployment(planned).execution
    event = {"step": "AwaitApproval", **terminal.shop.place(planned), "token": token, "execution": execution}
    lock.run(event, terminal.shop.world.ports)
    return str(planned["deployment"])


# plan


def test_a_plan_has_the_sql_files_that_would_run(terminal: Terminal) -> None:
    migrates(terminal, SQL)
    bring(terminal, 2, EXPAND, CONTRACT)
    before = dict(terminal.shop.world.store.items)
    plan = terminal.json("plan", *PLACE, "--commit", "c2")
    assert plan["outcome_if_run"] == "Succeeded"
    [migration] = plan["migrations"]
    files = migration.pop("files")
    assert migration == {
        "runner": "sql",
        "image": "app",
        "digest": digest(2),
        "directory": "/migrations",
        "verify": [],
        "secret": "shop/production/database",
        "snapshot": False,
        "timeout": 900,
        "lock_timeout": 5,
        "linter": "squawk 2.70.0",
    }
    assert [(file["name"], file["kind"]) for file in files] == [(EXPAND, "expand"), (CONTRACT, "contract")]
    assert all(file.keys() == {"name", "kind", "reasons", "findings"} for file in files)
    assert files[1]["reasons"]
    assert files[1]["findings"][0]["rule"] == "ban-drop-column"
    assert terminal.shop.world.store.items == before
    assert terminal.shop.world.executions.started == []


def test_a_plan_says_why_a_contract_step_is_to_be_approved(terminal: Terminal) -> None:
    """Guards `because` in the gate: nothing in the manifest asks for approval here."""
    migrates(terminal, SQL)
    bring(terminal, 2, EXPAND, CONTRACT)
    gates = {gate["gate"]: gate for gate in terminal.json("plan", *PLACE, "--commit", "c2")["gates"]}
    assert gates["approval"]["waits"] is True
    assert f"because {CONTRACT} takes away" in gates["approval"]["reason"]
    human = terminal.run("plan", *PLACE, "--commit", "c2").stdout
    for told in (
        "migrations  before the first wave: 2 SQL files of /migrations",
        "within 15 min, waiting 5 s at most for a lock",
        "looked at by squawk 2.70.0",
        f"expand   {EXPAND}",
        f"contract {CONTRACT}  ",
        "line 1, ban-drop-column: Dropping a column",
        "… approval:",
    ):
        assert told in human, told


def test_a_plan_with_a_task_has_its_command_and_no_password(terminal: Terminal) -> None:
    migrates(terminal, {**TASK, "command": ["upgrade", "postgres://me:hunter2@db/shop"]})
    [migration] = terminal.json("plan", *PLACE, "--commit", "c2")["migrations"]
    assert "directory" not in migration
    assert migration["command"][0] == "upgrade"
    assert migration["verify"] == ["alembic", "current", "--check-heads"]
    assert (migration["secret"], migration["files"], migration["linter"]) == (None, [], None)
    human = terminal.run("plan", *PLACE, "--commit", "c2").stdout
    assert "before the first wave: upgrade" in human
    assert "then verified: alembic current --check-heads" in human
    assert "hunter2" not in f"{human}{migration}"


def test_a_plan_without_anything_to_migrate_has_an_empty_list(terminal: Terminal) -> None:
    assert terminal.json("plan", *PLACE, "--commit", "c2")["migrations"] == []
    migrates(terminal, TASK)
    succeed(terminal, 2, "0001")
    assert terminal.json("plan", *PLACE, "--commit", "c2")["migrations"] == []
    [again] = terminal.json("plan", *PLACE, "--commit", "c2", "--force")["migrations"]
    assert again["runner"] == "task"


def test_a_plan_over_what_cannot_be_undone_is_refused_unless_it_is_forced(terminal: Terminal) -> None:
    migrates(terminal, TASK)
    succeed(terminal, 2, "0000")
    migrates(terminal, SQL)
    bring(terminal, 2, EXPAND)
    bring(terminal, 3, EXPAND, CONTRACT)
    identity = awaited(terminal, 3)
    terminal.json("approve", identity, "--yes")
    planned = {"system": SYSTEM, "environment": ENVIRONMENT, "deployment": identity}
    fence = terminal.shop.acquire(planned)
    migrate(terminal.shop, planned, fence, "Migrated", head=CONTRACT, head_before=EXPAND)
    for service in ("api", "worker"):
        terminal.shop.roll(planned, service, fence)
        terminal.shop.world.containers.complete(f"shop-{service}")
    terminal.shop.record(planned, "Succeed", fence)
    migrates(terminal, TASK)
    plan = terminal.json("plan", *PLACE, *RELEASE)
    assert plan["outcome_if_run"] == "Refused"
    [gate] = [gate for gate in plan["gates"] if gate["gate"] == "plan"]
    assert f"r1 ran here before {CONTRACT} (r2)" in gate["reason"]
    assert "--force" in gate["reason"]
    assert terminal.json("plan", *PLACE, *RELEASE, "--force")["outcome_if_run"] == "Succeeded"


# what is started


def test_deploy_and_rollback_pass_force_when_it_is_given(terminal: Terminal) -> None:
    terminal.json("deploy", *PLACE, *RELEASE, "--force")
    assert terminal.started.payload["force"] is True
    terminal.json("rollback", *PLACE, "--reason", "worse", "--force")
    assert (terminal.started.machine, terminal.started.payload["force"]) == ("rollback", True)
    for command in (["deploy", *PLACE, *RELEASE], ["rollback", *PLACE, "--reason", "worse"]):
        terminal.json(*command)
        assert "force" not in terminal.started.payload


def test_migrate_starts_a_deployment_of_migrations_alone(terminal: Terminal) -> None:
    started = terminal.json("migrate", *PLACE, *RELEASE, "--reason", "a new column")
    assert started == {"deployment": terminal.started.name, "execution": terminal.started.arn}
    assert terminal.started.machine == "deploy"
    assert terminal.started.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "release": "r1",
        "only": "migrations",
        "reason": "a new column",
        "actor": CALLER,
    }
    human = terminal.run("migrate", *PLACE, *RELEASE, "--force").stdout
    assert terminal.started.payload["force"] is True
    assert f"started: migrations {terminal.started.name}" in human
    assert f"tidegate show {terminal.started.name}" in human


@pytest.mark.parametrize(
    ("outcome", "exit_code"),
    [("Succeeded", 0), ("NoChange", 0), ("FailedClean", 10), ("FailedDirty", 20), ("Refused", 30)],
)
def test_migrate_ends_with_the_exit_code_of_its_outcome(
    terminal: Terminal, outcome: str, exit_code: int
) -> None:
    document: dict[str, Any] = {
        "outcome": outcome,
        "deployment": "01A",
        "release": "r1",
        "reason": "why",
        "services": {},
    }
    status = "FAILED" if outcome.startswith("Failed") else "SUCCEEDED"
    terminal.scenes = [lambda: terminal.end(document, status)]
    assert terminal.json("migrate", *PLACE, *RELEASE, "--wait", exit_code=exit_code) == document
    terminal.scenes = [lambda: terminal.end(document, status)]
    human = terminal.run("migrate", *PLACE, *RELEASE, "--wait")
    assert (human.exit_code, outcome in human.stdout) == (exit_code, True)


def test_the_timeout_of_migrate_ends_it_with_124(terminal: Terminal) -> None:
    said = terminal.json("migrate", *PLACE, *RELEASE, "--wait", "--timeout", "3s", exit_code=124)
    assert said["error"]["code"] == "timeout"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["migrate", *PLACE], "--release"),
        (["migrate", *PLACE, "--release", "41"], "--release"),
        (["migrate", *PLACE, *RELEASE, "--timeout", "5m"], "--timeout"),
        (["migrate", "shpo", ENVIRONMENT, *RELEASE], "SYSTEM"),
    ],
)
def test_a_slip_starts_no_migration(terminal: Terminal, arguments: list[str], field: str) -> None:
    error = terminal.json(*arguments, exit_code=2)["error"]
    assert (error["field"], bool(error["hint"])) == (field, True)
    assert terminal.shop.world.executions.started == []


# what it is called


def test_migrations_alone_are_called_so_everywhere(terminal: Terminal) -> None:
    """Guards `what_of`: who reads `deployment` at 3 a.m. looks for what was released."""
    terminal.shop.go_out(2)
    migrates(terminal, TASK)
    planned = terminal.shop.plan(release="r1", only="migrations")
    identity = str(planned["deployment"])
    fence = terminal.shop.acquire(planned, "lock-m")
    migrate(terminal.shop, planned, fence, None)
    assert terminal.json("history", *PLACE)[0]["what"] == "migrations"
    assert terminal.json("changes")[0]["what"] == "migrations"
    shown = terminal.json("show", identity)
    assert (shown["what"], shown["phase"]) == ("migrations", "Migrating")
    assert shown["migration"]["outcome"] is None
    [entry] = terminal.json("watch")
    assert (entry["what"], entry["phase"], entry["services"]) == ("migrations", "Migrating", {})
    assert f"under way: migrations {identity}, migrating" in terminal.run("status").stdout
    human = terminal.run("show", identity).stdout
    assert "migrations of r1" in human
    assert "migration  under way since" in human
    assert "migrating  alembic upgrade head of image app" in human
    assert "migrations" in terminal.run("history", *PLACE).stdout


# how it ended


def test_show_has_what_the_migration_did(terminal: Terminal) -> None:
    migrates(terminal, TASK)
    identity = succeed(terminal, 2, "9f3c", before="1a2b")
    migration = terminal.json("show", identity)["migration"]
    assert migration.keys() == {
        *("outcome", "reason", "head", "head_before", "task", "snapshot", "started_at", "finished_at")
    }
    assert (migration["outcome"], migration["head"], migration["head_before"]) == ("Migrated", "9f3c", "1a2b")
    human = terminal.run("show", identity).stdout
    assert "migration  migrated in 12 s" in human
    assert "schema     1a2b → 9f3c" in human


def test_a_deployment_without_migrations_has_none(terminal: Terminal) -> None:
    identity = str(terminal.shop.go_out(2)["document"]["deployment"])
    assert terminal.json("show", identity)["migration"] is None
    assert "migration" not in terminal.run("show", identity).stdout


def test_show_says_why_the_migration_failed(terminal: Terminal) -> None:
    migrates(terminal, TASK)
    shop = terminal.shop
    planned = shop.release(2)
    fence = shop.acquire(planned)
    arn = run_task(shop, planned, fence)
    task = shop.world.containers.end_task(arn, exit_code=3)
    lines = ("Running upgrade 1a2b -> 9f3c", "password=hunter2", 'relation "orders" does not exist')
    shop.world.logs.write("/ecs/shop-api", f"ecs/app/{task.id}", *lines)
    migrate(shop, planned, fence, "Failed", reason="its task exited with code 3")
    shop.record(planned, "Fail", fence, error={"name": "MigrationFailed", "cause": "its task exited"})
    identity = str(planned["deployment"])
    shown = terminal.json("show", identity)
    assert shown["failure"]["service"] == "the migration"
    assert shown["failure"]["tasks"][0]["exit_code"] == 3
    assert (shown["migration"]["outcome"], shown["migration"]["task"]) == ("Failed", arn)
    human = terminal.run("show", identity).stdout
    for told in (
        "the services are as they were before",
        "Why the migration failed",
        "its task exited with code 3",
        "container app exited with code 3",
        'relation "orders" does not exist',
        "migration  failed in 12 s",
    ):
        assert told in human, told
    assert "the previous state is back" not in human
    assert "hunter2" not in human


def test_migrations_that_failed_alone_are_tried_again_alone(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    migrates(terminal, TASK)
    planned = terminal.shop.plan(release="r1", only="migrations")
    fence = terminal.shop.acquire(planned, "lock-m")
    migrate(terminal.shop, planned, fence, "Failed", reason="a lock was not given")
    terminal.shop.record(planned, "Fail", fence, error={"name": "MigrationFailed", "cause": "no lock"})
    human = terminal.run("show", str(planned["deployment"])).stdout
    assert "tidegate migrate shop production --release r1 --wait" in human


# status


def test_status_says_that_the_schema_is_ahead(terminal: Terminal) -> None:
    """Guards `schema_entry`: the release that migrated does not run, so what runs meets a schema it does not know."""
    migrates(terminal, TASK)
    assert terminal.json("status")[0]["schema"] is None
    succeed(terminal, 2, "1a2b")
    schema = terminal.json("status")[0]["schema"]
    assert (schema["release"], schema["head"], schema["ahead"]) == ("r1", "1a2b", False)
    assert "schema ahead" not in terminal.run("status").stdout
    planned = terminal.shop.release(3)
    fence = terminal.shop.acquire(planned, "lock-3")
    migrate(terminal.shop, planned, fence, "Migrated", head="9f3c", head_before="1a2b")
    terminal.shop.record(planned, "Fail", fence, error={"name": "RolledBack", "cause": "it crashed"})
    [entry] = terminal.json("status")
    assert entry["release"] == "r1"
    at = entry["schema"].pop("at")
    assert at.startswith("2026-03-02T")
    assert entry["schema"] == {"release": "r2", "head": "9f3c", "ahead": True}
    assert "schema ahead: r2 (9f3c)" in terminal.run("status").stdout


# approve


def test_who_approves_a_contract_step_is_told_what_that_means(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    migrates(terminal, SQL)
    bring(terminal, 3, EXPAND, CONTRACT)
    identity = awaited(terminal, 3)
    terminal.somebody = True
    result = terminal.run("approve", identity, input="y\n")
    assert result.exit_code == 0, result.output
    assert f"contract {CONTRACT}" in result.stdout
    assert (
        f"you confirm that r1, which runs now, no longer uses what {CONTRACT} takes away. It cannot be undone."
        in result.stdout
    )


def test_who_approves_nothing_that_is_taken_away_is_not_alarmed(terminal: Terminal) -> None:
    migrates(terminal, SQL, approval="required")
    bring(terminal, 2, EXPAND)
    result = terminal.run("approve", awaited(terminal, 2), "--yes")
    assert f"expand   {EXPAND}" in result.stdout
    assert "you confirm" not in result.stdout
