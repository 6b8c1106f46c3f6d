"""Which systems and environments there are to carry, and which of them with containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from tests.systems import rendering

SYSTEMS = ("harvestry", "paperwurks", "arive", "portfolio", "core-business-unit")
CONTAINED = {
    "harvestry": "production",
    "paperwurks": "dev",
    "arive": "production",
    "portfolio": "dev",
    "core-business-unit": "dev",
}
"""The environment of each system whose tasks are containers, where there is a Docker engine."""


@dataclass(frozen=True)
class Combination:
    system: str
    environment: str
    contained: bool

    @property
    def name(self) -> str:
        return f"{self.system} {self.environment}{' (containers)' if self.contained else ''}"

    @property
    def manifest(self) -> dict[str, Any]:
        """systems/<name>/tidegate.yaml, as it is."""
        return dict(yaml.safe_load((rendering.SYSTEMS / self.system / "tidegate.yaml").read_text()))

    @property
    def on_mysql(self) -> bool:
        return any(entry["kind"] == "mysql" for entry in self.manifest["secrets"].values())

    @property
    def region(self) -> str:
        return str(rendering.settings(self.system, self.environment)["region"])

    @property
    def before(self) -> str | None:
        """The environment in which a release has to succeed first."""
        after = self.manifest["environments"][self.environment].get("after")
        return None if after is None else str(after)


def every() -> list[Combination]:
    """Of the systems that are there: simulated ones first, containers last."""
    there = [name for name in SYSTEMS if (rendering.SYSTEMS / name / "samconfig.toml").exists()]
    simulated = [Combination(name, place, False) for name in there for place in rendering.environments(name)]
    return simulated + [Combination(name, CONTAINED[name], True) for name in there]
