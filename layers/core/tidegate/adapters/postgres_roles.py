"""What the catalogs of PostgreSQL say about a role, as far as another one has to be its equal.

The catalogs that are read are open to everybody: an administrator need not be a superuser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.adapters.postgres_connection import PostgresSession

_ATTRIBUTES: Final = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "INHERIT")
_UNLIMITED: Final = -1
# Settings that ALTER ROLE … SET takes as a list of names.
LISTS: Final = frozenset({"search_path", "temp_tablespaces"})
_NAME: Final = re.compile(r'"((?:[^"]|"")*)"|([^,\s"]+)')

# Each: what GRANT calls it, its name as GRANT takes it, a column, its owner, its privileges. All in pg_catalog, so that
# no object that somebody has made is taken for one of them.
_OBJECTS: Final = """
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, '' AS col, c.relowner AS owner, c.relacl AS acl
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'TABLE', pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('%I', a.attname), c.relowner,
       a.attacl
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT a.attisdropped
UNION ALL
SELECT 'ROUTINE', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
       pg_catalog.pg_get_function_identity_arguments(p.oid)), '', p.proowner, p.proacl
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
UNION ALL
SELECT 'SCHEMA', pg_catalog.format('%I', nspname), '', nspowner, nspacl FROM pg_catalog.pg_namespace
UNION ALL
SELECT 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname), '', t.typowner, t.typacl
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
UNION ALL
SELECT 'DATABASE', pg_catalog.format('%I', datname), '', datdba, datacl FROM pg_catalog.pg_database
UNION ALL
SELECT 'TABLESPACE', pg_catalog.format('%I', spcname), '', spcowner, spcacl FROM pg_catalog.pg_tablespace
UNION ALL
SELECT 'LANGUAGE', pg_catalog.format('%I', lanname), '', lanowner, lanacl FROM pg_catalog.pg_language
UNION ALL
SELECT 'FOREIGN DATA WRAPPER', pg_catalog.format('%I', fdwname), '', fdwowner, fdwacl
  FROM pg_catalog.pg_foreign_data_wrapper
UNION ALL
SELECT 'FOREIGN SERVER', pg_catalog.format('%I', srvname), '', srvowner, srvacl FROM pg_catalog.pg_foreign_server
UNION ALL
SELECT 'LARGE OBJECT', oid::pg_catalog.text, '', lomowner, lomacl FROM pg_catalog.pg_largeobject_metadata
"""
# From version 15.
_PARAMETERS: Final = """
UNION ALL SELECT 'PARAMETER', pg_catalog.format('%I', parname), '', 0::pg_catalog.oid, paracl
  FROM pg_catalog.pg_parameter_acl
"""


@dataclass(frozen=True, slots=True)
class Role:
    oid: int
    attributes: frozenset[str]
    connections: int

    @property
    def superuser(self) -> bool:
        return "SUPERUSER" in self.attributes


@dataclass(frozen=True, slots=True)
class Membership:
    """With which options; before version 16, `inherit` is the member's attribute and `set` always so."""

    admin: bool
    inherit: bool
    set: bool

    def covers(self, other: Membership) -> bool:
        return self.admin >= other.admin and self.inherit >= other.inherit and self.set >= other.set


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """`privilege` on `name`, both as GRANT takes them."""

    kind: str
    name: str
    column: str
    privilege: str

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        return f"{self.privilege}{column} ON {self.kind} {self.name}"


class Roles:
    """Of one database."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self.version = (
            int(session.query("SELECT pg_catalog.current_setting('server_version_num')")[0][0]) // 10_000
        )

    def query(self, sql: str, **values: Any) -> list[list[Any]]:
        return self._session.query(sql, **values)

    @property
    def me(self) -> str:
        return str(self.query("SELECT current_user::text")[0][0])

    def role(self, name: str) -> Role | None:
        rows = self.query(
            "SELECT oid::bigint, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit, "
            "rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = :name",
            name=name,
        )
        if not rows:
            return None
        oid, *flags, connections = rows[0]
        return Role(
            int(oid),
            frozenset(name for name, has in zip(_ATTRIBUTES, flags, strict=True) if has),
            connections,
        )

    def memberships(self, member: str) -> dict[str, Membership]:
        """What a role is a direct member of: granted more than once counts together."""
        options = (
            "bool_or(m.inherit_option), bool_or(m.set_option)"
            if self.version >= 16
            else "bool_or(u.rolinherit), true"
        )
        rows = self.query(
            f"SELECT g.rolname::text, bool_or(m.admin_option), {options} FROM pg_catalog.pg_auth_members m "  # noqa: S608
            "JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member "
            "WHERE u.rolname = :member GROUP BY 1 ORDER BY 1",
            member=member,
        )
        return {name: Membership(admin, inherit, set_) for name, admin, inherit, set_ in rows}

    def settings(self, name: str) -> dict[tuple[bool, str], str]:
        """By (whether it is for this database alone, its name): as ALTER ROLE … SET has left them."""
        rows = self.query(
            "SELECT s.setdatabase <> 0, c FROM pg_catalog.pg_db_role_setting s "
            "JOIN pg_catalog.pg_roles r ON r.oid = s.setrole "
            "LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) c "
            "WHERE r.rolname = :name AND (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())",
            name=name,
        )
        found = [(here, *text.partition("=")) for here, text in rows]
        return {(here, name): _normal(name, value) for here, name, _, value in found}

    def acts_as(self, name: str) -> str | None:
        """The role that each of its sessions begins with, by `SET role`, if it is a member of that."""
        settings = self.settings(name)
        role = settings.get((True, "role"), settings.get((False, "role")))
        return role if role is not None and role in self.memberships(name) else None

    def grants(self, name: str) -> dict[Grant, bool]:
        """What it was granted itself, and whether with the option to grant it; what it owns is left out."""
        objects = _OBJECTS + (_PARAMETERS if self.version >= 15 else "")
        rows = self.query(
            "SELECT o.kind, o.name, o.col, a.privilege_type, bool_or(a.is_grantable) "  # noqa: S608
            f"FROM ({objects}) o, pg_catalog.aclexplode(o.acl) a "
            "JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolname = :name "
            "WHERE o.acl IS NOT NULL AND o.owner <> r.oid GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            name=name,
        )
        return {Grant(kind, on, column, privilege): option for kind, on, column, privilege, option in rows}

    def objects_of(self, name: str) -> list[tuple[str, str]]:
        """(kind, name) as `grants` has them, of what it owns and somebody was granted something on."""
        objects = _OBJECTS + (_PARAMETERS if self.version >= 15 else "")
        rows = self.query(
            f"SELECT DISTINCT o.kind, o.name FROM ({objects}) o JOIN pg_catalog.pg_roles r ON r.oid = o.owner "  # noqa: S608
            "WHERE r.rolname = :name AND o.acl IS NOT NULL",
            name=name,
        )
        return [(kind, on) for kind, on in rows]

    def owned(self, name: str) -> list[str]:
        """Objects of this database, and databases and tablespaces, in PostgreSQL's words."""
        rows = self.query(
            "SELECT pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) FROM pg_catalog.pg_shdepend s "
            "JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid "
            "WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' "
            "AND s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass, "
            "'pg_catalog.pg_user_mapping'::pg_catalog.regclass) AND r.rolname = :name "
            "AND s.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) "
            "ORDER BY 1",
            name=name,
        )
        return [str(row[0]) for row in rows]

    def lacking(self, user: str, like: str) -> list[str]:
        """Two that begin their sessions as one and the same role have its grants and its objects."""
        own, other = self.role(user), self.role(like)
        if own is None or other is None:
            return [f"the role {user if own is None else like}"]
        lacking = sorted(other.attributes - own.attributes)
        if own.connections != _UNLIMITED and not own.connections >= other.connections > _UNLIMITED:
            lacking.append("CONNECTION LIMIT")
        has = self.memberships(user)
        lacking += [
            f"membership in {group}"
            for group, options in self.memberships(like).items()
            if group != user and (group not in has or not has[group].covers(options))
        ]
        lacking += self._lacking_settings(user, like)
        owner = self.acts_as(like)
        if owner is None or owner != self.acts_as(user):
            lacking += _without(self.grants(user), self.grants(like))
            lacking += [f"ownership of {what}" for what in self.owned(like)]
        return lacking

    def _lacking_settings(self, user: str, like: str) -> Sequence[str]:
        has = self.settings(user)
        return [
            f"the setting {name}"
            for (here, name), value in sorted(self.settings(like).items())
            if has.get((here, name)) != value
        ]


def names_in(text: str) -> list[str]:
    """Of a setting that is a list of identifiers, which are folded unless they are quoted."""
    return [
        quoted.replace('""', '"') if quoted or not bare else bare.lower()
        for quoted, bare in _NAME.findall(text)
    ]


def _normal(name: str, value: str) -> str:
    if name not in LISTS:
        return value
    return ", ".join('"' + each.replace('"', '""') + '"' for each in names_in(value))


def _without(has: Mapping[Grant, bool], needs: Mapping[Grant, bool]) -> list[str]:
    return [
        f"{grant} WITH GRANT OPTION" if option else str(grant)
        for grant, option in needs.items()
        if grant not in has or option > has[grant]
    ]
