"""What the template tells a function, by environment variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.domain.errors import TidegateError

STACK = "tidegate"
TABLE_HINT = "the name of the table"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class SettingsError(TidegateError):
    """An environment variable is missing or wrong; `field` is its name. Nothing can run."""

    code = "bad_settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """`table` from TIDEGATE_TABLE, None for a function that says it needs none, `stack` (the machines are
    `<stack>-<machine>`) from TIDEGATE_STACK, `region` from AWS_REGION, which Lambda sets, `github_secret` (an ARN)
    from TIDEGATE_GITHUB_SECRET, which only `webhook` has."""

    table: str | None
    region: str
    stack: str = STACK
    github_secret: str | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, table: bool = True
    ) -> Settings:
        """Raises SettingsError, which names the variable and never shows another one. `table` says whether there has
        to be one: an environment's runner has none."""
        given = os.environ if environment is None else environment
        region = _required(given, "AWS_REGION", "Lambda sets it; elsewhere name the region")
        if not _REGION.fullmatch(region):
            raise SettingsError(f"AWS_REGION: {region!r} is not a region", field="AWS_REGION")
        return cls(
            table=_required(given, "TIDEGATE_TABLE", TABLE_HINT) if table else None,
            region=region,
            stack=given.get("TIDEGATE_STACK") or STACK,
            github_secret=given.get("TIDEGATE_GITHUB_SECRET") or None,
        )


def _required(given: Mapping[str, str], name: str, hint: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise SettingsError(f"the environment variable {name} is not set", field=name, hint=hint)
    return value
