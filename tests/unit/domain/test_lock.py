"""Who gives way to whom in the queue, and what of it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.lock import Lock, Rank, Waiter, outranked, rank_of

ranks = st.builds(
    Rank,
    order=st.sampled_from(["", "01A", "01B", "01C"]),
    by_event=st.booleans(),
    urgent=st.booleans(),
    attempt=st.sampled_from(["", "1", "2"]),
)


@pytest.mark.parametrize(
    ("newcomer", "other", "beaten"),
    [
        # (order, by_event)
        (("01B", True), ("01A", True), True),
        (("01A", True), ("01B", True), False),
        (("01A", True), ("01A", True), False),
        (("01B", False), ("01A", True), True),
        (("01B", False), ("01A", False), True),
        (("01B", True), ("01A", False), False),
        (("01A", False), ("01B", True), False),
        # A rollback or a restart takes part in no order.
        (("01B", False), ("", False), False),
        (("", False), ("01A", True), False),
        (("", False), ("", False), False),
    ],
)
def test_the_later_release_takes_the_place_of_the_older(
    newcomer: tuple[str, bool], other: tuple[str, bool], beaten: bool
) -> None:
    assert Rank(*newcomer).beats(Rank(*other)) is beaten


@given(ranks, ranks)
def test_of_two_at_most_one_gives_way(one: Rank, other: Rank) -> None:
    assert not (one.beats(other) and other.beats(one))
    assert not one.beats(one)


@given(ranks, ranks, ranks)
def test_who_gives_way_does_so_to_the_latest_as_well(one: Rank, two: Rank, three: Rank) -> None:
    """Red where giving way went round in a circle: a queue of three in which each waits for another."""
    if one.beats(two) and two.beats(three):
        assert not three.beats(one)


@given(ranks, ranks)
def test_a_person_never_gives_way_to_an_event(newcomer: Rank, other: Rank) -> None:
    if newcomer.by_event and not other.by_event:
        assert not newcomer.beats(other)


@given(ranks, ranks)
def test_neither_urgency_nor_the_attempt_decides(one: Rank, other: Rank) -> None:
    bare = Rank(one.order, one.by_event), Rank(other.order, other.by_event)
    assert one.beats(other) == bare[0].beats(bare[1])


class TestOutranked:
    def test_names_all_that_are_older_and_nobody_for_the_latest(self) -> None:
        waiting = [("a", Rank("01A", True)), ("b", Rank("01B", True)), ("p", Rank("01B"))]
        assert outranked(Rank("01C", True), waiting) == (["a", "b"], None)
        assert outranked(Rank("01C"), waiting) == (["a", "b", "p"], None)

    def test_names_the_latest_of_those_that_are_newer(self) -> None:
        waiting = [("b", Rank("01B", True)), ("d", Rank("01D", True)), ("c", Rank("01C"))]
        assert outranked(Rank("01A", True), waiting) == ([], "d")
        assert outranked(Rank("01A"), waiting) == ([], "c"), "a person gives way to a person"

    def test_of_an_empty_queue_is_nobody(self) -> None:
        assert outranked(Rank("01A"), []) == ([], None)

    @given(ranks, st.lists(st.tuples(st.uuids().map(str), ranks), unique_by=lambda entry: entry[0]))
    def test_agrees_with_each_pair(self, newcomer: Rank, others: list[tuple[str, Rank]]) -> None:
        beaten, by = outranked(newcomer, iter(others))
        assert beaten == [name for name, rank in others if newcomer.beats(rank)]
        above = {name: rank for name, rank in others if rank.beats(newcomer)}
        assert (by in above) if above else by is None
        if by is not None:
            assert above[by].order == max(rank.order for rank in above.values())


class TestWhatIsKept:
    def test_of_a_waiter_is_its_rank_as_well(self) -> None:
        waiter = Waiter(3, "d", "arn", "token", "why", "at", Rank("01A", True, False, "2"))
        assert waiter.to_json() == {
            "seq": 3,
            "deployment": "d",
            "execution": "arn",
            "token": "token",
            "reason": "why",
            "since": "at",
            "order": "01A",
            "by_event": True,
            "urgent": False,
            "attempt": "2",
        }
        assert Waiter.from_json(waiter.to_json()) == waiter

    def test_what_an_older_version_queued_takes_part_in_no_order(self) -> None:
        item = {"seq": 3, "deployment": "d", "execution": "arn", "token": "t", "reason": "", "since": "at"}
        waiter = Waiter.from_json({**item, "pk": "LOCK#shop#production", "kind": "OPEN"})
        assert waiter.rank == Rank() == rank_of({})
        assert not Rank("01Z").beats(waiter.rank)

    def test_the_fence_rises_with_every_owner_and_stays_when_nobody_has_it(self) -> None:
        lock = Lock("shop", "production").acquired("one", "arn:1", "", "at")
        handed = lock.handed_to(Waiter(1, "two", "arn:2", "token", "", "at"), "later")
        assert (handed.owner, handed.token, handed.fence) == ("two", "token", 2)
        assert handed.told().token is None
        assert handed.taken_over("arn:3").fence == 3
        assert (handed.released().owner, handed.released().fence) == (None, 2)
