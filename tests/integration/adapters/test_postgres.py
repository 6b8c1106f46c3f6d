"""The secret's shape, the authorities that come with the layer, and how long a server is waited for. What a real server
does is in tests/databases."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from tidegate.adapters.clients import Clients
from tidegate.adapters.database_network import RDS_AUTHORITIES
from tidegate.adapters.postgres import PostgresDatabases
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.sql_migration import OTHER_ENGINE
from tidegate.runtime.composition import compose
from tidegate.runtime.settings import Settings

from tests.integration.adapters.cloud import REGION
from tests.support.fakes import FakeMetrics
from tests.support.leftovers import free_port

CANARY = "canary-5e1d"
SECRET: dict[str, Any] = {
    "engine": "postgres",
    "host": "127.0.0.1",
    "port": 1,
    "username": CANARY,
    "password": CANARY,
    "dbname": CANARY,
}


class Secrets:
    def __init__(self, value: object) -> None:
        self.value = value if isinstance(value, str) else json.dumps(value)
        self.asked: list[str] = []

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 -- as boto3 has it
        self.asked.append(SecretId)
        return {"SecretString": self.value}


class Clock:
    """Stands still but for what is waited."""

    def __init__(self) -> None:
        self.moment = 0.0
        self.waited: list[float] = []

    def now(self) -> float:
        return self.moment

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.moment += seconds


def databases(value: object, clock: Clock | None = None) -> PostgresDatabases:
    clock = clock or Clock()
    return PostgresDatabases(lambda region: Secrets(value), clock.wait, clock.now)  # type: ignore[arg-type,return-value]


def refusal(value: object) -> OutsideError:
    with pytest.raises(OutsideError) as raised:
        databases(value).connect("shop/database", "off", "tests", 0)
    said = f"{raised.value.message} {raised.value.hint} {raised.value.__cause__!r}"
    assert CANARY not in said
    assert raised.value.field == "migrations.secret"
    return raised.value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "not a JSON object"),
        (CANARY, "not a JSON object"),
        ("[" * 9999, "not a JSON object"),
        ([CANARY], "not a JSON object"),
        (SECRET | {"host": ""}, "its key host is missing, or no text"),
        (SECRET | {"host": 7}, "its key host is missing, or no text"),
        (SECRET | {"username": None}, "its key username is missing, or no text"),
        (SECRET | {"password": [CANARY]}, "its key password is missing, or no text"),
        (SECRET | {"dbname": f"{CANARY}\0user\0postgres"}, "its key dbname is missing, or no text"),
        (SECRET | {"port": CANARY}, "its key port is no port"),
        (SECRET | {"port": 0}, "its key port is no port"),
        (SECRET | {"port": True, "host": ""}, "its key host is missing, or no text"),
        (SECRET | {"port": "123456"}, "its key port is no port"),
    ],
)
def test_a_secret_of_another_shape(value: object, said: str) -> None:
    assert said in refusal(value).message


NPGSQL = {"key": "connection_string", "style": "npgsql"}


def test_a_connection_string_that_the_manifest_rotates() -> None:
    """The same secret for the services, for rotations and for migrations."""
    value = {
        "connection_string": f"Host=127.0.0.1;Port={free_port()};Database=d;Username=u;Password={CANARY}"
    }
    with pytest.raises(TransientError, match=r"^the database cannot be reached: connection refused$"):
        databases(value).connect("shop/database", "off", "tests", 0, NPGSQL)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"connection_string": f"Host=h;Database=d;Password={CANARY}"}, "connection_string"),
        ({"other": CANARY}, "connection_string"),
        ("[", "not a JSON object"),
    ],
)
def test_a_connection_string_that_lacks_something(value: object, said: str) -> None:
    with pytest.raises(OutsideError) as raised:
        databases(value).connect("shop/database", "off", "tests", 0, NPGSQL)
    assert said in raised.value.message
    assert raised.value.field == "migrations.secret"
    assert CANARY not in f"{raised.value.message} {raised.value.hint} {raised.value.__cause__!r}"


def test_a_connection_string_of_another_engine() -> None:
    value = {"url": f"mysql://u:{CANARY}@127.0.0.1/d"}
    with pytest.raises(OutsideError) as raised:
        databases(value).connect("shop/database", "off", "tests", 0, {"key": "url", "style": "url"})
    assert raised.value.code == OTHER_ENGINE


@pytest.mark.parametrize("engine", ["mysql", "mariadb", "sqlserver", CANARY, None, 7])
def test_another_engine_is_known_by_its_code(engine: object) -> None:
    assert refusal(SECRET | {"engine": engine}).code == OTHER_ENGINE


@pytest.mark.parametrize("engine", ["postgres", "postgresql", "aurora-postgresql"])
def test_what_is_postgresql(engine: str) -> None:
    """A secret made by hand has no engine, and its port may be a text."""
    port = free_port()
    for value in (SECRET | {"engine": engine, "port": port}, {**SECRET, "port": str(port)}):
        value.pop("engine") if engine == "postgres" else None
        with pytest.raises(TransientError, match=r"^the database cannot be reached: connection refused$"):
            databases(value).connect("shop/database", "off", "tests", 0)


def test_a_private_authority_that_is_none() -> None:
    with pytest.raises(OutsideError, match="its key ca is not a certificate in PEM"):
        databases(SECRET | {"ca": CANARY}).connect("shop/database", "verify-full", "tests", 0)


def test_a_server_that_sleeps_is_asked_again() -> None:
    """Guards the loop of `connect`, and that it ends."""
    clock = Clock()
    with pytest.raises(TransientError):
        databases(SECRET | {"port": free_port()}, clock).connect("shop/database", "off", "tests", 9)
    assert clock.waited == [2.0] * 4


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of one that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("tls", ["verify-full", "off"])
def test_a_server_that_says_nothing_is_given_up(
    silent: int, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the time-out of the socket while it connects."""
    monkeypatch.setattr("tidegate.adapters.database_network.TRY_SECONDS", 0.2)
    with pytest.raises(TransientError, match=r"^the database cannot be reached: no answer within 0\.2 s$"):
        databases(SECRET | {"port": silent}).connect("shop/database", tls, "tests", 0)


def test_the_secret_is_read_by_its_name(moto: Clients) -> None:
    moto.client("secretsmanager").create_secret(
        Name="shop/database", SecretString=json.dumps(SECRET | {"engine": "mysql"})
    )
    ports = compose(Settings(table="tidegate", region=REGION), FakeMetrics(), moto)
    with pytest.raises(OutsideError) as raised:
        ports.databases.connect("shop/database", "off", "tests", 0)
    assert raised.value.code == OTHER_ENGINE
    with pytest.raises(OutsideError, match="secretsmanager:GetSecretValue: ResourceNotFoundException"):
        ports.databases.connect("shop/other", "off", "tests", 0)


def test_an_arn_names_the_region() -> None:
    regions: list[str | None] = []

    def client(region: str | None) -> Secrets:
        regions.append(region)
        return Secrets("")

    for name in (
        "arn:aws:secretsmanager:eu-north-1:123456789012:secret:shop/database-a1B2c3",
        "shop:database",
    ):
        with pytest.raises(OutsideError):
            PostgresDatabases(client).connect(name, "off", "tests", 0)  # type: ignore[arg-type]
    assert regions == ["eu-north-1", None]


# --- rds-ca-bundle.pem


def authorities() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(RDS_AUTHORITIES.read_bytes())


def test_each_authority_is_one_and_is_there_once() -> None:
    found = authorities()
    assert len({certificate.fingerprint(SHA256()) for certificate in found}) == len(found)
    for certificate in found:
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=RDS_AUTHORITIES)
    assert len(context.get_ca_certs()) == len(found)


def test_each_region_has_an_authority_for_a_year() -> None:
    """Not every one of them: an authority that ends, and that AWS has another one for, must not end the tests."""
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    regions: dict[str, list[str]] = {}
    ending: list[str] = []
    for certificate in authorities():
        name = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        found = re.fullmatch(r"Amazon RDS ([a-z]+(?:-[a-z]+)+-\d) Root CA \w+ G\d", name)
        assert found is not None, name
        good = regions.setdefault(found[1], [])
        if certificate.not_valid_after_utc > in_a_year:
            good.append(name)
        else:
            ending.append(f"{name} ends {certificate.not_valid_after_utc:%Y-%m-%d}")
    assert len(regions) >= 27
    assert all(regions.values()), f"see the head of {RDS_AUTHORITIES.name} for how to renew it: {ending}"
