"""Keys that a service makes itself (of JWTs and the like): a JSON object with `keys`, the newest first.

Whoever reads it signs with the first and accepts them all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tidegate.domain.rotation import version_of
from tidegate.domain.secret_rotation import SecretRotation
from tidegate.ports import Ports, SecretValue
from tidegate.steps.rotating import FailedError, Readiness, Versions

KEYS = "keys"
RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class TokenRotation:
    """Implements rotating.Kind."""

    request: SecretRotation
    ports: Ports
    versions: Versions

    def look(self, current: SecretValue) -> Readiness:
        _keys(current.text)
        return Readiness("", "", 0)

    def successor(self, text: str) -> str:
        # All that are still accepted: an older rotation may have failed to retire one.
        return _with_keys(text, [self.ports.secrets.password(), *_keys(text)])

    def set(self) -> None:
        """Nobody but its readers has to know the new one."""
        self.versions.expect_here(self.versions.current())
        self.versions.new()

    def test(self) -> None:
        old, new = _keys(self.versions.before().text), _keys(self.versions.new().text)
        if new[0] in old or new[1:] != old:
            raise FailedError("the new version is not a new key before the old ones")

    def retire(self) -> str:
        request, secrets = self.request, self.ports.secrets
        retired = version_of(request.deployment, RETIRED)
        current = self.versions.current()
        if current.version == retired:
            secrets.drop_pending(request.secret, retired)
            return retired
        if current.version != request.version:
            raise FailedError(f"the new version is not current: {current.version} is")
        # The same text each time, so that it may be written again.
        secrets.put_pending(request.secret, retired, _with_keys(current.text, _keys(current.text)[:1]))
        secrets.move_current(request.secret, to=retired, from_=request.version)
        return retired

    def adoption(self) -> list[str]:
        return []

    def adopt(self, statements: list[str]) -> None:
        """There are none."""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise FailedError(
            'the secret is no JSON object: make it {"keys": ["…"]}, and let its readers accept all'
        )
    return value


def _keys(text: str) -> list[str]:
    keys = _object(text).get(KEYS)
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key for key in keys):
        raise FailedError('the secret has no list of keys: make it {"keys": ["…"]}, the newest first')
    return keys


def _with_keys(text: str, keys: list[str]) -> str:
    return json.dumps({**_object(text), KEYS: keys}, ensure_ascii=False)
