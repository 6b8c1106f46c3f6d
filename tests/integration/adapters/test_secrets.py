"""Secrets Manager as a rotation uses it: on moto, and what moto has not on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.secrets import SecretsManagerSecrets
from tidegate.domain.errors import BadInputError, ConflictError, NotFoundError, OutsideError, TransientError
from tidegate.domain.rotation import version_of
from tidegate.ports import MovedError

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused

NAME = "shop/production/database"
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:{NAME}-a1B2c3"
FIRST, NEW, OTHER = (version_of(name) for name in ("first", "new", "other"))
CANARY = "canary-5e1d"
NOT_FOUND, MISFIT = "ResourceNotFoundException", "InvalidParameterException"
CURRENT, PENDING, PREVIOUS = (frozenset({f"AWS{name}"}) for name in ("CURRENT", "PENDING", "PREVIOUS"))


@pytest.fixture
def client(moto: Clients) -> Any:
    client = moto.client("secretsmanager")
    client.create_secret(Name=NAME, SecretString="old", ClientRequestToken=FIRST)
    return client


@pytest.fixture
def secrets(client: Any) -> SecretsManagerSecrets:
    return SecretsManagerSecrets(lambda region: client)


def wired(clients: Clients, *answers: Any) -> tuple[SecretsManagerSecrets, Wire]:
    # A client of its own: each has the answers of one wire.
    client = Clients(clients.region, arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tidegate").client(
        "secretsmanager"
    )
    wire = Wire(client, *answers)
    return SecretsManagerSecrets(lambda region: client), wire


def described(**stages: list[str]) -> Any:
    """By the first letter of a version's name."""
    names = {"f": FIRST, "n": NEW, "o": OTHER}
    return ok(
        {
            "ARN": ARN,
            "Name": NAME,
            "VersionIdsToStages": {names[name]: labels for name, labels in stages.items()},
        }
    )


def stages(secrets: SecretsManagerSecrets) -> dict[str, frozenset[str]]:
    state = secrets.describe(NAME)
    assert state is not None
    return dict(state.stages)


def test_a_rotation(secrets: SecretsManagerSecrets) -> None:
    assert secrets.current(NAME).version == FIRST
    secrets.put_pending(NAME, NEW, "new")
    secrets.put_pending(NAME, NEW, "new")
    assert stages(secrets) == {FIRST: CURRENT, NEW: PENDING}
    written = secrets.version(NAME, NEW)
    assert written is not None
    assert (written.text, written.version, written.stages) == ("new", NEW, PENDING)
    assert written.created_at.endswith("Z")
    secrets.move_current(NAME, to=NEW, from_=FIRST)
    assert stages(secrets) == {FIRST: PREVIOUS, NEW: CURRENT}
    secrets.move_current(NAME, to=NEW, from_=FIRST)
    assert secrets.current(NAME).text == "new"
    secrets.move_current(NAME, to=FIRST, from_=NEW)
    assert stages(secrets) == {FIRST: CURRENT, NEW: PREVIOUS}


def test_a_secret_by_its_arn(secrets: SecretsManagerSecrets) -> None:
    state = secrets.describe(NAME)
    assert state is not None
    assert (state.name, state.version_with("AWSCURRENT")) == (NAME, FIRST)
    assert state.created_at.endswith("Z")
    assert state.changed_at.endswith("Z")
    assert secrets.describe(state.arn) == state


def test_the_region_of_an_arn(clients: Clients) -> None:
    regions: list[str | None] = []

    def client(region: str | None) -> Any:
        regions.append(region)
        raise LookupError

    for secret in ("arn:aws:secretsmanager:eu-north-1:123456789012:secret:shop-a1B2c3", NAME):
        with pytest.raises(LookupError):
            SecretsManagerSecrets(client).describe(secret)
    assert regions == ["eu-north-1", None]


def test_no_such_secret(secrets: SecretsManagerSecrets) -> None:
    assert secrets.describe("shop/other") is None
    assert secrets.version("shop/other", NEW) is None
    secrets.drop_pending("shop/other", NEW)
    with pytest.raises(NotFoundError):
        secrets.current("shop/other")
    with pytest.raises(OutsideError):
        secrets.put_pending("shop/other", NEW, "new")


def test_a_secret_that_is_being_deleted(secrets: SecretsManagerSecrets, client: Any) -> None:
    client.delete_secret(SecretId=NAME)
    assert secrets.describe(NAME) is None
    assert secrets.version(NAME, FIRST) is None
    with pytest.raises(NotFoundError):
        secrets.current(NAME)


def test_a_request_that_is_invalid_otherwise_is_no_missing_secret(clients: Clients) -> None:
    for ask in (lambda port: port.current(NAME), lambda port: port.version(NAME, NEW)):
        port, _ = wired(clients, refused("InvalidRequestException"), described(f=["AWSCURRENT"]))
        with pytest.raises(OutsideError, match="InvalidRequestException"):
            ask(port)


def test_a_version_that_is_not_there(secrets: SecretsManagerSecrets) -> None:
    assert secrets.version(NAME, NEW) is None


def test_a_version_that_is_not_seen_yet(clients: Clients) -> None:
    """Guards the look at the labels in `version`: a version that was just written must not be written again."""
    port, _ = wired(clients, refused(NOT_FOUND), described(f=["AWSCURRENT"], n=["AWSPENDING"]))
    with pytest.raises(TransientError):
        port.version(NAME, NEW)
    port, _ = wired(clients, refused(NOT_FOUND), described(f=["AWSCURRENT"]))
    assert port.version(NAME, NEW) is None


def test_a_version_is_never_overwritten(clients: Clients) -> None:
    """On the wire: moto takes whatever text comes for a version that there is."""
    port, _ = wired(clients, refused("ResourceExistsException"))
    with pytest.raises(ConflictError) as raised:
        port.put_pending(NAME, NEW, CANARY)
    assert CANARY not in str(raised.value)


def test_what_is_sent_for_a_new_version(clients: Clients) -> None:
    port, wire = wired(clients, ok({}))
    port.put_pending(NAME, NEW, "new")
    assert wire.requests == [
        {
            "SecretId": NAME,
            "ClientRequestToken": NEW,
            "SecretString": "new",
            "VersionStages": ["AWSPENDING"],
        }
    ]


def test_somebody_else_has_moved_current(secrets: SecretsManagerSecrets, client: Any) -> None:
    secrets.put_pending(NAME, NEW, "new")
    client.put_secret_value(SecretId=NAME, SecretString="theirs", ClientRequestToken=OTHER)
    with pytest.raises(MovedError):
        secrets.move_current(NAME, to=NEW, from_=FIRST)
    assert secrets.current(NAME).version == OTHER


def test_a_version_that_is_gone_has_been_moved_from(clients: Clients) -> None:
    port, _ = wired(clients, refused(NOT_FOUND), described(o=["AWSCURRENT"]))
    with pytest.raises(MovedError):
        port.move_current(NAME, to=NEW, from_=FIRST)


def test_it_was_moved_although_the_answer_says_no(clients: Clients) -> None:
    """Guards the look after a refusal: the first of two calls of the SDK had been heard. AWSPENDING goes as well."""
    port, wire = wired(
        clients,
        refused(MISFIT),
        described(f=["AWSPREVIOUS"], n=["AWSCURRENT", "AWSPENDING"]),
        described(f=["AWSPREVIOUS"], n=["AWSCURRENT", "AWSPENDING"]),
        ok({}),
    )
    port.move_current(NAME, to=NEW, from_=FIRST)
    assert wire.requests[-1] == {
        "SecretId": NAME,
        "VersionStage": "AWSPENDING",
        "RemoveFromVersionId": NEW,
    }


def test_a_refusal_for_another_reason(clients: Clients) -> None:
    port, _ = wired(clients, refused(MISFIT), described(f=["AWSCURRENT"], n=["AWSPENDING"]))
    with pytest.raises(
        OutsideError, match="secretsmanager:UpdateSecretVersionStage: InvalidParameterException"
    ):
        port.move_current(NAME, to=NEW, from_=FIRST)


def test_pending_is_taken_from_the_version_that_has_it_alone(
    secrets: SecretsManagerSecrets, client: Any
) -> None:
    """Guards `_pending`: known mistake 168 of the public rotation functions is to take it wherever it is."""
    secrets.put_pending(NAME, NEW, "new")
    secrets.put_pending(NAME, OTHER, "theirs")
    secrets.drop_pending(NAME, NEW)
    assert stages(secrets) == {FIRST: CURRENT, OTHER: PENDING}
    secrets.drop_pending(NAME, OTHER)
    secrets.drop_pending(NAME, OTHER)
    assert stages(secrets) == {FIRST: CURRENT}


def test_pending_that_goes_meanwhile(clients: Clients) -> None:
    pending = described(n=["AWSPENDING"])
    port, _ = wired(clients, pending, refused(MISFIT), described(o=["AWSPENDING"]))
    port.drop_pending(NAME, NEW)
    port, _ = wired(clients, pending, refused(MISFIT), pending)
    with pytest.raises(OutsideError):
        port.drop_pending(NAME, NEW)


def test_a_value_that_is_no_text(clients: Clients) -> None:
    binary = ok({"ARN": ARN, "Name": NAME, "VersionId": NEW, "SecretBinary": "Y2FuYXJ5", "CreatedDate": 1})
    port, _ = wired(clients, binary, binary)
    for ask in (lambda: port.current(NAME), lambda: port.version(NAME, NEW)):
        with pytest.raises(BadInputError, match="binary"):
            ask()


def test_a_password(secrets: SecretsManagerSecrets) -> None:
    first, second = secrets.password(), secrets.password(64)
    assert (len(first), len(second)) == (40, 64)
    assert (first + second).isalnum()


def test_what_is_asked_for_a_password(clients: Clients) -> None:
    port, wire = wired(clients, ok({"RandomPassword": "x"}))
    assert port.password() == "x"
    assert wire.requests == [
        {"PasswordLength": 40, "ExcludePunctuation": True, "RequireEachIncludedType": True}
    ]


@pytest.mark.usefixtures("no_waiting")
def test_throttling_is_transient(clients: Clients) -> None:
    for ask in (
        lambda port: port.describe(NAME),
        lambda port: port.current(NAME),
        lambda port: port.version(NAME, NEW),
        lambda port: port.put_pending(NAME, NEW, CANARY),
        lambda port: port.move_current(NAME, to=NEW, from_=FIRST),
        lambda port: port.password(),
    ):
        port, _ = wired(clients, *[refused("ThrottlingException")] * 9)
        with pytest.raises(TransientError) as raised:
            ask(port)
        assert CANARY not in str(raised.value)
