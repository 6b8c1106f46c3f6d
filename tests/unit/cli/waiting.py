"""A deployment that waits for a person, and what a person may do about it: played one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.steps import lock

from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, manifest


def settings(terminal: Terminal, **more: Any) -> None:
    """The environment's manifest, with these fields."""
    environment = {"region": "eu-west-1", "cluster": CLUSTER, **more}
    registered = manifest(environments={ENVIRONMENT: environment})
    terminal.shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, registered)


def awaiting(
    terminal: Terminal, version: int = 2, approval: Any = "required", **request: Any
) -> Mapping[str, Any]:
    """A release that waits for approval, under the token `approval-<version>`."""
    settings(terminal, approval=approval)
    planned = terminal.shop.release(version, **request)
    token = terminal.shop.world.executions.wait(f"approval-{version}")
    place = terminal.shop.place(planned)
    execution = terminal.shop.deployment(planned).execution
    event = {"step": "AwaitApproval", **place, "token": token, "execution": execution}
    lock.run(event, terminal.shop.world.ports)
    return planned
