"""The servers of the databases that RDS was asked for, each with one of its own.

So two databases may have users and databases of the same names, as in AWS, and nothing is left of one that is deleted.
"""

import secrets
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pg8000.native
from pg8000.native import identifier, literal

from tidegate_local.databases import mariadb
from tidegate_local.databases.fronts import LOOPBACK, Fronts, free_port
from tidegate_local.databases.keeper import Keeper
from tidegate_local.databases.mariadb import MariaDB
from tidegate_local.databases.postgresql import PostgreSQL
from tidegate_local.databases.program import StartError
from tidegate_local.settings import Settings

FOLDER = "databases"
READY_SECONDS = 90.0
SUPERUSER = "rdsadmin"
"""As on RDS, where nobody can sign in as that user."""
# RDS user guide, "Master user account privileges", for MySQL. MariaDB has one more that is of a database: without it
# nobody could be granted all of those, as the master user can on MySQL.
MASTER_OF_MYSQL = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, "
    "CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, DELETE HISTORY"
)
_POSTGRES = ("postgres", "aurora-postgresql")
_MYSQL = ("mysql", "mariadb", "aurora-mysql")


@dataclass(frozen=True, slots=True)
class Master:
    """The user that RDS makes, and the database that it does; none where that is empty."""

    user: str
    password: str = field(repr=False)
    database: str


class Database(ABC):
    """A server that is being started, runs, or has failed. `host` and `port` are known from the beginning."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._known = threading.Event()
        self._failure = ""

    def wait(self) -> None:
        """Until it takes connections. Raises `StartError`."""
        if not self._known.wait(READY_SECONDS):
            raise StartError("it was not ready in time")
        if self._failure:
            raise StartError(self._failure)

    def tell(self, failure: str = "") -> None:
        """It takes connections, or never will."""
        self._failure = failure
        self._known.set()

    @abstractmethod
    def set_password(self, password: str) -> None:
        """Let the master user sign in with that from now on. Raises the driver's errors."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and remove what it has."""


class Servers:
    """By the database's ARN."""

    def __init__(self, settings: Settings, fronts: Fronts) -> None:
        self.fronts = fronts
        self._folder = settings.state_dir / FOLDER
        self._found: dict[str, Database] = {}
        self._turn = threading.Lock()

    def start(self, arn: str, engine: str, master: Master) -> Database | None:
        """Begin with one; None for an engine that this machine has no server of. Raises `OSError`, `StartError`."""
        folder = self._folder / arn.partition(":rds:")[2].replace(":", "-")
        made: Callable[[Path, Fronts, Master], Database]
        if engine in _POSTGRES:
            made = _OnPostgreSQL
        elif engine in _MYSQL and not mariadb.missing():
            made = _OnMariaDB
        else:
            return None
        with self._turn:
            self._found[arn] = made(folder, self.fronts, master)
            return self._found[arn]

    def of(self, arn: str) -> Database | None:
        """Its server, if it has one."""
        return self._found.get(arn)

    def stop(self, arn: str) -> None:
        """End it, if there is one."""
        with self._turn:
            found = self._found.pop(arn, None)
        if found is not None:
            found.stop()

    def stop_all(self) -> None:
        """End them all; returns when that is done."""
        with ThreadPoolExecutor(8) as several:
            list(several.map(self.stop, [*self._found]))
        shutil.rmtree(self._folder, ignore_errors=True)


def sweep(state_dir: Path) -> None:
    """End what a cloud with that folder has left, if it was killed."""
    for folder in (state_dir / FOLDER).glob("*"):
        mariadb.sweep(folder / "data")
        PostgreSQL(folder, SUPERUSER, "").sweep()


class _OnPostgreSQL(Database):
    def __init__(self, folder: Path, fronts: Fronts, master: Master) -> None:
        self._fronts = fronts
        self._master = master
        self._password = secrets.token_urlsafe(24)
        self._program = PostgreSQL(folder, SUPERUSER, self._password)
        super().__init__(fronts.host, fronts.open(lambda: self._program.port))
        self._keeper = Keeper(self._program, up=self._fill, failed=self.tell)
        self._keeper.start()

    def set_password(self, password: str) -> None:
        self.wait()
        if password != self._master.password:
            self._run(f"ALTER ROLE {identifier(self._master.user)} PASSWORD {literal(password)}")
            self._master = replace(self._master, password=password)

    def stop(self) -> None:
        self._fronts.close(self.port)
        self._keeper.stop()

    def _fill(self) -> None:
        """RDS user guide, "Understanding PostgreSQL roles and permissions"."""
        user, password = identifier(self._master.user), literal(self._master.password)
        self._run(
            "CREATE ROLE rds_superuser",
            "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
            f"CREATE ROLE {user} LOGIN CREATEROLE CREATEDB PASSWORD {password} VALID UNTIL 'infinity' "
            "IN ROLE rds_superuser",
            f"ALTER DATABASE postgres OWNER TO {user}",
        )
        if self._master.database not in ("", "postgres"):
            self._run(f"CREATE DATABASE {identifier(self._master.database)} OWNER {user}")
        self.tell()

    def _run(self, *statements: str) -> None:
        connection = pg8000.native.Connection(
            SUPERUSER,
            host=LOOPBACK,
            port=self._program.port or 0,
            password=self._password,
            database="postgres",
            timeout=READY_SECONDS,
        )
        try:
            for statement in statements:
                connection.run(statement)
        finally:
            connection.close()


class _OnMariaDB(Database):
    def __init__(self, folder: Path, fronts: Fronts, master: Master) -> None:
        super().__init__(fronts.host, free_port(fronts.hosts))
        self._master = master
        self._password = secrets.token_urlsafe(24)
        first = _begun(master, self._password)
        program = MariaDB(folder, fronts.hosts, self.port, fronts.authority, first)
        self._keeper = Keeper(program, up=self.tell, failed=self.tell)
        self._keeper.start()

    def set_password(self, password: str) -> None:
        import pymysql  # noqa: PLC0415 - only where there is a MariaDB

        self.wait()
        if password == self._master.password:
            return
        connection = pymysql.connect(
            host=self.host, port=self.port, user=SUPERUSER, password=self._password, connect_timeout=10
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s", (self._master.user, password))
        self._master = replace(self._master, password=password)

    def stop(self) -> None:
        self._keeper.stop()


def _begun(master: Master, password: str) -> list[str]:
    """Whenever it starts; `password` is the superuser's."""
    user, own = f"{_quoted(master.user)}@'%'", f"'{SUPERUSER}'@'%'"
    statements = [
        f"CREATE USER IF NOT EXISTS {own} IDENTIFIED BY {_quoted(password)}",
        f"GRANT ALL ON *.* TO {own} WITH GRANT OPTION",
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {_quoted(master.password)}",
        f"GRANT {MASTER_OF_MYSQL} ON *.* TO {user} WITH GRANT OPTION",
        # Nobody signs in as who MariaDB makes.
        "DELETE FROM mysql.global_priv WHERE User = 'root'",
        "FLUSH PRIVILEGES",
    ]
    if master.database:
        statements.insert(0, f"CREATE DATABASE IF NOT EXISTS `{master.database.replace('`', '``')}`")
    return statements


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
