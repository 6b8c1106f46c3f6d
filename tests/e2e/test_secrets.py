"""Secrets of a manifest, from the command line to Secrets Manager, ECS and EventBridge Scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tidegate_local import sample

from tests.e2e.support import SampleCloud
from tests.support.command_line import Ended

pytestmark = pytest.mark.emulator

PLACE = (sample.SYSTEM, sample.ENVIRONMENT)
TOKEN = f"sample/{sample.ENVIRONMENT}/token"


def tidegate(cloud: SampleCloud, *words: str) -> Ended:
    return cloud.command.run("--local", *words, "--json")


@pytest.fixture
def secret(cloud: SampleCloud) -> Iterator[str]:
    """ARN of a secret that the manifest may name; the manifest is as before afterwards, without a schedule."""
    manager = cloud.client("secretsmanager")
    made = manager.create_secret(Name=TOKEN, SecretString=json.dumps({"keys": ["a" * 32]}))
    registry = cloud.ports.registry
    before = registry.manifest(*PLACE)
    try:
        yield made["ARN"]
    finally:
        registry.put_manifest(*PLACE, before)
        for name in cloud.ports.schedules.of(*PLACE):
            cloud.ports.schedules.remove(name)
        manager.delete_secret(SecretId=TOKEN, ForceDeleteWithoutRecovery=True)


def test_apply_keeps_the_schedules_and_secrets_shows_them(
    cloud: SampleCloud, secret: str, tmp_path: Path
) -> None:
    before = cast("dict[str, Any]", cloud.ports.registry.manifest(*PLACE))
    secrets = {"sample/{environment}/token": {"kind": "token", "every": "30d"}}

    def apply(**more: Any) -> Any:
        file = tmp_path / "tidegate.yaml"
        file.write_text(json.dumps({**before, **more}))
        ended = tidegate(cloud, "apply", str(file), "--environment", sample.ENVIRONMENT)
        assert ended.exit_code == 0, ended.output
        return [(entry["secret"], entry["did"]) for entry in ended.document["schedules"]]

    assert apply(secrets=secrets) == [(TOKEN, "created")]
    assert apply(secrets=secrets) == [(TOKEN, "unchanged")]
    (entry,) = tidegate(cloud, "secrets", *PLACE).document["secrets"]
    assert (entry["secret"], entry["arn"], entry["every"]) == (TOKEN, secret, "30d")
    assert entry["version"] is not None
    assert entry["next"] is not None
    assert (entry["last_rotation"], entry["overdue"], entry["consumers"]) == (None, False, [])
    assert tidegate(cloud, "rotate", *PLACE, "sample/token").error["hint"] == f"did you mean {TOKEN}?"
    assert apply() == [(TOKEN, "removed")]
    assert cloud.ports.schedules.of(*PLACE) == {}
