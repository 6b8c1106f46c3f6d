"""The two users of a database of PostgreSQL that has neither, and the role that owns what they make.

That is what `postgres_adoption` makes of a user that was there. The rights are those of whoever works in a database of
its own: no more than that in the schema `public`, which from version 15 on lets nobody else make anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tidegate.adapters.postgres_roles import Roles
from tidegate.domain.errors import BadInputError

# NAMEDATALEN: the server would cut a longer name.
_LONGEST: Final = 63
_SCHEMA: Final = "public"
_ON_DATABASE: Final = ("CONNECT", "TEMPORARY")
_ON_SCHEMA: Final = ("CREATE", "USAGE")
_VERIFIER: Final = "<the SCRAM verifier of the password that the secret has>"


def creation(user: str, verifier: str = _VERIFIER) -> str:
    """The statement that makes the user of the secret; as it is shown, unless a verifier is given."""
    from pg8000.native import identifier, literal  # noqa: PLC0415 - see postgres_connection

    return f"CREATE ROLE {identifier(user)} LOGIN PASSWORD {literal(verifier)} VALID UNTIL 'infinity'"


def makes_a_user(statement: str) -> bool:
    """Whether it is such a statement, as it is shown: it must never be run like that."""
    return _VERIFIER in statement


@dataclass(frozen=True, slots=True)
class FirstUsers:
    """`user` is the secret's, whom there is no role of, `second` the other one."""

    roles: Roles
    user: str
    second: str

    def statements(self) -> list[str]:
        """Raises BadInputError where one of the names cannot be had."""
        owner = f"{self.user}_owner"
        for name in (self.user, self.second, owner):
            if len(name.encode()) > _LONGEST:
                raise BadInputError(
                    f"the name {name} is longer than {_LONGEST} bytes",
                    field="users",
                    hint="choose shorter ones",
                )
        if self.roles.role(self.second) is not None:
            raise BadInputError(
                f"there is no role {self.user}, but {self.second} is there",
                field="users",
                hint=f"drop {self.second}, or let the secret have it with its password",
            )
        there = self.roles.role(owner) is not None
        return [
            *([] if there else [f"CREATE ROLE {_name(owner)} NOLOGIN"]),
            *self._rights(owner),
            creation(self.user),
            f"CREATE ROLE {_name(self.second)} NOLOGIN",
            *(f"GRANT {_name(owner)} TO {_name(name)}" for name in (self.user, self.second)),
            *(f"ALTER ROLE {_name(name)} SET role = {_text(owner)}" for name in (self.user, self.second)),
        ]

    def _rights(self, owner: str) -> Iterator[str]:
        [(database, schema)] = self.roles.query(
            "SELECT pg_catalog.current_database()::text, pg_catalog.to_regnamespace(:schema) IS NOT NULL",
            schema=_SCHEMA,
        )
        yield from self._granted("DATABASE", database, _ON_DATABASE, owner)
        if schema:
            yield from self._granted("SCHEMA", _SCHEMA, _ON_SCHEMA, owner)

    def _granted(self, kind: str, on: str, privileges: tuple[str, ...], owner: str) -> Iterator[str]:
        """What everybody may do is granted too, since it may be taken from everybody one day; where the administrator
        cannot grant it, it is enough."""
        has = f"pg_catalog.has_{kind.lower()}_privilege"
        wanted = [
            privilege
            for privilege in privileges
            if not self.roles.query(
                f"SELECT {has}('public', :on::text, :plain::text) "
                f"AND NOT {has}(current_user, :on::text, :option::text)",
                on=on,
                plain=privilege,
                option=f"{privilege} WITH GRANT OPTION",
            )[0][0]
        ]
        if wanted:
            yield f"GRANT {', '.join(wanted)} ON {kind} {_name(on)} TO {_name(owner)}"


def _name(text: str) -> str:
    from pg8000.native import identifier  # noqa: PLC0415 - see postgres_connection

    return str(identifier(text))


def _text(text: str) -> str:
    from pg8000.native import literal  # noqa: PLC0415 - see postgres_connection

    return str(literal(text))
