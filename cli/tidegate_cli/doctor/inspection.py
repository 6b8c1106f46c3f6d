"""What the checks look at, read once: the installation's stack, the registered manifests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError
from tidegate.adapters.errors import asking, code_of
from tidegate.domain.errors import RefusalError
from tidegate.domain.manifest import EnvironmentView, Manifest, parse_manifest
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

from tidegate_cli.options import Given


@dataclass(frozen=True, slots=True)
class Installation:
    """The CloudFormation stack."""

    status: str
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Registered:
    """One system in one environment; `problem` says why its manifest cannot be used, then `manifest` is None."""

    system: str
    environment: str
    manifest: Manifest | None
    problem: RefusalError | None = None

    @property
    def name(self) -> str:
        return f"{self.system}/{self.environment}"

    @property
    def view(self) -> EnvironmentView | None:
        if self.manifest is None or self.environment not in self.manifest.environments:
            return None
        return self.manifest.for_environment(self.environment)


@dataclass
class Inspection:
    """`client` gives boto3's client of a service, for what the ports do not ask."""

    ports: Ports
    client: Callable[[str], Any]
    stack: str
    region: str
    given: Given = field(default_factory=Given)

    @property
    def now(self) -> datetime:
        return self.ports.clock.now()

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.ports.store, self.ports.clock)

    @cached_property
    def installation(self) -> Installation | None:
        """None where there is no such stack. Raises TidegateError."""
        return self.stack_named(self.stack)

    def stack_named(self, name: str) -> Installation | None:
        """Tidegate's own, or one of an environment's functions. None where there is none. Raises TidegateError."""
        formation = self.client("cloudformation")
        with asking("cloudformation:DescribeStacks"):
            try:
                stacks = formation.describe_stacks(StackName=name)["Stacks"]
            except ClientError as error:
                # CloudFormation's answer for a stack that is not there; the name itself was ours.
                if code_of(error) == "ValidationError":
                    return None
                raise
        if not stacks:
            return None
        found = stacks[0]
        return Installation(
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            outputs={entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])},
            parameters={
                entry["ParameterKey"]: entry.get("ParameterValue", "")
                for entry in found.get("Parameters", [])
            },
        )

    def alarm_names(self) -> list[str]:
        """Of the stack's CloudWatch alarms. Raises TidegateError."""
        with asking("cloudformation:ListStackResources"):
            pages = self.client("cloudformation").get_paginator("list_stack_resources")
            return [
                resource["PhysicalResourceId"]
                for page in pages.paginate(StackName=self.stack)
                for resource in page["StackResourceSummaries"]
                if resource["ResourceType"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
            ]

    @cached_property
    def registered(self) -> list[Registered]:
        """Raises TidegateError where the list cannot be read; a single manifest that cannot carries its problem."""
        return [self._registered(*place) for place in self.ports.registry.systems()]

    def _registered(self, system: str, environment: str) -> Registered:
        try:
            manifest = parse_manifest(self.ports.registry.manifest(system, environment))
        except RefusalError as problem:
            return Registered(system, environment, None, problem)
        return Registered(system, environment, manifest)
