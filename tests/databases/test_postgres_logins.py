"""Users of PostgreSQL as rotations need them, on real servers of three versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pg8000.native
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pg8000.native import identifier, literal
from scramp import ScramException
from scramp.utils import saslprep
from tidegate.adapters.postgres_logins import PostgresLogin, PostgresLogins
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.ports import SqlError, WrongPasswordError

from tests.support.leftovers import free_port
from tests.support.postgres import HOST, PASSWORD, Server
from tests.support.waiting import wait_until

APP = "s3cret'\"\\ %s{}"


@dataclass
class House:
    """A database with a user `app`, and an administrator that is no superuser; names are the test's own, for roles are
    of the whole server."""

    server: Server
    database: str
    app: str
    second: str
    admin: str

    @property
    def owner(self) -> str:
        return f"{self.app}_owner"

    def credential(self, user: str, password: str = APP, **changes: Any) -> Credential:
        made = Credential("postgres", HOST, self.server.port, self.database, user, password)
        return replace(made, **changes)

    @contextmanager
    def login(self, user: str, password: str = APP, **changes: Any) -> Iterator[PostgresLogin]:
        login = PostgresLogins().log_in(self.credential(user, password, **changes), "off", 0)
        try:
            yield login
        finally:
            login.close()

    @contextmanager
    def as_superuser(self) -> Iterator[PostgresLogin]:
        with self.login("postgres", PASSWORD) as login:
            yield login

    def do(self, *statements: str, user: str = "postgres", password: str = PASSWORD) -> list[list[Any]]:
        """As a client that knows nothing of Tidegate."""
        connection = pg8000.native.Connection(
            user,
            host=HOST,
            port=self.server.port,
            database=self.database,
            password=password,
            ssl_context=False,
        )
        try:
            return [connection.run(statement) or [] for statement in statements][-1]
        finally:
            connection.close()

    def connected(self, user: str, password: str) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            user,
            host=HOST,
            port=self.server.port,
            database=self.database,
            password=password,
            ssl_context=False,
        )

    def as_app(self, *statements: str) -> list[list[Any]]:
        return self.do(*statements, user=self.app, password=APP)

    def opens(self, user: str, password: str = APP) -> bool:
        try:
            with self.login(user, password):
                return True
        except WrongPasswordError:
            return False


@pytest.fixture
def house(server: Server) -> House:
    database, unique = server.new_database(), uuid4().hex[:8]
    house = House(server, database, f"App {unique}", f"App {unique}_clone", f"admin_{unique}")
    house.do(
        f"CREATE ROLE {house.admin} LOGIN CREATEROLE PASSWORD {literal(APP)}",
        f"CREATE ROLE {identifier(house.app)} LOGIN PASSWORD {literal(APP)}",
        f"GRANT CREATE ON SCHEMA public TO {identifier(house.app)}",
        f"GRANT CREATE ON SCHEMA public TO {house.admin} WITH GRANT OPTION",
    )
    if server.version >= 16:
        house.do(f"GRANT {identifier(house.app)} TO {house.admin} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    return house


def adopted(house: House, admin: str | None = None) -> list[str]:
    with house.login(admin or house.admin) if admin != "postgres" else house.as_superuser() as login:
        statements = list(login.adoption(house.app, house.second))
        login.run(statements, house.app, APP)
        assert list(login.adoption(house.app, house.second)) == []
        assert list(login.lacking(house.second, house.app)) == []
        login.set_password(house.second, "new")
    return statements


# --- logging in


def test_who_logs_in(house: House) -> None:
    with house.login(house.app) as login:
        assert login.user == house.app


@pytest.mark.parametrize("password", ["wrong", APP + " ", APP.upper()])
def test_a_wrong_password(house: House, password: str) -> None:
    with pytest.raises(WrongPasswordError) as raised:
        house.login(house.app, password).__enter__()
    assert raised.value.args == ()
    assert raised.value.__suppress_context__


def test_a_user_that_is_not_there_or_may_not_log_in(house: House) -> None:
    assert not house.opens("nobody at all")
    with house.login(house.admin) as admin:
        for _ in range(2):
            admin.disable(house.app)
    assert not house.opens(house.app)


def test_a_network_error_is_no_wrong_password(house: House) -> None:
    for changes in ({"port": free_port()}, {"host": "nowhere.invalid"}):
        with pytest.raises(TransientError):
            house.login(house.app, "wrong", **changes).__enter__()


def test_a_session_that_is_ended_is_no_refusal(house: House) -> None:
    with house.login(house.admin) as login:
        pid = house.do(
            f"SELECT pid FROM pg_stat_activity WHERE usename = {literal(house.admin)}",  # noqa: S608
        )[0][0]
        house.do(f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(TransientError):
            login.disable(house.app)


# --- passwords


def test_a_rotation(house: House) -> None:
    """Set, Test, Retire and back again; the database knows no password by heart."""
    adopted(house)
    assert house.opens(house.second, "new")
    with house.login(house.admin) as admin:
        for _ in range(2):
            admin.set_password(house.second, "b-1")
        assert (house.opens(house.app), house.opens(house.second, "b-1")) == (True, True)
        assert not house.opens(house.second, "new")
        admin.disable(house.app)
        assert (house.opens(house.app), house.opens(house.second, "b-1")) == (False, True)
        admin.set_password(house.app, "a-2")
        assert (house.opens(house.app), house.opens(house.app, "a-2")) == (False, True)
    kept = house.do(
        f"SELECT rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = {literal(house.app)}"  # noqa: S608
    )
    assert kept[0][0].startswith("SCRAM-SHA-256$4096:")
    assert str(kept[0][1]) == "infinity"


def test_a_password_that_had_expired(house: House) -> None:
    house.do(f"ALTER ROLE {identifier(house.app)} VALID UNTIL '2020-01-01'")
    assert not house.opens(house.app)
    with house.login(house.admin) as admin:
        admin.set_password(house.app, "new")
    assert house.opens(house.app, "new")


def test_open_sessions_go_on(house: House) -> None:
    with house.login(house.app) as open_, house.login(house.admin) as admin:
        admin.set_password(house.app, "new")
        admin.disable(house.app)
        assert open_.user == house.app
        assert admin.sessions(house.app) == 1
        assert open_.sessions(house.app) == 0
    with house.login(house.admin) as admin:
        wait_until(lambda: admin.sessions(house.app) == 0, what="the session to end")


def test_one_password_at_a_time(house: House) -> None:
    with house.login(house.admin) as admin:
        for ask in (
            lambda: admin.set_password(house.app, "new", keep_old=True),
            lambda: admin.discard_old_password(house.app),
        ):
            with pytest.raises(BadInputError, match="one password"):
                ask()
    assert house.opens(house.app)


def test_no_password_is_in_the_servers_log(house: House) -> None:
    """Guards the verifier: with `log_statement = ddl`, which RDS offers, the statement is written down."""
    house.do(f"ALTER DATABASE {house.database} SET log_statement = 'all'")
    with house.login(house.admin) as admin:
        admin.set_password(house.app, "canary-7f3a9")
    log = (house.server.folder / "log").read_text(errors="replace")
    assert f"ALTER ROLE {identifier(house.app)} LOGIN PASSWORD" in log
    assert "canary-7f3a9" not in log


def test_who_may_not_is_told_so(house: House) -> None:
    for ask in (
        lambda login: login.set_password("postgres", "new"),
        lambda login: login.disable("postgres"),
        lambda login: login.set_password("nobody at all", "new"),
    ):
        with house.login(house.admin) as admin, pytest.raises(SqlError) as raised:
            ask(admin)
        assert raised.value.code in ("42501", "42704")
        assert "SCRAM" not in str(raised.value)


_signs = st.one_of(
    st.sampled_from("'\"\\%;:=@$ {}\t\u00a0\u00ad\u2168ÄéßЖ漢😀"),
    st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]),
)


def allowed(text: str) -> bool:
    try:
        return bool(saslprep(text))
    except ScramException:
        return False


_names = st.text(_signs, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def fuzzed(server: Server) -> House:
    return House(server, server.new_database(), "", "", "")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=_names, password=st.text(_signs, min_size=1, max_size=30))
@example(name="current_user", password="'; DROP ROLE postgres; --")
@example(name='"', password="\\")
@example(name=":x", password="$1")
def test_any_name_and_any_password(fuzzed: House, name: str, password: str) -> None:
    """Through `set_password` and a login; the server itself has to make the same of the password."""
    user = f"{name}{uuid4().hex[:8]}"
    fuzzed.do(f"CREATE ROLE {identifier(user)}")
    try:
        with fuzzed.as_superuser() as admin:
            admin.set_password(user, password)
        with psycopg.connect(
            host=HOST, port=fuzzed.server.port, dbname=fuzzed.database, user=user, password=password
        ) as libpq:
            assert libpq.execute("SELECT session_user").fetchone() == (user,)
        if not (allowed(user) and allowed(password)):
            with pytest.raises(OutsideError, match="SASLprep"):
                fuzzed.login(user, password).__enter__()
            return
        with fuzzed.login(user, password) as login:
            assert login.user == user
        assert not fuzzed.opens(user, password + "x")
    finally:
        fuzzed.do(f"DROP ROLE {identifier(user)}")


# --- what one may do and another may not


def grants(house: House, name: str) -> list[str]:
    with house.as_superuser() as login:
        return list(login.lacking(house.second, name))


def test_what_is_lacking(house: House) -> None:
    app, second = identifier(house.app), identifier(house.second)
    with house.login(house.admin) as admin:
        assert list(admin.lacking(house.second, house.app)) == [f"the role {house.second}"]
    house.do(f"CREATE ROLE {second}", f"REVOKE CREATE ON SCHEMA public FROM {app}")
    assert grants(house, house.app) == []
    group = f"group_{uuid4().hex[:8]}"
    house.do(
        f"CREATE ROLE {group}",
        f"GRANT {group} TO {second}",
        f"GRANT {group} TO {app} WITH ADMIN OPTION",
        f"ALTER ROLE {app} CREATEDB",
        f"ALTER ROLE {app} SET statement_timeout = '5s'",
        f"ALTER ROLE {app} CONNECTION LIMIT 7",
        f"ALTER ROLE {second} CONNECTION LIMIT 5",
        "CREATE SCHEMA s CREATE TABLE s.t (a int, b int) CREATE SEQUENCE s.q",
        "CREATE FUNCTION s.f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        f"GRANT SELECT ON s.t TO {app}, {second}",
        f"GRANT SELECT, INSERT ON s.t TO {app} WITH GRANT OPTION",
        f"GRANT UPDATE (b) ON s.t TO {app}",
        f"GRANT USAGE ON SEQUENCE s.q TO {app}",
        f"GRANT EXECUTE ON FUNCTION s.f TO {app}",
        f"GRANT USAGE ON SCHEMA s TO {app}",
        f"GRANT CREATE ON DATABASE {house.database} TO {app}",
        f"CREATE TABLE s.own (); ALTER TABLE s.own OWNER TO {app}",
    )
    assert grants(house, house.app) == [
        "CREATEDB",
        "CONNECTION LIMIT",
        f"membership in {group}",
        "the setting statement_timeout",
        f"CREATE ON DATABASE {house.database}",
        "EXECUTE ON ROUTINE s.f(x integer)",
        "USAGE ON SCHEMA s",
        "USAGE ON SEQUENCE s.q",
        "INSERT ON TABLE s.t WITH GRANT OPTION",
        "SELECT ON TABLE s.t WITH GRANT OPTION",
        "UPDATE (b) ON TABLE s.t",
        "ownership of table s.own",
    ]


def test_members_of_one_owner_that_act_as_it_are_equal(house: House) -> None:
    adopted(house)
    app, second = identifier(house.app), identifier(house.second)
    house.do("CREATE TABLE only_app ()", f"GRANT SELECT ON only_app TO {app}")
    assert grants(house, house.app) == []
    house.do(f"ALTER ROLE {second} RESET role")
    assert grants(house, house.app) == [
        "the setting role",
        "CREATE ON SCHEMA public",
        "SELECT ON TABLE public.only_app",
    ]


# --- adoption


def furnished(house: House) -> str:
    """Tables, sequences, functions and types of `app`, and what others have granted to it; gives a group's name."""
    app, group = identifier(house.app), f"group_{uuid4().hex[:8]}"
    house.do(
        "CREATE SCHEMA shared CREATE TABLE shared.t (a int, b int)",
        "INSERT INTO shared.t VALUES (1, 2)",
        "CREATE SEQUENCE shared.q",
        "CREATE FUNCTION shared.f() RETURNS int LANGUAGE sql AS 'SELECT 7'",
        "REVOKE EXECUTE ON FUNCTION shared.f() FROM PUBLIC",
        f"CREATE ROLE {group}",
        f"GRANT CREATE ON DATABASE {house.database} TO {app}",
        f"ALTER ROLE {app} SET statement_timeout = '77s'",
        f'ALTER ROLE {app} IN DATABASE {house.database} SET search_path = public, "shared", "Odd; --"',
    )
    house.as_app(
        "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
        "INSERT INTO orders (note) VALUES ('before')",
        "CREATE SCHEMA own CREATE TABLE own.t (a int)",
        "CREATE TYPE mood AS ENUM ('sad')",
        "CREATE VIEW seen AS SELECT * FROM orders",
        "GRANT SELECT ON orders TO PUBLIC",
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {group}",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    )
    return group


def granted(house: House, group: str) -> None:
    app = identifier(house.app)
    house.do(
        f"GRANT USAGE ON SCHEMA shared TO {app}",
        f"GRANT SELECT, UPDATE (b) ON shared.t TO {app}",
        f"GRANT SELECT ON shared.t TO {app} WITH GRANT OPTION",
        f"GRANT USAGE ON SEQUENCE shared.q TO {app}",
        f"GRANT EXECUTE ON FUNCTION shared.f() TO {app} WITH GRANT OPTION",
        f"GRANT {group} TO {app} WITH ADMIN OPTION",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA shared GRANT SELECT ON TABLES TO {app}",
    )


USES = (
    ("INSERT INTO orders (note) VALUES ('after')", None),
    ("SELECT note FROM seen ORDER BY id LIMIT 1", [["before"]]),
    ("SELECT a FROM shared.t", [[1]]),
    ("UPDATE shared.t SET b = 3", None),
    ("SELECT nextval('shared.q') > 0", [[True]]),
    ("SELECT shared.f()", [[7]]),
    ("INSERT INTO own.t VALUES (1)", None),
    ("ALTER TABLE orders ADD COLUMN IF NOT EXISTS more int", None),
    ("SELECT 'sad'::mood::text", [["sad"]]),
    ("SHOW statement_timeout", [["77s"]]),
    ("GRANT SELECT ON shared.t TO PUBLIC", None),
    ("GRANT EXECUTE ON FUNCTION shared.f() TO PUBLIC", None),
)


def uses_everything(ask: Callable[[str], list[list[Any]]]) -> None:
    for sql, expected in USES:
        found = ask(sql)
        assert expected is None or found == expected, sql


def test_a_user_with_everything_is_shared_by_a_superuser(house: House) -> None:
    """Each use works before for the one and after for both: guards every part of Adoption.statements."""
    group = furnished(house)
    granted(house, group)
    uses_everything(house.as_app)
    open_ = house.connected(house.app, APP)
    statements = adopted(house, "postgres")
    assert not any("PASSWORD" in statement for statement in statements)
    uses_everything(lambda sql: open_.run(sql) or [])
    open_.close()
    uses_everything(house.as_app)
    uses_everything(lambda sql: house.do(sql, user=house.second, password="new"))
    path = house.do("SHOW search_path", user=house.second, password="new")
    assert path == house.as_app("SHOW search_path") == [['public, shared, "Odd; --"']]


def test_objects_of_either_belong_to_the_owner(house: House) -> None:
    group = furnished(house)
    granted(house, group)
    adopted(house, "postgres")
    house.as_app("CREATE TABLE one ()", "CREATE FUNCTION f1() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    house.do("CREATE TABLE two ()", "DROP TABLE one", user=house.second, password="new")
    house.as_app("ALTER TABLE two ADD COLUMN a int")
    assert house.do(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
        "WHERE relnamespace IN ('public'::regnamespace, 'own'::regnamespace)"
    ) == [[house.owner]]
    # What the user's own default privileges were.
    assert house.do(f"SELECT has_table_privilege({literal(group)}, 'two', 'SELECT')") == [[True]]
    assert house.do("SELECT has_function_privilege('app', 'f1()', 'EXECUTE')") == [[False]]
    # Default privileges of others for the user.
    house.do("CREATE TABLE shared.later ()")
    assert house.do("SELECT count(*) FROM shared.later", user=house.second, password="new") == [[0]]


def test_an_administrator_that_is_no_superuser(house: House) -> None:
    """CREATEROLE before 16, ADMIN OPTION from then on; what it needs for a moment it gives back."""
    house.do(f"GRANT CREATE ON DATABASE {house.database} TO {identifier(house.app)}")
    house.as_app("CREATE TABLE orders (id serial)", "GRANT SELECT ON orders TO PUBLIC")
    house.as_app("CREATE SCHEMA own CREATE TABLE own.t (a int)")
    house.do(f"GRANT CREATE ON DATABASE {house.database} TO {house.admin} WITH GRANT OPTION")
    before = memberships(house)
    adopted(house)
    for user, password in ((house.app, APP), (house.second, "new")):
        house.do(
            "INSERT INTO orders DEFAULT VALUES",
            "CREATE TABLE t ()",
            "DROP TABLE t",
            user=user,
            password=password,
        )
    for role in (house.app, house.owner):
        assert house.do(f"SELECT pg_has_role({literal(house.admin)}, {literal(role)}, 'USAGE')") == [[False]]
    assert before <= memberships(house)


def memberships(house: House) -> set[tuple[Any, ...]]:
    rows = house.do(
        "SELECT roleid::regrole::text, admin_option FROM pg_auth_members "  # noqa: S608
        f"WHERE member = {literal(house.admin)}::regrole"
    )
    return {tuple(row) for row in rows}


def test_what_an_administrator_may_not_grant_ends_it(house: House) -> None:
    """All or nothing. Guards the transaction of `run`, and `_do`, where the server only remarks it."""
    app = identifier(house.app)
    house.do(
        "CREATE TABLE other ()", f"GRANT SELECT ON other TO {app}", f"GRANT INSERT ON other TO {house.admin}"
    )
    with house.login(house.admin) as admin:
        with pytest.raises(SqlError) as raised:
            admin.run(admin.adoption(house.app, house.second), house.app, APP)
        assert raised.value.code in ("01007", "42501")
        assert admin.adoption(house.app, house.second)
    assert [house.owner] not in house.do("SELECT rolname FROM pg_roles")


def test_a_schema_of_the_users_own_name_stays_on_its_path(house: House) -> None:
    """Guards `_search_path`: "$user" is the owner's name from then on."""
    app = identifier(house.app)
    house.do(f"CREATE SCHEMA {app} AUTHORIZATION {app}")
    house.as_app("CREATE TABLE mine (a int)")
    adopted(house, "postgres")
    assert house.as_app("SELECT count(*) FROM mine") == [[0]]
    assert house.do("SELECT count(*) FROM mine", user=house.second, password="new") == [[0]]


def test_row_security_holds_for_both(house: House) -> None:
    app = identifier(house.app)
    house.do(
        "CREATE TABLE rows (a int)",
        "INSERT INTO rows VALUES (1), (2)",
        "ALTER TABLE rows ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY few ON rows TO {app} USING (a = 1)",
        f"GRANT SELECT ON rows TO {app}",
    )
    adopted(house, "postgres")
    for user, password in ((house.app, APP), (house.second, "new")):
        assert house.do("SELECT a FROM rows", user=user, password=password) == [[1]]


def test_a_setting_that_was_written_to_break_out(house: House) -> None:
    """Guards `_setting`: a user may write its own, which an administrator then repeats."""
    app, name = identifier(house.app), uuid4().hex[:8]
    house.as_app(
        f"SELECT set_config('search_path', 'public, x;CREATE/**/ROLE/**/broken_{name}', false)",
        f"ALTER ROLE {app} SET search_path FROM CURRENT",
    )
    house.do(f"ALTER ROLE {app} SET my.setting = 'it''s; CREATE ROLE broken_{name}; --\\'")
    adopted(house, "postgres")
    assert not [role for (role,) in house.do("SELECT rolname FROM pg_roles") if "broken" in role]
    assert house.do("SHOW my.setting", user=house.second, password="new") == house.as_app("SHOW my.setting")


def test_users_that_cannot_be_shared(house: House) -> None:
    app = identifier(house.app)
    other = house.server.new_database()
    house.do(f"CREATE ROLE boss_{house.admin} SUPERUSER")
    with house.as_superuser() as admin:
        for user, second in (
            (f"boss_{house.admin}", house.second),
            (house.app, "x" * 64),
        ):
            with pytest.raises(BadInputError, match="cannot be shared"):
                admin.adoption(user, second)
        house.do(f"ALTER ROLE {app} NOINHERIT")
        with pytest.raises(BadInputError, match="inherit"):
            admin.adoption(house.app, house.second)
        house.do(f"ALTER ROLE {app} INHERIT")
        replace(house, database=other).do(f"GRANT CREATE ON SCHEMA public TO {app}")
        with pytest.raises(BadInputError, match="other databases"):
            admin.adoption(house.app, house.second)


def test_a_lock_is_not_waited_for_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards `lock_timeout`: everybody's statement would queue behind the one that waits."""
    monkeypatch.setattr("tidegate.adapters.postgres_logins._LOCK_TIMEOUT", "100ms")
    house.as_app("CREATE TABLE busy ()")
    reader = house.server.connect(house.database, "postgres")
    reader.run("BEGIN; LOCK TABLE busy IN ACCESS SHARE MODE")
    with house.as_superuser() as admin:
        with pytest.raises(SqlError) as raised:
            admin.run(admin.adoption(house.app, house.second), house.app, APP)
        assert raised.value.code == "55P03"
        reader.close()
        wait_until(lambda: admin.sessions("postgres") == 0, what="the reader to be gone")
        admin.run(admin.adoption(house.app, house.second), house.app, APP)
