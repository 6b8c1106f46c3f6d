"""Which database a credential is taken to. What real servers do is in tests/databases."""

from __future__ import annotations

from base64 import b64decode
from typing import cast

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.logins import DatabaseLogins
from tidegate.adapters.postgres_logins import PostgresLogins, verifier
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Login
from tidegate.runtime.composition import compose
from tidegate.runtime.settings import Settings

from tests.integration.adapters.cloud import REGION
from tests.support.fakes import FakeMetrics
from tests.support.leftovers import free_port

CANARY = "canary-5e1d"


def credential(engine: str, port: int = 1) -> Credential:
    return Credential(engine, "127.0.0.1", port, CANARY, CANARY, CANARY)


class Asked:
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, float]] = []

    def log_in(self, credential: Credential, tls: str, patience: float) -> Login:
        self.asked.append((credential.engine, tls, patience))
        return cast("Login", self.answer)


def test_each_engine_has_its_own() -> None:
    postgres, mysql = Asked("a"), Asked("b")
    logins = DatabaseLogins({"postgres": postgres, "mysql": mysql})
    assert logins.log_in(credential("postgres"), "off", 1) == "a"  # type: ignore[comparison-overlap]
    assert logins.log_in(credential("mysql"), "verify-full", 2) == "b"  # type: ignore[comparison-overlap]
    assert (postgres.asked, mysql.asked) == ([("postgres", "off", 1)], [("mysql", "verify-full", 2)])


@pytest.mark.parametrize("engine", ["redis", "", CANARY])
def test_an_engine_that_nobody_speaks(engine: str) -> None:
    with pytest.raises(OutsideError) as raised:
        DatabaseLogins().log_in(credential(engine), "off", 0)
    assert CANARY not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_function_has_both(clients: Clients, engine: str) -> None:
    """A server that nobody hears of is no wrong password."""
    ports = compose(Settings(table="tidegate", region=REGION), FakeMetrics(), clients)
    with pytest.raises(TransientError) as raised:
        ports.logins.log_in(credential(engine, free_port()), "off", 0)
    assert CANARY not in str(raised.value)


def test_a_server_that_sleeps_is_asked_again() -> None:
    """Guards the loop of `Connecting.open`, and that it ends."""
    waited: list[float] = []
    logins = PostgresLogins(waited.append, lambda: sum(waited))
    with pytest.raises(TransientError):
        logins.log_in(credential("postgres", free_port()), "off", 9)
    assert waited == [2.0] * 4


def test_a_verifier_as_postgresql_makes_it() -> None:
    """The example of RFC 7677, section 3: user `user`, password `pencil`."""
    assert verifier("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert verifier("pencil") != verifier("pencil")
    salt = b"0123456789abcdef"
    assert verifier("I\u00adX", salt) == verifier("IX", salt)  # RFC 4013, section 3
    assert verifier("\u2168", salt) == verifier("IX", salt)
    assert verifier("a\u0007", salt) != verifier("a", salt)
