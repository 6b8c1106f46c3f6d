"""Who waits is answered by what AWS says when asked: never twice, and never by an event alone."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Item, Scan
from tidegate.steps import sweep
from tidegate.steps.resuming import (
    awaited_build,
    awaited_scan,
    awaited_snapshot,
    awaited_task,
    by_kind,
    resume,
)

from tests.unit.steps.building import PROJECT, Yard, environment
from tests.unit.steps.conftest import REPOSITORY, Answer, Shop, digest


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _waiting(yard: Yard) -> list[Item]:
    return [item for item in yard.ledger.open_items() if item["type"] == "token"]


def _resume(yard: Yard) -> int:
    return resume(yard.world.ports, yard.ledger, _waiting(yard))


def _started(yard: Yard, commit: str = "d4") -> tuple[Answer, str]:
    selected = yard.push(commit)
    return selected, yard.start(selected)


class TestBuilds:
    def test_one_that_runs_is_left_waiting(self, yard: Yard) -> None:
        _started(yard)
        assert _resume(yard) == 0
        assert len(_waiting(yard)) == 1

    def test_one_that_ended_is_told_and_answered_once(self, yard: Yard) -> None:
        selected, id_ = _started(yard)
        yard.finish(id_)
        assert [_resume(yard), _resume(yard)] == [1, 0]
        assert [line.what for line in yard.ledger.timeline(selected["build"])].count("built") == 1
        assert yard.answer(selected) == {
            "outcome": "Built",
            "digest": digest(4),
            "phase": None,
            "reason": "",
            "image": "app",
        }

    @pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"])
    def test_every_other_end_is_a_failure(self, yard: Yard, status: str) -> None:
        selected, id_ = _started(yard)
        yard.finish(id_, status, phase="PRE_BUILD", message="exit status 1")
        _resume(yard)
        answer = yard.answer(selected)
        assert answer is not None
        assert (answer["outcome"], answer["phase"]) == ("Failed", "PRE_BUILD")
        assert answer["reason"] == f"{status} in phase PRE_BUILD: exit status 1"

    def test_one_that_codebuild_has_forgotten_has_failed(self, yard: Yard) -> None:
        selected, id_ = _started(yard)
        yard.world.builds.forget(id_)
        assert _resume(yard) == 1
        answer = yard.answer(selected)
        assert answer is not None
        assert answer["outcome"] == "Failed"

    def test_a_token_that_nobody_waits_with_is_forgotten(self, yard: Yard) -> None:
        _, id_ = _started(yard)
        yard.finish(id_)
        yard.world.executions.waiting.clear()
        assert _resume(yard) == 0
        assert _waiting(yard) == []

    def test_codebuild_is_asked_once_for_all(self, yard: Yard) -> None:
        for commit in ("d4", "d5", "d6"):
            _started(yard, commit)
        before = yard.world.builds.called("runs")
        _resume(yard)
        assert yard.world.builds.called("runs") == before + 1

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"), [("builds", "runs"), ("executions", "succeed"), ("store", "transact")]
    )
    def test_a_crash_at_any_call_is_mended_by_the_next_look(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        selected, id_ = _started(yard)
        yard.finish(id_)
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            _resume(yard)
        _resume(yard)
        assert yard.answer(selected) is not None
        assert _waiting(yard) == []

    def test_a_newer_token_of_a_retried_task_is_the_one_that_is_answered(self, yard: Yard) -> None:
        selected, id_ = _started(yard)
        yard.start(selected, token="newer")
        assert [item["token"] for item in _waiting(yard)] == ["newer"]
        yard.finish(id_)
        _resume(yard)
        assert "newer" in yard.world.executions.answers


def test_names_of_what_is_awaited() -> None:
    assert awaited_build(f"{PROJECT}:1") == f"build/{PROJECT}:1"
    assert awaited_scan(REPOSITORY, digest(1)) == f"scan/{REPOSITORY}@{digest(1)}"


def test_the_kinds_are_told_apart() -> None:
    names = (
        "ecs-svc/1",
        "build/p:1",
        "scan/r@d",
        "ecs-svc/2",
        "alarm/5xx",
        "approval/1",
        "ecs-task/t",
        "snapshot/cluster/s",
        "ecs-count/cluster/service",
    )
    items = [{"awaited": name} for name in names]
    assert [[item["awaited"] for item in kind] for kind in by_kind(items)] == [
        ["ecs-svc/1", "ecs-svc/2"],
        ["build/p:1"],
        ["scan/r@d"],
        ["alarm/5xx"],
        ["approval/1"],
        ["ecs-task/t"],
        ["snapshot/cluster/s"],
        ["ecs-count/cluster/service"],
    ]


class TestThreeKindsAtOnce:
    @pytest.fixture
    def busy(self, yard: Yard) -> Yard:
        """A rollout, a build and a scan, all decided, and none of their events ever came."""
        planned = yard.release(2)
        yard.roll(planned, "api", yard.acquire(planned), token="rollout")
        yard.world.containers.complete("shop-api")
        yard.register(environments={"production": environment(scan={"fail_on": "HIGH"})})
        for commit, made in (("d4", 4), ("d5", 5)):
            selected, id_ = _started(yard, commit)
            yard.finish(id_, made=made)
            if commit == "d4":
                yard.event(id_)
                yard.await_scans(selected)
        yard.world.images.set_scan(REPOSITORY, digest(4), Scan("COMPLETE"))
        return yard

    def test_are_all_resumed_by_one_sweep(self, busy: Yard) -> None:
        assert [len(kind) for kind in by_kind(_waiting(busy))] == [1, 1, 1, 0, 0, 0, 0, 0]
        assert sweep.run({}, busy.world.ports)["resumed"] == 3
        assert {"rollout", "scans"} < busy.world.executions.answers.keys()
        assert _waiting(busy) == []

    @pytest.mark.parametrize(
        ("fake", "method", "left"),
        [("containers", "services", "ecs-svc"), ("builds", "runs", "build"), ("images", "scan", "scan")],
    )
    def test_one_service_that_is_away_does_not_hold_up_the_others(
        self, busy: Yard, fake: str, method: str, left: str
    ) -> None:
        getattr(busy.world, fake).fails(method, OutsideError("AccessDenied"))
        with pytest.raises(sweep.SweepError, match="AccessDenied"):
            sweep.run({}, busy.world.ports)
        assert [item["awaited"].partition("/")[0] for item in _waiting(busy)] == [left]


ARN = "arn:aws:ecs:eu-west-1:123456789012:task/shop-cluster/0123"


def test_names_of_what_a_migration_waits_for() -> None:
    assert awaited_task(ARN) == "ecs-task/0123"
    assert awaited_snapshot("cluster", "before") == "snapshot/cluster/before"


class TestAMigration:
    """Its task and its snapshot: what ECS and RDS say when they are asked, whoever asks."""

    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        """Its lock is held, and nothing waits yet."""
        shop.migrations(service="api", command=["migrate"], snapshot="before")
        self.planned = shop.release(2)
        self.fence = shop.acquire(self.planned)
        shop.migrate(self.planned, "Prepare", self.fence)
        return shop

    def task(self, shop: Shop) -> str:
        shop.migrate(self.planned, "RunTask", self.fence, token="task", purpose="Migrate")
        [arn] = shop.world.containers.one_offs
        return arn

    def snapshot(self, shop: Shop) -> tuple[str, str]:
        shop.migrate(self.planned, "AwaitSnapshot", self.fence, token="snapshot")
        [known] = shop.world.backups.snapshots
        return known

    def test_a_task_that_runs_is_left_waiting(self, shop: Shop) -> None:
        self.task(shop)
        assert shop.resume() == 0
        assert "task" not in shop.answers

    @pytest.mark.parametrize(
        ("end", "outcome", "reason"),
        [
            ({"exit_code": 0}, "Exited", ""),
            ({"exit_code": 1}, "Failed", "container app exited with code 1"),
            (
                {"exit_code": None, "stop_code": "TaskFailedToStart", "reason": "CannotPullContainerError"},
                "Failed",
                "CannotPullContainerError",
            ),
            ({"exit_code": None, "reason": ""}, "Failed", "its container never ran"),
        ],
    )
    def test_a_task_went_well_only_with_code_0(
        self, shop: Shop, end: dict[str, Any], outcome: str, reason: str
    ) -> None:
        shop.world.containers.end_task(self.task(shop), **end)
        assert [shop.resume(), shop.resume()] == [1, 0]
        assert shop.answers["task"] == {"outcome": outcome, "reason": reason}
        assert [line.what for line in shop.timeline(self.planned)].count("task ended") == 1

    def test_a_task_that_began_this_moment_need_not_be_listed_yet(self, shop: Shop) -> None:
        """Guards `_UNLISTED_FOR`: ECS is eventually consistent."""
        self.task(shop)
        shop.world.containers.ended.clear()
        assert shop.resume() == 0
        shop.world.clock.advance(121)
        assert shop.resume() == 1
        assert shop.answers["task"]["outcome"] == "Failed"
        assert "how it ended is not known" in shop.answers["task"]["reason"]

    def test_a_snapshot_that_is_being_made_is_left_waiting(self, shop: Shop) -> None:
        self.snapshot(shop)
        shop.world.clock.advance(3600)
        assert shop.resume() == 0

    @pytest.mark.parametrize(("status", "outcome"), [("available", "Made"), ("failed", "Failed")])
    def test_a_snapshot_is_answered_once(self, shop: Shop, status: str, outcome: str) -> None:
        shop.world.backups.snapshots[self.snapshot(shop)] = status
        assert [shop.resume(), shop.resume()] == [1, 0]
        assert shop.answers["snapshot"]["outcome"] == outcome

    def test_a_snapshot_that_somebody_deleted_fails_once_it_would_be_listed(self, shop: Shop) -> None:
        del shop.world.backups.snapshots[self.snapshot(shop)]
        assert shop.resume() == 0
        shop.world.clock.advance(121)
        assert shop.resume() == 1
        assert shop.answers["snapshot"]["reason"].endswith("is gone")

    def test_a_sweep_makes_up_for_every_event(self, shop: Shop) -> None:
        """Row 5."""
        shop.world.backups.snapshots[self.snapshot(shop)] = "available"
        shop.world.containers.end_task(self.task(shop))
        assert sweep.run({}, shop.world.ports)["resumed"] == 2
        assert shop.answers["snapshot"]["outcome"] == "Made"
        assert shop.answers["task"]["outcome"] == "Exited"

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"), [("containers", "task"), ("executions", "succeed"), ("store", "transact")]
    )
    def test_a_crash_at_any_call_is_mended_by_the_next_look(
        self, shop: Shop, fake: str, method: str, lost: str
    ) -> None:
        """Row 7."""
        shop.world.containers.end_task(self.task(shop))
        getattr(getattr(shop.world, fake), lost)(method)
        with pytest.raises(TransientError):
            shop.resume()
        shop.resume()
        assert shop.answers["task"]["outcome"] == "Exited"
        assert [item for item in shop.ledger.open_items() if item["type"] == "token"] == []
