"""A rotation's connection to a server with TLS: what is wrong with the server is never said of a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tidegate.adapters.postgres_logins import PostgresLogins
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import OutsideError
from tidegate.ports import WrongPasswordError

from tests.databases.stage import assert_silent
from tests.databases.test_connecting import DEBIAN, Authority
from tests.support import postgres
from tests.support.postgres import HOST, PASSWORD, Server


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


@pytest.fixture(scope="module", params=[DEBIAN], ids=["postgresql-15"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Server]:
    with postgres.running(request.param, authority.files, ssl="on") as running:
        yield running


def log_in(
    server: Server,
    ca: str | None,
    host: str = "localhost",
    password: str = PASSWORD,
    tls: str = "verify-full",
) -> str:
    credential = Credential("postgres", host, server.port, "postgres", "app", password, ca)
    login = PostgresLogins().log_in(credential, tls, 0)
    try:
        return login.user
    finally:
        login.close()


def test_a_server_that_proves_who_it_is(server: Server, authority: Authority) -> None:
    assert log_in(server, authority.pem) == "app"
    assert log_in(server, None, tls="off") == "app"


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_one_that_does_not(server: Server, authority: Authority, password: str) -> None:
    """Before any password is sent: guards the order in `_connection`."""
    for ca, host, said in (
        (None, "localhost", "is not trusted"),
        (Authority("localhost").pem, "localhost", "is not trusted"),
        (authority.pem, HOST, "it is for another host"),
        (PASSWORD, "localhost", "is not a certificate in PEM"),
    ):
        with pytest.raises(OutsideError, match=said) as raised:
            log_in(server, ca, host, password)
        assert_silent(raised.value.message, str(raised.value.hint))
        assert str(raised.value.field).startswith("secrets.")


def test_one_without_tls(authority: Authority) -> None:
    """No fallback to plain text, which is a known mistake of the public rotation functions."""
    with postgres.running(DEBIAN) as plain, pytest.raises(OutsideError, match="offers no TLS"):
        log_in(plain, authority.pem)


def test_a_wrong_password_over_tls(server: Server, authority: Authority) -> None:
    with pytest.raises(WrongPasswordError):
        log_in(server, authority.pem, password="wrong")
