"""A database in memory: users with their passwords and grants, and who is logged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.domain.credentials import Credential
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import SqlError, WrongPasswordError

from tests.support.scripted import Scripted, recorded

HOST = "canary5e1d.database.example"
ADMIN = "admin"
OF_NEW_USERS = ("CREATE ON SCHEMA public", "USAGE ON SCHEMA public")


@dataclass
class FakeUser:
    """`second` is the other password that works (MySQL's dual passwords: RETAIN replaces it, a change without leaves it
    alone); `login` is whether the user may log in at all."""

    password: str
    second: str | None = None
    login: bool = True
    grants: set[str] = field(default_factory=set)
    may_change: bool = False

    def opens(self, password: str) -> bool:
        return self.login and password in (self.password, self.second)


class FakeLogin:
    """What it is asked for is recorded with the database's calls."""

    def __init__(self, database: FakeLogins, user: str) -> None:
        self._database = database
        self._user = user
        self.closed = False

    @property
    def user(self) -> str:
        return self._database.shown_as.get(self._user, self._user)

    def set_password(self, user: str, password: str, *, keep_old: bool = False) -> None:
        self._database.set_password(self._user, user, password, keep_old=keep_old)

    def disable(self, user: str) -> None:
        self._database.disable(self._user, user)

    def discard_old_password(self, user: str) -> None:
        self._database.discard_old_password(self._user, user)

    def lacking(self, user: str, like: str) -> Sequence[str]:
        return self._database.lacking(self._user, user, like)

    def sessions(self, user: str) -> int:
        return self._database.sessions(self._user, user)

    def exists(self, user: str) -> bool:
        return self._database.exists(self._user, user)

    def adoption(self, user: str, second: str) -> Sequence[str]:
        return self._database.adoption(self._user, user, second)

    def run(self, statements: Sequence[str], user: str, password: str) -> None:
        self._database.run(self._user, statements, user, password)

    def close(self) -> None:
        self.closed = True
        self._database.close(self._user)


class FakeLogins(Scripted):
    """`users` may log in at `HOST`; `tls` says whether the server proves who it is. `shown_as` has users whose sessions
    are somebody else's. `careful` is a server that is asked first whether a password works already: one that is kept
    beside it is not pushed out."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, FakeUser] = {}
        self.tls = True
        self.careful = False
        self.shown_as: dict[str, str] = {}
        self.opened: list[tuple[str, FakeLogin]] = []

    def open(self, user: str) -> int:
        """How many sessions a user has."""
        return sum(name == user and not login.closed for name, login in self.opened)

    @recorded
    def log_in(self, credential: Credential, tls: str, patience: float) -> FakeLogin:
        if credential.host != HOST:
            raise TransientError("the database cannot be reached")
        if tls != "off" and not self.tls:
            raise OutsideError("the database does not prove who it is")
        user = self.users.get(credential.username)
        if user is None or not user.opens(credential.password):
            raise WrongPasswordError("28P01")
        login = FakeLogin(self, credential.username)
        self.opened.append((credential.username, login))
        return login

    @recorded
    def set_password(self, by: str, user: str, password: str, *, keep_old: bool = False) -> None:
        known = self._changed(by, user)
        if keep_old and self.careful and known.opens(password):
            return
        if keep_old:
            known.second = known.password
        known.password, known.login = password, True

    @recorded
    def disable(self, by: str, user: str) -> None:
        self._changed(by, user).login = False

    @recorded
    def discard_old_password(self, by: str, user: str) -> None:
        self._changed(by, user).second = None

    @recorded
    def lacking(self, by: str, user: str, like: str) -> list[str]:
        if user not in self.users:
            return [f"the user {user}"]
        return sorted(self._user(like).grants - self.users[user].grants)

    @recorded
    def sessions(self, by: str, user: str) -> int:
        return self.open(user)

    @recorded
    def exists(self, by: str, user: str) -> bool:
        return user in self.users

    @recorded
    def adoption(self, by: str, user: str, second: str) -> list[str]:
        there = self.users.get(second)
        known = self.users.get(user)
        needs = set(OF_NEW_USERS) if known is None else known.grants
        first = [f"CREATE ROLE {user} PASSWORD the one of the secret"] if known is None else []
        first += [f"GRANT {grant} TO {user}" for grant in sorted(needs)] if known is None else []
        if second == user:
            return first
        made = [] if there is not None else [f"CREATE ROLE {second}"]
        held = there.grants if there is not None else set()
        return first + made + [f"GRANT {grant} TO {second}" for grant in sorted(needs - held)]

    @recorded
    def run(self, by: str, statements: Sequence[str], user: str, password: str) -> None:
        for statement in statements:
            self._run(statement, password)

    @recorded
    def close(self, by: str) -> None:
        """Of a session."""

    def _run(self, statement: str, password: str) -> None:
        if statement.endswith(" PASSWORD the one of the secret"):
            self.users.setdefault(statement.split()[2], FakeUser(password))
            return
        if statement.startswith("CREATE ROLE "):
            self.users.setdefault(statement.removeprefix("CREATE ROLE "), FakeUser("", login=False))
            return
        grant, _, user = statement.removeprefix("GRANT ").rpartition(" TO ")
        self._user(user).grants.add(grant)

    def _changed(self, by: str, user: str) -> FakeUser:
        if by != user and not self._user(by).may_change:
            raise SqlError("42501", "permission denied")
        return self._user(user)

    def _user(self, user: str) -> FakeUser:
        if user not in self.users:
            raise SqlError("42704", f'role "{user}" does not exist')
        return self.users[user]
