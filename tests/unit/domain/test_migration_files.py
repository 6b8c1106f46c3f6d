"""Which files a release has, in which order, and which of them a database wants."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.migration_files import compare, head_of, in_order, read_files

ADD = b"ALTER TABLE orders ADD COLUMN total int;\n"
DROP = b"ALTER TABLE orders DROP COLUMN total;\n"


def refused(**files: bytes) -> str:
    with pytest.raises(BadInputError) as raised:
        read_files({f"{name.lstrip('_')}.sql": content for name, content in files.items()})
    assert raised.value.field == "migrations.directory"
    assert raised.value.hint
    return raised.value.message


def test_they_run_by_their_numbers() -> None:
    names = ["10_c.sql", "9-b.sql", "0001_a.sql", "20260302090000_d.sql"]
    read = read_files(dict.fromkeys(names, ADD))
    assert [file.name for file in read] == ["0001_a.sql", "9-b.sql", "10_c.sql", "20260302090000_d.sql"]
    assert head_of(names) == "20260302090000_d.sql"
    assert head_of([]) is None
    assert in_order([*names, "of somebody.txt"])[-1] == "of somebody.txt"


def test_a_file_is_known_by_its_text_whatever_ends_its_lines() -> None:
    unix, windows = read_files({"1_a.sql": ADD})[0], read_files({"1_a.sql": ADD.replace(b"\n", b"\r\n")})[0]
    assert unix == windows
    assert unix.checksum == hashlib.sha256(ADD).hexdigest()
    assert read_files({"1_a.sql": b"\xef\xbb\xbf" + ADD})[0].text == ADD.decode()


@pytest.mark.parametrize(
    "name",
    [
        "orders.sql",
        "1.sql",
        "1_.sql",
        "1_a.SQL",
        "_1_a.sql",
        "1 a.sql",
        "1_a/b.sql",
        "1_é.sql",
        f"{'1' * 19}_a.sql",
        "1_a\n.sql",
    ],
)
def test_a_name_that_has_no_place(name: str) -> None:
    with pytest.raises(BadInputError) as raised:
        read_files({name: ADD})
    assert raised.value.field == "migrations.directory"


def test_a_number_is_of_one_file() -> None:
    with pytest.raises(BadInputError, match=r"01_a\.sql and 1_b\.sql have the same number"):
        read_files({"1_b.sql": ADD, "01_a.sql": ADD})


def test_kinds_and_reasons() -> None:
    read = read_files({"1_add.sql": ADD, "2_drop.sql": DROP})
    assert [(file.kind, file.reasons, file.transactional) for file in read] == [
        ("expand", (), True),
        ("contract", ("drops column orders.total",), True),
    ]


def test_directives() -> None:
    read = read_files(
        {
            "1_a.sql": b"-- Tidegate: expand nobody reads it\n" + DROP,
            "2_a.sql": b"\n/* why */ --tidegate:contract r41 writes it\n" + ADD,
            "3_a.sql": b"-- tidegate: no-transaction\n-- tidegate: contract\nVACUUM;" + DROP,
            "4_a.sql": b"-- about tidegate: expand\n" + DROP,
        }
    )
    assert [(file.kind, file.reasons, file.transactional) for file in read] == [
        ("expand", ("its file says so: nobody reads it",), True),
        ("contract", ("its file says so: r41 writes it",), True),
        ("contract", ("its file says so", "drops column orders.total"), False),
        ("contract", ("drops column orders.total",), True),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"-- tidegate: expand\n" + DROP, "does not say why it only expands"),
        (b"-- tidegate: expand a\n-- tidegate: contract b\n" + DROP, "says both expand and contract"),
        (b"-- tidegate: notransaction\n" + DROP, "unknown directive 'notransaction'"),
        (DROP + b"-- tidegate: expand a", "directive after its first statement"),
        (b"BEGIN;" + ADD + b"COMMIT;", "has its own BEGIN"),
        (b"-- tidegate: no-transaction\n" + ADD + b"COMMIT;", "has its own COMMIT"),
        (b"\\set a 1\n" + ADD, "only psql knows"),
        (b"COPY a FROM STDIN;\n1\n\\.\n", "only psql knows"),
        (b"CREATE INDEX CONCURRENTLY i ON a (b);", "cannot run in a transaction"),
        (b"VACUUM;", "cannot run in a transaction"),
        (b"-- tidegate: no-transaction\nCREATE INDEX CONCURRENTLY ON a (b);", "does not name its index"),
        (b"SELECT '\xff';", "is not UTF-8"),
        (b"SELECT '\0';", "holds a NUL"),
    ],
)
def test_what_cannot_run(content: bytes, said: str) -> None:
    assert said in refused(_1_a=content)


def test_a_file_of_comments_is_one_that_does_nothing() -> None:
    (file,) = read_files({"1_a.sql": b"-- nothing any more\n"})
    assert (file.kind, file.transactional) == ("expand", True)


A, B, C = ("1_a.sql", "a"), ("2_b.sql", "b"), ("10_c.sql", "c")


def test_what_is_pending() -> None:
    assert compare([C, A, B], {}).pending == ("1_a.sql", "2_b.sql", "10_c.sql")
    compared = compare([A, B, C], dict([A]))
    assert (compared.pending, compared.refusal, compared.hint) == (("2_b.sql", "10_c.sql"), None, None)
    assert compare([A], dict([A])).pending == ()


def test_a_database_that_is_ahead() -> None:
    compared = compare([A], dict([A, B, C]))
    assert compared.pending == ()
    assert compared.refusal == (
        "the database is ahead of this release: it has 2_b.sql, 10_c.sql, which the release does not have"
    )
    assert compared.hint


def test_a_file_that_changed() -> None:
    compared = compare([A, B], {"1_a.sql": "other"})
    assert compared.refusal == "1_a.sql changed since the database has it"
    assert compared.hint


def test_a_file_that_comes_too_late() -> None:
    compared = compare([A, B, C], dict([A, C]))
    assert compared.refusal == "2_b.sql never ran, and comes before 10_c.sql, which did"
    assert compared.hint == "give it a number after 10_c.sql"


def test_a_long_list_is_cut() -> None:
    refusal = compare([], {f"{number}_a.sql": "a" for number in range(9)}).refusal
    assert refusal is not None
    assert "0_a.sql, 1_a.sql, 2_a.sql and 6 more" in refusal


names = st.integers(0, 30).map(lambda number: f"{number}_a.sql")


@given(st.dictionaries(names, st.sampled_from("ab")), st.dictionaries(names, st.sampled_from("ab")))
def test_nothing_runs_over_what_is_not_known(release: dict[str, str], applied: dict[str, str]) -> None:
    """With a refusal nothing is pending; without one the database has the release when the pending files ran."""
    compared = compare(list(release.items()), applied)
    if compared.refusal is not None:
        assert compared.pending == ()
        return
    assert applied | {name: release[name] for name in compared.pending} == release
    assert [*in_order(applied), *compared.pending] == in_order(release)
