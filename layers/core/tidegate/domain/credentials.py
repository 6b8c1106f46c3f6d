"""What opens a database, and how a secret's value writes it.

Formats: Secrets Manager's usual JSON (its user guide, "JSON structure of AWS Secrets Manager secrets"): `{"engine",
"host", "port", "username", "password", "dbname"}`; and a connection string under one key of a JSON object, as a URL or
as Npgsql writes it (`Host=…;Username=…;Password=…`). Other keys, and other parts of a connection string, are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from tidegate.domain.errors import BadInputError

POSTGRES, MYSQL = "postgres", "mysql"
JSON, PLAIN = "json", "plain"
URL, NPGSQL = "url", "npgsql"
Format = str | Mapping[str, str]
"""`json`, `plain`, or `{"key", "style"}` with the style `url` or `npgsql`."""

_ENGINES: Final = {
    "postgres": POSTGRES,
    "postgresql": POSTGRES,
    "aurora-postgresql": POSTGRES,
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "aurora-mysql": MYSQL,
}
_SCHEMES: Final = {
    "postgres": POSTGRES,
    "postgresql": POSTGRES,
    "postgresql+asyncpg": POSTGRES,
    "mysql": MYSQL,
    "mysql+pymysql": MYSQL,
}
_AS_JSON: Final = (
    "write the value as JSON (engine, host, port, username, password, dbname), let the services take its key password,"
    " then run `tidegate secrets adopt`"
)
_PORTS: Final = {POSTGRES: 5432, MYSQL: 3306}


@dataclass(frozen=True, slots=True)
class Credential:
    """`engine` is `postgres` or `mysql`; `ca` the PEM of a private authority. `database` is empty only for MySQL."""

    engine: str
    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ca: str | None = None


def read(text: str, format: Format, kind: str = POSTGRES, like: Credential | None = None) -> Credential:  # noqa: A002 - the manifest's word
    """`kind` is the engine where the secret names none. `like` fills in where the database is and which one, where the
    secret says nothing of that: one that RDS manages has a user and a password alone.

    Raises BadInputError, which names the key of the secret that is wrong, and shows no value.
    """
    return _form(text, format).read(kind, like)


def written(text: str, format: Format, *, username: str, password: str) -> str:  # noqa: A002 - the manifest's word
    """The secret's text with another login, and all else as it was, to the byte but for escapes inside a connection
    string. Raises BadInputError."""
    form = _form(text, format)
    # What cannot be read is not written either.
    before = form.login()
    _valid("username", username)
    _valid("password", password)
    text = form.written(username, password)
    after = _form(text, format).login()
    if after != {**before, "username": username, "password": password}:
        raise _wrong(form.key, "cannot take another login without changing something else")
    return text


# --- formats: each gives what a secret says of a login as texts, by the keys of the usual JSON


@dataclass(frozen=True, slots=True)
class _Form:
    """`key` is the one that holds everything, empty where each part has its own."""

    key: str
    login: Callable[[], dict[str, Any]]
    written: Callable[[str, str], str]

    def read(self, kind: str, like: Credential | None) -> Credential:
        said = self.login()
        engine = self._engine(said, kind, like)
        base = (
            {}
            if like is None
            else {"host": like.host, "port": like.port, "dbname": like.database, "ca": like.ca}
        )
        if like is not None and "host" in said:
            # Another server may listen elsewhere.
            del base["port"]
        said = base | said
        return Credential(
            engine=engine,
            host=_valid(self.key or "host", said.get("host"), "host"),
            port=_port(self.key or "port", said.get("port", _PORTS[engine])),
            database=""
            if engine == MYSQL and not said.get("dbname")
            else _valid(self.key or "dbname", said.get("dbname"), "database"),
            username=_valid(self.key or "username", said.get("username"), "user"),
            password=_valid(self.key or "password", said.get("password"), "password"),
            ca=_valid("ca", said["ca"], "certificate") if said.get("ca") else None,
        )

    def _engine(self, said: Mapping[str, Any], kind: str, like: Credential | None) -> str:
        if "engine" not in said:
            return like.engine if like is not None else _ENGINES.get(kind, kind)
        engine = said["engine"]
        if not isinstance(engine, str) or engine not in _ENGINES:
            raise _wrong(
                "engine", "names an engine that is not known here", f"one of {', '.join(sorted(_ENGINES))}"
            )
        return _ENGINES[engine]


def _form(text: str, format: Format) -> _Form:  # noqa: A002 - the manifest's word
    if format == PLAIN:
        raise BadInputError(
            "a secret that is one plain text has no user to alternate with",
            field="format",
            hint=_AS_JSON,
        )
    content = _Object(text)
    if format == JSON:
        return _Form(
            "", lambda: _of_json(content), lambda user, new: content.with_texts(username=user, password=new)
        )
    if not isinstance(format, Mapping) or "key" not in format or format.get("style") not in _STYLES:
        raise BadInputError(
            '`format` has to be `json`, or `{"key", "style"}` with `url` or `npgsql`', field="format"
        )
    key, (parse, compose) = format["key"], _STYLES[format["style"]]
    string = _valid(key, content.values.get(key), "connection string")

    def login() -> dict[str, Any]:
        ca = content.values.get("ca") if key != "ca" else None
        return {**parse(key, string), **({"ca": ca} if ca else {})}

    return _Form(key, login, lambda user, new: content.with_texts(**{key: compose(key, string, user, new)}))


def _of_json(content: _Object) -> dict[str, Any]:
    keys = ("engine", "host", "port", "username", "password", "dbname", "ca")
    return {key: content.values[key] for key in keys if key in content.values}


class _Object:
    """A JSON object that knows where in the text each value is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.values: dict[str, Any] = {}
        # By (key, from, to): a key may be there twice, and readers differ in which one they take.
        self._places: list[tuple[str, int, int]] = []
        try:
            self._scan()
        except (ValueError, RecursionError):
            raise BadInputError(
                "the secret's value is not a JSON object",
                field="secret",
                hint=_AS_JSON,
            ) from None

    def with_texts(self, **values: str) -> str:
        text = self._text
        for key, start, end in reversed(self._places):
            if key in values:
                # As what is replaced was written: letters as they are, or escaped.
                literal = json.dumps(values[key], ensure_ascii=text[start:end].isascii())
                text = text[:start] + literal + text[end:]
        return text

    def _scan(self) -> None:
        decoder = json.JSONDecoder()
        at = self._expect("{", 0)
        if self._text[at : at + 1] == "}":
            self._expect("", at + 1, end=True)
            return
        while True:
            key, at = decoder.raw_decode(self._text, at)
            if not isinstance(key, str):
                raise ValueError  # noqa: TRY004 - as the decoder's own, which is one
            start = self._expect(":", at)
            self.values[key], at = decoder.raw_decode(self._text, start)
            self._places.append((key, start, at))
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                break
            at = self._expect(",", at)
        self._expect("", at + 1, end=True)

    def _expect(self, sign: str, at: int, *, end: bool = False) -> int:
        """Where the next thing after this sign begins. Raises ValueError."""
        at = self._skip(at)
        if not self._text.startswith(sign, at) or (end and at != len(self._text)):
            raise ValueError
        return self._skip(at + len(sign))

    def _skip(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in " \t\r\n":
            at += 1
        return at


# --- URLs: RFC 3986, with what libpq ("Connection URIs") and SQLAlchemy ("Database URLs") make of them

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    # As every reader splits it: the user's part ends at the last @ of the authority, the name at its first colon.
    r"(?:(?P<login>(?P<user>[^:/?#]*)(?::(?P<password>[^/?#]*))?)@)?"
    r"(?P<host>\[[^\]/?#@]*\]|[^:/?#@]*)(?::(?P<port>[^/?#@]*))?"
    r"(?:/(?P<database>[^?#]*))?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.DOTALL,
)
_OF_THE_LOGIN: Final = frozenset(
    {"user", "username", "password", "host", "hostaddr", "port", "dbname", "database"}
)


def _parse_url(key: str, text: str) -> dict[str, Any]:
    found = _url(key, text)
    part = found.groupdict()
    for name, _, _ in (pair.partition("=") for pair in re.split("[&;]", part["query"] or "")):
        if name.lower() in _OF_THE_LOGIN:
            raise _wrong(
                key, f"says `{name.lower()}` in the query of its URL", "write it before the question mark"
            )
    host = part["host"]
    said: dict[str, Any] = {
        "engine": _SCHEMES[part["scheme"].lower()],
        "host": host[1:-1] if host.startswith("[") else _decoded(key, host),
        "dbname": _decoded(key, part["database"] or ""),
        "username": _decoded(key, part["user"] or ""),
        "password": _decoded(key, part["password"] or ""),
    }
    if "," in host or "," in (part["port"] or ""):
        raise _wrong(key, "names more than one host", "name the writer's endpoint")
    return said | ({"port": part["port"]} if part["port"] else {})


def _compose_url(key: str, text: str, username: str, password: str) -> str:
    start, end = _url(key, text).span("login")
    # Only letters, digits and -._~ stay as they are, so that no reader's own rules matter.
    login = f"{quote(username, safe='')}:{quote(password, safe='')}"
    return text[:start] + login + text[end:]


def _url(key: str, text: str) -> re.Match[str]:
    found = _URL.fullmatch(text)
    if found is None or found["scheme"].lower() not in _SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise _wrong(
            key, "is not the URL of a database", f"one that begins with {schemes}; percent-encode its parts"
        )
    if found["login"] is None:
        raise _wrong(key, "is a URL without a user", "write it as postgresql://user:password@host/database")
    return found


def _decoded(key: str, text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except ValueError:  # of lone surrogates as well
        raise _wrong(key, "is a URL whose percent-encoding is not of UTF-8") from None


# --- Npgsql: the grammar of .NET's DbConnectionStringBuilder, the keys of NpgsqlConnectionStringBuilder

_SPACE_OR_CONTROL: Final = r"\s\x00-\x1f\x7f-\x9f"
_PAIR: Final = re.compile(
    rf"[;{_SPACE_OR_CONTROL}]*"
    # A = inside a key is doubled.
    r"(?P<key>(?:[^=;]|==)+)=(?!=)[^\S\n]*\s*"
    r"(?P<value>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^;'\"\s][^;]*?|)"
    r"\s*(?=;|\Z)",
)
_REST: Final = re.compile(rf"[;{_SPACE_OR_CONTROL}]*")
_PLAIN_VALUE: Final = re.compile(rf"[^\"'=;{_SPACE_OR_CONTROL}]+")
_NAMES: Final = {
    name: key
    for key, names in {
        "host": ("host", "server"),
        "port": ("port",),
        "dbname": ("database", "db"),
        "username": ("username", "user name", "user id", "userid", "uid"),
        "password": ("password", "psw", "pwd"),
    }.items()
    for name in names
}


def _parse_npgsql(key: str, text: str) -> dict[str, Any]:
    said: dict[str, Any] = {"engine": POSTGRES}
    for name, value, _ in _pairs(key, text):
        if name in _NAMES:
            said[_NAMES[name]] = value
    host = said.get("host", "")
    if "," in host:
        raise _wrong(key, "names more than one host", "name the writer's endpoint")
    name, colon, port = host.rpartition(":")
    if colon and ":" not in name:
        said |= {"host": name, "port": port}
    return said


def _compose_npgsql(key: str, text: str, username: str, password: str) -> str:
    values = {"username": username, "password": password}
    # As with JSON, each time it is there: the last one counts, and the others must not keep the old one.
    for name, _, (start, end) in reversed(list(_pairs(key, text))):
        if _NAMES.get(name) in values:
            text = text[:start] + _quoted(values[_NAMES[name]]) + text[end:]
    return text


def _pairs(key: str, text: str) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """(key in lower case, value, where the value is with its quotes)."""
    at = 0
    while (rest := _REST.match(text, at)) is not None and rest.end() < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            raise _wrong(
                key, "is not a connection string as Npgsql has it", "key=value;key='value with ; in it'"
            )
        value = found["value"]
        if value[:1] in ("'", '"'):
            value = value[1:-1].replace(value[0] * 2, value[0])
        yield found["key"].replace("==", "=").strip().lower(), value, found.span("value")
        at = found.end()


def _quoted(value: str) -> str:
    """As DbConnectionStringBuilder.AppendKeyValuePair."""
    if _PLAIN_VALUE.fullmatch(value):
        return value
    if '"' in value and "'" not in value:
        return f"'{value}'"
    return '"' + value.replace('"', '""') + '"'


_STYLES: Final[
    Mapping[str, tuple[Callable[[str, str], dict[str, Any]], Callable[[str, str, str, str], str]]]
] = {URL: (_parse_url, _compose_url), NPGSQL: (_parse_npgsql, _compose_npgsql)}


# --- parts


def _valid(key: str, value: Any, what: str = "") -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(key, "is missing, or no text" if what in ("", key) else f"has no {what}")
    # A NUL would end a parameter of PostgreSQL's start-up message, and begin another.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _wrong(key, "has a character in it that no database can be sent")
    return value


def _port(key: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65_535:
        raise _wrong(key, "has a port that is none")
    return value


def _wrong(key: str, what: str, hint: str | None = None) -> BadInputError:
    return BadInputError(f"the secret's key {key} {what}", field=f"secret.{key}", hint=hint)
