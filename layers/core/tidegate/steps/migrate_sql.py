"""Function `migrate_sql`: looks at a database, and runs SQL files in it.

It runs in the environment's VPC, and has no table: all it knows is its payload, the image's files and the database.
That a database is not ready, or a file fails, is an outcome, not an error. Each step may run twice: what it finds in
the database decides, never what an earlier invocation said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from tidegate.domain.errors import BadInputError, OutsideError
from tidegate.domain.migration_files import compare
from tidegate.domain.redaction import redacted
from tidegate.domain.sql_migration import CHECK, MIGRATE, OTHER_ENGINE, SQL, TERMINATE, VERIFY, SqlMigration
from tidegate.ports import Ports, Session, SqlError
from tidegate.steps.database_state import GONE_SECONDS, DatabaseState, end_backends, listed
from tidegate.steps.sql_ledger import SqlLedger
from tidegate.steps.sql_migrating import migrated, release_files

# A paused Aurora takes up to half a minute to wake, and longer after a day.
PATIENCE_SECONDS: Final = 90.0
# The machine gives this step 300 s.
TERMINATE_SECONDS: Final = 200.0
_NOT = {CHECK: "NotReady", MIGRATE: "Failed", VERIFY: "NotVerified"}

Answer = Mapping[str, Any]


def run(event: Mapping[str, Any], ports: Ports) -> Answer:
    """`domain.sql_migration` has the payload. Gives

    - Check: `{"outcome": "Ready" | "NotReady", "reason", "head"}`
    - Migrate: `{"outcome": "Migrated" | "More" | "Failed", "reason", "head", "applied"}`; `More`: ask again
    - Verify: `{"outcome": "Verified" | "NotVerified", "reason", "head"}`
    - Terminate: `{"outcome": "Terminated", "reason", "head", "count"}`

    `head` is the last file's name, or what Alembic's or Django's own table says, or null. Raises BadInputError for
    another payload, TransientError for a database that cannot be reached, OutsideError for a credential, a permission
    or a certificate that is wrong.
    """
    request = SqlMigration.from_payload(event)
    steps = {CHECK: _check, MIGRATE: migrated, VERIFY: _verify, TERMINATE: _terminate}
    try:
        return steps[request.step](request, ports)
    except SqlError as error:
        if request.step not in _NOT:
            raise OutsideError(redacted(f"the database refuses: {error}")) from None
        return _answer(request, _NOT[request.step], redacted(f"the database refuses: {error}"))
    except BadInputError as error:
        return _answer(request, _NOT.get(request.step, "Terminated"), _with_hint(error))
    except OutsideError as error:
        if error.code != OTHER_ENGINE or request.step not in _NOT:
            raise
        return _answer(request, _NOT[request.step], _with_hint(error))


def _check(request: SqlMigration, ports: Ports) -> Answer:
    with _looking(request, ports) as (session, state):
        end_backends(
            session, ports, lambda: state.own_backends(request.migrator, request.waiter), GONE_SECONDS
        )
        head = _head(request, session, state)
        if others := state.migrators(request.migrator):
            return _answer(request, "NotReady", f"another migration is under way: {listed(others)}", head)
        if old := state.old_transactions(request.transaction_age):
            return _answer(request, "NotReady", listed(old), head)
        # The SQL runner mends what it left itself; Verify looks for the rest.
        if request.runner != SQL and (invalid := state.invalid_indexes()):
            return _answer(request, "NotReady", _broken(invalid), head)
        unseen = ""
        if state.hidden_backends():
            unseen = "transactions of other roles cannot be seen by the secret's role: GRANT pg_read_all_stats to it"
        return _answer(request, "Ready", unseen, head)


def _verify(request: SqlMigration, ports: Ports) -> Answer:
    with _looking(request, ports) as (session, state):
        head = _head(request, session, state)
        if request.runner == SQL and (fault := _unlike(request, ports, session)) is not None:
            return _answer(request, "NotVerified", fault, head)
        if invalid := state.invalid_indexes():
            return _answer(request, "NotVerified", _broken(invalid), head)
        return _answer(request, "Verified", "", head)


def _unlike(request: SqlMigration, ports: Ports, session: Session) -> str | None:
    """How the database differs from the release."""
    files = release_files(request, ports)
    entries = SqlLedger(session, request.release, request.deployment).entries()
    compared = compare(
        [(file.name, file.checksum) for file in files],
        {entry.name: entry.checksum for entry in entries if entry.finished},
    )
    if compared.refusal is not None:
        return f"{compared.refusal}: {compared.hint}"
    return f"not applied: {listed(compared.pending)}" if compared.pending else None


def _terminate(request: SqlMigration, ports: Ports) -> Answer:
    with _looking(request, ports) as (session, state):
        count = end_backends(
            session,
            ports,
            lambda: state.own_backends(request.migrator, request.waiter),
            _time_to_end(request, ports),
        )
        return {**_answer(request, "Terminated", "", _head(request, session, state)), "count": count}


def _time_to_end(request: SqlMigration, ports: Ports) -> float:
    """It is asked for when the deadline has passed, too."""
    if request.deadline is None:
        return TERMINATE_SECONDS
    left = (request.deadline - ports.clock.now()) / timedelta(seconds=1)
    return min(TERMINATE_SECONDS, max(GONE_SECONDS, left))


@contextmanager
def _looking(request: SqlMigration, ports: Ports) -> Iterator[tuple[Session, DatabaseState]]:
    session = ports.databases.connect(
        request.secret, request.tls, request.looker, PATIENCE_SECONDS, format=request.format
    )
    try:
        session.query("SELECT set_config(:name, :value, false)", name="statement_timeout", value="30s")
        session.query("SELECT set_config(:name, :value, false)", name="lock_timeout", value="5s")
        yield session, DatabaseState(session)
    finally:
        session.close()


def _head(request: SqlMigration, session: Session, state: DatabaseState) -> str | None:
    if request.runner != SQL:
        return state.tool_head()
    return SqlLedger(session, request.release, request.deployment).head()


def _broken(indexes: list[str]) -> str:
    names = [f"{name} (DROP INDEX CONCURRENTLY {name}; and make it again)" for name in indexes]
    return f"invalid indexes, of a CREATE INDEX CONCURRENTLY that failed or still runs: {listed(names)}"


def _answer(request: SqlMigration, outcome: str, reason: str, head: str | None = None) -> Answer:
    answer: dict[str, Any] = {"outcome": outcome, "reason": reason, "head": head}
    return answer | {"applied": 0} if request.step == MIGRATE else answer


def _with_hint(error: BadInputError | OutsideError) -> str:
    said = error.message if error.hint is None else f"{error.message}: {error.hint}"
    return redacted(said)
