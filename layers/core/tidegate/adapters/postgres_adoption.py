"""How a user of PostgreSQL comes to share what it has with a second one: by a role that owns it all.

Both are members of that role, and each of their sessions begins with `SET role` to it, so that it does not matter
which of the two made a table. Nothing changes for sessions that are open: a member has its role's privileges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tidegate.adapters.postgres_roles import LISTS, Grant, Membership, Role, Roles, names_in
from tidegate.domain.errors import BadInputError

# NAMEDATALEN: the server would cut a longer name.
_LONGEST: Final = 63
_PUBLIC: Final = "PUBLIC"
_KINDS: Final = {
    "r": "TABLES",
    "S": "SEQUENCES",
    "f": "ROUTINES",
    "T": "TYPES",
    "n": "SCHEMAS",
    "L": "LARGE OBJECTS",
}
# What everybody may do with a new object of a kind, unless it was taken away.
_OF_EVERYBODY: Final = {"f": "EXECUTE", "T": "USAGE"}
_SEARCH_PATH: Final = "search_path"


class _Default(NamedTuple):
    definer: str
    schema: str | None
    kind: str
    grantee: str | None
    privilege: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """Of `user` by the role that it acts as already, or else by `<user>_owner`."""

    roles: Roles
    user: str
    second: str

    def statements(self) -> list[str]:
        """Raises BadInputError for a user that cannot be shared."""
        user = self.roles.role(self.user)
        if user is None:
            raise _refusal(f"there is no role {self.user}")
        acting = self.roles.acts_as(self.user)
        owner = acting or f"{self.user}_owner"
        self._expect_shareable(user, owner)
        as_owner = [
            *self._owned(owner),
            *self._granted(owner),
            *self._defaults(owner),
            *self._policies(owner),
        ]
        lent = self._lent(owner) if as_owner else []
        return [
            *self._administered(owner),
            *self._created(owner, user),
            *self._memberships(owner, without=owner),
            *(f"GRANT {_name(role)} TO {_name(self.roles.me)}" for role in lent),
            *as_owner,
            *self._member(self.user, owner),
            *self._created(self.second, user),
            *self._memberships(self.second, without=owner),
            *self._member(self.second, owner),
            *self._settings(owner),
            *(f"REVOKE {_name(role)} FROM {_name(self.roles.me)}" for role in lent),
        ]

    def _expect_shareable(self, user: Role, owner: str) -> None:
        if user.superuser:
            raise _refusal(f"{self.user} is a superuser", "let the service have a user that is none")
        if "INHERIT" not in user.attributes:
            raise _refusal(f"{self.user} does not inherit from its roles", "ALTER ROLE … INHERIT")
        for name in (owner, self.second):
            if len(name.encode()) > _LONGEST:
                raise _refusal(
                    f"the name {name} is longer than {_LONGEST} bytes", "name both users in the manifest"
                )
        if self._elsewhere():
            raise _refusal(
                f"{self.user} has objects or privileges in other databases, too",
                "give it a user for each database",
            )
        servers = self.roles.query(
            "SELECT m.srvname::text FROM pg_catalog.pg_user_mappings m WHERE m.usename = :user AND NOT EXISTS "
            "(SELECT FROM pg_catalog.pg_user_mappings o WHERE o.srvid = m.srvid AND o.usename = :owner)",
            user=self.user,
            owner=owner,
        )
        if servers:
            raise _refusal(
                f"{self.user} has a user mapping of the foreign server {servers[0][0]}, which holds a password",
                f"make the role {owner} and a mapping for it first",
            )

    def _elsewhere(self) -> bool:
        return bool(
            self.roles.query(
                "SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid "
                "WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = :user "
                "AND s.dbid NOT IN (0, (SELECT oid FROM pg_catalog.pg_database "
                "WHERE datname = pg_catalog.current_database())) LIMIT 1",
                user=self.user,
            )
        )

    def _administered(self, owner: str) -> Iterator[str]:
        """From version 16 a role is changed by those that have ADMIN OPTION on it, which its creator has."""
        if self.roles.version < 16 or self._superuser():
            return
        for name in (self.user, owner, self.second):
            if self.roles.role(name) and not self._has(name, "MEMBER WITH ADMIN OPTION"):
                yield f"GRANT {_name(name)} TO {_name(self.roles.me)} WITH ADMIN OPTION"

    def _lent(self, owner: str) -> list[str]:
        """Roles whose objects the administrator has to handle as its own for a moment."""
        if self._superuser():
            return []
        how = ("USAGE", "SET") if self.roles.version >= 16 else ("MEMBER",)
        return [
            name
            for name in (self.user, owner)
            if self.roles.role(name) is None or not all(self._has(name, each) for each in how)
        ]

    def _superuser(self) -> bool:
        me = self.roles.role(self.roles.me)
        return me is not None and me.superuser

    def _has(self, name: str, how: str) -> bool:
        return bool(
            self.roles.query("SELECT pg_catalog.pg_has_role(:name::name, :how::text)", name=name, how=how)[0][
                0
            ]
        )

    def _created(self, name: str, user: Role) -> Iterator[str]:
        role = self.roles.role(name)
        if role is None:
            yield " ".join([f"CREATE ROLE {_name(name)} NOLOGIN", *sorted(user.attributes)])
        elif lacking := sorted(user.attributes - role.attributes):
            yield " ".join([f"ALTER ROLE {_name(name)}", *lacking])
        has = -1 if role is None else role.connections
        if name == self.second and has != user.connections:
            yield f"ALTER ROLE {_name(name)} CONNECTION LIMIT {user.connections}"

    def _memberships(self, name: str, without: str) -> Iterator[str]:
        has = self.roles.memberships(name)
        for group, options in self.roles.memberships(self.user).items():
            if group not in (without, name) and (group not in has or not has[group].covers(options)):
                yield f"GRANT {_name(group)} TO {_name(name)}{self._options(options)}"

    def _options(self, options: Membership) -> str:
        told = ["ADMIN OPTION"] if options.admin else []
        if self.roles.version >= 16:
            told = ["ADMIN TRUE"] if options.admin else []
            told += [f"INHERIT {str(options.inherit).upper()}", f"SET {str(options.set).upper()}"]
        return f" WITH {', '.join(told)}" if told else ""

    def _member(self, name: str, owner: str) -> Iterator[str]:
        if owner not in self.roles.memberships(name):
            yield f"GRANT {_name(owner)} TO {_name(name)}"

    def _owned(self, owner: str) -> Iterator[str]:
        """Schemas first: who is to own a table has to have CREATE in its schema."""
        if not self.roles.owned(self.user):
            return
        for (schema,) in self.roles.query(
            "SELECT nspname::text FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner "
            "WHERE r.rolname = :user AND nspname !~ '^pg_(toast_)?temp_' ORDER BY 1",
            user=self.user,
        ):
            yield f"ALTER SCHEMA {_name(schema)} OWNER TO {_name(owner)}"
        yield f"REASSIGN OWNED BY {_name(self.user)} TO {_name(owner)}"

    def _granted(self, owner: str) -> Iterator[str]:
        has = self.roles.grants(owner)
        owned = self._names_owned(owner)
        for grant, option in self.roles.grants(self.user).items():
            if (grant.kind, grant.name) not in owned and (grant not in has or option > has[grant]):
                yield _granting(grant, owner, option=option)

    def _names_owned(self, owner: str) -> frozenset[tuple[str, str]]:
        return frozenset(self.roles.objects_of(owner))

    def _defaults(self, owner: str) -> Iterator[str]:
        """What objects that are yet to be made will be granted: those that the user makes, and those of others."""
        found = {
            _Default(definer, schema, kind, grantee, privilege): option
            for definer, schema, kind, grantee, privilege, option in self.roles.query(
                "SELECT r.rolname::text, n.nspname::text, d.defaclobjtype::text, g.rolname::text, a.privilege_type, "
                "bool_or(a.is_grantable) FROM pg_catalog.pg_default_acl d "
                "JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole "
                "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, "
                "pg_catalog.aclexplode(d.defaclacl) a LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee "
                "GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2 NULLS FIRST, 3, 4 NULLS FIRST, 5"
            )
        }
        for each, option in found.items():
            if each.definer == each.grantee or self.user not in (each.definer, each.grantee):
                continue
            ours = each._replace(
                definer=owner if each.definer == self.user else each.definer,
                grantee=owner if each.grantee == self.user else each.grantee,
            )
            # What everybody has anyway is not written down for the owner.
            everybody = (
                ours.grantee is None
                and ours.schema is None
                and ours.privilege == _OF_EVERYBODY.get(ours.kind)
            )
            if ours.definer == ours.grantee or everybody or (ours in found and found[ours] >= option):
                continue
            yield _defaulting(ours, "GRANT", "TO") + (" WITH GRANT OPTION" if option else "")
        for kind, privilege in _OF_EVERYBODY.items():
            closed = [
                any(each.definer == name and each.schema is None and each.kind == kind for each in found)
                and _Default(name, None, kind, None, privilege) not in found
                for name in (self.user, owner)
            ]
            if closed == [True, False]:
                yield _defaulting(_Default(owner, None, kind, None, privilege), "REVOKE", "FROM")

    def _policies(self, owner: str) -> Iterator[str]:
        for policy, table, names in self.roles.query(
            "SELECT pg_catalog.format('%I', p.polname), pg_catalog.format('%I.%I', n.nspname, c.relname), "
            "array_agg(r.rolname::text ORDER BY 1) FROM pg_catalog.pg_policy p "
            "JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_roles r ON r.oid = ANY (p.polroles) GROUP BY 1, 2 ORDER BY 2, 1"
        ):
            if self.user in names and owner not in names:
                yield f"ALTER POLICY {policy} ON {table} TO {', '.join(_name(name) for name in [*names, owner])}"

    def _settings(self, owner: str) -> Iterator[str]:
        wanted = self.roles.settings(self.user)
        if self.roles.acts_as(self.user) is None:
            wanted.pop((True, "role"), None)
            wanted[False, "role"] = owner
            for name in (self.user, self.second):
                if (True, "role") in self.roles.settings(name):
                    yield f"ALTER ROLE {_name(name)} IN DATABASE {_name(self._database())} RESET role"
        path = self._search_path(wanted)
        if path is not None:
            wanted[True, _SEARCH_PATH] = path
        for name in (self.user, self.second):
            has = self.roles.settings(name)
            for (here, setting), value in sorted(wanted.items()):
                if has.get((here, setting)) != value:
                    yield self._setting(name, setting, value, here=here)

    def _search_path(self, wanted: dict[tuple[bool, str], str]) -> str | None:
        """`"$user"` is the role that a session acts as: from now on it has to be said whose schema is meant."""
        if not self.roles.query("SELECT FROM pg_catalog.pg_namespace WHERE nspname = :user", user=self.user):
            return None
        path = wanted.get((True, _SEARCH_PATH), wanted.get((False, _SEARCH_PATH))) or self._usual_path()
        names = names_in(path)
        if "$user" not in names:
            return None
        return ", ".join(_name(self.user if name == "$user" else name) for name in names)

    def _usual_path(self) -> str:
        rows = self.roles.query(
            "SELECT pg_catalog.substr(c, 13) FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d "
            "ON d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) c WHERE s.setrole = 0 "
            "AND d.datname = pg_catalog.current_database() AND c LIKE 'search_path=%'"
        )
        return str(rows[0][0]) if rows else '"$user", public'

    def _setting(self, name: str, setting: str, value: str, *, here: bool) -> str:
        where = f" IN DATABASE {_name(self._database())}" if here else ""
        said = ", ".join(_text(each) for each in names_in(value)) if setting in LISTS else ""
        called = ".".join(_name(part) for part in setting.split("."))
        return f"ALTER ROLE {_name(name)}{where} SET {called} = {said or _text(value)}"

    def _database(self) -> str:
        return str(self.roles.query("SELECT pg_catalog.current_database()::text")[0][0])


def _granting(grant: Grant, to: str, *, option: bool) -> str:
    return f"GRANT {grant} TO {_name(to)}{' WITH GRANT OPTION' if option else ''}"


def _defaulting(default: _Default, verb: str, preposition: str) -> str:
    schema = f" IN SCHEMA {_name(default.schema)}" if default.schema is not None else ""
    who = _PUBLIC if default.grantee is None else _name(default.grantee)
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {_name(default.definer)}{schema} {verb} {default.privilege} "
        f"ON {_KINDS[default.kind]} {preposition} {who}"
    )


def _name(text: str) -> str:
    from pg8000.native import identifier  # noqa: PLC0415 - see postgres_connection

    return str(identifier(text))


def _text(text: str) -> str:
    from pg8000.native import literal  # noqa: PLC0415 - see postgres_connection

    return str(literal(text))


def _refusal(what: str, hint: str | None = None) -> BadInputError:
    return BadInputError(f"it cannot be shared: {what}", field="users", hint=hint)
