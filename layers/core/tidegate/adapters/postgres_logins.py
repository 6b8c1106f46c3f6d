"""Users of PostgreSQL: their passwords, and whether one can stand for another.

A password goes to the server as a SCRAM verifier, which a server that logs its statements may write down. Names are
quoted by pg8000 wherever a statement takes no parameters (ALTER ROLE does not).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final

from tidegate.adapters.postgres_adoption import Adoption
from tidegate.adapters.postgres_connection import Connecting, PostgresSession
from tidegate.adapters.postgres_first_users import FirstUsers, creation, makes_a_user
from tidegate.adapters.postgres_roles import Roles
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import BadInputError
from tidegate.ports import SqlError

APPLICATION: Final = "tidegate-rotates"
# PostgreSQL's own (scram_iterations).
ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16
# An owner is changed under a lock that everybody else's statement would queue behind.
_LOCK_TIMEOUT: Final = "5s"
# PostgreSQL, appendix A: privilege_not_granted, a warning.
_NOT_GRANTED: Final = "01007"


class PostgresLogins:
    """`Logins` of the ports. `wait` and `now` are of the tests."""

    def __init__(
        self, wait: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._connecting = Connecting("secrets", wait, now)

    def log_in(self, credential: Credential, tls: str, patience: float) -> PostgresLogin:
        until = self._connecting.now() + patience
        return PostgresLogin(self._connecting.open(credential, tls, APPLICATION, until))


class PostgresLogin:
    """`Login` of the ports."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    @property
    def user(self) -> str:
        return str(self._session.query("SELECT session_user::text")[0][0])

    def set_password(self, user: str, password: str, *, keep_old: bool = False) -> None:
        from pg8000.native import identifier, literal  # noqa: PLC0415 - see postgres_connection

        if keep_old:
            raise _one_password()
        self._session.run(
            f"ALTER ROLE {identifier(user)} LOGIN PASSWORD {literal(verifier(password))} VALID UNTIL 'infinity'"
        )

    def disable(self, user: str) -> None:
        from pg8000.native import identifier  # noqa: PLC0415 - see postgres_connection

        self._session.run(f"ALTER ROLE {identifier(user)} NOLOGIN")

    def discard_old_password(self, user: str) -> None:  # noqa: ARG002 - the port's
        raise _one_password()

    def lacking(self, user: str, like: str) -> Sequence[str]:
        return Roles(self._session).lacking(user, like)

    def sessions(self, user: str) -> int:
        return int(
            self._session.query(
                # Whose it is can be seen by all, what it is only by those with pg_read_all_stats.
                "SELECT count(*) FROM pg_stat_activity WHERE usename = :user AND pid <> pg_backend_pid() "
                "AND coalesce(backend_type, 'client backend') = 'client backend'",
                user=user,
            )[0][0]
        )

    def exists(self, user: str) -> bool:
        return Roles(self._session).role(user) is not None

    def adoption(self, user: str, second: str) -> Sequence[str]:
        roles = Roles(self._session)
        if roles.role(user) is None:
            return FirstUsers(roles, user, second).statements()
        return Adoption(roles, user, second).statements()

    def run(self, statements: Sequence[str], user: str, password: str) -> None:
        """All of them or none."""
        if not statements:
            return
        first = creation(user)
        if any(makes_a_user(statement) and statement != first for statement in statements):
            raise _another_user()
        self._session.run("BEGIN")
        try:
            self._session.run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            # What pg8000 quotes, it quotes for this.
            self._session.run("SET LOCAL standard_conforming_strings = on")
            for statement in statements:
                if statement == first:
                    self._session.run(creation(user, verifier(password)))
                else:
                    self._do(statement)
            self._session.run("COMMIT")
        except SqlError:
            self._session.run("ROLLBACK")
            raise

    def close(self) -> None:
        self._session.close()

    def _do(self, statement: str) -> None:
        self._session.warnings()
        self._session.run(statement)
        if _NOT_GRANTED in self._session.warnings():
            # Only remarked by the server where the administrator may grant a part of it.
            raise SqlError(_NOT_GRANTED, f"not all of it was granted: {statement}")


def verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL keeps of a password (its "Database Roles", pg_authid.rolpassword; RFC 5802, section 3)."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def _prepared(password: str) -> bytes:
    """As the server and libpq do it: SASLprep, and as it is where that does not allow it (PostgreSQL, pg_saslprep)."""
    from scramp import ScramException  # noqa: PLC0415 - see postgres_connection
    from scramp.utils import saslprep  # noqa: PLC0415

    try:
        prepared = str(saslprep(password))
    except ScramException:
        return password.encode()
    return (prepared or password).encode()


def _another_user() -> BadInputError:
    return BadInputError("the statements make another user than the secret's", field="secret")


def _one_password() -> BadInputError:
    return BadInputError(
        "a user of PostgreSQL has one password",
        field="strategy",
        hint="use the strategy `alternating`, with two users",
    )
