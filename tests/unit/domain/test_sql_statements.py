"""A script is cut as psql cuts it: whatever is quoted, commented or in parentheses, nothing is lost or overlooked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.sql_statements import ConcurrentIndex, comments, concurrent_index, split

ATOMIC = """CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql
BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 2; END"""

WHOLE = [
    "SELECT 1",
    "SELECT ';'",
    "SELECT 'it''s;'",
    r"SELECT 'C:\'",
    r"SELECT E'it\'s;'",
    "SELECT E'a'\n  'b\\';'",
    "SELECT e'\\\\'",
    "SELECT U&'\\0041;'",
    'SELECT ";"";"',
    "SELECT $$ ; $$",
    "SELECT $body$ ; $$ ; $body$",
    "SELECT $é$ ; $é$",
    "SELECT a$b$c, $1",
    "SELECT 1 -- it's; here\n",
    "/* a /* b */ ; */ SELECT 1",
    "SELECT (1; 2)",
    'CREATE TABLE t (begin int, declare int, "end" int)',
    "CREATE TABLE IF NOT EXISTS t (a int)",
    "CREATE VIEW v AS SELECT CASE WHEN a THEN 1 END FROM t",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
    "DO $$ BEGIN IF a THEN b; END IF; END $$",
    ATOMIC,
    "CREATE PROCEDURE p(begin int) BEGIN ATOMIC INSERT INTO t VALUES (1); END",
    "BEGIN",
]
PIECES = [*"aeE$'\"\\;()-/*\n \t1_é", "begin ", "atomic ", "case ", "end ", "create ", "function "]


@pytest.mark.parametrize("statement", WHOLE)
def test_a_statement_stays_whole(statement: str) -> None:
    """Guards one rule of the scanner each: the DROP would be a part of it, or it would be two."""
    script = f"{statement};DROP TABLE t;"
    cut = split(script)
    assert [one.text for one in cut] == [f"{statement};", "DROP TABLE t;"]
    assert cut[1].tokens == ("drop", "table", "t")


@pytest.mark.parametrize("script", ["", " \n", "-- nothing\n", "/* DROP TABLE t; */", ";;", "\ufeff"[:0]])
def test_nothing_to_run(script: str) -> None:
    assert split(script) == ()


@pytest.mark.parametrize(
    "script", ["SELECT 'a; b", "SELECT $$ a; b", 'SELECT "a; b', "SELECT 1 /* a; b", "SELECT E'\\"]
)
def test_what_has_no_end_runs_to_the_end(script: str) -> None:
    assert [one.text for one in split(script)] == [script]


@given(
    st.lists(
        st.tuples(st.sampled_from(WHOLE), st.sampled_from([";", " ;\n", ";;", "; -- and\n", ";/* ; */"]))
    )
)
def test_statements_are_found_again(parts: list[tuple[str, str]]) -> None:
    script = "".join(statement + end for statement, end in parts)
    cut = split(script)
    assert len(cut) == len(parts)
    assert "".join(one.text for one in cut) == script


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_nothing_is_lost(script: str) -> None:
    cut = split(script)
    assert not cut or "".join(one.text for one in cut) == script
    assert all(one.tokens for one in cut)
    # What is cut once is whole.
    assert [again.tokens for one in cut for again in split(one.text)] == [one.tokens for one in cut]


def test_a_line_for_people_has_no_strings() -> None:
    (one,) = split("-- why\nALTER ROLE x  -- and\n PASSWORD 'hunter2' /* x */ VALID UNTIL $$ hunter2 $$;")
    assert one.line == "ALTER ROLE x PASSWORD '…' VALID UNTIL '…'"
    (long,) = split(f"SELECT {'x' * 200}")
    assert len(long.line) == 80


@pytest.mark.parametrize(
    ("text", "controls"),
    [
        ("BEGIN", True),
        ("START TRANSACTION", True),
        ("COMMIT AND CHAIN", True),
        ("END", True),
        ("ABORT", True),
        ("ROLLBACK", True),
        ("ROLLBACK TO SAVEPOINT a", False),
        ("ROLLBACK WORK TO a", False),
        ("SAVEPOINT a", False),
        ("RELEASE a", False),
        ("PREPARE TRANSACTION 'a'", True),
        ("PREPARE a AS SELECT 1", False),
        ("COMMIT PREPARED 'a'", True),
        ("DO $$ BEGIN COMMIT; END $$", False),
        ("SELECT 1", False),
    ],
)
def test_what_controls_the_transaction(text: str, controls: bool) -> None:
    assert split(text)[0].controls_transaction is controls


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("VACUUM t", True),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", True),
        ("DROP INDEX CONCURRENTLY i", True),
        ("REINDEX TABLE CONCURRENTLY t", True),
        ("ALTER TABLE p DETACH PARTITION q CONCURRENTLY", True),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", False),
        ("CREATE INDEX i ON t (a)", False),
    ],
)
def test_what_needs_no_transaction(text: str, needs: bool) -> None:
    assert split(text)[0].needs_no_transaction is needs


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("\\connect other", True),
        ("COPY t FROM STDIN", True),
        ("COPY t (a) TO STDOUT", True),
        ("COPY t FROM '/tmp/stdin'", False),
    ],
)
def test_what_needs_psql(text: str, needs: bool) -> None:
    assert split(text)[0].needs_client is needs


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", ConcurrentIndex("t", "i")),
        (
            'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "My I" ON ONLY "S"."T" USING btree (a)',
            ConcurrentIndex('"S"."T"', '"My I"'),
        ),
        ("create index concurrently on t (a)", ConcurrentIndex("t", None)),
        ("CREATE INDEX i ON t (a)", None),
        ("CREATE INDEX concurrently", None),
        ("DROP INDEX CONCURRENTLY i", None),
    ],
)
def test_what_index_is_made(text: str, made: ConcurrentIndex | None) -> None:
    assert concurrent_index(split(text)[0]) == made


def test_comments_before_and_after_the_first_statement() -> None:
    script = "-- one\n/* two\n-- three */ --four\r\nSELECT '-- five'; -- six"
    assert comments(script) == (("one", True), ("four", True), ("six", False))
