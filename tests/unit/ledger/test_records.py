"""The ledger: fenced writes, one end, releases without gaps, tokens and lines that do not overwrite each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tidegate.domain.deployment import Current, Deployment, FailureReport, Line, Machine, Phase, Rollout
from tidegate.domain.errors import ConflictError, LostLockError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.rollout import Direction
from tidegate.ledger import keys
from tidegate.ledger.locks import Acquired, Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import iso, parse_iso
from tidegate.ports import ConditionFailedError

from tests.support.clock import FakeClock
from tests.unit.ledger.meddling import ENVIRONMENT, SYSTEM, MeddledStore

PLACE = (SYSTEM, ENVIRONMENT)
AT = "2026-03-02T09:00:00.000Z"


class Shop:
    def __init__(self) -> None:
        self.store = MeddledStore()
        self.clock = FakeClock()
        self.ledger = Ledger(self.store, self.clock)
        self.locks = Locks(self.store, self.clock)

    def open(self, identity: str = "D1") -> Deployment:
        deployment = Deployment(identity, *PLACE, Machine.DEPLOY, f"arn:{identity}", self.ledger.now())
        return self.ledger.open(deployment, "deployment requested")

    def acquire(self, identity: str) -> int:
        acquired = self.locks.acquire(*PLACE, identity, f"arn:{identity}", f"token-{identity}", "")
        assert isinstance(acquired, Acquired)
        return acquired.fence

    def written(self, identity: str = "D1") -> Deployment:
        found = self.ledger.deployment(*PLACE, identity)
        assert found is not None
        return found

    def told(self, identity: str = "D1") -> list[str]:
        return [line.what for line in self.ledger.timeline(identity)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestOpen:
    def test_records_a_deployment_that_is_found_by_place_and_by_id(self, shop: Shop) -> None:
        deployment = shop.open()
        assert shop.written() == deployment
        assert shop.ledger.find("D1") == deployment
        assert shop.ledger.find("D2") is None
        assert shop.told() == ["deployment requested"]

    def test_again_gives_what_was_recorded_first(self, shop: Shop) -> None:
        """A retried step plans again, and goes on with the plan that is in the ledger."""
        first = shop.open()
        shop.clock.advance(1)
        assert shop.ledger.open(replace(first, reason="another"), "deployment requested") == first
        assert shop.told() == ["deployment requested"]

    def test_is_open_until_it_ends(self, shop: Shop) -> None:
        first, second = shop.open("D1"), shop.open("D2")
        assert [item["id"] for item in shop.ledger.open_items()] == ["D1", "D2"]
        shop.ledger.end(first, Outcome.NO_CHANGE, "")
        assert [item["id"] for item in shop.ledger.open_items()] == ["D2"]
        assert [item["id"] for item in shop.store.query_kind(keys.DEPLOYMENTS)] == ["D1"]
        assert second.outcome is None

    def test_history_is_newest_first(self, shop: Shop) -> None:
        for name in ("D1", "D2", "D3"):
            shop.open(name)
        assert [entry.id for entry in shop.ledger.history(*PLACE)] == ["D3", "D2", "D1"]
        assert [entry.id for entry in shop.ledger.history(*PLACE, limit=1)] == ["D3"]
        assert list(shop.ledger.history(SYSTEM, "staging")) == []


Write = Callable[[Shop, Deployment, int], object]
FENCED: dict[str, Write] = {
    "save": lambda shop, deployment, fence: shop.ledger.save(
        replace(deployment, phase=Phase.ROLLING), Line(AT, "rolling"), fence=fence
    ),
    "save_rollout": lambda shop, deployment, fence: shop.ledger.save_rollout(
        deployment, Rollout("api", Direction.ROLL, "arn:roll", AT), Line(AT, "rolling"), fence=fence
    ),
    "end": lambda shop, deployment, fence: shop.ledger.end(
        deployment,
        Outcome.SUCCEEDED,
        "",
        fence=fence,
        also=[shop.ledger.current_write(*PLACE, Current(1, deployment.id, AT, fence))],
    ),
}


@pytest.mark.parametrize("write", FENCED.values(), ids=FENCED.keys())
class TestFence:
    """I2, fault 16: `_write` with its Check first; nothing of a transaction under an old fence lands."""

    def test_the_owner_writes(self, shop: Shop, write: Write) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        before = dict(shop.store.items)
        write(shop, deployment, fence)
        assert shop.store.items != before

    def test_after_a_hand_over_nothing_lands(self, shop: Shop, write: Write) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        shop.locks.acquire(*PLACE, "D2", "arn:D2", "t", "")
        shop.locks.release(*PLACE, "D1")
        self.assert_lost(shop, lambda: write(shop, deployment, fence))

    def test_after_a_take_over_nothing_lands(self, shop: Shop, write: Write) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        shop.locks.take_over(*PLACE, "D1", "arn:recovery")
        self.assert_lost(shop, lambda: write(shop, deployment, fence))

    def test_after_losing_and_winning_the_lock_again_the_old_fence_is_still_void(
        self, shop: Shop, write: Write
    ) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        shop.locks.release(*PLACE, "D1")
        assert shop.acquire("D1") == fence + 1
        self.assert_lost(shop, lambda: write(shop, deployment, fence))

    def test_before_the_lock_nothing_lands(self, shop: Shop, write: Write) -> None:
        deployment = shop.open()
        self.assert_lost(shop, lambda: write(shop, deployment, 0))

    def assert_lost(self, shop: Shop, attempt: Callable[[], object]) -> None:
        before = dict(shop.store.items)
        with pytest.raises(LostLockError, match="another run owns the environment"):
            attempt()
        assert shop.store.items == before


class TestEnd:
    def test_writes_the_outcome_and_everything_with_it_at_once(self, shop: Shop) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        shop.clock.advance(90)
        ended = shop.ledger.end(
            deployment,
            Outcome.SUCCEEDED,
            "new",
            fence=fence,
            services={"api": {"outcome": "Rolled"}},
            also=[shop.ledger.current_write(*PLACE, Current(7, "D1", AT, fence))],
            lines=[Line(shop.ledger.now(), "every service runs what was planned")],
        )
        assert shop.written() == ended
        assert (ended.phase, ended.outcome, ended.explanation) == (Phase.ENDED, Outcome.SUCCEEDED, "new")
        assert (ended.finished_at, ended.fence) == ("2026-03-02T09:01:30.000Z", fence)
        assert shop.ledger.current(*PLACE) == Current(7, "D1", AT, fence)
        assert shop.told() == [
            "deployment requested",
            "every service runs what was planned",
            "Succeeded",
        ]

    def test_happens_once_whoever_comes_second(self, shop: Shop) -> None:
        """I4: `{"outcome": None}` in `end`; the second has the first one's outcome to go on with."""
        deployment, fence = shop.open(), shop.acquire("D1")
        first = shop.ledger.end(deployment, Outcome.FAILED_CLEAN, "it crashed", fence=fence)
        written = dict(shop.store.items)
        shop.clock.advance(60)
        for under in (fence, None, fence + 1):
            second = shop.ledger.end(
                deployment,
                Outcome.SUCCEEDED,
                "",
                fence=under,
                also=[shop.ledger.current_write(*PLACE, Current(7, "D1", AT, fence))],
            )
            assert second == first
        assert shop.store.items == written
        assert shop.ledger.current(*PLACE) is None

    def test_at_every_call_of_another_end_is_still_one(self, shop: Shop) -> None:
        """The sweep gives a run up while it ends by itself: both go on with one outcome."""
        for before_call in range(3):
            shop = Shop()
            deployment, fence = shop.open(), shop.acquire("D1")
            rival: list[Deployment] = []

            def give_up(
                shop: Shop = shop, deployment: Deployment = deployment, rival: list[Deployment] = rival
            ) -> None:
                rival.append(shop.ledger.end(deployment, Outcome.FAILED_DIRTY, "given up"))

            with shop.store.on_behalf_of("D1", rival=give_up, before_call=before_call):
                ended = shop.ledger.end(deployment, Outcome.SUCCEEDED, "", fence=fence)
            assert ended == shop.written()
            assert all(other == ended for other in rival)
            assert len({"Succeeded", "FailedDirty"} & set(shop.told())) == 1

    def test_whose_answer_was_lost_is_found_by_the_retry(self, shop: Shop) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        with pytest.raises(TransientError), shop.store.on_behalf_of("D1", lost="after"):
            shop.ledger.end(deployment, Outcome.SUCCEEDED, "", fence=fence)
        again = shop.ledger.end(deployment, Outcome.FAILED_CLEAN, "", fence=fence)
        assert again.outcome is Outcome.SUCCEEDED

    def test_closes_the_deployment_for_every_later_write(self, shop: Shop) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        ended = shop.ledger.end(deployment, Outcome.SUCCEEDED, "", fence=fence)
        for under in (fence, None):
            with pytest.raises(LostLockError, match="has ended already"):
                shop.ledger.save(replace(deployment, phase=Phase.ROLLING), fence=under)
        assert shop.written() == ended


class TestReleases:
    def test_are_numbered_from_one_and_known_by_their_content(self, shop: Shop) -> None:
        one = shop.ledger.ensure_release(SYSTEM, "c1", {"app": "sha256:1", "web": "sha256:2"})
        two = shop.ledger.ensure_release(SYSTEM, None, {"app": "sha256:1"})
        assert (one.number, two.number) == (1, 2)
        shop.clock.advance(60)
        assert shop.ledger.ensure_release(SYSTEM, "c1", {"web": "sha256:2", "app": "sha256:1"}) == one
        assert shop.ledger.release(SYSTEM, 2) == two
        assert shop.ledger.release_of(SYSTEM, None, {"app": "sha256:1"}) == two
        assert shop.ledger.release_of(SYSTEM, "c1", {"app": "sha256:1"}) is None
        assert shop.ledger.release(SYSTEM, 3) is None

    def test_of_another_system_have_numbers_of_their_own(self, shop: Shop) -> None:
        shop.ledger.ensure_release(SYSTEM, "c1", {})
        assert shop.ledger.ensure_release("other", "c1", {}).number == 1

    def test_start_after_what_was_adopted(self, shop: Shop) -> None:
        shop.ledger.adopt_release(SYSTEM)
        shop.clock.advance(60)
        shop.ledger.adopt_release(SYSTEM)
        adopted = shop.ledger.release(SYSTEM, 0)
        assert adopted is not None
        assert adopted.created_at == AT
        assert shop.ledger.ensure_release(SYSTEM, "c1", {}).number == 1

    def test_pass_ten_and_a_hundred(self, shop: Shop) -> None:
        """Sort keys are text: `keys.release` pads the number."""
        numbers = [shop.ledger.ensure_release(SYSTEM, f"c{number}", {}).number for number in range(101)]
        assert numbers == list(range(1, 102))

    @pytest.mark.parametrize("same", [True, False], ids=["the same content", "other content"])
    def test_of_two_writers_at_once_have_no_gap_and_no_double(self, same: bool) -> None:
        """The rival acts before each call in turn: both conditions of `ensure_release`."""
        for before_call in range(8):
            shop = Shop()
            rival: list[int] = []

            def interfere(shop: Shop = shop, rival: list[int] = rival) -> None:
                commit = "c1" if same else "c2"
                rival.append(shop.ledger.ensure_release(SYSTEM, commit, {}).number)

            with shop.store.on_behalf_of("", rival=interfere, before_call=before_call):
                mine = shop.ledger.ensure_release(SYSTEM, "c1", {}).number
            theirs = rival or [1 if same else 2]
            assert sorted({mine, *theirs}) == ([1] if same else [1, 2])
            known = [sk for pk, sk in shop.store.items if sk.startswith("RELEASE#")]
            assert len(known) == len({mine, *rival})

    def test_are_not_recorded_twice_when_an_answer_is_lost(self, shop: Shop) -> None:
        with pytest.raises(TransientError), shop.store.on_behalf_of("", lost="after"):
            shop.ledger.ensure_release(SYSTEM, "c1", {})
        assert shop.ledger.ensure_release(SYSTEM, "c1", {}).number == 1

    def test_give_up_for_a_moment_where_others_are_always_faster(self, shop: Shop) -> None:
        def always_fails(writes: object) -> None:
            raise ConditionFailedError(0)

        shop.store.transact = always_fails  # type: ignore[method-assign]
        with pytest.raises(ConflictError):
            shop.ledger.ensure_release(SYSTEM, "c1", {})


class TestStandings:
    def test_are_the_last_word_on_each_release_in_each_environment(self, shop: Shop) -> None:
        good = Standing(2, Verdict.SUCCEEDED, "D1", AT, {"api": "arn:2"})
        for standing in (replace(good, verdict=Verdict.FAILED), good, Standing(10, Verdict.FAILED, "D2", AT)):
            shop.store.transact([shop.ledger.standing_write(*PLACE, standing)])
        assert [entry.release for entry in shop.ledger.standings(*PLACE)] == [2, 10]
        assert shop.ledger.standing(*PLACE, 2) == good
        assert shop.ledger.standing(*PLACE, 3) is None
        assert shop.ledger.standings(SYSTEM, "staging") == []

    def test_what_was_adopted_is_never_adopted_again(self, shop: Shop) -> None:
        """What ran before the first release is known only then: a later look would take our own for it."""
        first = Standing(0, Verdict.SUCCEEDED, "", AT, {"api": "arn:1"})
        shop.ledger.adopt(*PLACE, first)
        shop.ledger.adopt(*PLACE, replace(first, task_definitions={"api": "arn:2"}))
        assert shop.ledger.standing(*PLACE, 0) == first


class TestTokens:
    WAITING = "ecs-svc/1"

    def test_of_two_who_wait_for_one_thing_are_both_kept(self, shop: Shop) -> None:
        """`keys.token`: the sort key is the execution."""
        shop.ledger.keep_token(self.WAITING, "arn:roll-1", {"token": "one"})
        shop.ledger.keep_token(self.WAITING, "arn:roll-2", {"token": "two"})
        assert [item["token"] for item in shop.ledger.waiting_for(self.WAITING)] == ["one", "two"]
        shop.ledger.answered(self.WAITING, "arn:roll-1", "one")
        assert [item["token"] for item in shop.ledger.waiting_for(self.WAITING)] == ["two"]
        assert shop.ledger.waiting_for("ecs-svc/11") == []

    def test_a_retried_task_replaces_its_own_and_a_late_answer_spares_it(self, shop: Shop) -> None:
        shop.ledger.keep_token(self.WAITING, "arn:roll-1", {"token": "old"})
        shop.ledger.keep_token(self.WAITING, "arn:roll-1", {"token": "new"})
        shop.ledger.answered(self.WAITING, "arn:roll-1", "old")
        assert [item["token"] for item in shop.ledger.waiting_for(self.WAITING)] == ["new"]
        shop.ledger.answered(self.WAITING, "arn:roll-1", "new")
        shop.ledger.answered(self.WAITING, "arn:roll-1", "new")
        assert shop.ledger.waiting_for(self.WAITING) == []

    def test_are_what_the_sweep_looks_after_and_expire_with_the_longest_execution(self, shop: Shop) -> None:
        shop.ledger.keep_token(self.WAITING, "arn:roll-1", {"token": "one", "service": "api"})
        (item,) = shop.ledger.open_items()
        assert (item["type"], item["awaited"], item["execution"], item["service"]) == (
            "token",
            self.WAITING,
            "arn:roll-1",
            "api",
        )
        assert datetime.fromtimestamp(item["ttl"], UTC) > shop.clock.now() + timedelta(days=365)


class TestSeen:
    def test_is_remembered_for_90_days(self, shop: Shop) -> None:
        assert shop.ledger.seen("h") is None
        shop.ledger.mark_seen("h", {"name": "n"})
        seen = shop.ledger.seen("h")
        assert seen is not None
        assert (seen["name"], seen["at_first"]) == ("n", AT)
        assert datetime.fromtimestamp(seen["ttl"], UTC) == shop.clock.now() + timedelta(days=90)
        assert shop.ledger.seen("g") is None


class TestTimeline:
    def test_is_in_the_order_of_time(self, shop: Shop) -> None:
        for what in ("first", "second", "third"):
            shop.ledger.tell("D1", what)
            shop.clock.advance(0.001)
        assert shop.told() == ["first", "second", "third"]

    def test_lines_of_one_write_keep_their_order(self, shop: Shop) -> None:
        """`_line`'s number, padded: a hash alone would shuffle what happened in one millisecond."""
        deployment = shop.open()
        whats = [f"step {number}" for number in (7, 3, 11, 1, 9, 2, 10, 5, 4, 8, 6, 12)]
        shop.clock.advance(1)
        shop.ledger.save(deployment, *(Line(shop.ledger.now(), what) for what in whats))
        assert shop.told()[1:] == whats

    def test_lines_of_several_writers_in_one_moment_are_all_kept(self, shop: Shop) -> None:
        shop.ledger.tell("D1", "rolling", "api")
        shop.ledger.tell("D1", "rolling", "worker")
        shop.ledger.tell("D1", "rolling", "api")
        assert sorted(line.service or "" for line in shop.ledger.timeline("D1")) == ["api", "worker"]

    def test_holds_nothing_but_lines(self, shop: Shop) -> None:
        """Rollouts, reports and whereabouts share the partition: `_LINE_PREFIX`."""
        deployment, fence = shop.open(), shop.acquire("D1")
        shop.ledger.save_rollout(deployment, Rollout("api", Direction.ROLL, "arn:roll", AT), fence=fence)
        shop.ledger.save_report("D1", FailureReport("api", "why"))
        assert shop.told() == ["deployment requested"]

    def test_an_observation_is_told_once(self, shop: Shop) -> None:
        line = Line(AT, "a task stopped", "api")
        assert shop.ledger.tell_once("D1", "task-1", line)
        assert not shop.ledger.tell_once("D1", "task-1", line)
        assert shop.ledger.tell_once("D1", "task-2", line)
        assert len(shop.ledger.timeline("D1")) == 2

    @pytest.mark.parametrize(
        "at", ["2026-03-02T09:00:01Z", "2026-03-02T10:00:01+01:00", "2026-03-02T09:00:01.000Z"]
    )
    def test_an_observation_stands_where_it_happened_however_its_time_is_written(
        self, shop: Shop, at: str
    ) -> None:
        """`tell_once`'s `_moment`: as text, `01Z` comes after `01.999Z`."""
        shop.clock.advance(0.5)
        shop.ledger.tell("D1", "before")
        shop.clock.advance(1)
        shop.ledger.tell("D1", "after")
        assert shop.ledger.tell_once("D1", "task-1", Line(at, "a task stopped"))
        assert shop.told() == ["before", "a task stopped", "after"]
        assert shop.ledger.timeline("D1")[1].at == "2026-03-02T09:00:01.000Z"

    def test_an_observation_without_a_readable_time_is_told_now(self, shop: Shop) -> None:
        assert shop.ledger.tell_once("D1", "task-1", Line("yesterday", "a task stopped"))
        assert [line.at for line in shop.ledger.timeline("D1")] == [AT]


class TestRolloutsAndReports:
    def test_one_a_service_and_direction(self, shop: Shop) -> None:
        deployment, fence = shop.open(), shop.acquire("D1")
        there = Rollout("api", Direction.ROLL, "arn:roll", AT)
        back = Rollout("api", Direction.REVERT, "arn:revert", AT, "arn:api:1")
        for rollout in (there, back, replace(there, ecs_deployment="ecs-svc/1")):
            shop.ledger.save_rollout(deployment, rollout, fence=fence)
        assert shop.ledger.rollout("D1", "api", Direction.ROLL) == replace(there, ecs_deployment="ecs-svc/1")
        assert shop.ledger.rollout("D1", "api", Direction.REVERT) == back
        assert shop.ledger.rollout("D1", "worker", Direction.ROLL) is None
        assert len(shop.ledger.rollouts("D1")) == 2
        assert shop.ledger.rollouts("D") == []

    def test_a_report_is_kept_a_service(self, shop: Shop) -> None:
        report = FailureReport("api", "why", ({"task": "t", "exit_code": None, "logs": []},), ("e",), ("a",))
        shop.ledger.save_report("D1", report)
        assert shop.ledger.reports("D1") == [report]

    def test_a_failed_way_back_does_not_replace_the_cause(self, shop: Shop) -> None:
        cause = FailureReport("api", "the release crashed")
        second = FailureReport("api", "so did the one before", direction=Direction.REVERT)
        shop.ledger.save_report("D1", second)
        shop.ledger.save_report("D1", cause)
        assert shop.ledger.reports("D1") == [cause, second]

    def test_of_another_deployment_there_are_none(self, shop: Shop) -> None:
        assert shop.ledger.reports("D2") == []


class TestTime:
    def test_moments_sort_as_text(self) -> None:
        moments = [datetime(2026, 3, 2, 9, 0, tzinfo=UTC) + timedelta(milliseconds=499 * n) for n in range(9)]
        written = [iso(moment) for moment in moments]
        assert written == sorted(written)
        assert {len(text) for text in written} == {24}
        assert [parse_iso(text) for text in written] == moments

    def test_are_utc_whatever_they_came_in(self) -> None:
        assert iso(datetime.fromisoformat("2026-03-02T10:30:00.123999+01:30")) == "2026-03-02T09:00:00.123Z"
