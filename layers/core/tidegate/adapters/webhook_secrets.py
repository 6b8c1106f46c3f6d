"""The secrets of GitHub's webhooks: one secret of Secrets Manager, whose value is `{"owner/name": "secret", …}`.

No text of it, and no name, is ever in an error or a metric: somebody may have put them the wrong way round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeGuard

from tidegate.adapters.errors import asking
from tidegate.domain.errors import OutsideError
from tidegate.ports import Clock, Metrics

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

KEPT_FOR = timedelta(minutes=5)
READ_AT_MOST_EVERY = timedelta(minutes=1)
SHORTEST = 16
"""Characters. A shorter secret can be guessed; its repository is treated as one that has none."""


class SecretsManagerWebhookSecrets:
    """`secret` is the ARN, or None where the webhook is not installed."""

    def __init__(
        self,
        client: Callable[[], SecretsManagerClient],
        secret: str | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._secret = secret
        self._clock = clock
        self._metrics = metrics
        self._kept: Mapping[str, str] | None = None
        self._read_at: datetime | None = None

    def get(self) -> Mapping[str, str]:
        if self._kept is None or self._age() >= KEPT_FOR:
            self._kept = self._read()
        return self._kept

    def reread(self) -> Mapping[str, str] | None:
        if self._age() < READ_AT_MOST_EVERY:
            return None
        self._kept = self._read()
        return self._kept

    def _age(self) -> timedelta:
        return timedelta.max if self._read_at is None else self._clock.now() - self._read_at

    def _read(self) -> Mapping[str, str]:
        if self._secret is None:
            raise OutsideError(
                "no secret of GitHub's webhooks is named",
                field="TIDEGATE_GITHUB_SECRET",
                hint="deploy with the parameter GitHubSecret",
            )
        self._kept, self._read_at = None, self._clock.now()
        with asking("secretsmanager:GetSecretValue"):
            answer = self._client().get_secret_value(SecretId=self._secret)
        given = _object(answer.get("SecretString", ""))
        usable = {name: value for name, value in given.items() if _is_usable(value)}
        if len(usable) < len(given):
            self._metrics.count("WebhookSecretUnusable", len(given) - len(usable))
        return usable


def _is_usable(value: object) -> TypeGuard[str]:
    """GitHub's form takes one line: what cannot be printed slipped in on the way to Secrets Manager."""
    return isinstance(value, str) and len(value) >= SHORTEST and value.isprintable()


def _object(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise OutsideError(
            "the secret of GitHub's webhooks is not a JSON object",
            hint='its value has to be {"owner/name": "the webhook\'s secret"}',
        )
    return content
