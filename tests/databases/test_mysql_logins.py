"""Rotations' logins on a real MariaDB. What only MySQL does is in tests/integration/adapters/test_mysql_logins.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pymysql
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tidegate.adapters.mysql_logins import MysqlLogin, MysqlLogins
from tidegate.domain.credentials import MYSQL, Credential
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.ports import SqlError, WrongPasswordError

from tests.support import mariadb as mariadb_server
from tests.support.authority import Authority
from tests.support.leftovers import free_port
from tests.support.mariadb import MariaDB

FIRST, SECOND = "first-canary-7c1e", "second-canary-9b2d"
LOGINS = MysqlLogins()


@dataclass(frozen=True)
class Stage:
    """An application's database with one table, and two names for its users; the first is there."""

    server: MariaDB
    database: str

    @property
    def user(self) -> str:
        return f"{self.database}_a"

    @property
    def second(self) -> str:
        return f"{self.database}_b"

    def credential(self, user: str, password: str) -> Credential:
        return Credential(MYSQL, "127.0.0.1", self.server.port, self.database, user, password)

    @contextmanager
    def admin(self) -> Iterator[MysqlLogin]:
        with closing(log_in(admin_of(self.server))) as login:
            yield login

    def opens(self, user: str, password: str) -> bool:
        try:
            with closing(log_in(replace(self.credential(user, password), database=""))) as login:
                assert login.user == user
        except WrongPasswordError:
            return False
        return True

    def create(self, user: str, password: str, host: str = "%", more: str = "") -> None:
        self.server.rows(f"CREATE USER %s@%s IDENTIFIED BY %s {more}", user, host, password)

    def grant(self, what: str, user: str, host: str = "%", more: str = "") -> None:
        self.server.rows(f"GRANT {what.replace('%', '%%')} TO %s@%s {more}", user, host)

    def priv(self, user: str, host: str = "%") -> str:
        [(text,)] = self.server.rows(
            "SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = %s", user, host
        )
        return str(text)


def admin_of(server: MariaDB) -> Credential:
    return Credential(MYSQL, "127.0.0.1", server.port, "", mariadb_server.USER, mariadb_server.PASSWORD)


def log_in(credential: Credential, tls: str = "off") -> MysqlLogin:
    return LOGINS.log_in(credential, tls, 0)


def assert_silent(error: Exception, *secrets: str) -> None:
    said = f"{error} {error.__cause__!r} {getattr(error, 'hint', '')}"
    for secret in (FIRST, SECOND, mariadb_server.PASSWORD, "127.0.0.1", "localhost", *secrets):
        assert secret not in said


@pytest.fixture
def stage(mariadb: MariaDB) -> Stage:
    name = f"shop_{uuid.uuid4().hex[:10]}"
    mariadb.rows(f"CREATE DATABASE {name}")
    mariadb.rows(f"CREATE TABLE {name}.orders (id int, total int)")
    stage = Stage(mariadb, name)
    stage.create(stage.user, FIRST)
    stage.grant(f"ALL ON {name}.*", stage.user)
    return stage


def test_two_users_take_turns(stage: Stage) -> None:
    """Guards what a rotation is made of: no login that was good fails before the old one is disabled."""
    with stage.admin() as admin:
        admin.run(admin.adoption(stage.user, stage.second), stage.user, FIRST)
        assert not stage.opens(stage.second, ""), "adopted users are locked"
        admin.set_password(stage.second, SECOND)
        admin.set_password(stage.second, SECOND)
        assert stage.opens(stage.user, FIRST)
        assert stage.opens(stage.second, SECOND)
        assert not admin.lacking(stage.second, stage.user)
        with stage.server.connected(stage.database) as old:
            admin.disable(stage.user)
            admin.disable(stage.user)
            assert not stage.opens(stage.user, FIRST)
            old.ping()
        admin.set_password(stage.user, "third")
        assert stage.opens(stage.user, "third")
        assert not stage.opens(stage.user, FIRST)


def test_sessions_go_on_when_their_user_is_disabled(stage: Stage) -> None:
    with stage.admin() as admin, closing(log_in(stage.credential(stage.user, FIRST))) as open_one:
        assert admin.sessions(stage.user) == 1
        assert open_one.sessions(stage.user) == 0, "but this one"
        assert admin.sessions(stage.user.upper()) == 0, "names have a case"
        admin.disable(stage.user)
        assert admin.sessions(stage.user) == 1
        open_one.run(["INSERT INTO orders VALUES (1, 2)"], "", "")


def test_every_account_of_a_name_is_changed(stage: Stage) -> None:
    """Guards `_hosts`: the name in a secret has no host part."""
    for host in ("10.0.0.%", "localhost"):
        stage.create(stage.user, FIRST, host)
    stage.create(f"{stage.user}x", FIRST)
    with stage.admin() as admin:
        admin.set_password(stage.user, SECOND)
        passwords = {stage.priv(stage.user, host).split('"authentication_string":')[1][:43] for host in HOSTS}
        assert len(passwords) == 1
        assert stage.opens(f"{stage.user}x", FIRST)
        admin.disable(stage.user)
        assert all('"account_locked":true' in stage.priv(stage.user, host) for host in HOSTS)
        assert '"account_locked":true' not in stage.priv(f"{stage.user}x")


HOSTS = ("%", "10.0.0.%", "localhost")


def test_a_password_is_never_in_the_servers_log(stage: Stage, tmp_path: Path) -> None:
    """Guards `_identify`: MariaDB's general log shows statements as they are."""
    log = tmp_path / "general.log"
    stage.server.rows("SET GLOBAL general_log_file = %s", str(log))
    stage.server.rows("SET GLOBAL general_log = 1")
    try:
        with stage.admin() as admin:
            admin.set_password(stage.user, SECOND)
    finally:
        stage.server.rows("SET GLOBAL general_log = 0")
    assert stage.opens(stage.user, SECOND)
    assert "ALTER USER" in log.read_text()
    assert SECOND not in log.read_text()


def test_a_check_of_passwords_sees_them(stage: Stage) -> None:
    """Guards the second try of `_identify`, and that a password which is refused is not told."""
    stage.server.rows("INSTALL SONAME 'simple_password_check'")
    try:
        with stage.admin() as admin:
            admin.set_password(stage.user, "Good-1-password")
            assert stage.opens(stage.user, "Good-1-password")
            with pytest.raises(SqlError) as raised:
                admin.set_password(stage.user, FIRST[:3])
    finally:
        stage.server.rows("UNINSTALL SONAME 'simple_password_check'")
    assert raised.value.code == "1819"
    assert_silent(raised.value, FIRST[:3])


def test_wrong_passwords_and_locked_accounts(stage: Stage) -> None:
    for credential in (
        stage.credential(stage.user, SECOND),
        stage.credential(stage.user, ""),
        stage.credential(f"{stage.user}x", FIRST),
    ):
        with pytest.raises(WrongPasswordError) as raised:
            log_in(credential)
        assert_silent(raised.value, stage.user)
    with stage.admin() as admin:
        admin.disable(stage.user)
    assert not stage.opens(stage.user, FIRST)


def test_an_expired_password_is_a_wrong_one(stage: Stage) -> None:
    """Guards `_begun`: MariaDB lets the login in, and refuses the first statement."""
    stage.server.rows("ALTER USER %s@'%%' PASSWORD EXPIRE", stage.user)
    assert not stage.opens(stage.user, FIRST)
    with stage.admin() as admin:
        admin.set_password(stage.user, SECOND)
    assert stage.opens(stage.user, SECOND)


def test_an_anonymous_account_is_nobody(stage: Stage) -> None:
    """Guards `user`: USER() would say the name that was asked for."""
    stage.create("", FIRST)
    try:
        with closing(log_in(replace(stage.credential("whoever", FIRST), database=""))) as login:
            assert login.user == ""
    finally:
        stage.server.rows("DROP USER ''@'%'")


def test_a_database_that_is_not_there(stage: Stage) -> None:
    for database in ("nowhere-canary", "mysql"):
        with pytest.raises(OutsideError, match="the secret's database is not there") as raised:
            log_in(replace(stage.credential(stage.user, FIRST), database=database))
        assert raised.value.field == "secret.dbname"
        assert_silent(raised.value, "nowhere-canary")


def test_who_is_not_there(stage: Stage) -> None:
    with stage.admin() as admin:
        changes: list[Callable[[], object]] = [
            lambda: admin.set_password(stage.second, SECOND),
            lambda: admin.disable(stage.second),
        ]
        for change in changes:
            with pytest.raises(SqlError, match=f"there is no user {stage.second}"):
                change()
        assert admin.lacking(stage.second, stage.user) == ["a login from %"]
        # A role is no user, though mysql.user has it.
        stage.server.rows(f"CREATE ROLE {stage.second}")
        with pytest.raises(SqlError, match="there is no user"):
            admin.set_password(stage.second, SECOND)


def test_mariadb_has_no_dual_passwords(stage: Stage) -> None:
    with stage.admin() as admin:
        for change in (
            lambda: admin.set_password(stage.user, SECOND, keep_old=True),
            lambda: admin.discard_old_password(stage.user),
        ):
            with pytest.raises(BadInputError, match="MariaDB has no dual passwords") as raised:
                change()
            assert raised.value.field == "strategy"
            assert "alternating" in str(raised.value.hint)
    assert stage.opens(stage.user, FIRST)


def test_who_may_not_change_others(stage: Stage) -> None:
    stage.create(stage.second, SECOND)
    with closing(log_in(stage.credential(stage.user, FIRST))) as login:
        with pytest.raises(SqlError, match="SELECT command denied to user") as raised:
            login.set_password(stage.second, FIRST)
        assert_silent(raised.value)
        with pytest.raises(SqlError, match="CREATE USER privilege"):
            login.set_password(stage.user, SECOND)
    assert stage.opens(stage.second, SECOND)


def test_adoption_twice(stage: Stage) -> None:
    """Guards every part of `_granting` and `_creation`; WITH GRANT OPTION is what public rotations lose."""
    database, user, second = stage.database, stage.user, stage.second
    stage.create(user, FIRST, "10.0.0.%", "REQUIRE SSL WITH MAX_USER_CONNECTIONS 7")
    stage.server.rows(f"CREATE TABLE {database}.`od``d, ) TO (` (`a``b,)` int, c int)")
    stage.server.rows(f"CREATE FUNCTION {database}.answer() RETURNS int RETURN 42")
    stage.server.rows(f"CREATE ROLE {database}_r")
    stage.grant(f"SELECT ON {database}.orders", user, more="WITH GRANT OPTION")
    stage.grant(f"SELECT, UPDATE (`a``b,)`, c) ON {database}.`od``d, ) TO (`", user, "10.0.0.%")
    stage.grant(f"EXECUTE ON FUNCTION {database}.answer", user, more="WITH GRANT OPTION")
    stage.grant("PROCESS, RELOAD ON *.*", user, "10.0.0.%")
    stage.grant("USAGE ON *.*", user, more="WITH GRANT OPTION")
    stage.grant(f"{database}_r", user, more="WITH ADMIN OPTION")
    stage.server.rows(f"SET DEFAULT ROLE {database}_r FOR %s@'%%'", user)

    with stage.admin() as admin:
        assert admin.lacking(second, user) == ["a login from %", "a login from 10.0.0.%"]
        statements = admin.adoption(user, second)
        assert list(admin.adoption(user, second)) == list(statements), "their hash is agreed to"
        assert not any(FIRST in statement or "PASSWORD" in statement for statement in statements)
        admin.run(statements, user, FIRST)
        assert not admin.lacking(second, user)
        assert not admin.lacking(user, second), "and no more than that"
        assert not admin.adoption(user, second)
        admin.run(statements, user, FIRST)
        assert shown(stage, second) == [line.replace(user, second) for line in shown(stage, user)]
        assert '"account_locked":true' in stage.priv(second)
        assert '"max_user_connections":7' in stage.priv(second, "10.0.0.%")
        assert '"ssl_type":1' in stage.priv(second, "10.0.0.%")
        admin.set_password(second, SECOND)
    with closing(log_in(stage.credential(second, SECOND))) as login:
        login.run(
            ["INSERT INTO orders VALUES (1, 2)", f"GRANT SELECT ON {database}.orders TO '{user}'@'%'"], "", ""
        )


def shown(stage: Stage, user: str) -> list[str]:
    return sorted(
        line.partition(" IDENTIFIED BY ")[0]
        for host in ("%", "10.0.0.%")
        for (line,) in stage.server.rows("SHOW GRANTS FOR %s@%s", user, host)
    )


@pytest.mark.parametrize(
    ("has", "taken", "lacks"),
    [
        ("SELECT ON {0}.*", "SELECT ON {0}.*", ["SELECT ON `{0}`.*"]),
        ("SELECT, INSERT ON {0}.*", "INSERT ON {0}.*", ["INSERT ON `{0}`.*"]),
        (
            "SELECT (id, total) ON {0}.orders",
            "SELECT (id) ON {0}.orders",
            ["SELECT (`id`) ON `{0}`.`orders`"],
        ),
        (
            "SELECT ON {0}.orders WITH GRANT OPTION",
            "GRANT OPTION ON {0}.orders",
            ["SELECT ON `{0}`.`orders` WITH GRANT OPTION"],
        ),
        ("RELOAD ON *.*", "RELOAD ON *.*", ["RELOAD ON *.*"]),
    ],
)
def test_one_grant_that_is_lacking(stage: Stage, has: str, taken: str, lacks: list[str]) -> None:
    """Guards `lacking_grants`: adoption grants that one again, and nothing else."""
    what, option, _ = has.partition(" WITH GRANT OPTION")
    stage.server.rows("REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s@'%%'", stage.user)
    stage.create(stage.second, SECOND)
    for user in (stage.user, stage.second):
        stage.grant(what.format(stage.database), user, more=option)
    with stage.admin() as admin:
        assert not admin.lacking(stage.second, stage.user)
        stage.server.rows(f"REVOKE {taken.format(stage.database)} FROM %s@'%%'", stage.second)
        assert admin.lacking(stage.second, stage.user) == [text.format(stage.database) for text in lacks]
        [statement] = admin.adoption(stage.user, stage.second)
        admin.run([statement], stage.user, FIRST)
        assert not admin.lacking(stage.second, stage.user)
    assert stage.opens(stage.second, SECOND), "who is there already keeps the password"


def test_more_covers_less(stage: Stage) -> None:
    stage.create(stage.second, SECOND)
    stage.grant(f"ALL ON {stage.database}.*", stage.second, more="WITH GRANT OPTION")
    stage.grant(f"SELECT ON {stage.database}.orders", stage.second)
    stage.server.rows("REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s@'%%'", stage.user)
    stage.grant(f"SELECT, INSERT ON {stage.database}.*", stage.user)
    stage.grant(f"SELECT (id) ON {stage.database}.orders", stage.user)
    with stage.admin() as admin:
        assert not admin.lacking(stage.second, stage.user)


def test_a_user_without_a_password_is_not_adopted(stage: Stage) -> None:
    stage.server.rows("CREATE USER %s@'%%' IDENTIFIED VIA unix_socket", stage.second)
    with stage.admin() as admin, pytest.raises(BadInputError, match="signs in by unix_socket"):
        admin.adoption(stage.second, f"{stage.second}x")


def test_grant_makes_no_user(stage: Stage) -> None:
    """Guards the mode of `_settle`: whoever drops `second` in between must not get one without a password."""
    stage.server.rows("SET GLOBAL sql_mode = ''")
    try:
        with stage.admin() as admin:
            with pytest.raises(SqlError):
                admin.run([f"GRANT SELECT ON {stage.database}.* TO '{stage.second}'@'%'"], "", "")
            assert admin.lacking(stage.second, stage.user) == ["a login from %"]
    finally:
        stage.server.rows("SET GLOBAL sql_mode = DEFAULT")


def test_a_server_that_is_gone(tmp_path: Path, mariadb: MariaDB) -> None:
    with mariadb_server.running(tmp_path / "gone") as server:
        credential = admin_of(server)
        admin = log_in(credential)
        server.rows("SET GLOBAL max_connections = 10")
        many = [pymysql.connect(host="127.0.0.1", port=server.port, user="root") for _ in range(10)]
        with pytest.raises(TransientError, match="not ready") as full:
            log_in(credential)
        for connection in many:
            connection.close()
    with pytest.raises(TransientError) as lost:
        admin.sessions("anybody")
    with pytest.raises(TransientError, match=r"connection refused$") as refused:
        log_in(credential)
    admin.close()
    for raised in (full, lost, refused):
        assert_silent(raised.value)


def test_a_killed_connection_is_lost(stage: Stage) -> None:
    with stage.admin() as admin:
        for identity, statement in stage.server.sessions(mariadb_server.USER):
            if not statement:
                stage.server.rows(f"KILL {identity}")
        with pytest.raises(TransientError, match="connection to the database was lost"):
            admin.disable(stage.user)
    assert stage.opens(stage.user, FIRST)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


@pytest.fixture(scope="module")
def secured(
    mariadb: MariaDB, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDB]:
    """One with TLS, for `localhost`; its data is not that of `mariadb`, which only says that there can be one."""
    folder = tmp_path_factory.mktemp("secured")
    for name, text in authority.files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    options = [f"--ssl-cert={folder / 'server.crt'}", f"--ssl-key={folder / 'server.key'}"]
    with mariadb_server.running(folder / "server", options=options) as server:
        yield server


def over_tls(server: MariaDB, ca: str | None, host: str = "localhost") -> Credential:
    return replace(admin_of(server), host=host, ca=ca)


def test_over_tls(secured: MariaDB, authority: Authority) -> None:
    with closing(log_in(over_tls(secured, authority.pem), "verify-full")) as admin:
        secured.rows("CREATE OR REPLACE USER careful@'%' IDENTIFIED BY 'x' REQUIRE SSL")
        admin.set_password("careful", SECOND)
        credential = replace(over_tls(secured, authority.pem), username="careful", password=SECOND)
        with closing(log_in(credential, "verify-full")) as login:
            assert login.user == "careful"
        # The server's own word, though it is the lack of TLS that it dislikes.
        with pytest.raises(WrongPasswordError):
            log_in(credential, "off")


def test_a_server_that_does_not_prove_who_it_is(secured: MariaDB, authority: Authority) -> None:
    """Guards `_Context`: PyMySQL's own takes any certificate. A wrong password changes nothing about it."""
    refusals = {
        "certificate is not trusted: (unable|self)": over_tls(secured, None),
        "certificate is not trusted: it is for another host": over_tls(secured, authority.pem, "127.0.0.1"),
        "the secret's key ca is not a certificate in PEM": over_tls(secured, "canary"),
        "certificate is not trusted": over_tls(secured, Authority("localhost").pem),
    }
    for said, credential in refusals.items():
        for one in (credential, replace(credential, password=SECOND)):
            with pytest.raises(OutsideError, match=said) as raised:
                log_in(one, "verify-full")
            assert raised.value.field in {"tls", "secret.ca"}
            assert_silent(raised.value, "canary")


def test_no_tls_is_refused(mariadb: MariaDB, authority: Authority) -> None:
    """Guards `ssl=context`: PyMySQL goes on in plain text where it may."""
    with pytest.raises(OutsideError, match=r"^the database offers no TLS$") as raised:
        log_in(over_tls(mariadb, authority.pem), "verify-full")
    assert raised.value.field == "tls"
    assert "tls: off" in str(raised.value.hint)
    assert_silent(raised.value)


def test_tls_off_asks_for_none(secured: MariaDB) -> None:
    """`off` is not TLS that proves nothing: nobody is to take it for more."""
    with closing(log_in(admin_of(secured), "off")) as admin:
        assert admin._session.rows("SHOW STATUS LIKE 'Ssl_cipher'") == [("Ssl_cipher", "")]


def test_patience() -> None:
    """Guards the loop of `log_in`, and that it ends."""
    moment, waited = 0.0, []

    def wait(seconds: float) -> None:
        nonlocal moment
        moment += seconds
        waited.append(seconds)

    credential = Credential(MYSQL, "127.0.0.1", free_port(), "", "anybody", FIRST)
    with pytest.raises(TransientError):
        MysqlLogins(wait, lambda: moment).log_in(credential, "off", 9)
    assert waited == [2.0] * 4


# What MariaDB keeps as it is: its system tables are in utf8mb3, and blanks at the end are cut off.
NAMES = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=80
).filter(lambda name: not name.endswith(" "))  # fmt: skip
PASSWORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60
)
MODES = st.sampled_from(["DEFAULT", "''", "'NO_BACKSLASH_ESCAPES'", "'ANSI_QUOTES'", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"])  # fmt: skip  # noqa: E501


@settings(max_examples=200, deadline=None)
@given(name=NAMES, password=PASSWORDS, mode=MODES)
@example(name="o'neill", password="'; DROP USER root@localhost; -- ", mode="'NO_BACKSLASH_ESCAPES'")
@example(name="back\\", password="\\' OR ''='", mode="'NO_BACKSLASH_ESCAPES'")
@example(name="back\\", password="\\' OR ''='", mode="DEFAULT")
@example(name='quo"te`s', password='"`%s%(x)s%', mode="'ANSI_QUOTES'")
@example(name="a@b@%", password="🔑é\n\x1a", mode="''")
@example(name="%", password="%", mode="'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
@example(name="é" * 80, password="x", mode="DEFAULT")
def test_any_name_and_any_password(mariadb: MariaDB, name: str, password: str, mode: str) -> None:
    """Guards the escaping of names and values, and `_settle`, under which it is right."""
    mariadb.rows(f"SET GLOBAL sql_mode = {mode}")
    try:
        with closing(log_in(admin_of(mariadb))) as admin:
            users = users_of(mariadb)
            admin._session.rows("CREATE USER %s@%s IDENTIFIED BY 'x'", name, "127.0.0.%")
            admin.set_password(name, password)
            credential = Credential(MYSQL, "127.0.0.1", mariadb.port, "", name, password)
            with closing(log_in(credential)) as login:
                assert login.user == name
            with pytest.raises(WrongPasswordError):
                log_in(replace(credential, password=f"{password}x"))
            admin.disable(name)
            with pytest.raises(WrongPasswordError):
                log_in(credential)
            admin._session.rows("DROP USER %s@%s", name, "127.0.0.%")
            assert users_of(mariadb) == users
    finally:
        mariadb.rows("SET GLOBAL sql_mode = DEFAULT")


@pytest.mark.parametrize("name", ["o'neill", "back\\", 'quo"te`s', "a@b@%", "% TO (x)"])
def test_such_names_are_adopted(stage: Stage, name: str) -> None:
    """Guards the quoting in `_granting`, for both names."""
    stage.server.rows("CREATE OR REPLACE USER %s@'%%' IDENTIFIED BY 'x'", name)
    stage.grant(f"SELECT ON {stage.database}.*", name, more="WITH GRANT OPTION")
    with stage.admin() as admin:
        admin.run(admin.adoption(name, f"{name}2"), name, "x")
        assert not admin.lacking(f"{name}2", name)
        admin.run(admin.adoption(f"{name}2", stage.second), f"{name}2", "x")
        assert not admin.lacking(stage.second, name)


def users_of(server: MariaDB) -> list[tuple[object, ...]]:
    return sorted(server.rows("SELECT User, Host FROM mysql.user"))
