"""A secret's value is read, and gets another login without anything else changing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tidegate.domain.credentials import Credential, Format, read, written
from tidegate.domain.errors import BadInputError

CANARY = "canary-5e1d"
URL: Mapping[str, str] = {"key": "url", "style": "url"}
NPGSQL: Mapping[str, str] = {"key": "url", "style": "npgsql"}
SHOP = Credential("postgres", "db.internal", 5433, "shop", "app_a", CANARY)
USUAL = {
    "engine": "postgres",
    "host": "db.internal",
    "port": 5433,
    "username": "app_a",
    "password": CANARY,
    "dbname": "shop",
}

# What a login may be made of; the signs that some reader takes for its own come often.
texts = st.text(
    st.one_of(
        st.sampled_from("'\"\\%;=@:/?#&+ {}[],$`\t\n"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    min_size=1,
    max_size=20,
)


def wrapped(value: str) -> str:
    return json.dumps({"other": CANARY, "url": value})


def refusal(text: str, format: Format = "json", kind: str = "postgres") -> BadInputError:  # noqa: A002
    with pytest.raises(BadInputError) as raised:
        read(text, format, kind)
    error = raised.value
    assert CANARY not in f"{error.message} {error.hint} {error.field} {error.args}"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


# --- Secrets Manager's JSON


def test_the_usual_json() -> None:
    assert read(json.dumps(USUAL), "json") == SHOP
    assert read(json.dumps(USUAL | {"ca": "PEM", "port": "5433"}), "json") == replace(SHOP, ca="PEM")


@pytest.mark.parametrize(
    ("engine", "kind", "port"),
    [
        ("postgres", "postgres", 5432),
        ("postgresql", "postgres", 5432),
        ("aurora-postgresql", "postgres", 5432),
        ("mysql", "mysql", 3306),
        ("mariadb", "mysql", 3306),
        ("aurora-mysql", "mysql", 3306),
    ],
)
def test_engines_and_their_ports(engine: str, kind: str, port: int) -> None:
    value: dict[str, Any] = {**USUAL, "engine": engine}
    del value["port"]
    assert read(json.dumps(value), "json", "another") == replace(SHOP, engine=kind, port=port)
    del value["engine"]
    assert read(json.dumps(value), "json", engine) == replace(SHOP, engine=kind, port=port)


def test_mysql_needs_no_database() -> None:
    for changes in ({}, {"dbname": ""}):
        value = {key: part for key, part in USUAL.items() if key != "dbname"} | {"engine": "mysql"} | changes
        assert read(json.dumps(value), "json").database == ""
    assert read(wrapped(f"mysql://app_a:{CANARY}@h"), URL).database == ""


def test_a_secret_of_a_user_and_a_password_alone() -> None:
    """As RDS keeps that of the master user."""
    bare = json.dumps({"username": "postgres", "password": "p"})
    like = replace(SHOP, ca="PEM")
    assert read(bare, "json", like=like) == replace(like, username="postgres", password="p")
    assert refusal(bare).field == "secret.host"
    elsewhere = json.dumps({"username": "postgres", "password": "p", "host": "other"})
    assert read(elsewhere, "json", like=like) == replace(
        like, host="other", port=5432, username="postgres", password="p"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "the secret's value is not a JSON object"),
        (CANARY, "the secret's value is not a JSON object"),
        (f'["{CANARY}"]', "the secret's value is not a JSON object"),
        ("{", "the secret's value is not a JSON object"),
        ("[" * 9999, "the secret's value is not a JSON object"),
        ('{"a":' * 9999, "the secret's value is not a JSON object"),
        (json.dumps(USUAL) + CANARY, "the secret's value is not a JSON object"),
        ("{} {}", "the secret's value is not a JSON object"),
        ('{"a": 1,}', "the secret's value is not a JSON object"),
        ('{"a" 1}', "the secret's value is not a JSON object"),
        ('{1: "a"}', "the secret's value is not a JSON object"),
        ("{}", "key host "),
        (USUAL | {"host": ""}, "key host "),
        (USUAL | {"host": 7}, "key host "),
        (USUAL | {"username": None}, "key username "),
        (USUAL | {"password": [CANARY]}, "key password "),
        (USUAL | {"password": "\ud800" + CANARY}, "key password "),
        (USUAL | {"dbname": f"{CANARY}\0user\0postgres"}, "key dbname "),
        (USUAL | {"port": CANARY}, "key port "),
        (USUAL | {"port": 0}, "key port "),
        (USUAL | {"port": True}, "key port "),
        (USUAL | {"port": 5432.5}, "key port "),
        (USUAL | {"port": "123456"}, "key port "),
        (USUAL | {"engine": CANARY}, "key engine "),
        (USUAL | {"engine": None}, "key engine "),
        (USUAL | {"engine": ["postgres"]}, "key engine "),
        (USUAL | {"ca": [CANARY]}, "key ca "),
    ],
)
def test_a_value_that_cannot_be_used(value: object, said: str) -> None:
    assert said in refusal(value if isinstance(value, str) else json.dumps(value)).message


def test_no_format_for_a_plain_text() -> None:
    error = refusal(CANARY, "plain")
    assert error.hint is not None
    assert "tidegate secrets adopt" in error.hint


@pytest.mark.parametrize("wrong", ["yaml", {}, {"key": "url"}, {"key": "url", "style": CANARY}])
def test_a_format_that_is_none(wrong: Format) -> None:
    assert refusal(json.dumps(USUAL), wrong).field == "format"


@given(username=texts, password=texts)
@example(username="a\\", password='"\\u0000')
def test_json_keeps_everything_else_to_the_byte(username: str, password: str) -> None:
    """Guards the places of `_Object`: neither order, nor spaces, nor how other values are written, changes."""
    before = (
        ' {\n\t"password" :"%s" , "é": "\\/ \\u00e9", "n": 1.50e3,"deep":{"password": [" } "]},'
        '"engine":"mysql","host":"h","username"\n:\r%s,"port":"3306"}\n'
    )
    text = before % (CANARY, '"é\\\\"')
    after = written(text, "json", username=username, password=password)
    assert read(after, "json") == Credential("mysql", "h", 3306, "", username, password)
    assert after == before % (json.dumps(password)[1:-1], json.dumps(username, ensure_ascii=False))


def test_a_key_that_is_there_twice_is_replaced_twice() -> None:
    text = json.dumps(USUAL)[:-1] + f', "password": "{CANARY}"}}'
    assert CANARY not in written(text, "json", username="b", password="p")


# --- URLs


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "mysql", "mysql+pymysql"])
def test_urls(scheme: str) -> None:
    engine, port = ("mysql", 3306) if "mysql" in scheme else ("postgres", 5432)
    whole = wrapped(f"{scheme}://app%5Fa:{quote(CANARY)}@db.internal:5433/shop?sslmode=require#x")
    assert read(whole, URL) == replace(SHOP, engine=engine)
    short = wrapped(f"{scheme.upper()}://app_a:{CANARY}@[::1]/sh%2Fop")
    assert read(short, URL, "another") == replace(
        SHOP, engine=engine, host="::1", port=port, database="sh/op"
    )


def test_a_private_authority_beside_the_url() -> None:
    text = json.dumps({"url": f"postgres://app_a:{CANARY}@db.internal:5433/shop", "ca": "PEM"})
    assert read(text, URL) == replace(SHOP, ca="PEM")


@pytest.mark.parametrize(
    "value",
    [
        "",
        CANARY,
        f"http://{CANARY}:b@h/d",
        f"postgres://{CANARY}/d",
        f"postgres://{CANARY}@h/d",
        f"postgres://:{CANARY}@h/d",
        f"postgres://a:@{CANARY}/d",
        f"postgres://a:{CANARY}@/d",
        f"postgres://a:{CANARY}@h",
        f"postgres://a:{CANARY}@h/",
        f"postgres://a:{CANARY}@h:port/d",
        f"postgres://a:{CANARY}@h:0/d",
        f"postgres://a:{CANARY}@h1,h2/d",
        f"postgres://a:{CANARY}@h1:1,h2:2/d",
        f"postgres://a:{CANARY}@h/d?password={CANARY}",
        f"postgres://a:{CANARY}@h/d?x=y&User={CANARY}",
        f"postgres://a:{CANARY}@h/d?host=/tmp",
        f"postgres://a:%ff{CANARY}@h/d",
        f"postgres://a:%00{CANARY}@h/d",
        f"postgres://a:{CANARY}\ud800@h/d",
    ],
)
def test_urls_that_cannot_be_used(value: str) -> None:
    assert "key url " in refusal(wrapped(value), URL).message


def test_a_key_that_is_not_there() -> None:
    for content in ({}, {"url": 7}, {"url": None}):
        assert refusal(json.dumps(content), URL).field == "secret.url"


@given(username=texts, password=texts)
def test_urls_keep_everything_else(username: str, password: str) -> None:
    before = f"postgresql+asyncpg://a%20b:{CANARY}@db.internal:5433/sh%2Fop%C3%A9?ssl=require&x=%20"
    after = written(wrapped(before), URL, username=username, password=password)
    url = json.loads(after)["url"]
    assert read(after, URL) == replace(SHOP, database="sh/opé", username=username, password=password)
    assert json.loads(after)["other"] == CANARY
    assert (url.partition("://")[0], url.rpartition("@")[2]) == (
        before.partition("://")[0],
        before.rpartition("@")[2],
    )
    # Nothing that a reader might split at, whatever its rules are.
    login = urlsplit(url).netloc.rpartition("@")[0]
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+:[A-Za-z0-9._~%-]+", login)


# --- Npgsql


@pytest.mark.parametrize(
    "value",
    [
        f"Host=db.internal;Port=5433;Username=app_a;Password={CANARY};Database=shop",
        f"server=db.internal ; PORT = 5433;User ID=app_a;pwd={CANARY};DB=shop;",
        f";; Server='db.internal';Port=\"5433\";UID=app_a;Psw='{CANARY}';Database = shop ; ;",
        f"Server=db.internal:5433;User Id=\n app_a;Password={CANARY};Database=shop;SSL Mode=Require;x==y=1;z=",
        f"Host=first;Host=db.internal;Port=5433;UserId=app_a;User Name=app_a;Password={CANARY};Database=shop",
    ],
)
def test_npgsql(value: str) -> None:
    assert read(wrapped(value), NPGSQL, "mysql") == SHOP
    after = written(wrapped(value), NPGSQL, username="b", password="p")
    assert json.loads(after)["url"] == re.sub(
        rf"(?<![.\w])app_a(?!\w)|'{CANARY}'|{CANARY}",
        lambda found: "b" if found[0] == "app_a" else "p",
        value,
    )


def test_npgsql_quotes() -> None:
    value = "Host=h;Database=d;Username='it''s ; \"';Password=\"a=;\"\"b ' \""
    found = read(wrapped(value), NPGSQL)
    assert (found.username, found.password) == ("it's ; \"", "a=;\"b ' ")
    assert read(wrapped("Host=h;Database=d;Username=a'b\"c;Password=x=y==z"), NPGSQL).password == "x=y==z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain-1", "plain-1"),
        ("a b", '"a b"'),
        ("a;b", '"a;b"'),
        ("it's", '"it\'s"'),
        ('a"b', "'a\"b'"),
        ("a\"b'c", '"a""b\'c"'),
        (" ", '" "'),
    ],
)
def test_npgsql_is_quoted_as_dotnet_does_it(value: str, expected: str) -> None:
    """DbConnectionStringBuilder.AppendKeyValuePair, DbConnectionOptions.AppendKeyValuePairBuilder of .NET."""
    after = written(wrapped("Host=h;Database=d;Username=u;Password=p"), NPGSQL, username="u", password=value)
    assert json.loads(after)["url"] == f"Host=h;Database=d;Username=u;Password={expected}"


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"Host=h;Database=d;Username=a;{CANARY}",
        f"Host=h;Database=d;Username=a;Password='{CANARY}",
        f"Host=h;Database=d;Username=a;Password='{CANARY}'x",
        "Host=h;Database=d;Username=a;Password=",
        f"Host=h;Database=d;Password={CANARY}",
        f"Host=h;Username=a;Password={CANARY}",
        f"Database=d;Username=a;Password={CANARY}",
        f"Host=h,i;Database=d;Username=a;Password={CANARY}",
        f"Host=h;Port=x;Database=d;Username=a;Password={CANARY}",
        f"Host=h;Database=d;Username=a;Password=\0{CANARY}",
    ],
)
def test_npgsql_that_cannot_be_used(value: str) -> None:
    assert "key url " in refusal(wrapped(value), NPGSQL).message


@given(username=texts, password=texts, other=texts)
@example(username="=", password="==", other="'")
def test_npgsql_keeps_everything_else(username: str, password: str, other: str) -> None:
    noise = '"' + other.replace('"', '""') + '"'
    before = (
        f"SSL Mode = Require ;Host=db.internal:5433;PWD = <p> ; User Id=<u>;Database=shop;Options={noise}"
    )
    text = wrapped(before.replace("<u>", "app_a", 1).replace("<p>", f"'{CANARY}'", 1))
    after = written(text, NPGSQL, username=username, password=password)
    assert read(after, NPGSQL) == replace(SHOP, username=username, password=password)
    places = re.escape(before).replace("<p>", "(?s:.*)", 1).replace("<u>", "(?s:.*)", 1)
    assert re.fullmatch(places, json.loads(after)["url"])


@given(st.text())
def test_whatever_is_in_the_key_is_refused_or_read(text: str) -> None:
    for style in (URL, NPGSQL):
        try:
            found = read(wrapped(text), style)
        except BadInputError:
            continue
        assert found.username


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (CANARY, "json"),
        (CANARY, "plain"),
        ('{"username": "a"}', "json"),
        ('{"password": "a"}', "json"),
        (wrapped("postgres://h/d"), URL),
        (wrapped("Host=h;Username=a"), NPGSQL),
        (wrapped("Host=h;Password=a"), NPGSQL),
        ("{}", NPGSQL),
    ],
)
def test_a_login_is_not_written_where_none_was(text: str, format: Format) -> None:  # noqa: A002
    with pytest.raises(BadInputError) as raised:
        written(text, format, username="b", password="p")
    assert CANARY not in raised.value.message


def test_only_the_login_has_to_be_there() -> None:
    """As in the secret of a master user that RDS manages."""
    assert written('{"username": "a","password":"b"}', "json", username="c", password="d") == (
        '{"username": "c","password":"d"}'
    )


@pytest.mark.parametrize("empty", ["", "\0", "\ud800"])
def test_a_new_login_that_cannot_be_used(empty: str) -> None:
    for login in ({"username": empty, "password": "p"}, {"username": "u", "password": empty}):
        with pytest.raises(BadInputError):
            written(json.dumps(USUAL), "json", **login)
