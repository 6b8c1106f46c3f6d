"""Credentials of databases: a user's password is replaced while nobody uses it, or while the old one works as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.domain.credentials import MYSQL, Credential, read, written
from tidegate.domain.errors import BadInputError, TransientError
from tidegate.domain.redaction import redacted
from tidegate.domain.rotation import ADOPT, ADOPTION, ALTERNATING, PRECHECK
from tidegate.domain.secret_rotation import SecretRotation
from tidegate.ports import Login, Ports, SecretValue, SqlError, WrongPasswordError
from tidegate.steps.database_state import listed
from tidegate.steps.rotating import FailedError, Readiness, Versions

# Of all connections of a step: a paused Aurora takes some 15 s to wake, and half a minute or more after a day, when the
# step is asked again. The function has 60 s.
PATIENCE_SECONDS: Final = 40.0
SHORTEST_PATIENCE_SECONDS: Final = 5.0
# What is shorter hides more of a reason than it keeps.
_SHORTEST_HIDDEN: Final = 4
_JSON: Final = "json"
_LOOKING: Final = frozenset({PRECHECK, ADOPTION, ADOPT})


@dataclass(frozen=True, slots=True)
class LoginRotation:
    """Implements rotating.Kind. `began` is when the step did."""

    request: SecretRotation
    ports: Ports
    versions: Versions
    began: datetime

    def look(self, current: SecretValue) -> Readiness:
        own = self._read(current)
        second = self.request.next_user(own.username)
        self._expect_login(own)
        if self.request.admin is None:
            return Readiness(own.username, second, 0)
        with self._as_admin(own) as admin:
            if second == own.username:
                return Readiness(own.username, second, 0)
            self._expect_equal(admin, second, own.username)
            return Readiness(own.username, second, admin.sessions(second))

    def successor(self, text: str) -> str:
        request = self.request
        own = read(text, request.format, request.kind)
        return written(
            text,
            request.format,
            username=request.next_user(own.username),
            password=self.ports.secrets.password(),
        )

    def set(self) -> None:
        current = self.versions.current()
        self.versions.expect_here(current)
        new = self._read(self.versions.new())
        old = self._read(current)
        promoted = current.version == self.request.version
        if not promoted and new.username != self.request.next_user(old.username):
            raise FailedError(f"the new version is of {new.username}, whose turn it is not")
        try:
            self._log_in(new).close()
        except WrongPasswordError:
            if promoted:
                raise FailedError(f"{new.username} cannot log in with what is current") from None
        else:
            return
        with self._as_admin(old, new) as admin:
            keep = new.username == old.username
            if keep:
                # An abandoned rotation has left what is current as the second of two passwords: the next one that is
                # kept would push it out. Without RETAIN the second stays (MySQL reference manual, "ALTER USER").
                admin.set_password(old.username, old.password)
            admin.set_password(new.username, new.password, keep_old=keep)

    def test(self) -> None:
        old, new = self._read(self.versions.before()), self._read(self.versions.new())
        self._expect_login(new)
        if new.username != old.username:
            with self._as_admin(new) as admin:
                self._expect_equal(admin, new.username, old.username)

    def retire(self) -> str:
        current = self.versions.current()
        if current.version != self.request.version:
            raise FailedError(f"the new version is not current: {current.version} is")
        own = self._read(current)
        idle = self._read(self.versions.before()).username
        if self.request.strategy == ALTERNATING and idle == own.username:
            raise FailedError(f"{idle} is the user of what is current, too")
        self._expect_login(own)
        with self._as_admin(own) as admin:
            if idle == own.username:
                admin.discard_old_password(idle)
            else:
                admin.disable(idle)
        return current.version

    def adoption(self) -> list[str]:
        """A user that is there has to log in with what the secret says; one that is not is made so."""
        own = self._read(self.versions.current())
        second = self.request.next_user(own.username)
        if self.request.admin is None:
            self._expect_login(own)
            return []
        with self._as_admin(own) as admin:
            if admin.exists(own.username):
                # Where its creation was the last that was carried out, it may do nothing in the database yet.
                self._expect_login(replace(own, database="") if own.engine == MYSQL else own)
            return list(admin.adoption(own.username, second))

    def adopt(self, statements: list[str]) -> None:
        own = self._read(self.versions.current())
        with self._as_admin(own) as admin:
            admin.run(statements, own.username, own.password)

    def _expect_login(self, credential: Credential) -> None:
        try:
            login = self._log_in(credential)
        except WrongPasswordError:
            raise FailedError(f"the database does not let {credential.username} log in") from None
        user = login.user
        login.close()
        if user != credential.username:
            raise FailedError(f"who logs in as {credential.username} is {user}")

    def _expect_equal(self, admin: Login, user: str, like: str) -> None:
        request = self.request
        lacking = admin.lacking(user, like)
        if lacking:
            raise FailedError(
                f"{user} cannot stand for {like}, run `tidegate secrets adopt {request.system} {request.environment} "
                f"{request.secret}`. It lacks {listed(lacking)}"
            )

    @contextmanager
    def _as_admin(self, own: Credential, *used: Credential) -> Iterator[Login]:
        """Whoever may change passwords, in the secret's own database: grants are of one database (PostgreSQL). `used`
        are others that a statement may hold."""
        login = self._as_itself(own) if self.request.admin is None else self._admin(self.request.admin, own)
        try:
            yield login
        except SqlError as error:
            raise FailedError(_refused(error, own, *used)) from None
        finally:
            login.close()

    def _as_itself(self, own: Credential) -> Login:
        try:
            return self._log_in(own)
        except WrongPasswordError:
            raise FailedError(f"the database does not let {own.username} log in") from None

    def _admin(self, secret: str, own: Credential) -> Login:
        """Its password may be rotated as well, at this very moment."""
        for _ in range(2):
            value = self.ports.secrets.current(secret)
            admin = replace(_readable(value, secret, self.request.kind, own), database=own.database)
            if admin.username in (own.username, self.request.next_user(own.username)):
                raise FailedError(f"{admin.username} is the admin: it cannot be a user that is rotated")
            try:
                return self._log_in(admin)
            except WrongPasswordError:
                continue
        refused = f"the database does not let the admin of {secret} log in"
        if self.request.step in _LOOKING:
            raise FailedError(refused)
        raise TransientError(refused)

    def _log_in(self, credential: Credential) -> Login:
        gone = (self.ports.clock.now() - self.began) / timedelta(seconds=1)
        patience = max(SHORTEST_PATIENCE_SECONDS, PATIENCE_SECONDS - gone)
        return self.ports.logins.log_in(credential, self.request.tls, patience)

    def _read(self, value: SecretValue) -> Credential:
        credential = read(value.text, self.request.format, self.request.kind)
        if credential.engine != self.request.kind:
            raise FailedError(
                f"the secret is of {credential.engine}, and the manifest says {self.request.kind}"
            )
        return credential


def _readable(value: SecretValue, secret: str, kind: str, own: Credential) -> Credential:
    try:
        return read(value.text, _JSON, kind, own)
    except BadInputError as error:
        raise FailedError(f"{secret}, the admin's, cannot be read: {error.message}") from None


def _refused(error: SqlError, *used: Credential) -> str:
    """What the database says, without what a statement may have held."""
    said = str(error)
    for credential in used:
        for part in (credential.password, credential.host):
            if len(part) >= _SHORTEST_HIDDEN:
                said = said.replace(part, "***")
    return redacted(f"the database refuses: {said}")
