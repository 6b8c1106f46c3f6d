"""Rotation after rotation under clients that log in all the time and keep sessions open: none is ever refused.

The steps run in the machine's order, over the real drivers; a roll is the moment by which every client has read what is
current again. The secret is in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pg8000.native
import pymysql
import pytest
from tidegate.adapters.logins import DatabaseLogins
from tidegate.domain.rotation import CURRENT, PENDING, version_of
from tidegate.ports import Ports
from tidegate.steps.rotate_secret import run

from tests.databases.stage import SystemClock, new_deployment
from tests.support.fakes import World
from tests.support.mariadb import PASSWORD as MARIADB_PASSWORD
from tests.support.mariadb import USER as MARIADB_ADMIN
from tests.support.mariadb import MariaDB
from tests.support.postgres import HOST, PASSWORD, Server
from tests.support.waiting import wait_until

SECRET, ADMIN_SECRET = "shop/production/database", "shop/production/database-admin"
CLIENTS = 4
# Between two logins of a client: without, they leave the rotation no processor.
PAUSE_SECONDS = 0.03
# A long session is replaced by another one after so many logins of its client.
LONG = 40
MANY, FEW = 100, 10
GOOD = {"Precheck": "Ready", "Stage": "Staged", "Set": "Set", "Test": "Tested", "Promote": "Promoted"}
FIRST_PASSWORD = "before-any-rotation"


class Session(Protocol):
    """Of a driver, as an application uses it."""

    def order(self) -> None:
        """Write and read in a table."""

    def close(self) -> None: ...


class PostgresSession:
    def __init__(self, value: dict[str, Any]) -> None:
        self._connection = pg8000.native.Connection(
            value["username"],
            host=value["host"],
            port=value["port"],
            database=value["dbname"],
            password=value["password"],
            ssl_context=False,
            timeout=30,
        )

    def order(self) -> None:
        self._connection.run("UPDATE orders SET total = total + 1 WHERE id = 1")

    def close(self) -> None:
        self._connection.close()


class MariadbSession:
    def __init__(self, value: dict[str, Any]) -> None:
        self._connection = pymysql.connect(
            host=value["host"],
            port=value["port"],
            user=value["username"],
            password=value["password"],
            database=value["dbname"],
            autocommit=True,
            read_timeout=30,
            # It would load the system's authorities for each connection.
            ssl_disabled=True,
        )

    def order(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("UPDATE orders SET total = total + 1 WHERE id = 1")

    def close(self) -> None:
        self._connection.close()


@dataclass
class Client:
    """A task of a consumer. `using` is the version that it read last; it logs in with nothing else."""

    world: World
    connect: Callable[[dict[str, Any]], Session]
    stop: threading.Event
    using: str = ""
    logins: int = 0
    replaced: int = 0
    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def run(self) -> None:
        """One session lives from the first rotation to the last, others for some rotations, most for a moment."""
        whole = self._log_in()
        held = self._log_in()
        while not self.stop.wait(PAUSE_SECONDS):
            session = self._log_in()
            for each in (session, held, whole):
                self._order(each)
            _close(session)
            if self.logins % LONG == 0:
                replacement = self._log_in()
                _close(held)
                held, self.replaced = replacement, self.replaced + 1
        for each in (held, whole):
            self._order(each)
            _close(each)

    def _log_in(self) -> Session | None:
        with self.world.secrets.lock:
            value, self.using = (
                self.world.secrets.value(SECRET),
                self.world.secrets.stages(SECRET)[CURRENT],
            )
        try:
            session = self.connect(value)
        except Exception as error:  # noqa: BLE001 -- each counts
            self.failed.append(f"{self.using}: {error!r}")
            return None
        self.logins += 1
        return session

    def _order(self, session: Session | None) -> None:
        try:
            if session is not None:
                session.order()
        except Exception as error:  # noqa: BLE001 -- each counts
            self.broken.append(repr(error))


def _close(session: Session | None) -> None:
    with suppress(Exception):
        if session is not None:
            session.close()


@dataclass
class Consumers:
    clients: list[Client]

    def roll(self, version: str) -> None:
        """Until every client has read what is current: its login with anything else is over by then."""
        wait_until(
            lambda: all(client.using == version for client in self.clients),
            what="every client to start again",
            seconds=30,
            pause=0.002,
        )

    @property
    def failed(self) -> list[str]:
        return [text for client in self.clients for text in client.failed]

    @property
    def broken(self) -> list[str]:
        return [text for client in self.clients for text in client.broken]


@contextmanager
def consumers(world: World, connect: Callable[[dict[str, Any]], Session]) -> Iterator[Consumers]:
    stop = threading.Event()
    clients = [Client(world, connect, stop) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield Consumers(clients)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


@dataclass
class Shop:
    """A system whose database and users are real."""

    kind: str
    connect: Callable[[dict[str, Any]], Session]
    world: World = field(default_factory=World)

    @property
    def ports(self) -> Ports:
        return replace(self.world.ports, logins=DatabaseLogins(), clock=SystemClock())

    def ask(self, step: str, deployment: str, previous: str | None, **more: Any) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "step": step,
            "system": "shop",
            "environment": "production",
            "deployment": deployment,
            "secret": SECRET,
            "kind": self.kind,
            "strategy": "alternating",
            "admin": ADMIN_SECRET,
            "users": [],
            "format": "json",
            "tls": "off",
            "version": version_of(deployment),
            "previous": previous,
            "statements": None,
        }
        return dict(run(payload | more, self.ports))

    def adopt(self) -> None:
        """The second user, as `tidegate secrets adopt` makes it."""
        deployment = new_deployment()
        told = self.ask("Adoption", deployment, None)
        assert told["statements"], told["reason"]
        answer = self.ask("Adopt", deployment, None, statements=told["hash"])
        assert answer["outcome"] == "Adopted", answer["reason"]

    def rotate(self, running: Consumers) -> None:
        deployment, previous = new_deployment(), None
        for step, good in GOOD.items():
            answer = self.ask(step, deployment, previous)
            assert answer["outcome"] == good, (step, answer["reason"])
            previous = answer["previous"] if step == "Precheck" else previous
        running.roll(version_of(deployment))
        answer = self.ask("Retire", deployment, previous)
        assert answer["outcome"] == "Retired", answer["reason"]


def rotated(shop: Shop, times: int) -> None:
    """Rotates, and holds what the clients saw against it."""
    seen = set()
    with consumers(shop.world, shop.connect) as running:
        wait_until(lambda: all(client.logins > 2 for client in running.clients), what="the clients")
        began = time.monotonic()
        for _ in range(times):
            shop.rotate(running)
            seen.add(shop.world.secrets.value(SECRET)["password"])
            assert running.failed == []
        took = time.monotonic() - began
    logins = sum(client.logins for client in running.clients)
    replaced = sum(client.replaced for client in running.clients)
    print(  # noqa: T201 -- the figures
        f"\n{shop.kind}: {times} rotations, {logins} logins of {CLIENTS} clients, "
        f"{replaced + 2 * CLIENTS} long sessions, {took:.1f} s; "
        f"failed logins {len(running.failed)}, broken sessions {len(running.broken)}"
    )
    assert (running.failed, running.broken) == ([], [])
    assert len(seen) == times
    assert logins > CLIENTS * times
    assert PENDING not in shop.world.secrets.stages(SECRET)


def test_postgresql(server: Server) -> None:
    """A hundred on one version, some on the others. The administrator is no superuser, as in RDS."""
    database = server.new_database()
    user, dba = f"{database}_app", f"{database}_dba"
    password = pg8000.native.literal(PASSWORD)
    with server.session(database) as admin:
        admin.run(f"CREATE ROLE {dba} LOGIN CREATEROLE PASSWORD {password}")
        admin.run(f"GRANT CREATE, USAGE ON SCHEMA public TO {dba} WITH GRANT OPTION")
    with server.session(database, dba) as admin:
        admin.run(f"CREATE ROLE {user} LOGIN PASSWORD {password}")
        admin.run(f"GRANT CREATE, USAGE ON SCHEMA public TO {user}")
    with server.session(database, user) as owner:
        owner.run("CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL)")
        owner.run("INSERT INTO orders VALUES (1, 0)")
    shop = Shop("postgres", PostgresSession)
    value = server.secret(database)
    shop.world.secrets.put(SECRET, value | {"username": user})
    shop.world.secrets.put(ADMIN_SECRET, value | {"username": dba})
    shop.adopt()
    rotated(shop, MANY if server.version == 18 else FEW)


def test_mariadb(mariadb: MariaDB) -> None:
    mariadb.make_database("shop", "shop_app", FIRST_PASSWORD)
    mariadb.rows("CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL)", database="shop")
    mariadb.rows("INSERT INTO orders VALUES (1, 0)", database="shop")
    shop = Shop("mysql", MariadbSession)
    value = {"engine": "mariadb", "host": HOST, "port": mariadb.port, "dbname": "shop"}
    shop.world.secrets.put(SECRET, value | {"username": "shop_app", "password": FIRST_PASSWORD})
    shop.world.secrets.put(ADMIN_SECRET, value | {"username": MARIADB_ADMIN, "password": MARIADB_PASSWORD})
    shop.adopt()
    rotated(shop, MANY)


@pytest.mark.parametrize("connect", [PostgresSession, MariadbSession])
def test_a_client_that_is_refused_is_counted(connect: Callable[[dict[str, Any]], Session]) -> None:
    """Guards `Client`: one that overlooked an error would find no fault with any rotation."""
    world = World()
    world.secrets.put(SECRET, {"host": HOST, "port": 1, "username": "u", "password": "p", "dbname": "d"})
    stop = threading.Event()
    stop.set()
    client = Client(world, connect, stop)
    client.run()
    assert (len(client.failed), client.logins) == (2, 0)
