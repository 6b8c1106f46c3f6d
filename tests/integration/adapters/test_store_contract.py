"""The table: the same promises in memory and in DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tidegate.adapters.clients import Clients
from tidegate.adapters.dynamodb_store import DynamoDbStore
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Check, ConditionFailedError, Delete, Item, Key, Ports, Put, Store, Write

from tests.integration.adapters.cloud import TABLE, Wire, ok, refused
from tests.support.fakes import FakeStore

A, B = Key("SYSTEM#arive", "CURRENT"), Key("SYSTEM#arive", "LOCK")


@pytest.fixture(params=["fake", "moto"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "fake":
        return FakeStore()
    ports: Ports = request.getfixturevalue("on_moto")
    return ports.store


def put(store: Store, *sort_keys: str, pk: str = "P", **more: Any) -> None:
    for sort_key in sort_keys:
        store.transact([Put(Key(pk, sort_key), more)])


def sort_keys(items: Iterator[Item]) -> list[str]:
    return [item["sk"] for item in items]


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get(A) is None
    assert list(store.query("SYSTEM#arive")) == []


def test_an_item_comes_back_as_it_was_put_with_its_key(store: Store) -> None:
    item = {
        "text": "é",
        "empty": "",
        "number": 10**30,
        "negative": -1,
        "yes": True,
        "no": False,
        "nothing": None,
        "list": [1, "a", None, [True]],
        "map": {"a": {"b": []}, "size": 0},
    }
    store.transact([Put(A, item)])
    assert store.get(A) == {**item, "pk": A.pk, "sk": A.sk}


def test_the_key_of_the_write_wins_over_one_in_the_item(store: Store) -> None:
    store.transact([Put(A, {"x": 1})])
    read = store.get(A)
    assert read is not None
    store.transact([Put(B, read)])
    assert store.get(B) == {"x": 1, "pk": B.pk, "sk": B.sk}


def test_whole_numbers_and_booleans_keep_their_type(store: Store) -> None:
    store.transact([Put(A, {"one": 1, "yes": True})])
    read = store.get(A)
    assert read is not None
    assert type(read["one"]) is int
    assert read["yes"] is True


def test_put_replaces_the_whole_item(store: Store) -> None:
    store.transact([Put(A, {"old": 1})])
    store.transact([Put(A, {"new": 2})])
    assert store.get(A) == {"new": 2, "pk": A.pk, "sk": A.sk}


def test_what_is_not_json_and_any_float_is_refused(store: Store) -> None:
    for value in (1.5, {1, 2}, b"x", object(), {1: "a"}):
        for content in (value, [{"y": value}]):
            with pytest.raises(TypeError):
                store.transact([Put(A, {"x": content})])
    assert store.get(A) is None


@pytest.mark.parametrize(
    ("stored", "expect"),
    [
        (None, {"pk": None}),
        (None, {"version": None}),
        ({"version": 1}, {"version": 1}),
        ({"version": 1}, {"owner": None}),
        ({"owner": "a", "version": 1}, {"owner": "a", "version": 1}),
        ({"map": {"a": [1]}}, {"map": {"a": [1]}}),
        ({"yes": True}, {"yes": True}),
        ({"name": "reserved word"}, {"name": "reserved word"}),
        ({"version": 1}, {}),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_write_whose_condition_holds_is_carried_out(
    store: Store, stored: Item | None, expect: Item, alone: bool
) -> None:
    if stored is not None:
        store.transact([Put(A, stored)])
    store.transact([Put(A, {"written": True}, expect), *([] if alone else [Put(B, {})])])
    assert store.get(A) == {"written": True, "pk": A.pk, "sk": A.sk}
    store.transact([Delete(A, {"written": True}), *([] if alone else [Delete(B)])])
    assert store.get(A) is None


@pytest.mark.parametrize(
    ("stored", "expect"),
    [
        ({"version": 1}, {"pk": None}),
        ({"version": 1}, {"version": 2}),
        ({"version": 1}, {"version": "1"}),
        ({"version": 1}, {"version": None}),
        ({"owner": None}, {"owner": None}),
        ({"version": 1}, {"version": 1, "owner": "a"}),
        ({"map": {"a": [1]}}, {"map": {"a": [2]}}),
        (None, {"version": 1}),
    ],
)
def test_a_write_whose_condition_fails_changes_nothing(
    store: Store, stored: Item | None, expect: Item
) -> None:
    if stored is not None:
        store.transact([Put(A, stored)])
    before = store.get(A)
    for write in (Put(A, {"written": True}, expect), Delete(A, expect)):
        for writes in ([write], [Put(B, {}), write]):
            with pytest.raises(ConditionFailedError) as failure:
                store.transact(writes)
            assert failure.value.index == len(writes) - 1
            assert store.get(A) == before
            assert store.get(B) is None


def test_the_first_condition_that_fails_is_named(store: Store) -> None:
    store.transact([Put(A, {"version": 1})])
    with pytest.raises(ConditionFailedError) as failure:
        store.transact(
            [
                Check(A, {"version": 1}),
                Put(B, {}, {"version": 1}),
                Delete(Key("C", "C"), {"version": 1}),
            ]
        )
    assert failure.value.index == 1


def test_a_check_guards_the_others_and_writes_nothing(store: Store) -> None:
    store.transact([Check(A, {"pk": None}), Put(B, {"x": 1})])
    assert store.get(A) is None
    store.transact([Check(B, {"x": 1})])
    with pytest.raises(ConditionFailedError):
        store.transact([Check(B, {"x": 2})])


def test_a_transaction_that_cannot_be_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="100"):
        store.transact([Put(Key("P", f"{number}"), {}) for number in range(101)])
    with pytest.raises(ValueError, match="another item"):
        store.transact([Put(A, {}), Delete(A)])
    with pytest.raises(ValueError, match="expect"):
        store.transact([Check(A, {})])
    store.transact([])
    store.transact([Put(Key("P", f"{number:03}"), {}) for number in range(100)])
    assert len(list(store.query("P"))) == 100


def test_a_query_is_ordered_by_sort_key(store: Store) -> None:
    put(store, "b", "a", "c", "Z", "é", "a#1")
    put(store, "x", pk="Q")
    assert sort_keys(store.query("P")) == ["Z", "a", "a#1", "b", "c", "é"]
    assert sort_keys(store.query("P", "a")) == ["a", "a#1"]
    assert sort_keys(store.query("P", newest_first=True)) == ["é", "c", "b", "a#1", "a", "Z"]
    assert sort_keys(store.query("P", limit=2)) == ["Z", "a"]
    assert sort_keys(store.query("P", "a", newest_first=True, limit=1)) == ["a#1"]
    assert sort_keys(store.query("P", limit=0)) == []


def test_a_query_by_kind_is_ordered_by_time(store: Store) -> None:
    put(store, "1", kind="token", at="2026-03-02T09:00:00Z", ttl=1772442000)
    put(store, "2", kind="token", at="2026-03-02T08:00:00Z")
    put(store, "3", kind="token")
    put(store, "4", kind="lock", at="2026-03-02T08:30:00Z")
    assert sort_keys(store.query_kind("token")) == ["2", "1"]
    assert sort_keys(store.query_kind("token", newest_first=True)) == ["1", "2"]
    assert sort_keys(store.query_kind("token", since="2026-03-02T09:00:00Z")) == ["1"]
    assert next(store.query_kind("token", since="2026-03-02T09"))["ttl"] == 1772442000


KEYS = [Key(pk, sk) for pk in ("P", "Q") for sk in ("a", "b")]
VALUES = st.sampled_from([0, 2, True, "1", None, [1], {"a": 1}])
ITEMS = st.dictionaries(st.sampled_from(["x", "y"]), VALUES, max_size=2)
WRITES = st.lists(
    st.one_of(
        st.builds(Put, st.sampled_from(KEYS), ITEMS, ITEMS),
        st.builds(Put, st.sampled_from(KEYS), ITEMS, st.just({"pk": None})),
        st.builds(Delete, st.sampled_from(KEYS), ITEMS),
        st.builds(Check, st.sampled_from(KEYS), st.fixed_dictionaries({"x": VALUES})),
    ),
    max_size=4,
).map(lambda writes: list({write.key: write for write in writes}.values()))


def outcome(store: Store, writes: list[Write]) -> int | None:
    try:
        store.transact(writes)
    except ConditionFailedError as failure:
        return failure.index
    return None


_runs = count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=st.lists(WRITES, max_size=8))
def test_memory_and_dynamodb_agree_on_any_history(on_moto: Ports, transactions: list[list[Write]]) -> None:
    fake, run = FakeStore(), f"{next(_runs)}#"  # each history in partitions of its own

    def moved(write: Write) -> Write:
        return type(write)(
            **{**{name: getattr(write, name) for name in write.__slots__}, "key": place(write)}
        )

    def place(write: Write) -> Key:
        return Key(run + write.key.pk, write.key.sk)

    for writes in ([moved(write) for write in transaction] for transaction in transactions):
        assert outcome(on_moto.store, writes) == outcome(fake, writes)
    for pk in ("P", "Q"):
        assert list(on_moto.store.query(run + pk)) == list(fake.query(run + pk))


def test_true_is_not_one_in_a_condition(clients: Clients) -> None:
    """Not on moto: it compares the Python values, in which they are equal."""
    fake = FakeStore()
    fake.transact([Put(A, {"version": 1, "map": {"a": [1]}})])
    for expect in ({"version": True}, {"map": {"a": [True]}}):
        with pytest.raises(ConditionFailedError):
            fake.transact([Put(A, {}, expect)])
    wire = Wire(clients.client("dynamodb"), ok({}))
    dynamodb_store(clients.client("dynamodb")).transact([Put(A, {}, {"version": True})])
    assert wire.requests[0]["ExpressionAttributeValues"] == {":e0": {"BOOL": True}}


# What only DynamoDB does


@pytest.fixture
def dynamodb(clients: Clients) -> Any:
    return clients.client("dynamodb")


def dynamodb_store(client: Any) -> DynamoDbStore:
    return DynamoDbStore(lambda: client, TABLE)


def test_a_query_follows_the_pages_up_to_its_limit(dynamodb: Any) -> None:
    def page(*names: str, more: bool) -> Any:
        items = [{"pk": {"S": "P"}, "sk": {"S": name}} for name in names]
        return ok({"Items": items, **({"LastEvaluatedKey": items[-1]} if more else {})})

    wire = Wire(dynamodb, page("a", "b", more=True), page("c", more=False))
    assert sort_keys(dynamodb_store(dynamodb).query("P")) == ["a", "b", "c"]
    assert wire.requests[0]["ConsistentRead"] is True
    assert wire.requests[1]["ExclusiveStartKey"] == {"pk": {"S": "P"}, "sk": {"S": "b"}}


def test_a_limit_asks_for_no_more_than_is_left(dynamodb: Any) -> None:
    items = [{"pk": {"S": "P"}, "sk": {"S": name}} for name in "abc"]
    wire = Wire(
        dynamodb,
        ok({"Items": items[:2], "LastEvaluatedKey": items[1]}),
        ok({"Items": items[2:], "LastEvaluatedKey": items[2]}),
    )
    assert sort_keys(dynamodb_store(dynamodb).query("P", limit=3)) == ["a", "b", "c"]
    assert [sent["Limit"] for sent in wire.requests] == [3, 1]


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["None", "TransactionConflict"], TransientError),
        (["ThrottlingError", "None"], TransientError),
        (["ProvisionedThroughputExceeded", "None"], TransientError),
        (["ValidationError", "None"], OutsideError),
        (["TransactionConflict", "ConditionalCheckFailed"], ConditionFailedError),
    ],
)
def test_a_cancelled_transaction_says_whether_to_try_again(
    dynamodb: Any, codes: list[str], error: type[Exception]
) -> None:
    Wire(
        dynamodb,
        refused("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes]),
    )
    with pytest.raises(error) as raised:
        dynamodb_store(dynamodb).transact([Put(A, {}), Put(B, {})])
    if isinstance(raised.value, ConditionFailedError):
        assert raised.value.index == 1


@pytest.mark.parametrize("code", ["TransactionInProgressException", "TransactionConflictException"])
def test_another_transaction_in_the_way_is_transient(dynamodb: Any, code: str, no_waiting: None) -> None:
    Wire(dynamodb, *[refused(code)] * 4)
    with pytest.raises(TransientError):
        dynamodb_store(dynamodb).transact([Put(A, {}), Put(B, {})])


@pytest.mark.parametrize("write", [Put(A, {}, {"pk": None}), Delete(A, {"x": 1})])
def test_a_condition_that_fails_on_a_second_sending_is_undecided(
    dynamodb: Any, write: Write, no_waiting: None
) -> None:
    wire = Wire(dynamodb, refused("InternalServerError", 500), refused("ConditionalCheckFailedException"))
    with pytest.raises(TransientError, match="sent again"):
        dynamodb_store(dynamodb).transact([write])
    assert len(wire.requests) == 2


def test_one_write_is_no_transaction_and_several_carry_a_token(dynamodb: Any) -> None:
    wire = Wire(dynamodb, ok({}), ok({}), ok({}))
    store = dynamodb_store(dynamodb)
    store.transact([Put(A, {})])
    store.transact([Delete(A)])
    store.transact([Put(A, {}), Delete(B)])
    assert ["TransactItems" in sent for sent in wire.requests] == [False, False, True]
    assert wire.requests[2]["ClientRequestToken"]


def test_a_value_that_tidegate_never_writes_is_not_guessed_at(dynamodb: Any) -> None:
    Wire(dynamodb, ok({"Item": {"x": {"SS": ["a"]}}}))
    with pytest.raises(TypeError, match="SS"):
        dynamodb_store(dynamodb).get(A)
