"""From a database that has nobody but its master user, as RDS makes one, to two users that take turns."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from pg8000.native import identifier, literal
from tidegate.adapters.logins import DatabaseLogins
from tidegate.adapters.mysql_logins import MysqlLogin
from tidegate.adapters.postgres_logins import PostgresLogin
from tidegate.domain.credentials import MYSQL, POSTGRES, Credential, read
from tidegate.domain.errors import BadInputError
from tidegate.domain.rotation import version_of
from tidegate.ports import Login, SqlError, WrongPasswordError
from tidegate.steps.rotate_secret import run
from tidegate_local.databases.servers import MASTER_OF_MYSQL

from tests.databases.stage import SystemClock, new_deployment
from tests.support.fakes import World
from tests.support.mariadb import MariaDB
from tests.support.postgres import HOST, PASSWORD, Server

SECRET, ADMIN_SECRET = "shop/production/database", "shop/production/database-admin"
FIRST = "canary-9e2f'\"\\ %s"
STEPS = {"Precheck": "Ready", "Stage": "Staged", "Set": "Set", "Test": "Tested", "Promote": "Promoted"}


@dataclass
class House:
    """A database with a master user; `user` and `second` are names that nobody has yet."""

    kind: str
    port: int
    database: str
    master: str
    password: str
    prefix: str
    world: World = field(default_factory=World)

    @property
    def user(self) -> str:
        return f"{self.prefix}_a"

    @property
    def second(self) -> str:
        return f"{self.prefix}_b"

    @property
    def secret_format(self) -> Any:
        return "json"

    def value(self) -> dict[str, Any]:
        place = {"engine": self.kind, "host": HOST, "port": self.port, "dbname": self.database}
        return place | {"username": self.user, "password": FIRST}

    def put(self) -> House:
        self.world.secrets.put(SECRET, self.value())
        self.world.secrets.put(ADMIN_SECRET, {"username": self.master, "password": self.password})
        return self

    def ask(
        self, step: str, deployment: str = "", previous: str | None = None, **more: Any
    ) -> dict[str, Any]:
        deployment = deployment or new_deployment()
        payload: dict[str, Any] = {
            "step": step,
            "system": "shop",
            "environment": "production",
            "deployment": deployment,
            "secret": SECRET,
            "kind": self.kind,
            "strategy": "alternating",
            "admin": ADMIN_SECRET,
            "users": [self.user, self.second],
            "format": self.secret_format,
            "tls": "off",
            "version": version_of(deployment),
            "previous": previous,
            "statements": None,
        }
        ports = replace(self.world.ports, logins=DatabaseLogins(), clock=SystemClock())
        answer = dict(run(payload | more, ports))
        said = json.dumps(answer)
        assert not any(word in said for word in ("canary", "SCRAM-SHA-256$", self.password)), said
        return answer

    def adopt(self) -> list[str]:
        told = self.ask("Adoption")
        assert told["reason"] == ""
        assert self.ask("Adoption")["hash"] == told["hash"], "of a random salt"
        answer = self.ask("Adopt", statements=told["hash"])
        assert answer == {"outcome": "Adopted", "reason": ""}
        return list(told["statements"])

    def rotate(self) -> None:
        deployment, previous = new_deployment(), None
        for step, good in STEPS.items():
            answer = self.ask(step, deployment, previous)
            assert answer["outcome"] == good, (step, answer["reason"])
            previous = answer["previous"] if step == "Precheck" else previous
        assert self.ask("Retire", deployment, previous)["outcome"] == "Retired"

    def current(self) -> Credential:
        return read(self.world.secrets.current(SECRET).text, self.secret_format, self.kind)

    def log_in(self, credential: Credential) -> Login:
        return DatabaseLogins().log_in(credential, "off", 0)

    def as_master(self) -> Login:
        place = (self.kind, HOST, self.port, self.database)
        return self.log_in(Credential(*place, self.master, self.password))

    def opens(self, user: str, password: str = FIRST) -> bool:
        try:
            login = replace(self.current(), username=user, password=password)
            # Who may do nothing yet opens no database.
            self.log_in(replace(login, database="") if self.kind == MYSQL else login).close()
        except WrongPasswordError:
            return False
        return True

    def do(self, sql: str) -> None:
        """As who the secret is of."""
        with closing(self.log_in(self.current())) as login:
            assert isinstance(login, PostgresLogin | MysqlLogin)
            session: Any = login._session
            session.run(sql) if self.kind == POSTGRES else session.rows(sql)


class UrlHouse(House):
    """Whose secret is a text that an application takes whole."""

    @property
    def secret_format(self) -> Any:
        return {"key": "connection_string", "style": "npgsql"}

    def value(self) -> dict[str, Any]:
        place = f"Host={HOST};Port={self.port};Database={self.database}"
        return {"connection_string": f"{place};Username={self.user};Password=canary5e1d"}


@pytest.fixture(params=[House, UrlHouse])
def house(request: pytest.FixtureRequest, server: Server) -> House:
    """The master user is no superuser, as in RDS: it owns the database, and may make roles."""
    prefix = f"s{uuid4().hex[:8]}"
    with server.session("postgres") as root:
        root.run(f"CREATE ROLE {prefix}_master LOGIN CREATEROLE CREATEDB PASSWORD {literal(PASSWORD)}")
        root.run(f'CREATE DATABASE "{prefix} db" OWNER {prefix}_master')
    made = request.param(POSTGRES, server.port, f"{prefix} db", f"{prefix}_master", PASSWORD, prefix)
    return made.put()  # type: ignore[no-any-return]


@pytest.fixture
def maria(mariadb: MariaDB) -> House:
    prefix = f"s{uuid4().hex[:8]}"
    mariadb.rows(f"CREATE DATABASE {prefix}_db")
    mariadb.rows(f"CREATE USER '{prefix}_master'@'%%' IDENTIFIED BY %s", PASSWORD)
    mariadb.rows(f"GRANT {MASTER_OF_MYSQL} ON *.* TO '{prefix}_master'@'%' WITH GRANT OPTION")
    return House(MYSQL, mariadb.port, f"{prefix}_db", f"{prefix}_master", PASSWORD, prefix).put()


# --- PostgreSQL


def test_both_users_of_postgresql(house: House) -> None:
    """Adopted, used, rotated, used by the other one, rotated again."""
    statements = house.adopt()
    owner = identifier(f"{house.user}_owner")
    assert statements[0] == f"CREATE ROLE {owner} NOLOGIN"
    assert f"GRANT CONNECT, TEMPORARY ON DATABASE {identifier(house.database)} TO {owner}" in statements
    assert f'GRANT CREATE, USAGE ON SCHEMA "public" TO {owner}' in statements
    assert not house.opens(house.second), "it gets its first password from the first rotation"

    house.do("CREATE TABLE orders (id int)")
    house.rotate()
    assert house.current().username == house.second
    house.do("ALTER TABLE orders ADD COLUMN total int")
    house.do("CREATE TEMPORARY TABLE few (id int)")
    house.rotate()
    assert house.current().username == house.user
    house.do("DROP TABLE orders")
    with closing(house.as_master()) as master:
        assert not master.adoption(house.user, house.second)
        assert not master.lacking(house.second, house.user)


def test_a_password_of_postgresql_is_kept_as_a_verifier(house: House, server: Server) -> None:
    house.adopt()
    with server.session(house.database) as root:
        [[kept, until]] = root.run(
            "SELECT rolpassword, rolvaliduntil::text FROM pg_authid WHERE rolname = :name", name=house.user
        )
    assert kept.startswith("SCRAM-SHA-256$4096:")
    assert until == "infinity"
    assert house.opens(house.user, house.current().password)


def test_adopting_twice_changes_nothing(house: House) -> None:
    house.adopt()
    answer = house.ask("Adoption")
    assert (answer["statements"], answer["reason"]) == ([], "nothing is to be prepared")
    assert house.ask("Adopt", statements=answer["hash"])["outcome"] == "Adopted"


def test_one_that_is_refused_leaves_nothing(house: House, server: Server) -> None:
    """All statements are one transaction: guards that no user is left that a second try would take for an old one."""
    told = house.ask("Adoption")
    with closing(house.as_master()) as master:
        with pytest.raises(SqlError):
            master.run(
                [*told["statements"], "SELECT no_such_function()"], house.user, house.current().password
            )
        assert not master.exists(house.user)
        assert not master.exists(f"{house.user}_owner")
    assert house.ask("Adopt", statements=told["hash"])["outcome"] == "Adopted"


def test_statements_of_another_user_are_not_run(house: House) -> None:
    """Guards the words that stand for the password: they would be one."""
    with closing(house.as_master()) as master:
        with pytest.raises(BadInputError, match="another user"):
            master.run(master.adoption(house.user, house.second), house.second, "x")
        assert not master.exists(house.user)


def test_an_owner_that_is_there_is_taken(house: House) -> None:
    with closing(house.as_master()) as master:
        master.run([f"CREATE ROLE {house.user}_owner NOLOGIN"], house.user, FIRST)
    assert not any("NOLOGIN" in said and "owner" in said for said in house.adopt())
    house.do("CREATE TABLE orders (id int)")


def test_a_second_user_without_the_first_is_refused(house: House) -> None:
    with closing(house.as_master()) as master:
        master.run([f"CREATE ROLE {house.second} NOLOGIN"], house.user, FIRST)
    answer = house.ask("Adoption")
    assert (answer["hash"], house.second in answer["reason"]) == (None, True)


def test_names_that_are_too_long(house: House) -> None:
    with closing(house.as_master()) as master:
        for user, second in (("x" * 60, "y"), ("x", "y" * 64), ("ü" * 31, "y")):
            with pytest.raises(BadInputError, match="63 bytes"):
                master.adoption(user, second)


def test_an_admin_that_does_not_own_the_database(house: House, server: Server) -> None:
    """What everybody may do anyway is not asked of who cannot grant it."""
    with server.session(house.database) as root:
        root.run(f"ALTER DATABASE {identifier(house.database)} OWNER TO postgres")
        root.run(f"GRANT CREATE ON SCHEMA public TO {house.master} WITH GRANT OPTION")
    statements = house.adopt()
    assert not any("ON DATABASE" in said for said in statements)
    house.do("CREATE TABLE orders (id int)")


def test_a_user_that_is_there_with_another_password(house: House) -> None:
    with closing(house.as_master()) as master:
        master.run([f"CREATE ROLE {house.user} LOGIN PASSWORD 'another'"], house.user, FIRST)
    answer = house.ask("Adoption")
    assert answer["reason"] == f"the database does not let {house.user} log in"


# --- MariaDB


def test_both_users_of_mariadb(maria: House) -> None:
    statements = maria.adopt()
    [first, *_] = statements
    assert first.startswith(
        f"CREATE USER IF NOT EXISTS '{maria.user}'@'%' IDENTIFIED BY PASSWORD '<the hash of "
    )
    assert any(f"ON `{maria.prefix}\\_db`.* TO '{maria.user}'" in said for said in statements)
    maria.do("CREATE TABLE orders (id int)")
    maria.rotate()
    assert maria.current().username == maria.second
    assert not maria.opens(maria.user), "the old one is locked"
    maria.do("ALTER TABLE orders ADD COLUMN total int")
    maria.rotate()
    assert maria.current().username == maria.user
    maria.do("DROP TABLE orders")
    with closing(maria.as_master()) as master:
        assert not master.adoption(maria.user, maria.second)
        assert not master.lacking(maria.second, maria.user)


def test_the_second_is_locked(maria: House, mariadb: MariaDB) -> None:
    maria.adopt()
    [(first,), (second,)] = [
        row
        for name in (maria.user, maria.second)
        for row in mariadb.rows("SELECT Priv FROM mysql.global_priv WHERE User = %s", name)
    ]
    assert '"account_locked":true' not in first
    assert '"account_locked":true' in second


def test_no_other_database_of_a_like_name(maria: House, mariadb: MariaDB) -> None:
    """Guards the underscore, which stands for any character in GRANT."""
    like = maria.database.replace("_", "x")
    mariadb.rows(f"CREATE DATABASE {like}")
    maria.adopt()
    with pytest.raises(SqlError, match="denied"):
        maria.do(f"CREATE TABLE {like}.orders (id int)")


def test_one_user_of_two_passwords(maria: House) -> None:
    """The strategy that MariaDB has not; its adoption needs nothing but the user."""
    told = maria.ask("Adoption", strategy="dual-password", users=[])
    assert not any(maria.second in said for said in told["statements"])
    done = maria.ask("Adopt", strategy="dual-password", users=[], statements=told["hash"])
    assert done["outcome"] == "Adopted"
    maria.do("CREATE TABLE orders (id int)")
    assert maria.ask("Adoption", strategy="dual-password", users=[])["statements"] == []


def test_one_that_was_cut_off_is_completed(maria: House) -> None:
    """Each statement is a transaction of its own there: whichever was the last, the next adoption makes up for it, and
    the user of the secret never lacks its password."""
    count = len(maria.ask("Adoption")["statements"])
    assert count > 3
    for done in range(count):
        house = replace(maria, prefix=f"{maria.prefix}{done}", world=World()).put()
        with closing(house.as_master()) as master:
            statements = list(master.adoption(house.user, house.second))
            master.run(statements[:done], house.user, FIRST)
            assert house.opens(house.user) == (done > 0)
        house.adopt()
        house.do("CREATE TABLE IF NOT EXISTS orders (id int)")
        house.rotate()
        house.do("DROP TABLE orders")


def test_a_password_that_mariadb_wants_to_see(maria: House, mariadb: MariaDB) -> None:
    """strict_password_validation refuses a hash."""
    one: dict[str, Any] = {"strategy": "dual-password", "users": []}
    mariadb.rows("INSTALL SONAME 'simple_password_check'")
    try:
        maria.world.secrets.put(SECRET, maria.value() | {"password": f"{FIRST}Aa1"}, "f" * 32)
        told = maria.ask("Adoption", **one)
        assert maria.ask("Adopt", statements=told["hash"], **one)["outcome"] == "Adopted"
        assert maria.opens(maria.user, f"{FIRST}Aa1")
    finally:
        mariadb.rows("UNINSTALL SONAME 'simple_password_check'")


def test_a_second_user_of_mariadb_without_the_first(maria: House, mariadb: MariaDB) -> None:
    mariadb.rows(f"CREATE USER '{maria.second}'@'%%' IDENTIFIED BY 'x'")
    answer = maria.ask("Adoption")
    assert (answer["hash"], maria.second in answer["reason"]) == (None, True)


def test_no_database_to_be_granted(maria: House) -> None:
    value = maria.value()
    del value["dbname"]
    maria.world.secrets.put(SECRET, value, "f" * 32)
    assert "which database" in maria.ask("Adoption")["reason"]


def test_statements_of_another_user_are_not_run_by_mariadb(maria: House) -> None:
    with closing(maria.as_master()) as master:
        with pytest.raises(BadInputError, match="another user"):
            master.run(master.adoption(maria.user, maria.second), maria.second, "x")
        assert not master.exists(maria.user)
