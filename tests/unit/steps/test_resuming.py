"""Who waits is answered by what AWS says when asked: never twice, and never by an event alone."""

from __future__ import annotations

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Item, Scan
from tidegate.steps import sweep
from tidegate.steps.resuming import awaited_build, awaited_scan, by_kind, resume

from tests.unit.steps.building import PROJECT, Yard, environment
from tests.unit.steps.conftest import REPOSITORY, Answer, digest


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
        assert [len(kind) for kind in by_kind(_waiting(busy))] == [1, 1, 1, 0, 0, 0, 0]
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
