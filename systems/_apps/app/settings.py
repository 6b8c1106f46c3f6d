"""What the environment says: where the service listens, what it answers, and how it reaches its database and cache."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

FOLDER = Path(__file__).resolve().parents[1]
"""Where the files `version` and `name` are: what an image is, it says itself."""
# The first that is set; a secret as JSON, a URL or a connection string of Npgsql, whatever the name.
DATABASE = ("DATABASE", "DATABASE_URL", "DATABASE_SECRET", "ConnectionStrings__PostgreSQL")
REDIS = ("REDIS_URL", "REDIS", "ConnectionStrings__Redis")
# One variable for each key of the secret, as a task definition takes them one by one.
PARTS = {
    "engine": ("DATABASE_ENGINE",),
    "host": ("DATABASE_HOST", "DB_HOST", "PGHOST"),
    "port": ("DATABASE_PORT", "DB_PORT", "PGPORT"),
    "username": ("DATABASE_USER", "DB_USER", "PGUSER"),
    "password": ("DATABASE_PASSWORD", "DB_PASSWORD", "PGPASSWORD"),
    "dbname": ("DATABASE_NAME", "DB_NAME", "PGDATABASE"),
    "ca": ("DATABASE_CA", "PGSSLROOTCERT"),
    "tls": ("DATABASE_TLS", "PGSSLMODE"),
}
PORTS = {"postgres": 5432, "mysql": 3306}
# What libpq, PyMySQL and Npgsql call it; every other word verifies.
_TLS = {
    "disable": "off",
    "off": "off",
    "allow": "unverified",
    "prefer": "unverified",
    "require": "unverified",
    "unverified": "unverified",
}
_NPGSQL = {
    "host": "host",
    "server": "host",
    "port": "port",
    "database": "dbname",
    "username": "username",
    "user id": "username",
    "password": "password",
    "ssl mode": "tls",
    "sslmode": "tls",
    "root certificate": "ca",
}


class SettingsError(Exception):
    """The environment does not say what is needed; the message has the variable, never a value."""


@dataclass(frozen=True)
class Credential:
    """A login. `tls`: `verify` (chain and name), `unverified` (encrypted only) or `off`; `ca` is a PEM, empty for the
    authorities that this machine trusts."""

    engine: str
    host: str
    port: int
    username: str
    dbname: str
    password: str = field(repr=False)
    tls: str = "verify"
    ca: str = field(default="", repr=False)


@dataclass(frozen=True)
class Settings:
    """`service` is its name in answers and lines; `health` the path that the load balancer asks."""

    service: str = "app"
    version: str = "0"
    port: int = 8000
    health: str = "/health"
    database: Credential | None = None
    redis: str = field(default="", repr=False)
    redis_password: str = field(default="", repr=False)
    migrations: Path = Path("/migrations")
    lock_seconds: int = 5
    statement_seconds: int = 600


def read(environ: Mapping[str, str]) -> Settings:
    """Raises `SettingsError`."""
    return Settings(
        service=environ.get("SERVICE") or _said("name", "app"),
        version=_said("version", "0"),
        port=_number("PORT", environ.get("PORT", "8000")),
        health=environ.get("HEALTH_PATH", "/health"),
        database=_database(environ),
        redis=_first(environ, REDIS),
        redis_password=environ.get("REDIS_PASSWORD", ""),
        migrations=Path(environ.get("MIGRATIONS", "/migrations")),
        lock_seconds=_number("TIDEGATE_LOCK_TIMEOUT", environ.get("TIDEGATE_LOCK_TIMEOUT", "5")),
        statement_seconds=_number(
            "TIDEGATE_STATEMENT_TIMEOUT", environ.get("TIDEGATE_STATEMENT_TIMEOUT", "600")
        ),
    )


def _database(environ: Mapping[str, str]) -> Credential | None:
    parts = {key: _first(environ, names) for key, names in PARTS.items()}
    name = next((name for name in DATABASE if environ.get(name)), "")
    if name:
        given = _parsed(name, environ[name].strip())
    elif parts["host"]:
        name, given = "DATABASE_HOST", {}
    else:
        return None
    # What is said together comes first; what that leaves out (a certificate, the login) may stand beside it.
    said = {key: given.get(key) or text for key, text in parts.items()}
    lacking = [key for key in ("host", "username", "password") if not said.get(key)]
    if lacking:
        raise SettingsError(f"{name} has no {', '.join(lacking)}")
    engine, ca = _engine(said.get("engine", ""), said.get("port", "")), _pem(said.get("ca", ""))
    # Nobody can be verified without an authority that is known: those of RDS are in no system's list.
    tls = said.get("tls", "").lower() or ("verify" if ca else "unverified")
    return Credential(
        engine=engine,
        host=said["host"],
        port=_number(name, said.get("port") or str(PORTS[engine])),
        username=said["username"],
        password=said["password"],
        dbname=said.get("dbname") or said["username"],
        tls=_TLS.get(tls, "verify"),
        ca=ca,
    )


def _parsed(name: str, text: str) -> dict[str, str]:
    """The keys of `PARTS` that the text has."""
    if text.startswith("{"):
        return _of_json(name, text)
    if re.match(r"[a-z+0-9]+://", text):
        return _of_url(text)
    if "=" in text:
        return _of_npgsql(text)
    raise SettingsError(f"{name} is no JSON object, no URL and no connection string")


def _of_json(name: str, text: str) -> dict[str, str]:
    try:
        said = {key: str(value) for key, value in json.loads(text).items()}
    except ValueError as error:
        raise SettingsError(f"{name} is no JSON") from error
    # A secret whose only key is a connection string, beside which there may be a certificate.
    for key in ("connection_string", "url"):
        if key in said and "host" not in said:
            return {**_parsed(name, said[key]), **({"ca": said["ca"]} if "ca" in said else {})}
    return {key: value for key, value in said.items() if key in PARTS}


def _of_url(text: str) -> dict[str, str]:
    url = urlsplit(text)
    asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
    return {
        "engine": url.scheme.partition("+")[0],
        "host": url.hostname or "",
        "port": str(url.port or ""),
        "username": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "dbname": unquote(url.path.lstrip("/")),
        "tls": asked.get("sslmode", ""),
        **({"ca": asked["sslrootcert"]} if "sslrootcert" in asked else {}),
    }


def _of_npgsql(text: str) -> dict[str, str]:
    """`Host=…;Username=…`: names without regard to capitals, values perhaps in quotes (ADO.NET)."""
    pairs = re.findall(r"""\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^;]*)\s*(?:;|$)""", text)
    said = {"engine": "postgres"}
    for key, value in pairs:
        if (known := _NPGSQL.get(key.lower())) is not None:
            quote = value[:1]
            said[known] = (
                value[1:-1].replace(quote * 2, quote) if quote in ('"', "'") and quote else value.strip()
            )
    return said


def _engine(name: str, port: str) -> str:
    if name.startswith(("mysql", "maria")) or (not name and port == str(PORTS["mysql"])):
        return "mysql"
    if name.startswith(("postgres", "aurora-postgres")) or not name:
        return "postgres"
    raise SettingsError(f"{name} is neither PostgreSQL nor MySQL")


def _pem(text: str) -> str:
    """A PEM, or what the file has that is named."""
    if not text or "-----BEGIN" in text:
        return text
    try:
        return Path(text).read_text()
    except OSError as error:
        raise SettingsError(f"DATABASE_CA: {text} cannot be read") from error


def _said(file: str, otherwise: str) -> str:
    path = FOLDER / file
    return path.read_text().strip() if path.exists() else otherwise


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _number(name: str, text: str) -> int:
    if not text.isdigit():
        raise SettingsError(f"{name} is no number")
    return int(text)
