"""How the function reaches a database: the server proves who it is, and nothing of the credential is ever told."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from io import StringIO
from ipaddress import ip_address
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from tidegate.adapters.postgres import PostgresDatabases
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.runtime.handler import handler
from tidegate.steps.migrate_sql import run

from tests.databases.stage import Running, Secrets, Shop, assert_silent
from tests.support import postgres
from tests.support.authority import Authority
from tests.support.leftovers import free_port
from tests.support.postgres import HOST, PASSWORD, Server

# Debian's build, as Amazon's, speaks TLS.
DEBIAN = 15


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


@pytest.fixture(scope="module", params=[DEBIAN], ids=["postgresql-15"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Server]:
    """With TLS, and for those who do not ask for it without."""
    with postgres.running(request.param, authority.files, ssl="on") as running:
        yield running


def connected(secret: Mapping[str, Any], tls: str = "verify-full", patience: float = 0) -> list[list[Any]]:
    """Whether the connection has TLS, by the server's own account."""
    databases = PostgresDatabases(lambda region: Secrets(secret))  # type: ignore[arg-type,return-value]
    session = databases.connect("shop/database", tls, "tidegate-looks-x", patience)
    try:
        return session.run(
            "SELECT ssl, application_name FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE pid = pg_backend_pid()"
        )
    finally:
        session.close()


def refusal(secret: Mapping[str, Any], tls: str = "verify-full") -> str:
    with pytest.raises(OutsideError) as raised:
        connected(secret, tls)
    error = raised.value
    assert_silent(error.message, str(error.hint), str(error.args))
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return error.message


def secret(shop: Shop, **changes: Any) -> dict[str, Any]:
    return shop.server.secret(shop.database, host="localhost") | changes


def test_a_server_that_proves_who_it_is(shop: Shop, authority: Authority) -> None:
    assert connected(secret(shop, ca=authority.pem)) == [[True, "tidegate-looks-x"]]


def test_without_tls_where_it_is_not_wanted(shop: Shop) -> None:
    assert connected(secret(shop), tls="off") == [[False, "tidegate-looks-x"]]


def test_an_unknown_authority(shop: Shop) -> None:
    """Guards the context of `_context`: pg8000's own takes any certificate."""
    assert refusal(secret(shop)).startswith("the database's certificate is not trusted: ")
    assert refusal(secret(shop, ca=Authority("localhost").pem)).startswith(
        "the database's certificate is not trusted"
    )


def test_another_host_name(shop: Shop, authority: Authority) -> None:
    """Guards `server_hostname` in `_secured`, and that OpenSSL's text, which shows the address, is not passed on."""
    assert ip_address(HOST)
    message = refusal(secret(shop, host=HOST, ca=authority.pem))
    assert message == "the database's certificate is not trusted: it is for another host"


def test_a_server_without_tls(authority: Authority) -> None:
    """No fallback: guards the answer `N` in `_secured`."""
    with postgres.running(DEBIAN) as plain:
        assert (
            refusal(plain.secret("postgres", host="localhost", ca=authority.pem))
            == "the database offers no TLS"
        )


def test_a_wrong_password(shop: Shop, authority: Authority) -> None:
    for changes in ({"password": "wrong"}, {"username": "nobody"}):
        said = refusal(secret(shop, ca=authority.pem, **changes))
        assert said == "the database refuses the user, or the way it signs in"


def test_a_database_that_is_not_there(shop: Shop, authority: Authority) -> None:
    assert "dbname" in refusal(secret(shop, ca=authority.pem, dbname="nowhere"))


def test_a_password_that_was_rotated_since_it_was_read(shop: Shop) -> None:
    values = [secret(shop, password="old"), secret(shop)]

    class Rotating:
        def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 -- as boto3 has it
            return Secrets(values.pop(0)).get_secret_value(SecretId)

    databases = PostgresDatabases(lambda region: Rotating())  # type: ignore[arg-type,return-value]
    databases.connect("shop/database", "off", "tidegate-looks-x", 0).close()
    assert values == []


def test_nobody_listens(shop: Shop) -> None:
    with pytest.raises(TransientError, match=r"^the database cannot be reached: connection refused$"):
        connected(secret(shop, port=free_port()))


def test_what_listens_is_no_postgresql(shop: Shop) -> None:
    """It hangs up, which is no wrong password: the machine asks again."""
    for tls in ("verify-full", "off"):
        with socket.create_server((HOST, 0)) as listening:
            listening.settimeout(10)
            accepted = Running(listening.accept)
            Running(lambda accepted=accepted: accepted.result()[0].close())
            with pytest.raises(TransientError, match=r"^the database cannot be reached: it "):
                connected(secret(shop, host=HOST, port=listening.getsockname()[1]), tls)


FAULTS: Mapping[str, dict[str, Any]] = {
    "password": {"password": "wrong " + PASSWORD},
    "refused": {"port": 1},
    "name": {"host": f"{PASSWORD[:11]}.invalid"},
    "shape": {"port": PASSWORD},
    "engine": {"engine": "mysql"},
    "authority": {"ca": PASSWORD},
    "none": {},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["Check", "Migrate", "Verify", "Terminate"])
def test_nothing_is_told(shop: Shop, step: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no answer, no error, no log line: guards each `from None` of the adapter, and its own words for each fault."""
    monkeypatch.setattr("tidegate.steps.migrate_sql.PATIENCE_SECONDS", 0)
    monkeypatch.setattr("tidegate.steps.sql_migrating.PATIENCE_SECONDS", 0)
    shop.secrets.value = secret(shop, **FAULTS[fault])
    shop.release(_1_role="CREATE TABLE a (id int); SELECT 1/0")
    told: list[str] = []
    written = StringIO()
    try:
        answer = handler(run, shop.ports(), Logger(service=f"{step} {fault}", stream=written))(
            shop.payload(step, tls="verify-full" if fault == "authority" else "off"), None
        )
        told.append(str(answer))
    except (OutsideError, TransientError) as error:
        told += [error.message, str(error.hint), str(error.args), repr(error.__cause__)]
    assert '"migrate_sql"' in written.getvalue()
    told.append(written.getvalue())
    assert_silent(*told)
