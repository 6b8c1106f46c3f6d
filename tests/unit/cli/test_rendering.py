"""What a person sees: the live board, the words for time, and text from outside that a terminal must not obey."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console
from tidegate.domain.deployment import Deployment, Line, Machine, Phase, Rollout
from tidegate.domain.migration import MigrationPlan
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.rollout import Direction
from tidegate.steps.resuming import COMPLETED
from tidegate_cli.following import Progress
from tidegate_cli.rendering.progress import Board
from tidegate_cli.rendering.words import ago, line_text, short_arn, span, took, when, who
from tidegate_cli.screen import plain

AT = "2026-03-02T09:00:0{}.000Z"


def service(key: str, wave: int, *, changed: bool = True) -> ServicePlan:
    return ServicePlan(
        key, f"shop-{key}", wave, "app", "sha256:2", "repo@sha256:2", "app", "td:1", "td:1", None, changed
    )


def deployment() -> Deployment:
    plan = Plan("c", (service("api", 1), service("cron", 1, changed=False), service("worker", 2)))
    return Deployment(
        "01A",
        "shop",
        "production",
        Machine.DEPLOY,
        "arn",
        AT.format(0),
        phase=Phase.ROLLING,
        release=2,
        plan=plan,
    )


def rollout(key: str, direction: Direction = Direction.ROLL, second: int = 1) -> Rollout:
    return Rollout(key, direction, "arn", AT.format(second), f"arn:aws:ecs:x:1:task-definition/shop-{key}:2")


def drawn(*looks: Progress) -> list[str]:
    """What stays on the screen after these looks."""
    screen = io.StringIO()
    board = Board(Console(file=screen, width=100, force_terminal=False), "deploy shop/production")
    with board:
        for look in looks:
            board.show(look)
    return screen.getvalue().splitlines()


def row(lines: list[str], key: str) -> str:
    return next(line for line in lines if line.split()[:1] == [key])


def test_each_service_has_its_state() -> None:
    told = Line(AT.format(2), COMPLETED, "api", "the ECS deployment completed")
    lines = drawn(
        Progress(3, (Line(AT.format(1), "rolling", "api"),), deployment(), (rollout("api"),)),
        Progress(75, (told,), deployment(), (rollout("api"), rollout("worker", second=3))),
    )
    assert "r2  rolling  1 min 15 s" in lines[0]
    assert "Rolled" in row(lines, "api")
    assert "shop-api:2" in row(lines, "api")
    assert "unchanged" in row(lines, "cron")
    assert "rolling since" in row(lines, "worker")


def test_a_way_back_replaces_what_was_told_of_the_way_there() -> None:
    told = Line(AT.format(2), COMPLETED, "api")
    failed = replace(rollout("worker"), outcome="RolledBack")
    back = rollout("api", Direction.REVERT, 4)
    first = Progress(3, (told,), deployment(), (rollout("api"), failed))
    assert "RolledBack" in row(drawn(first), "worker")
    lines = drawn(first, Progress(5, (), deployment(), (rollout("api"), back, failed)))
    assert "reverting since" in row(lines, "api")
    done = Line(AT.format(5), COMPLETED, "api")
    lines = drawn(first, Progress(6, (done,), deployment(), (rollout("api"), back, failed)))
    assert "Reverted" in row(lines, "api")


def test_the_migration_goes_before_the_services() -> None:
    plan = deployment().plan
    assert plan is not None
    limits = {"timeout": 900, "lock_timeout": 5, "statement_timeout": 900, "transaction_age": 300}
    migration = MigrationPlan("sql", "key", "app", "repo", "sha256:2", "uri", **limits, snapshot=False)
    migrating = replace(deployment(), phase=Phase.MIGRATING, plan=replace(plan, migration=migration))
    assert "waiting" in row(drawn(Progress(1.0, (), migrating, ())), "migrations")
    began = Progress(
        2.0, (Line(AT.format(1), "migrating", detail="the SQL files of image app"),), migrating, ()
    )
    assert "migrating since" in row(drawn(began), "migrations")
    done = Progress(3.0, (Line(AT.format(2), "migrated", detail="head 0007_a.sql"),), migrating, ())
    lines = drawn(began, done)
    assert row(lines, "migrations").split()[-1] == "migrated"
    assert "migrations" not in "".join(drawn(Progress(1.0, (), deployment(), ())))


def test_the_end_says_how_each_service_ended() -> None:
    ended = replace(
        deployment(),
        outcome=Outcome.FAILED_DIRTY,
        phase=Phase.ENDED,
        services={"api": {"outcome": "Reverted"}, "worker": {"outcome": "NotReverted"}},
    )
    lines = drawn(Progress(9, (), ended, (rollout("api"), rollout("worker"))))
    assert "FailedDirty" in lines[0]
    assert "Reverted" in row(lines, "api")
    assert "NotReverted" in row(lines, "worker")


def test_a_phase_is_told_in_words() -> None:
    waiting = replace(deployment(), phase=Phase.AWAITING_APPROVAL)
    assert "r2  awaiting approval" in drawn(Progress(3, (), waiting, ()))[0]
    baking = replace(deployment(), phase=Phase.BAKING)
    assert "r2  baking" in drawn(Progress(3, (), baking, ()))[0]


def test_a_stopped_execution_is_explained() -> None:
    lines = drawn(Progress(1, (), None, (), stopped="ABORTED"))
    assert "the sweep finishes or reverts" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (4.4, "4 s"), (75, "1 min 15 s"), (3600, "1 h"), (90061, "1 d 1 h"), (-3, "0 s")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_moments() -> None:
    assert ago(AT.format(0), datetime(2026, 3, 2, 9, 3, tzinfo=UTC)) == "3 min ago"
    assert took(AT.format(0), AT.format(7)) == "7 s"
    assert (took(AT.format(0), None), ago(None, datetime.now(UTC)), when("odd")) == ("", "", "odd")


def test_names() -> None:
    assert short_arn("arn:aws:ecs:eu-west-1:1:task-definition/shop-api:14") == "shop-api:14"
    assert who("arn:aws:sts::1:assumed-role/on-call/ada") == "on-call/ada"
    assert who("arn:aws:iam::1:user/ada") == "ada"
    assert (who("ada"), who("")) == ("ada", "-")


def test_text_from_outside_cannot_command_the_terminal() -> None:
    assert "\x1b" not in plain("\x1b]0;title\x07 done")
    line = {"at": AT.format(0), "what": "Error\x1b[2J", "service": "a\x1b[1m", "detail": "b\x1b[0m"}
    assert "\x1b" not in line_text(line).plain
