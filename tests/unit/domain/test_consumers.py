"""Whether a task definition takes the current value of a secret."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.consumers import consumes

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
