"""Users of databases, whatever the engine is."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.adapters.mysql_logins import MysqlLogins
from tidegate.adapters.postgres_logins import PostgresLogins
from tidegate.domain.credentials import MYSQL, POSTGRES, Credential
from tidegate.domain.errors import OutsideError
from tidegate.ports import Login, Logins


class DatabaseLogins:
    """`Logins` of the ports, by the credential's engine."""

    def __init__(self, engines: Mapping[str, Logins] | None = None) -> None:
        self._engines: Mapping[str, Logins] = engines or {POSTGRES: PostgresLogins(), MYSQL: MysqlLogins()}

    def log_in(self, credential: Credential, tls: str, patience: float) -> Login:
        logins = self._engines.get(credential.engine)
        if logins is None:
            raise OutsideError(
                "the secret is of a database that nobody here speaks with",
                field="secrets.kind",
                hint=f"its engine has to be {' or '.join(self._engines)}",
            )
        return logins.log_in(credential, tls, patience)
