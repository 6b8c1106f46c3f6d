"""What looks like a credential never survives; what does not, stays."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tidegate.domain.redaction import redacted

# Whatever a generator of passwords makes; the first is a letter, so that it is no port and no quote of the line's own.
passwords = st.from_regex(r"[A-Za-z][!-~]{7,40}", fullmatch=True)
names = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "db_password",
        "dbPassword",
        "passwd",
        "pwd",
        "pass",
        "DB_PASS",
        "passphrase",
        "secret",
        "SECRET_KEY",
        "client_secret",
        "client-secret-value",
        "token",
        "auth_token",
        "sessionToken",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "AWS_SECRET_ACCESS_KEY",
        "SecretAccessKey",
        "private_key",
        "credential",
        "credentials",
        "PGPASSWORD",
        "password_hash",
    ]
)
ODD = "x\"quo'te,comma;semi@at/slash\\back"


@pytest.mark.parametrize(
    "template",
    [
        "{name}={password}",
        "{name}: {password}",
        "export {name}={password} && ./run",
        "{name} => {password}",
        "connecting with host=db user=app {name}={password}",
        "--{name} {password} --verbose",
        "run --{name}={password}",
        "<{name}>{password}</{name}>",
    ],
)
@given(names, passwords)
@example("password", ODD)
def test_a_named_password_does_not_survive(template: str, name: str, password: str) -> None:
    """`_NAMED` and `_FLAG`, with `_VALUE` up to the next space."""
    line = template.format(name=name, password=password)
    assume(password not in template.format(name=name, password=""))
    assert password not in redacted(line)


@given(names, passwords, st.sampled_from(["{}", "'{}'"]))
@example("password", ODD, "{}")
def test_a_password_in_json_does_not_survive(name: str, password: str, around: str) -> None:
    """Escaped quotes within, JSON within JSON, and a line that the log cut in its middle."""
    document = json.dumps({"level": "info", name: password, "user": "app"})
    assume(password not in document.replace(json.dumps(password), ""))
    nested = json.dumps({"level": "info", "message": document})
    for line in (document, nested, json.dumps({"message": nested}), repr({name: password, "user": "app"})):
        shown = redacted(around.format(line))
        for form in (password, json.dumps(password)[1:-1], json.dumps(json.dumps(password))[3:-3]):
            assert form not in shown
    half = len(document) - len(document.split(json.dumps(password))[1]) - 2
    assert password[:-1] not in redacted(document[:half])


def test_no_part_of_a_password_stands_behind_a_quote_of_its_own() -> None:
    """`_VALUE`'s `\\\\.`: an escaped quote ends nothing."""
    document = {"password": 'one"two, three', "user": "app"}
    assert redacted(json.dumps(document)) == '{"password": ***, "user": "app"}'
    nested = redacted(json.dumps({"message": json.dumps(document)}))
    assert not {"one", "two", "three"} & set(nested.replace(",", " ").replace('"', " ").split())


@given(passwords)
def test_a_quoted_password_with_spaces_does_not_survive(password: str) -> None:
    spaced = "correct horse " + password.replace('"', "").replace("\\", "")
    for line in (f'password="{spaced}" user=app', f'{{"password": "{spaced}"}}', f'password: "{spaced}'):
        shown = redacted(line)
        assert "horse" not in shown
        assert spaced[14:] not in shown


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql+asyncpg", "redis", "https", "amqp", "mongodb+srv"]
)
@given(st.sampled_from(["app", "", "app%40corp"]), passwords)
@example("app", ODD)
@example("app", "p@ss@word")
@example("app", "p/a/s/s/word")
@example("app", "12345678")
@example("app", "1234567/8")
def test_a_url_shows_no_userinfo(scheme: str, user: str, password: str) -> None:
    """`_IN_URL`: passwords hold / and @ where nobody encoded them."""
    shown = redacted(f"cannot connect to {scheme}://{user}:{password}@db.internal:5432/shop?ssl=1")
    assert password not in shown
    assert shown == f"cannot connect to {scheme}://***@db.internal:5432/shop?ssl=1"


def test_a_url_shows_no_token_that_stands_alone() -> None:
    assert redacted("cloning https://ghp_0123456789@github.com/a/b") == "cloning https://***@github.com/a/b"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        "Authorization: token {}",
        'Authorization: Digest username="app", response="{}"',
        "> Authorization: AWS4-HMAC-SHA256 Credential=x/eu-west-1, SignedHeaders=host, Signature={}",
        "curl -H 'Authorization: Bearer {}' https://api",
        '{{"headers": {{"Authorization": "Bearer {}", "Accept": "*/*"}}}}',
        '{{\\"Authorization\\": \\"Bearer {}\\"}}',
        "Proxy-Authorization: Basic {}",
        "sent bearer {}",
    ],
)
@given(password=st.from_regex(r"[A-Za-z0-9+/]{20,60}={0,2}", fullmatch=True))
def test_an_authorization_header_shows_nothing(line: str, password: str) -> None:
    """`_HEADER` to the end of the line, `_BEARER` where no name announces it."""
    assert password not in redacted(line.format(password))


@given(st.sampled_from(["AKIA", "ASIA"]), st.from_regex(r"[A-Z0-9]{16}", fullmatch=True))
def test_an_aws_key_id_does_not_survive_wherever_it_stands(prefix: str, rest: str) -> None:
    """`_AWS_KEY`: an underscore is no word boundary."""
    for line in (prefix + rest, f"key {prefix}{rest}.", f"my_{prefix}{rest}_key", f"id={prefix}{rest}"):
        assert prefix + rest not in redacted(line)


def test_all_of_a_list_is_hidden() -> None:
    assert redacted('{"tokens": ["one", "two"], "user": "app"}') == '{"tokens": ***, "user": "app"}'


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Listening on http://0.0.0.0:8080",
        "GET http://localhost:8080/users/@me 200",
        "see https://example.com/a@b and mail ops@example.com",
        "http://10.0.0.1:80, then ops@example.com",
        'FATAL:  password authentication failed for user "app"',
        "12 tests passed: ok, 3 bypassed",
        "SyntaxError: Unexpected token < in JSON at position 4",
        "pulling 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app@sha256:" + "a" * 64,
        "not authorized to perform: secretsmanager:GetSecretValue on resource: "
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:arive/production/database-AbCdEf because",
        "cannot read s3://bucket/key: Access Denied",
        'File "/app/main.py", line 3, in <module>',
        '2026-03-02T09:00:00Z [error] relation "orders" does not exist: SELECT 1',
        "a bearer of bad news",
        "café ☕ 日本語",
    ],
)
def test_an_ordinary_line_stays_as_it_is(line: str) -> None:
    assert redacted(line) == line


@given(st.text(st.sampled_from("abc xyz 0123 .,-/\n{}[]()"), max_size=499))
def test_a_line_without_names_and_signs_stays_as_it_is(line: str) -> None:
    assert redacted(line) == line


@given(st.text(max_size=2000))
def test_what_is_shown_is_short_and_hidden_once(line: str) -> None:
    shown = redacted(line)
    assert len(shown) <= 500
    assert redacted(shown) == shown


def test_a_line_is_cut_after_the_password_was_hidden() -> None:
    """Cut first, and the start of a secret at the border would lose the name's value's end."""
    line = "x" * 480 + " password=hunter2hunter2hunter2"
    assert redacted(line) == "x" * 480 + " password=***"
    assert redacted("y" * 501) == "y" * 499 + "…"


@pytest.mark.parametrize(
    "piece",
    ["a", "token", "a://", "a://b:", "--", "password=", 'token="', "arn:aws:", "\\", "--token", ":", "=["],
)
def test_a_long_line_takes_no_long_time(piece: str) -> None:
    """One base64 blob of 1 MB must not hold up a failure report: tried at every character, a pattern that runs to
    the end of the line takes minutes here (`_READ`, and a scheme's name that is not part of `_IN_URL`)."""
    line = piece * (1_000_000 // len(piece))
    before = time.process_time()
    redacted(line)
    assert time.process_time() - before < 10


def test_colours_are_left_out() -> None:
    """Docker's builder sends some with each error."""
    assert redacted("\x1b[91m\x1b[0mThe command failed\x1b[1;31m!") == "The command failed!"


def test_colours_hide_no_credential() -> None:
    assert redacted("\x1b[36mpass\x1b[0mword\x1b[0m=\x1b[33mhunter2\x1b[0m") == "password=***"
