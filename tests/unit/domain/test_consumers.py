"""Whether a task definition takes a secret, and how each container does."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.consumers import PULL, Taking, consumes, takings

NAME = "shop/database"
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{NAME}-AbCdEf"


def taking(*value_froms: str) -> dict[str, Any]:
    """A sidecar without secrets, then a container that has them."""
    secrets = [{"name": f"S{number}", "valueFrom": value} for number, value in enumerate(value_froms)]
    return {"containerDefinitions": [{"name": "sidecar"}, {"name": "app", "secrets": secrets}]}


@pytest.mark.parametrize("secret", [ARN, NAME])
@pytest.mark.parametrize(
    ("value_from", "consumed"),
    [
        (ARN, True),
        (f"{ARN}:password::", True),
        (f"{ARN}:password:AWSCURRENT:", True),
        (f"{ARN}::AWSCURRENT:", True),
        (f"{ARN}:password", True),
        # Held to one version, or to another label: what becomes current is nothing to it.
        (f"{ARN}:password:AWSPREVIOUS:", False),
        (f"{ARN}:::0f3ab2c1-8d70-4e0e-8f0f-111111111111", False),
        (f"{ARN}:password:AWSCURRENT:0f3ab2c1-8d70-4e0e-8f0f-111111111111", False),
        (ARN.replace("-AbCdEf", "-AbCdEf".upper() + "x"), False),
        (ARN.replace("database", "database-read"), False),
        (ARN.replace(NAME, "database"), False),
        # Parameters of SSM, by ARN and by name.
        (f"arn:aws:ssm:eu-west-1:123456789012:parameter/{NAME}", False),
        (NAME, False),
        (f"/{NAME}", False),
    ],
)
def test_by_the_forms_of_value_from(secret: str, value_from: str, consumed: bool) -> None:
    assert consumes(taking("unrelated", value_from), secret) is consumed


def test_an_arn_means_the_secret_of_that_account_and_region_only() -> None:
    for other in (ARN.replace("eu-west-1", "us-east-1"), ARN.replace("123456789012", "210987654321")):
        assert not consumes(taking(other), ARN)
        assert consumes(taking(other), NAME), "a name says neither"


@pytest.mark.parametrize("secret", [ARN, NAME])
def test_an_arn_without_the_six_characters_is_taken_as_well(secret: str) -> None:
    """Secrets Manager completes it (GetSecretValue, SecretId), and CDK writes it for a secret that is known by name."""
    partial = ARN.removesuffix("-AbCdEf")
    assert consumes(taking(partial), secret)
    assert consumes(taking(f"{partial}:password::"), secret)
    assert not consumes(taking(partial.removesuffix("base")), secret)
    assert not consumes(taking(partial.replace("eu-west-1", "us-east-1")), ARN)


def test_any_container_counts_and_one_without_secrets_does_not() -> None:
    assert consumes(taking("unrelated", "another", ARN), ARN)
    assert not consumes(taking(), ARN)


VERSION = "0f3ab2c1-8d70-4e0e-8f0f-111111111111"
PARAMETER = f"arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/{NAME}"
BARE = f"/aws/reference/secretsmanager/{NAME}"


@pytest.mark.parametrize("secret", [ARN, NAME])
@pytest.mark.parametrize(
    ("value_from", "taking_", "held"),
    [
        (ARN, Taking("app", "S1"), False),
        (f"{ARN}:password::", Taking("app", "S1", key="password"), False),
        (f"{ARN}:password:AWSCURRENT:", Taking("app", "S1", "password", "AWSCURRENT"), False),
        (f"{ARN}:password:AWSPREVIOUS:", Taking("app", "S1", "password", "AWSPREVIOUS"), True),
        (f"{ARN}:::{VERSION}", Taking("app", "S1", version=VERSION), True),
        (
            f"{ARN}:password:AWSCURRENT:{VERSION}",
            Taking("app", "S1", "password", "AWSCURRENT", VERSION),
            True,
        ),
        (PARAMETER, Taking("app", "S1"), False),
        (f"{PARAMETER}:AWSCURRENT", Taking("app", "S1", stage="AWSCURRENT"), False),
        (f"{PARAMETER}:AWSPREVIOUS", Taking("app", "S1", stage="AWSPREVIOUS"), True),
        (f"{PARAMETER}:{VERSION}", Taking("app", "S1", version=VERSION), True),
        (BARE, Taking("app", "S1"), False),
        (f"{BARE}:AWSPREVIOUS", Taking("app", "S1", stage="AWSPREVIOUS"), True),
        (f"{BARE}:{VERSION}", Taking("app", "S1", version=VERSION), True),
    ],
)
def test_how_a_container_takes_it(secret: str, value_from: str, taking_: Taking, held: bool) -> None:
    definition = taking("unrelated", value_from)
    assert takings(definition, secret) == [taking_]
    assert taking_.held is held
    assert consumes(definition, secret) is not held


@pytest.mark.parametrize("secret", [ARN, NAME])
@pytest.mark.parametrize(
    "value_from",
    [
        f"{PARAMETER}-read",
        f"{BARE}/more",
        f"/aws/reference/{NAME}",
        f"arn:aws:ssm:eu-west-1:123456789012:parameter/{NAME}",
        "arn:aws:ssm",
        "",
    ],
)
def test_another_parameter_is_nothing_to_it(secret: str, value_from: str) -> None:
    assert takings(taking(value_from), secret) == []


def test_a_reference_is_to_a_secret_of_its_own_region_and_account() -> None:
    for other in ("us-east-1:123456789012", "eu-west-1:210987654321"):
        place = PARAMETER.replace("eu-west-1:123456789012", other)
        assert takings(taking(place), ARN) == []
        assert takings(taking(place), NAME), "a name says neither"
    here = {"taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/shop:1"}
    assert takings({**taking(BARE), **here}, ARN) == []
    assert takings({**taking(BARE), **here}, ARN.replace("eu-west-1", "us-east-1"))


def test_a_log_driver_takes_it_as_well() -> None:
    """Red where only `secrets` is looked at: the driver would send with a token that is no more."""
    options = [{"name": "splunk-token", "valueFrom": f"{ARN}:token::"}]
    definition = {
        "containerDefinitions": [
            {"name": "app", "logConfiguration": {"logDriver": "splunk", "secretOptions": options}}
        ]
    }
    assert takings(definition, NAME) == [
        Taking("app", "logConfiguration.secretOptions.splunk-token", key="token")
    ]
    assert consumes(definition, NAME)


@pytest.mark.parametrize("given", [ARN, NAME])
def test_the_credentials_of_a_pull_are_told_and_restart_nothing(given: str) -> None:
    definition = {
        "containerDefinitions": [{"name": "app", "repositoryCredentials": {"credentialsParameter": given}}]
    }
    for secret in (ARN, NAME):
        assert takings(definition, secret) == [Taking("app", PULL)]
        assert not consumes(definition, secret)
    assert takings(definition, "shop/other") == []


def test_what_it_is_held_to_in_words() -> None:
    assert Taking("app", "S", version=VERSION, stage="AWSCURRENT").what == f"version {VERSION}"
    assert Taking("app", "S", stage="AWSPREVIOUS").what == "AWSPREVIOUS"
    assert Taking("app", "S").what == "AWSCURRENT"
