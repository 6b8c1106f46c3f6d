"""What the function in the VPC answers, over a database that answers by script. What a real one does with the same
statements is in tests/databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.domain.sql_migration import OTHER_ENGINE
from tidegate.steps.migrate_sql import run

from tests.support.clock import iso
from tests.support.databases import Turns, refused
from tests.support.fakes import World

DIGEST = "sha256:" + "a" * 64
DEPLOYMENT = "01JD6QZ5N8W3F4T7X2V9K1M0AB"
PAYLOAD: dict[str, Any] = {
    "step": "Migrate",
    "system": "shop",
    "environment": "production",
    "deployment": DEPLOYMENT,
    "release": "r42",
    "secret": "shop/production/database",
    "tls": "verify-full",
    "lock_timeout": 5,
    "statement_timeout": 900,
    "transaction_age": 300,
    "runner": "sql",
    "image": {"repository": "shop-migrations", "digest": DIGEST, "directory": "/migrations"},
    "deadline": None,
}
TASK: dict[str, Any] = {"runner": "task", "image": None}
# Parts of statements, in the order they are looked for.
TAKES, MIGRATORS, OWN = "pg_try_advisory_lock", "starts_with", "application_name IN"
FINDS, ENTRIES, TRANSACTION = "relname = :name AND c.relkind", "SELECT name, checksum", "txid_current"


def world(**files: str) -> World:
    """An image with these files, and a database without a ledger that gives its lock."""
    world = World()
    world.images.push("shop-migrations", DIGEST)
    world.images.files["shop-migrations", DIGEST] = {
        f"/migrations/{name.lstrip('_')}.sql": text.encode() for name, text in files.items()
    }
    world.databases.answers = [
        (TAKES, [[True]]),
        (FINDS, Turns([[], [["public.tidegate_migrations", True]]])),
        (TRANSACTION, [[7]]),
    ]
    return world


def asked(world: World, step: str = "Migrate", **changes: Any) -> Mapping[str, Any]:
    answer = run(PAYLOAD | {"step": step} | changes, world.ports)
    assert all(session.closed for session in world.databases.sessions)
    return answer


def first(world: World, part: str, given: Any) -> None:
    world.databases.answers.insert(0, (part, given))


def taking(world: World, seconds: float, error: Exception | None = None) -> Callable[[], Any]:
    """An answer after so long."""

    def answer() -> Any:
        world.clock.advance(seconds)
        return [] if error is None else error

    return answer


def row(name: str, *, finished: bool = True, done: int = 0, attempting: bool = False) -> list[Any]:
    return [name, "of another time", "r41", finished, done, attempting]


def test_a_file_runs_with_its_row() -> None:
    there = world(_1_orders="CREATE TABLE orders (id int);")
    answer = asked(there)
    assert (answer["outcome"], answer["reason"], answer["applied"]) == ("Migrated", "", 1)
    said = [sql.split("(")[0].strip() for sql, _ in there.databases.statements]
    begin = said.index("BEGIN")
    assert said[begin:][:7] == [
        "BEGIN",
        "SELECT txid_current",
        "CREATE TABLE orders",
        "SELECT txid_current",
        "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE",
        "INSERT INTO public.tidegate_migrations",
        "COMMIT",
    ]
    assert there.databases.calls == [
        ("connect", ("shop/production/database", "verify-full", f"tidegate-waits-{DEPLOYMENT}", 30.0))
    ]


def test_the_limits_are_set_before_each_file() -> None:
    there = world(_1_a="SELECT 1", _2_b="SELECT 2")
    asked(there)
    limits = [values for sql, values in there.databases.statements if values.get("name") == "lock_timeout"]
    assert [limit["value"] for limit in limits] == ["5000ms"] * 3
    assert there.databases.ran("RESET ALL") == 3


def test_a_server_that_does_not_know_a_limit_goes_without() -> None:
    there = world(_1_a="SELECT 1")
    unknown = refused("42704", "unrecognized configuration parameter")
    first(there, "set_config(:name, :value", Turns([[], [], [], [], unknown, []]))
    assert asked(there)["outcome"] == "Migrated"
    there = world(_1_a="SELECT 1")
    first(there, "set_config(:name, :value", Turns([[], unknown, []]))
    assert asked(there)["outcome"] == "Failed"


def test_a_lock_is_asked_for_again_after_a_longer_pause() -> None:
    there = world(_1_a="ALTER TABLE orders ADD a int")
    first(there, "ALTER TABLE", Turns([refused("55P03"), refused("40P01"), []]))
    assert asked(there)["outcome"] == "Migrated"
    pauses = [args[0] for name, args in there.web.calls if name == "wait"]
    assert len(pauses) == 2
    assert all(5.25 <= pause <= 7.5 for pause in pauses)
    assert there.databases.ran("ROLLBACK") == 2


@pytest.mark.parametrize(("deadline", "tries"), [(None, 8), (20, 4)])
def test_a_lock_is_not_asked_for_for_ever(deadline: int | None, tries: int) -> None:
    there = world(_1_a="ALTER TABLE orders ADD a int")
    first(there, "ALTER TABLE", refused("55P03"))
    until = None if deadline is None else iso(there.clock.now() + timedelta(seconds=deadline))
    answer = asked(there, deadline=until)
    assert (answer["outcome"], answer["applied"]) == ("Failed", 0)
    assert there.databases.ran("ALTER TABLE") <= tries


def test_an_invocation_that_runs_out_of_time_is_asked_again() -> None:
    """Guards REST_SECONDS: the next file would be cut off by Lambda's limit."""
    there = world(_1_a="SELECT 'slow'", _2_b="SELECT 2")
    there.databases.answers.append(("slow", taking(there, 790)))
    answer = asked(there)
    assert (answer["outcome"], answer["applied"]) == ("More", 1)
    assert there.databases.ran("SELECT 2") == 0


def test_a_file_that_outlasts_an_invocation_fails() -> None:
    there = world(_1_a="SELECT 'slow'")
    there.databases.answers.append(("slow", taking(there, 835, refused("57014"))))
    answer = asked(there)
    assert answer["outcome"] == "Failed"
    assert "runner sql has 840 s for a statement" in answer["reason"]


def test_a_file_that_had_less_than_an_invocation_gets_another_one() -> None:
    there = world(_1_a="SELECT 'long'", _2_b="SELECT 'slow'")
    there.databases.answers += [("long", taking(there, 500)), ("slow", taking(there, 339, refused("57014")))]
    answer = asked(there)
    assert (answer["outcome"], answer["applied"]) == ("More", 1)


def test_no_file_begins_after_the_deadline() -> None:
    there = world(_1_a="SELECT 'slow'", _2_b="SELECT 2")
    there.databases.answers.append(("slow", taking(there, 100)))
    answer = asked(there, deadline=iso(there.clock.now() + timedelta(seconds=90)))
    assert (answer["outcome"], answer["applied"]) == ("Failed", 1)
    assert answer["reason"] == "the time for migrations is over before 2_b.sql"


def test_a_statement_gets_no_more_than_the_time_that_is_left() -> None:
    there = world(_1_a="SELECT 1")
    asked(there, deadline=iso(there.clock.now() + timedelta(seconds=90)))
    limits = [values for _, values in there.databases.statements if values.get("name") == "statement_timeout"]
    assert {limit["value"] for limit in limits} == {"90000ms"}


def test_a_file_that_ends_its_own_transaction_is_told() -> None:
    there = world(_1_a="SELECT end_it()")
    first(there, TRANSACTION, Turns([[[7]], [[8]]]))
    answer = asked(there)
    assert answer["outcome"] == "Failed"
    assert "ended the transaction it ran in" in answer["reason"]


def test_the_line_is_left_after_a_minute() -> None:
    there = world(_1_a="SELECT 1")
    first(there, TAKES, [[False]])
    first(there, MIGRATORS, [["tidegate-migrate-01JD6QZ5N8W3F4T7X2V9K1M0AC"]])
    began = there.clock.now()
    answer = asked(there)
    assert answer["outcome"] == "Failed"
    assert "tidegate-migrate-01JD6QZ5N8W3F4T7X2V9K1M0AC" in answer["reason"]
    assert (there.clock.now() - began).total_seconds() == 60


def test_a_file_that_is_half_run_must_be_the_same() -> None:
    there = world(_1_a="-- tidegate: no-transaction\nSELECT 1")
    first(there, FINDS, [["public.tidegate_migrations", True]])
    first(there, ENTRIES, [row("1_a.sql", finished=False, done=1)])
    assert "restore its text" in asked(there)["reason"]


@pytest.mark.parametrize(
    ("step", "outcome"), [("Check", "NotReady"), ("Migrate", "Failed"), ("Verify", "NotVerified")]
)
def test_another_engine_is_an_outcome(step: str, outcome: str) -> None:
    there = world()
    there.databases.fails(
        "connect", OutsideError("not PostgreSQL", hint="use runner task", code=OTHER_ENGINE)
    )
    answer = asked(there, step)
    assert (answer["outcome"], answer["reason"]) == (outcome, "not PostgreSQL: use runner task")


@pytest.mark.parametrize("step", ["Check", "Migrate", "Verify", "Terminate"])
@pytest.mark.parametrize("error", [OutsideError("wrong password"), TransientError("cannot be reached")])
def test_a_connection_that_fails_is_an_error(step: str, error: Exception) -> None:
    there = world()
    there.databases.fails("connect", error)
    with pytest.raises(type(error)):
        asked(there, step)


@pytest.mark.parametrize(("step", "outcome"), [("Migrate", "Failed"), ("Verify", "NotVerified")])
def test_files_that_cannot_be_used_are_an_outcome(step: str, outcome: str) -> None:
    there = world(orders="SELECT 1")
    answer = asked(there, step)
    assert answer["outcome"] == outcome
    assert "'orders.sql' is no name of a migration" in answer["reason"]
    there.images.delete("shop-migrations", DIGEST)
    assert "has no image" in asked(there, step)["reason"]


def test_what_the_database_refuses_is_shown_without_what_looks_secret() -> None:
    there = world(_1_a="SELECT 'fault'")
    first(there, "fault", refused("42601", "syntax error near password=canary-5e1d"))
    assert asked(there)["reason"] == "1_a.sql: syntax error near password=*** (42601)"


def test_leftovers_are_ended_and_waited_for() -> None:
    there = world()
    first(there, OWN, Turns([[[11], [12]], [[12]], []]))
    answer = asked(there, "Terminate", **TASK)
    assert (answer["outcome"], answer["count"]) == ("Terminated", 2)
    assert there.databases.ran("pg_terminate_backend") == 3


def test_leftovers_that_stay_are_asked_for_again() -> None:
    there = world()
    first(there, OWN, [[11]])
    late = iso(there.clock.now() - timedelta(minutes=1))
    with pytest.raises(TransientError, match="do not end"):
        asked(there, "Terminate", deadline=late)


@pytest.mark.parametrize("step", ["Check", "Migrate"])
def test_the_secret_is_read_in_its_format(step: str) -> None:
    there = world()
    form = {"key": "connection_string", "style": "npgsql"}
    run(PAYLOAD | {"step": step, "format": form}, there.ports)
    assert there.databases.formats == [form]


def test_leftovers_that_may_not_be_ended() -> None:
    there = world()
    first(there, OWN, [[11]])
    first(there, "pg_terminate_backend", refused("42501"))
    for step in ("Check", "Migrate", "Terminate"):
        with pytest.raises(OutsideError) as raised:
            asked(there, step)
        assert raised.value.hint is not None
        assert "pg_signal_backend" in raised.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", "Drop"),
        ("runner", "flyway"),
        ("tls", "prefer"),
        ("format", "plain"),
        ("format", {"key": "connection_string"}),
        ("deployment", "d1"),
        ("secret", ""),
        ("lock_timeout", 0),
        ("lock_timeout", float("nan")),
        ("statement_timeout", True),
        ("transaction_age", "5m"),
        ("deadline", "soon"),
        ("image", None),
        ("image", {"repository": "a", "digest": "b"}),
        ("image", {"repository": "", "digest": DIGEST}),
        ("image", {"repository": "a", "digest": DIGEST, "directory": 7}),
        ("image", {"repository": "a", "digest": DIGEST, "tag": "a"}),
        ("unknown", 1),
    ],
)
def test_another_payload_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(BadInputError) as raised:
        run(PAYLOAD | {field: value}, World().ports)
    assert str(raised.value.field).startswith(field)
