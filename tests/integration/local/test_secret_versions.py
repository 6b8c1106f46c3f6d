"""Versions and labels of Secrets Manager as a rotation needs them."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tidegate.adapters.secrets import SecretsManagerSecrets
from tidegate.domain.errors import ConflictError
from tidegate.ports import MovedError

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


@pytest.fixture
def client(cloud: Cloud) -> Any:
    return cloud.client("secretsmanager")


@pytest.fixture
def secret(client: Any) -> tuple[str, str]:
    """Its name and its first version."""
    name = f"shop/{uuid.uuid4().hex[:8]}"
    return name, client.create_secret(Name=name, SecretString="old")["VersionId"]


def put(client: Any, name: str, text: str, **more: Any) -> str:
    given = {"SecretId": name, "SecretString": text, "VersionStages": ["AWSPENDING"]} | more
    return str(client.put_secret_value(**given)["VersionId"])


def stages(client: Any, name: str) -> dict[str, list[str]]:
    return dict(client.describe_secret(SecretId=name)["VersionIdsToStages"])


def refusal(client: Any, name: str, stage: str, **versions: str) -> str:
    with pytest.raises(ClientError) as raised:
        client.update_secret_version_stage(SecretId=name, VersionStage=stage, **versions)
    return str(raised.value.response["Error"]["Code"])


def test_a_version_is_written_once(client: Any, secret: tuple[str, str]) -> None:
    """Guards `_again`: MiniStack writes it again, and takes its labels."""
    name, first = secret
    token = str(uuid.uuid4())
    assert put(client, name, "new", ClientRequestToken=token) == token
    client.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=first
    )
    assert put(client, name, "new", ClientRequestToken=token) == token
    assert sorted(stages(client, name)[token]) == ["AWSCURRENT", "AWSPENDING"]
    with pytest.raises(client.exceptions.ResourceExistsException):
        put(client, name, "another", ClientRequestToken=token)
    assert client.get_secret_value(SecretId=name)["SecretString"] == "new"
    with pytest.raises(client.exceptions.ResourceExistsException):
        put(client, name, "another", ClientRequestToken=first)


def test_a_label_is_at_one_version(client: Any, secret: tuple[str, str]) -> None:
    """Guards `_remove_stage_everywhere`: MiniStack leaves AWSPENDING at the older one as well."""
    name, first = secret
    older = put(client, name, "a", ClientRequestToken=str(uuid.uuid4()))
    newer = put(client, name, "b", VersionStages=["AWSPENDING", "mine"])
    assert older != newer
    told = stages(client, name)
    assert {version: sorted(labels) for version, labels in told.items()} == {
        first: ["AWSCURRENT"],
        newer: ["AWSPENDING", "mine"],
    }


def test_a_token_is_long_enough(client: Any, secret: tuple[str, str]) -> None:
    with pytest.raises(ClientError) as raised:
        client.put_secret_value(SecretId=secret[0], SecretString="x", ClientRequestToken="x" * 65)
    assert raised.value.response["Error"]["Code"] == "InvalidParameterException"


def test_labels_move_from_where_they_are(client: Any, secret: tuple[str, str]) -> None:
    """What MiniStack does as AWS: the adapter relies on it."""
    name, first = secret
    new, other = put(client, name, "new"), put(client, name, "other", VersionStages=["mine"])
    misfit = "InvalidParameterException"
    assert refusal(client, name, "AWSCURRENT", MoveToVersionId=new) == misfit
    assert refusal(client, name, "AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=other) == misfit
    assert refusal(client, name, "AWSPENDING", RemoveFromVersionId=other) == misfit
    assert stages(client, name) == {first: ["AWSCURRENT"], new: ["AWSPENDING"], other: ["mine"]}


def test_a_rotation_and_back(client: Any, secret: tuple[str, str]) -> None:
    name, first = secret
    port = SecretsManagerSecrets(lambda region: client)
    new = str(uuid.uuid4())
    port.put_pending(name, new, "new")
    port.put_pending(name, new, "new")
    with pytest.raises(ConflictError):
        port.put_pending(name, new, "another")
    for _ in range(2):
        port.move_current(name, to=new, from_=first)
        assert stages(client, name) == {first: ["AWSPREVIOUS"], new: ["AWSCURRENT"]}
    newest = str(uuid.uuid4())
    port.put_pending(name, newest, "newest")
    with pytest.raises(MovedError):
        port.move_current(name, to=newest, from_=first)
    for _ in range(2):
        port.drop_pending(name, newest)
        port.drop_pending(name, new)
    port.move_current(name, to=first, from_=new)
    assert stages(client, name) == {first: ["AWSCURRENT"], new: ["AWSPREVIOUS"]}
    assert len(port.password()) == 40
    assert port.password().isalnum()
    client.delete_secret(SecretId=name)
    assert port.describe(name) is None
