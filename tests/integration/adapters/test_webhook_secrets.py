"""The webhooks' secrets as Secrets Manager keeps them, and how often it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.webhook_secrets import SecretsManagerWebhookSecrets
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Ports
from tidegate.runtime.composition import compose
from tidegate.runtime.settings import Settings

from tests.integration.adapters.cloud import REGION, TABLE, Wire, ok, refused
from tests.support.clock import FakeClock
from tests.support.fakes import FakeMetrics

ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:tidegate/github-a1B2c3"
LONG, NEWER = "0123456789abcdef", "fedcba9876543210"
CANARY = "hunter2"


class Kept:
    """The port on a wire that gives these values, one a call."""

    def __init__(
        self, clients: Clients, *values: str | tuple[int, dict[str, object], dict[str, str]]
    ) -> None:
        self.clock, self.metrics = FakeClock(), FakeMetrics()
        client = clients.client("secretsmanager")
        answers = [ok({"SecretString": value}) if isinstance(value, str) else value for value in values]
        self.wire = Wire(client, *answers)
        self.port = SecretsManagerWebhookSecrets(lambda: client, ARN, self.clock, self.metrics)

    @property
    def asked(self) -> int:
        return len(self.wire.requests)


Make = Callable[..., Kept]


@pytest.fixture
def kept(clients: Clients) -> Make:
    return lambda *values: Kept(clients, *values)


def value(**secrets: object) -> str:
    return json.dumps({f"acme/{name}": secret for name, secret in secrets.items()})


def test_the_secret_is_read_by_its_arn(moto: Clients) -> None:
    made = moto.client("secretsmanager").create_secret(Name="tidegate/github", SecretString=value(shop=LONG))
    ports: Ports = compose(
        Settings(table=TABLE, region=REGION, github_secret=made["ARN"]), FakeMetrics(), moto
    )
    assert ports.webhook_secrets.get() == {"acme/shop": LONG}


def test_it_is_kept_for_five_minutes(kept: Make) -> None:
    secrets = kept(value(shop=LONG), value(shop=NEWER))
    assert secrets.port.get() == {"acme/shop": LONG}
    secrets.clock.advance(299)
    assert secrets.port.get() == {"acme/shop": LONG}
    assert secrets.wire.requests == [{"SecretId": ARN}]
    secrets.clock.advance(1)
    assert secrets.port.get() == {"acme/shop": NEWER}


def test_it_is_read_again_once_a_minute_at_most(kept: Make) -> None:
    secrets = kept(value(shop=LONG), value(shop=NEWER))
    secrets.port.get()
    for _ in range(100):
        assert secrets.port.reread() is None
    secrets.clock.advance(60)
    assert secrets.port.reread() == {"acme/shop": NEWER}
    assert secrets.port.get() == {"acme/shop": NEWER}
    assert secrets.port.reread() is None
    assert secrets.asked == 2


def test_what_could_not_be_read_again_is_not_used_any_longer(kept: Make, no_waiting: None) -> None:
    away = refused("InternalServiceError", 500)
    secrets = kept(value(shop=LONG), away, away, away, value(shop=NEWER))
    secrets.port.get()
    secrets.clock.advance(timedelta(minutes=5).total_seconds())
    with pytest.raises(TransientError):
        secrets.port.get()
    assert secrets.port.get() == {"acme/shop": NEWER}


@pytest.mark.parametrize(
    "bad", [LONG[1:], f"{LONG}\n", f"{LONG}\ud800", "", None, 7, [LONG], {"secret": LONG}]
)
def test_a_secret_that_is_none_is_left_out_and_counted(kept: Make, bad: object) -> None:
    secrets = kept(value(shop=LONG, other=bad))
    assert secrets.port.get() == {"acme/shop": LONG}
    (counted,) = secrets.metrics.counted
    assert (counted.name, counted.value, counted.dimensions) == ("WebhookSecretUnusable", 1, {})


@pytest.mark.parametrize(
    "text", ["", CANARY, f'["{CANARY}"]', f'"{CANARY}"', f'{{"acme/shop": "{CANARY}"', "[" * 9999]
)
def test_a_value_that_is_no_object_is_named_without_it(kept: Make, text: str) -> None:
    with pytest.raises(OutsideError, match="not a JSON object") as raised:
        kept(text).port.get()
    assert raised.value.hint is not None
    assert "owner/name" in raised.value.hint
    assert raised.value.__context__ is None or CANARY not in str(raised.value.__context__)


def test_a_binary_value_is_none(kept: Make) -> None:
    with pytest.raises(OutsideError, match="not a JSON object"):
        kept(ok({"SecretBinary": "aHVudGVyMg=="})).port.get()


def test_a_permission_that_is_missing_is_named(kept: Make) -> None:
    with pytest.raises(OutsideError) as raised:
        kept(refused("AccessDeniedException")).port.get()
    assert "secretsmanager:GetSecretValue" in str(raised.value.hint)


def test_a_webhook_that_is_not_installed_says_so(on_moto: Ports) -> None:
    with pytest.raises(OutsideError) as raised:
        on_moto.webhook_secrets.get()
    assert raised.value.field == "TIDEGATE_GITHUB_SECRET"
