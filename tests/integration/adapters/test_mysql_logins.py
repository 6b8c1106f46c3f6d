"""What only MySQL does, and what a server does that means ill, over a server of the tests' own. A real MariaDB is in
tests/databases."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tidegate.adapters.mysql_grants import lacking_grants, read_grants
from tidegate.adapters.mysql_logins import MysqlLogin, MysqlLogins
from tidegate.domain.credentials import MYSQL, Credential
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.ports import SqlError, WrongPasswordError

from tests.support import mysql_server
from tests.support.authority import Authority
from tests.support.mysql_server import (
    CLEAR,
    NATIVE,
    NO_BACKSLASH_ESCAPES,
    OK,
    SHA2,
    Answer,
    FileWanted,
    MysqlServer,
    Refusal,
)

ADMIN, ADMINS = "admin", "admins-canary-41c0"
OLD, NEW = "old-canary-5e1d", "new'can\\ary-77aa"


@dataclass
class DualPasswords:
    """One account with MySQL's two passwords, at two hosts (manual, "Dual Password Support")."""

    passwords: dict[str, list[str]] = field(default_factory=lambda: {ADMIN: [ADMINS], "app": [OLD]})
    taken: bool = False
    released: int = 0

    def answer(self, statement: str) -> Answer:
        if statement.startswith("SELECT User, Host"):
            return [["app", "%"], ["app", "10.0.0.%"], ["App ", "%"]]
        if statement.startswith("SELECT GET_LOCK"):
            return [[0 if self.taken else 1]]
        if statement.startswith("SELECT RELEASE_LOCK"):
            self.released += 1
            return [[1]]
        if "IDENTIFIED BY" in statement:
            primary = self.passwords["app"][0]
            kept = [primary] if "RETAIN CURRENT PASSWORD" in statement else self.passwords["app"][1:]
            self.passwords["app"] = [NEW, *kept]
        if "DISCARD OLD PASSWORD" in statement:
            del self.passwords["app"][1:]
        return OK

    def server(self) -> MysqlServer:
        return MysqlServer(self.answer, self.passwords)


def credential(
    server: MysqlServer, user: str = ADMIN, password: str = ADMINS, ca: str | None = None
) -> Credential:
    return Credential(MYSQL, "localhost" if ca else "127.0.0.1", server.port, "", user, password, ca)


def log_in(opened: Credential, tls: str = "off") -> MysqlLogin:
    return MysqlLogins().log_in(opened, tls, 0)


@contextmanager
def admin(server: MysqlServer) -> Iterator[MysqlLogin]:
    with mysql_server.running(server), closing(log_in(credential(server))) as login:
        yield login


def opens(server: MysqlServer, password: str) -> bool:
    try:
        log_in(credential(server, "app", password)).close()
    except WrongPasswordError:
        return False
    return True


def assert_silent(error: Exception) -> None:
    said = f"{error} {error.__cause__!r} {getattr(error, 'hint', '')}"
    for secret in (ADMINS, OLD, NEW, "canary", "127.0.0.1", "10.9.8.7", "localhost"):
        assert secret not in said


def changes(server: MysqlServer) -> list[str]:
    return [statement for statement in server.statements if statement.startswith("ALTER")]


def test_both_passwords_work_until_the_old_one_is_discarded() -> None:
    """Guards RETAIN and DISCARD: one statement for every host, which MySQL carries out as a whole."""
    server = DualPasswords().server()
    with admin(server) as login:
        login.set_password("app", NEW, keep_old=True)
        assert opens(server, OLD)
        assert opens(server, NEW)
        login.discard_old_password("app")
        login.discard_old_password("app")
        assert not opens(server, OLD)
        assert opens(server, NEW)
    told = r"'new\'can\\ary-77aa'"
    discarding = "ALTER USER 'app'@'%' DISCARD OLD PASSWORD, 'app'@'10.0.0.%' DISCARD OLD PASSWORD"
    assert changes(server) == [
        f"ALTER USER 'app'@'%' IDENTIFIED BY {told} RETAIN CURRENT PASSWORD, "
        f"'app'@'10.0.0.%' IDENTIFIED BY {told} RETAIN CURRENT PASSWORD ACCOUNT UNLOCK",
        discarding,
        discarding,
    ]


def test_a_second_call_keeps_the_old_password() -> None:
    """Guards the login in `set_password`: a blind second RETAIN throws the password away that the consumers have."""
    dual = DualPasswords()
    server = dual.server()
    with admin(server) as login:
        for _ in range(3):
            login.set_password("app", NEW, keep_old=True)
        assert opens(server, OLD)
    assert len(changes(server)) == 1
    assert dual.released == 3


def test_a_call_that_is_still_at_work_is_not_overtaken() -> None:
    """Guards GET_LOCK: what was given up may take effect after the login has said that it has not."""
    dual = DualPasswords(taken=True)
    server = dual.server()
    with admin(server) as login:
        with pytest.raises(TransientError, match="another session"):
            login.set_password("app", NEW, keep_old=True)
        assert not changes(server)
        assert dual.released == 0
        dual.taken = False
        login.set_password("app", NEW, keep_old=True)
    [first, second] = [one for one in server.statements if "GET_LOCK" in one]
    assert first == second
    assert server.statements.index(first) < server.statements.index(changes(server)[0])


def test_a_plain_change_retains_nothing() -> None:
    server = DualPasswords().server()
    with admin(server) as login:
        login.set_password("app", NEW)
        login.disable("app")
    assert [statement.replace(r"'new\'can\\ary-77aa'", "?") for statement in changes(server)] == [
        "ALTER USER 'app'@'%' IDENTIFIED BY ?, 'app'@'10.0.0.%' IDENTIFIED BY ? ACCOUNT UNLOCK",
        "ALTER USER 'app'@'%', 'app'@'10.0.0.%' ACCOUNT LOCK",
    ]


def test_a_mysql_without_dual_passwords() -> None:
    """Guards what a syntax error becomes, whose message quotes the statement."""
    near = Refusal(1064, f"You have an error in your SQL syntax near '{NEW}' RETAIN CURRENT PASSWORD'")
    dual = DualPasswords()
    server = MysqlServer(lambda sql: near if sql.startswith("ALTER") else dual.answer(sql), dual.passwords)
    with admin(server) as login:
        for call in (
            lambda: login.set_password("app", NEW, keep_old=True),
            lambda: login.discard_old_password("app"),
        ):
            with pytest.raises(BadInputError, match="this MySQL has no dual passwords") as raised:
                call()
            assert_silent(raised.value)
        with pytest.raises(SqlError, match="it is refused") as refused:
            login.set_password("app", NEW)
    assert refused.value.code == "1064"
    assert_silent(refused.value)
    assert dual.released == 1


def test_who_may_not_look_changes_his_own_account() -> None:
    """Guards `_hosts` and `_alter`: nobody needs a privilege to change his own password, but one to unlock."""

    def answer(statement: str) -> Answer:
        if "mysql.user" in statement:
            return Refusal(1142, "SELECT command denied to user 'app'@'10.9.8.7' for table 'user'", "42000")
        return [[1]] if "LOCK(" in statement else OK

    server = MysqlServer(answer, {"app": [OLD]}, host="10.9.%")
    with mysql_server.running(server), closing(log_in(credential(server, "app", OLD))) as login:
        login.set_password("app", "x", keep_old=True)
        with pytest.raises(SqlError, match="SELECT command denied to user 'app' for table") as raised:
            login.set_password("other", "x")
    assert changes(server) == ["ALTER USER 'app'@'10.9.%' IDENTIFIED BY 'x' RETAIN CURRENT PASSWORD"]
    assert_silent(raised.value)


@pytest.mark.parametrize("code", [1045, 1698, 3118, 4151, 4150, 3955, 1862])
def test_answers_that_say_a_wrong_password(code: int) -> None:
    server = MysqlServer(passwords={ADMIN: [ADMINS]}, verdict=Refusal(code, f"no, {ADMINS} of 10.9.8.7"))
    with mysql_server.running(server), pytest.raises(WrongPasswordError) as raised:
        log_in(credential(server))
    assert_silent(raised.value)


@pytest.mark.parametrize("code", [1040, 1053, 1203, 1226])
def test_answers_that_say_not_yet(code: int) -> None:
    server = MysqlServer(verdict=Refusal(code, ADMINS))
    with (
        mysql_server.running(server),
        pytest.raises(TransientError, match=f"not ready \\({code}\\)") as raised,
    ):
        log_in(credential(server))
    assert_silent(raised.value)


@pytest.mark.parametrize(("code", "field"), [(1044, "secret.dbname"), (1049, "secret.dbname"), (1130, "secret"), (1129, "secret"), (3159, "tls"), (1251, "secret")])  # fmt: skip  # noqa: E501
def test_answers_that_a_person_has_to_read(code: int, field: str) -> None:
    server = MysqlServer(verdict=Refusal(code, ADMINS))
    with mysql_server.running(server), pytest.raises(OutsideError) as raised:
        log_in(credential(server))
    assert raised.value.field == field
    assert_silent(raised.value)


@pytest.mark.parametrize("code", [1053, 1927, 1317])
def test_a_connection_that_ends_amid_a_statement(code: int) -> None:
    server = MysqlServer(lambda statement: Refusal(code), {ADMIN: [ADMINS]})
    with admin(server) as login, pytest.raises(TransientError, match="connection to the database was lost"):
        login.sessions("app")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


@pytest.fixture
def proving(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    for name, text in authority.files.items():
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    return context


def test_a_server_that_offers_no_tls_learns_nothing(authority: Authority) -> None:
    """Guards `ssl=`: PyMySQL would go on in plain text."""
    server = MysqlServer(passwords={ADMIN: [ADMINS]})
    with mysql_server.running(server), pytest.raises(OutsideError, match="offers no TLS"):
        log_in(credential(server, ca=authority.pem), "verify-full")
    assert not server.heard


def test_a_wrong_password_is_nobodys_word_before_tls(authority: Authority) -> None:
    """Guards `proven`: whoever is in between could make a rotation believe that a password does not work."""
    server = MysqlServer(greeting=Refusal(1045, state="28000"))
    with mysql_server.running(server), pytest.raises(TransientError, match="not ready"):
        log_in(credential(server, ca=authority.pem), "verify-full")


def test_the_password_itself_goes_through_tls_alone(authority: Authority, proving: ssl.SSLContext) -> None:
    """Guards `_NoKey`: without TLS the driver would take whatever key it is sent."""
    server = MysqlServer(passwords={ADMIN: [ADMINS]}, cached=False, tls=proving)
    with mysql_server.running(server):
        log_in(credential(server, ca=authority.pem), "verify-full").close()
        assert server.heard.pop() == f"{ADMINS}\0".encode()
        with pytest.raises(WrongPasswordError):
            log_in(credential(server, password=OLD, ca=authority.pem), "verify-full")
        server.heard.clear()
        with pytest.raises(OutsideError, match="caching_sha2_password, which needs TLS") as raised:
            log_in(credential(server), "off")
        server.cached = True
        log_in(credential(server), "off").close()
    assert raised.value.field == "tls"
    assert not any(ADMINS.encode() in heard or heard == b"\x02" for heard in server.heard), (
        "nor is a key asked for"
    )


@pytest.mark.parametrize("plugin", [CLEAR, "dialog", "client_ed25519", "mysql_old_password"])
@pytest.mark.parametrize("tls", ["verify-full", "off"])
def test_a_server_that_asks_for_the_password(
    authority: Authority, proving: ssl.SSLContext, plugin: str, tls: str
) -> None:
    """Guards `_Refusal`: PyMySQL sends it as it is to one that asks for mysql_clear_password."""
    server = MysqlServer(switch=plugin, plugin=NATIVE, tls=proving)
    with (
        mysql_server.running(server),
        pytest.raises(OutsideError, match="in a way that is not used here") as raised,
    ):
        log_in(credential(server, ca=authority.pem if tls == "verify-full" else None), tls)
    assert len(server.heard) == 1
    assert_silent(raised.value)


def test_sha256_without_tls_is_refused() -> None:
    server = MysqlServer(plugin=SHA2, switch="sha256_password")
    with mysql_server.running(server), pytest.raises(OutsideError, match="in a way that is not used here"):
        log_in(credential(server))
    assert len(server.heard) == 1


def test_a_server_that_asks_for_a_file(tmp_path: Path) -> None:
    """Guards `local_infile`, and that the connection is not used again."""
    wanted = tmp_path / "credentials"
    wanted.write_text(ADMINS)
    server = MysqlServer(lambda statement: FileWanted(str(wanted)), {ADMIN: [ADMINS]})
    with admin(server) as login:
        for _ in range(2):
            with pytest.raises(TransientError, match="connection to the database was lost"):
                login.sessions("app")
    assert len(server.statements) == 1
    assert not any(ADMINS.encode() in heard for heard in server.heard)


def test_a_server_that_escapes_otherwise_than_it_was_told() -> None:
    """Guards the look at the mode: by the wrong rule a name could end its literal."""
    server = MysqlServer(passwords={ADMIN: [ADMINS]}, status=NO_BACKSLASH_ESCAPES | 2)
    with mysql_server.running(server), pytest.raises(TransientError, match="does not do as it is told"):
        log_in(credential(server))


@pytest.mark.parametrize("garbage", [b"", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\0\0\0\x0a8.0."])
def test_what_answers_is_no_mysql(garbage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        MysqlServer, "_serve", lambda self, connection: (connection.sendall(garbage), connection.close())
    )
    server = MysqlServer()
    with mysql_server.running(server), pytest.raises(TransientError) as raised:
        log_in(credential(server))
    assert_silent(raised.value)


# As MySQL 8.0 shows them: global privileges in two lines, dynamic ones with a GRANT OPTION of their own, roles with a
# host, partial revokes.
LINES = [
    "GRANT SELECT, RELOAD ON *.* TO `app`@`%`",
    "GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `app`@`%`",
    "GRANT ROLE_ADMIN ON *.* TO `app`@`%` WITH GRANT OPTION",
    "REVOKE SELECT ON `payroll`.* FROM `app`@`%`",
    "GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%` WITH GRANT OPTION",
    "GRANT INSERT (`a``b`, `c)`), UPDATE ON `shop`.`ord``ON TO` TO `app`@`%`",
    "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `app`@`%`",
    "GRANT `reader`@`%`,`writer`@`%` TO `app`@`%`",
    "GRANT `owner`@`%` TO `app`@`%` WITH ADMIN OPTION",
]


@dataclass
class Adopting:
    granted: list[str] = field(default_factory=list)

    def answer(self, statement: str) -> Answer:
        user = "second" if "'second'" in statement else "app"
        if statement.startswith("SELECT User, Host"):
            return [["app", "%"]] if user == "app" else [["second", "%"]] * bool(self.granted)
        if statement.startswith("SHOW GRANTS"):
            return [
                [line.replace("`app`", f"`{user}`")] for line in (LINES if user == "app" else self.granted)
            ]
        if "default_roles" in statement:
            return [["reader", "%"], ["owner", "%"]] if user == "app" or self.granted == LINES else []
        if statement.startswith("SELECT plugin"):
            return [[SHA2, "SPECIFIED", "", "/CN=o'neill", "/CN=shop", 0, 0, 0, 5]]
        return OK


def test_adoption_as_mysql_has_it() -> None:
    """Guards `_creation` and `_granting` for MySQL, and what is taken for lacking."""
    adopting = Adopting()
    server = MysqlServer(adopting.answer, {ADMIN: [ADMINS]})
    with admin(server) as login:
        statements = login.adoption("app", "second")
        assert login.lacking("second", "app") == ["a login from %"]
        adopting.granted = LINES
        assert not login.adoption("app", "second")
        assert not login.lacking("second", "app")
    assert statements == [
        "CREATE USER IF NOT EXISTS 'second'@'%' IDENTIFIED WITH 'caching_sha2_password' BY RANDOM PASSWORD "
        r"REQUIRE ISSUER '/CN=o\'neill' AND SUBJECT '/CN=shop' WITH MAX_USER_CONNECTIONS 5 ACCOUNT LOCK",
        "GRANT BACKUP_ADMIN, RELOAD, SELECT, XA_RECOVER_ADMIN ON *.* TO 'second'@'%'",
        "GRANT ROLE_ADMIN ON *.* TO 'second'@'%' WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO 'second'@'%'",
        "GRANT ALL PRIVILEGES ON `shop`.* TO 'second'@'%' WITH GRANT OPTION",
        "GRANT INSERT (`a``b`), INSERT (`c)`), UPDATE ON `shop`.`ord``ON TO` TO 'second'@'%'",
        "REVOKE SELECT ON `payroll`.* FROM 'second'@'%'",
        "GRANT `owner`@`%` TO 'second'@'%' WITH ADMIN OPTION",
        "GRANT `reader`@`%` TO 'second'@'%'",
        "GRANT `writer`@`%` TO 'second'@'%'",
        "SET DEFAULT ROLE `owner`@`%`, `reader`@`%` TO 'second'@'%'",
    ]


@pytest.mark.parametrize("line", LINES)
def test_each_line_that_is_lacking(line: str) -> None:
    """Guards every shape of `read_grants`: without this line something is lacking, or, where it revokes, less is."""
    without = read_grants(other for other in LINES if other != line)
    everything = read_grants(LINES)
    if line.startswith("REVOKE"):
        assert [str(grant) for grant in lacking_grants(everything, without)] == ["SELECT ON `payroll`.*"]
        assert not lacking_grants(without, everything)
    else:
        assert lacking_grants(without, everything)
        assert not lacking_grants(everything, without)


def test_a_line_that_is_not_understood() -> None:
    def answer(statement: str) -> Answer:
        return [["ALLOW everything"]] if "GRANTS" in statement else Adopting().answer(statement)

    server = MysqlServer(answer, {ADMIN: [ADMINS]})
    with admin(server) as login, pytest.raises(OutsideError, match="a line that is not understood"):
        login.adoption("app", "second")


def test_names_of_the_lock_are_short() -> None:
    """MySQL's manual, "Locking Functions": 64 characters at most."""
    dual = DualPasswords(taken=True)
    server = dual.server()
    with admin(server) as login, pytest.raises(TransientError):
        login.set_password("ü" * 80, NEW, keep_old=True)
    [asked] = [statement for statement in server.statements if "GET_LOCK" in statement]
    found = re.search(r"GET_LOCK\('([a-z0-9-]+)', \d+\)", asked)
    assert found is not None
    assert len(found[1]) <= 64
