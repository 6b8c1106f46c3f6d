"""The rows of `migrate_sql`: what it answers, and what it said to a database that answers by script.

What a database says of itself may hold a secret as much as a log does: the canary stands in the names of its
connections, in its errors and in the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.migration_files import read_files
from tidegate.domain.sql_migration import LOOKER, MIGRATOR, WAITER

from tests.functions.scene import CANARY, DEPLOYMENT, Row, Scene, event
from tests.support.databases import FakeDatabases, Rows, Turns, refused
from tests.support.fakes import World

MIGRATE = event("migrate_sql/migrate")
IMAGE = MIGRATE["image"]
NAMES = ("0041_more.sql", "0042_reader.sql")
TEXTS = ("CREATE TABLE more (id int);", f"CREATE ROLE reader PASSWORD '{CANARY}';")
FILES = read_files({name: text.encode() for name, text in zip(NAMES, TEXTS, strict=True)})
TABLE = "public.tidegate_migrations"
# Parts of statements, in the order they are looked for.
TAKES, TRANSACTION, FINDS = "pg_try_advisory_lock", "txid_current", "relname = :name AND c.relkind"
ENTRIES, OWN, OLD, INVALID = "SELECT name, checksum", "application_name IN", "pg_prepared_xacts", "indisvalid"
TOOL, VERSION = "to_regclass(:name)::text", "SELECT version_num"
ENDS = "SELECT pg_terminate_backend"
CHANGES = ("BEGIN", "CREATE", "INSERT", "UPDATE", "DELETE", "DROP", ENDS)


@dataclass
class SqlScene(Scene):
    """At the time of the events, a quarter of an hour before their deadline."""

    world: World = field(default_factory=World)

    @property
    def databases(self) -> FakeDatabases:
        return self.world.databases

    @property
    def texts(self) -> list[str]:
        """The statements, without the space around them."""
        return [sql.strip() for sql, _ in self.databases.statements]

    def answering(self, *answers: tuple[str, Any]) -> SqlScene:
        self.databases.answers += answers
        return self

    def with_files(self, *entries: Any) -> SqlScene:
        """The release's image; `entries` is what the database has of it, one reading after the other."""
        self.world.images.push(IMAGE["repository"], IMAGE["digest"])
        self.world.images.files[IMAGE["repository"], IMAGE["digest"]] = {
            f"{IMAGE['directory']}/{name}": text.encode() for name, text in zip(NAMES, TEXTS, strict=True)
        }
        return self.answering(
            (TAKES, [[True]]),
            (TRANSACTION, [[7]]),
            (FINDS, [[TABLE, True]]),
            (ENTRIES, Turns(entries)),
        )


def had(count: int) -> Rows:
    """Entries of the first files."""
    return [[file.name, file.checksum, "r41", True, 0, False] for file in FILES[:count]]


def signed_in(scene: SqlScene, application: str, patience: float, tls: str = "verify-full") -> bool:
    """Once, as the events say, and out again."""
    (session,) = scene.databases.sessions
    place = MIGRATE["secret"], tls, application + DEPLOYMENT, patience
    return session.closed and scene.databases.calls == [("connect", place)]


def looked(scene: SqlScene) -> bool:
    """It changed nothing and ended nothing."""
    return signed_in(scene, LOOKER, 90.0) and not any(text.startswith(CHANGES) for text in scene.texts)


def recorded(scene: SqlScene) -> list[tuple[Any, ...]]:
    """The rows that were written: file, release, deployment."""
    return [
        (values["name"], values["release"], values["deployment"])
        for sql, values in scene.databases.statements
        if sql.startswith("INSERT")
    ]


def applied(scene: SqlScene) -> bool:
    """The second file with its row in one transaction, and nothing of the first."""
    texts = scene.texts
    begin, commit = texts.index("BEGIN"), texts.index("COMMIT")
    return (
        signed_in(scene, WAITER, 30.0)
        and TEXTS[0] not in texts
        and texts.count(TEXTS[1]) == texts.count("BEGIN") == texts.count("COMMIT") == 1
        and begin < texts.index(TEXTS[1]) < commit
        and any(text.startswith("INSERT") for text in texts[begin:commit])
        and recorded(scene) == [(NAMES[1], "r42", DEPLOYMENT)]
    )


def taken_back(scene: SqlScene) -> bool:
    return (
        signed_in(scene, WAITER, 30.0, tls="off")
        and scene.texts.count("ROLLBACK") == 1
        and "COMMIT" not in scene.texts
        and recorded(scene) == []
    )


def ended(*pids: int) -> Callable[[SqlScene], bool]:
    """These connections, of those that go by the names of a migrator and of a waiter."""

    def look(scene: SqlScene) -> bool:
        said = scene.databases.statements
        asked = [values for sql, values in said if OWN in sql]
        names = {"migrator": MIGRATOR + DEPLOYMENT, "waiter": WAITER + DEPLOYMENT}
        return (
            signed_in(scene, LOOKER, 90.0)
            and [values["pid"] for sql, values in said if sql.startswith(ENDS)] == [*pids]
            and all(values == names for values in asked)
        )

    return look


WHO = f"psql postgres://shop:{CANARY}@db/shop, idle in transaction"
SQL_ROWS = {
    "check": Row(
        lambda: SqlScene().with_files(had(1)),
        {"outcome": "Ready", "reason": "", "head": NAMES[0]},
        looked,
    ),
    # An application may name its connections after its connection string.
    "check_before_a_task": Row(
        lambda: SqlScene().answering(
            (OLD, [["process 7", 540.0, WHO, "SELECT pg_terminate_backend(7)"]]),
            (TOOL, Turns([[["alembic_version"]], [[None]]])),
            (VERSION, [["8f2c"]]),
        ),
        {
            "outcome": "NotReady",
            "reason": "a transaction has been open for 540 s (process 7, psql postgres://***@db/shop, idle in "
            "transaction); to end it: SELECT pg_terminate_backend(7)",
            "head": "8f2c",
        },
        looked,
    ),
    "migrate": Row(
        lambda: SqlScene().with_files(had(1), had(2)),
        {"outcome": "Migrated", "reason": "", "head": NAMES[1], "applied": 1},
        applied,
    ),
    "migrate_without_tls": Row(
        lambda: (
            SqlScene()
            .answering(
                (TEXTS[1], refused("42501", f"permission denied: CREATE ROLE reader PASSWORD={CANARY}"))
            )
            .with_files(had(1))
        ),
        {
            "outcome": "Failed",
            "reason": f"{NAMES[1]}: permission denied: CREATE ROLE reader PASSWORD=*** (42501)",
            "head": NAMES[0],
            "applied": 0,
        },
        taken_back,
    ),
    "terminate": Row(
        lambda: SqlScene().answering((OWN, Turns([[[11], [12]], [[12]], []]))).with_files(had(1)),
        {"outcome": "Terminated", "reason": "", "head": NAMES[0], "count": 2},
        ended(11, 12, 12),
    ),
    "terminate_after_a_task": Row(
        lambda: SqlScene().answering((TOOL, [["alembic_version"]]), (VERSION, [["8f2c"]])),
        {"outcome": "Terminated", "reason": "", "head": "8f2c", "count": 0},
        ended(),
    ),
    "verify": Row(
        lambda: SqlScene().with_files(had(2)),
        {"outcome": "Verified", "reason": "", "head": NAMES[1]},
        looked,
    ),
    "verify_after_a_task": Row(
        lambda: SqlScene().answering((INVALID, refused("42501", f"denied to postgres://shop:{CANARY}@db"))),
        {
            "outcome": "NotVerified",
            "reason": "the database refuses: denied to postgres://***@db (42501)",
            "head": None,
        },
        looked,
    ),
}
