"""Logins of MySQL (8.0.14 or later) and MariaDB (10.4 or later), as rotations need them.

The name in a secret has no host part, an account has one (`'app'@'10.0.%'`): every account of that name is changed, in
one statement, which MySQL carries out as a whole. Names and values are escaped by the driver, never formatted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha1, sha256
from itertools import groupby
from typing import Any, Final

from tidegate.adapters.database_network import NotReadyError
from tidegate.adapters.mysql_connection import MysqlSession
from tidegate.adapters.mysql_grants import (
    DEFAULT_ROLE,
    ROLE,
    Grant,
    lacking_grants,
    read_grants,
    revoked_beside,
)
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.ports import SqlError, WrongPasswordError

PAUSE_SECONDS: Final = 2.0
LOCK_SECONDS: Final = 5

_UNLOCK, _RETAIN, _DISCARD = " ACCOUNT UNLOCK", " RETAIN CURRENT PASSWORD", " DISCARD OLD PASSWORD"
_ANYWHERE = "%"
# All that are of a database, but the right to hand them on (MySQL, "Privileges Provided by MySQL"). By name: who has
# them all may grant them, while ALL has more than that in MariaDB.
_RIGHTS: Final = (
    *(
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "CREATE",
        "DROP",
        "REFERENCES",
        "INDEX",
        "ALTER",
        "EXECUTE",
        "EVENT",
    ),
    *(
        "CREATE TEMPORARY TABLES",
        "LOCK TABLES",
        "CREATE VIEW",
        "SHOW VIEW",
        "CREATE ROUTINE",
        "ALTER ROUTINE",
    ),
    "TRIGGER",
)
_SHOWN: Final = "the password that the secret has"
_DENIED = frozenset({"1044", "1142", "1143", "1227"})
_SYNTAX = "1064"
# A check of passwords that wants to see them (MariaDB, strict_password_validation).
_WANTS_TEXT = "1290"
_NO_USER = "1396"
_PASSWORD_PLUGINS = frozenset({"mysql_native_password", "caching_sha2_password", "sha256_password"})
# MySQL, "Setting Account Resource Limits", by the columns of mysql.user.
_LIMITS = {
    "max_questions": "MAX_QUERIES_PER_HOUR",
    "max_updates": "MAX_UPDATES_PER_HOUR",
    "max_connections": "MAX_CONNECTIONS_PER_HOUR",
    "max_user_connections": "MAX_USER_CONNECTIONS",
}


class MysqlLogins:
    """`wait` and `now` are of the tests."""

    def __init__(
        self, wait: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._wait = wait
        self._now = now

    def log_in(self, credential: Credential, tls: str, patience: float) -> MysqlLogin:
        """As the port `Logins` has it."""
        until = self._now() + patience
        while True:
            try:
                return MysqlLogin(MysqlSession(credential, tls), credential, tls)
            except NotReadyError as error:
                if self._now() + PAUSE_SECONDS > until:
                    raise TransientError(f"the database cannot be reached: {error}") from None
                self._wait(PAUSE_SECONDS)


class MysqlLogin:
    """`Login` of the ports."""

    def __init__(self, session: MysqlSession, credential: Credential, tls: str) -> None:
        self._session = session
        self._credential = credential
        self._tls = tls

    @property
    def user(self) -> str:
        """The name in CURRENT_USER(): empty for an anonymous account, whoever asked."""
        return self._session.user

    def set_password(self, user: str, password: str, *, keep_old: bool = False) -> None:
        """BadInputError where the server has no dual passwords. With `keep_old` a second call changes nothing: a blind
        second RETAIN would throw the good password away."""
        if not keep_old:
            self._identify(user, password)
            return
        if self._session.mariadb:
            raise _no_dual_passwords("MariaDB has no dual passwords")
        # A call that was given up may still be at work in the server, and keeps the lock until it is done.
        lock = f"tidegate-{sha256(user.encode()).hexdigest()[:32]}"
        if self._session.rows("SELECT GET_LOCK(%s, %s)", lock, LOCK_SECONDS) != [(1,)]:
            raise TransientError("another session is changing this user's password")
        try:
            if not self._opens(user, password):
                self._identify(user, password, retain=True)
        finally:
            self._session.rows("SELECT RELEASE_LOCK(%s)", lock)

    def disable(self, user: str) -> None:
        """Locked: ACCOUNT LOCK leaves open sessions alone."""
        self._alter(user, "", (), " ACCOUNT LOCK")

    def discard_old_password(self, user: str) -> None:
        if self._session.mariadb:
            raise _no_dual_passwords("MariaDB has no dual passwords")
        self._alter(user, _DISCARD, (), "")

    def lacking(self, user: str, like: str) -> Sequence[str]:
        """Compared host by host; what a role brings is the role, not its privileges."""
        hosts = self._hosts(user)
        missing: dict[str, None] = {}
        for host in self._existing(like):
            if host not in hosts:
                missing[f"a login from {host}"] = None
                continue
            for grant in lacking_grants(self._grants(user, host), self._grants(like, host)):
                missing[str(grant)] = None
        return list(missing)

    def sessions(self, user: str) -> int:
        """Of others an administrator without PROCESS sees none."""
        # The column takes `App` and `app` for the same.
        found = self._session.rows(
            "SELECT USER FROM information_schema.PROCESSLIST WHERE USER = %s AND ID <> CONNECTION_ID()", user
        )
        return sum(name == user for (name,) in found)

    def exists(self, user: str) -> bool:
        return bool(self._hosts(user))

    def adoption(self, user: str, second: str) -> Sequence[str]:
        """`user` from everywhere, where it is not there. One that may do nothing at all is new as well, and is granted
        what it needs: its creation may have been the last statement that was carried out.

        `second` at the same hosts with the same grants, roles, limits and demands (`REQUIRE SSL`); locked, without a
        password that anybody knows, until a rotation sets one. MySQL from 8.0.18 on (RANDOM PASSWORD)."""
        hosts = self._hosts(user)
        if not hosts and second != user and self._hosts(second):
            raise BadInputError(
                f"there is no user {user}, but {second} is there",
                field="users",
                hint=f"drop {second}, or let the secret have it with its password",
            )
        likes = {host: self._grants(user, host) for host in hosts}
        new = not any(likes.values()) and bool(self._credential.database or not hosts)
        if new:
            likes = dict.fromkeys(hosts or [_ANYWHERE], self._rights())
        has = {host: self._grants(second, host) for host in self._hosts(second)} if second != user else {}
        return [
            *([] if hosts else [self._first(user)]),
            *(
                statement
                for host, like in likes.items()
                for statement in self._granting(self._account(user, host), frozenset(), like)
                if new
            ),
            *(
                statement
                for host, like in likes.items()
                if second != user
                for statement in (
                    *([] if host in has else [self._creation(user if hosts else None, second, host)]),
                    *self._granting(self._account(second, host), has.get(host, frozenset()), like),
                )
            ),
        ]

    def run(self, statements: Sequence[str], user: str, password: str) -> None:
        first = self._first(user)
        if any(_SHOWN in statement and statement != first for statement in statements):
            raise BadInputError("the statements make another user than the secret's", field="secret")
        for statement in statements:
            if statement == first:
                self._create(user, password)
            else:
                self._session.rows(statement)

    def close(self) -> None:
        self._session.close()

    def _identify(self, user: str, password: str, *, retain: bool = False) -> None:
        if not self._session.mariadb:
            # MySQL keeps passwords out of its logs, and the account's plugin as it is.
            self._alter(user, f" IDENTIFIED BY %s{_RETAIN if retain else ''}", (password,), _UNLOCK)
            return
        try:
            # MariaDB's general log shows statements as they are.
            self._alter(user, " IDENTIFIED BY PASSWORD %s", (_native_hash(password),), _UNLOCK)
        except SqlError as error:
            if error.code != _WANTS_TEXT:
                raise
            self._alter(user, " IDENTIFIED BY %s", (password,), _UNLOCK)

    def _alter(self, user: str, each: str, values: tuple[str, ...], ending: str) -> None:
        """One statement for all accounts of the name; `each` follows each of them."""
        hosts = self._existing(user)
        accounts = ", ".join(f"%s@%s{each}" for _ in hosts)
        # Nobody needs a privilege of MySQL's to change his own password; he would for the rest, and is not locked.
        if ending == _UNLOCK and user == self.user:
            ending = ""
        try:
            self._session.rows(
                f"ALTER USER {accounts}{ending}",
                *(value for host in hosts for value in (user, host, *values)),
                secret=bool(values),
            )
        except SqlError as error:
            if error.code == _SYNTAX and each.endswith((_RETAIN, _DISCARD)):
                raise _no_dual_passwords("this MySQL has no dual passwords, which came with 8.0.14") from None
            raise

    def _opens(self, user: str, password: str) -> bool:
        credential = replace(self._credential, username=user, password=password, database="")
        try:
            MysqlSession(credential, self._tls).close()
        except WrongPasswordError:
            return False
        except NotReadyError as error:
            raise TransientError(f"the database cannot be reached: {error}") from None
        return True

    def _existing(self, user: str) -> list[str]:
        hosts = self._hosts(user)
        if not hosts:
            raise SqlError(_NO_USER, f"there is no user {user}")
        return hosts

    def _hosts(self, user: str) -> list[str]:
        """Who may not look sees his own account."""
        only = " AND is_role = 'N'" if self._session.mariadb else ""
        try:
            found = self._session.rows(f"SELECT User, Host FROM mysql.user WHERE User = %s{only}", user)  # noqa: S608 -- the two are ours
        except SqlError as error:
            if error.code in _DENIED and user == self.user:
                return [self._session.host]
            raise
        # The comparison overlooks blanks at the end.
        return sorted(str(host) for name, host in found if name == user)

    def _grants(self, user: str, host: str) -> frozenset[Grant]:
        lines = [str(line) for (line,) in self._session.rows("SHOW GRANTS FOR %s@%s", user, host)]
        try:
            grants = read_grants(lines)
        except (ValueError, IndexError):
            raise OutsideError("SHOW GRANTS has a line that is not understood", field="users") from None
        if self._session.mariadb:
            return grants
        roles = self._session.rows(
            "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles WHERE USER = %s AND HOST = %s",
            user,
            host,
        )
        return grants | {
            Grant("@".join(f"`{part.replace('`', '``')}`" for part in role), DEFAULT_ROLE) for role in roles
        }

    def _first(self, user: str) -> str:
        """As it is shown: `_create` is what is done."""
        what = f"PASSWORD '<the hash of {_SHOWN}>'" if self._session.mariadb else f"'<{_SHOWN}>'"
        return f"CREATE USER IF NOT EXISTS {self._account(user, _ANYWHERE)} IDENTIFIED BY {what}"

    def _create(self, user: str, password: str) -> None:
        """As `_identify` has it."""
        make = "CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY"
        if self._session.mariadb:
            try:
                self._session.rows(
                    f"{make} PASSWORD %s", user, _ANYWHERE, _native_hash(password), secret=True
                )
            except SqlError as error:
                if error.code != _WANTS_TEXT:
                    raise
            else:
                return
        self._session.rows(f"{make} %s", user, _ANYWHERE, password, secret=True)

    def _rights(self) -> frozenset[Grant]:
        """On the secret's database, in whose name an underscore and a percent sign would stand for other characters,
        unless the server takes them as they are (MySQL, "GRANT Statement", partial_revokes)."""
        name = self._credential.database
        if not name:
            raise BadInputError(
                "the secret does not say which database its user needs", field="secret.dbname"
            )
        [*said] = self._session.rows("SHOW GLOBAL VARIABLES LIKE 'partial_revokes'")
        if not any(value == "ON" for _, value in said):
            name = name.replace("_", r"\_").replace("%", r"\%")
        on = f"`{name.replace('`', '``')}`.*"
        return frozenset(Grant(on, privilege) for privilege in _RIGHTS)

    def _account(self, user: str, host: str) -> str:
        return self._session.text("%s@%s", user, host)

    def _creation(self, user: str | None, second: str, host: str) -> str:
        """Like that of `user`, or like any new one's."""
        if user is None:
            unknown = (
                " IDENTIFIED VIA mysql_native_password USING 'invalid'"
                if self._session.mariadb
                else " IDENTIFIED BY RANDOM PASSWORD"
            )
            return f"CREATE USER IF NOT EXISTS {self._account(second, host)}{unknown} ACCOUNT LOCK"
        [(plugin, demand, *rest), *_] = self._session.rows(
            f"SELECT plugin, ssl_type, ssl_cipher, x509_issuer, x509_subject, {', '.join(_LIMITS)} "  # noqa: S608
            "FROM mysql.user WHERE User = %s AND Host = %s",
            user,
            host,
        )
        if plugin not in _PASSWORD_PLUGINS and not (self._session.mariadb and not plugin):
            raise BadInputError(
                f"user {user} signs in by {plugin}, which is no password",
                field="users",
                hint=f"users are rotated that sign in by one of {', '.join(sorted(_PASSWORD_PLUGINS))}",
            )
        limits = "".join(
            f" {word} {int(value)}" for word, value in zip(_LIMITS.values(), rest[3:], strict=True) if value
        )
        return "".join(
            [
                self._session.text("CREATE USER IF NOT EXISTS %s@%s", second, host),
                # What is no hash opens nothing.
                " IDENTIFIED VIA mysql_native_password USING 'invalid'"
                if self._session.mariadb
                else self._session.text(" IDENTIFIED WITH %s BY RANDOM PASSWORD", plugin),
                self._demand(_told(demand), [_told(part) for part in rest[:3]]),
                f" WITH{limits}" if limits else "",
                " ACCOUNT LOCK",
            ]
        )

    def _demand(self, kind: str, parts: list[str]) -> str:
        """The REQUIRE of an account, from its columns in mysql.user."""
        if kind in {"ANY", "X509"}:
            return f" REQUIRE {'SSL' if kind == 'ANY' else kind}"
        told = [
            self._session.text(f"{word} %s", part)
            for word, part in zip(("CIPHER", "ISSUER", "SUBJECT"), parts, strict=True)
            if part
        ]
        return f" REQUIRE {' AND '.join(told)}" if kind == "SPECIFIED" else ""

    def _granting(self, account: str, has: frozenset[Grant], like: frozenset[Grant]) -> list[str]:
        missing = lacking_grants(has, like)
        rights = [grant for grant in missing if grant.privilege not in {ROLE, DEFAULT_ROLE}]
        statements = [
            f"GRANT {', '.join(grant.privilege for grant in grants)} ON {on} TO {account}"
            f"{' WITH GRANT OPTION' if option else ''}"
            for (on, option), grants in groupby(
                sorted(rights, key=lambda grant: (grant.on, grant.option)),
                lambda grant: (grant.on, grant.option),
            )
        ]
        statements += [
            f"REVOKE {grant.privilege} ON {grant.on} FROM {account}" for grant in revoked_beside(has, like)
        ]
        statements += [
            f"GRANT {grant.on} TO {account}{' WITH ADMIN OPTION' if grant.option else ''}"
            for grant in missing
            if grant.privilege == ROLE
        ]
        if any(grant.privilege == DEFAULT_ROLE for grant in missing):
            # MariaDB has one, MySQL replaces them all.
            roles = {
                grant.on
                for grant in (like if self._session.mariadb else like | has)
                if grant.privilege == DEFAULT_ROLE
            }
            word = "FOR" if self._session.mariadb else "TO"
            statements.append(f"SET DEFAULT ROLE {', '.join(sorted(roles))} {word} {account}")
        return statements


def _native_hash(password: str) -> str:
    """MariaDB, "PASSWORD()": what it keeps for mysql_native_password, its plugin for IDENTIFIED BY."""
    once = sha1(password.encode(), usedforsecurity=False).digest()
    return f"*{sha1(once, usedforsecurity=False).hexdigest().upper()}"


def _told(value: Any) -> str:
    """Some of these columns are blobs in MySQL."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _no_dual_passwords(what: str) -> BadInputError:
    return BadInputError(what, field="strategy", hint="use strategy `alternating`, with two users")
