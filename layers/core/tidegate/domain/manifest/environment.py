"""An environment of a manifest: where the system runs, and what a release must pass to get there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tidegate.domain.manifest.fields import (
    AlarmName,
    BranchName,
    ClusterName,
    EnvironmentName,
    Region,
    ServiceKey,
    StackName,
    TimezoneName,
    WeekTimeField,
    WithinDay,
    WithinMonth,
    word_or,
)
from tidegate.domain.manifest.parts import AsTuple, Part, ServiceOverride


class ApprovalBy(Part):
    """Who must approve."""

    noun: ClassVar[str] = "an approval"

    by: Literal["other"] = Field(description="other: anybody but the author.", examples=["other"])


class FreezeWindow(Part):
    """A part of every week in which only rollbacks pass. It may span the week's end."""

    noun: ClassVar[str] = "a freeze window"

    start: WeekTimeField = Field(alias="from", description="Day and time it begins.", examples=["Fri 16:00"])
    end: WeekTimeField = Field(alias="to", description="Day and time it ends.", examples=["Mon 08:00"])
    timezone: TimezoneName = Field(
        default="UTC", description="IANA time zone of both times.", examples=["Europe/London"]
    )


Alarms = Annotated[tuple[AlarmName, ...], AsTuple, Field(min_length=1)]


class Bake(Part):
    """Time after the last wave in which alarms still undo the deployment."""

    noun: ClassVar[str] = "a bake"

    duration: WithinDay = Field(
        alias="for", description="How long to watch; the lock is held.", examples=["5m"]
    )
    alarms: Alarms = Field(
        description="CloudWatch alarms that undo the deployment.", examples=[["arive-5xx"]]
    )


class Guard(Part):
    """Time after a success in which an alarm rolls back, once."""

    noun: ClassVar[str] = "a guard"

    duration: WithinMonth = Field(
        alias="for", description="How long after a success the alarms still roll back.", examples=["1h"]
    )
    alarms: Alarms = Field(description="CloudWatch alarms that roll back.", examples=[["arive-5xx"]])


class Scan(Part):
    """What ECR's scan of an image may find."""

    noun: ClassVar[str] = "a scan"

    # ECR API reference, FindingSeverity, without UNDEFINED, which has no rank.
    fail_on: Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"] = Field(
        description="Findings at or above this severity refuse the release.", examples=["CRITICAL"]
    )


class Environment(Part):
    """One place the system runs: a region and a cluster of the account the orchestrator is installed in."""

    noun: ClassVar[str] = "an environment"

    region: Region = Field(description="AWS region.", examples=["us-east-1"])
    cluster: ClusterName = Field(description="ECS cluster name.", examples=["arive-cluster"])
    branch: BranchName | None = Field(
        default=None, description="Pushes to this branch release to here.", examples=["main"]
    )
    runner: StackName | None = Field(
        default=None,
        description="Stack of the environment's in-VPC functions; default: the orchestrator's own.",
        examples=["tidegate-runner-production"],
    )
    approval: Annotated[
        Literal["none", "required"] | ApprovalBy,
        word_or(ApprovalBy, "none", "required", written="{by: other}"),
    ] = Field(
        default="none",
        description="Whether a person must approve; {by: other}: a person who is not the author.",
        examples=["none", "required", {"by": "other"}],
    )
    freeze: Annotated[tuple[FreezeWindow, ...], AsTuple] = Field(
        default=(),
        description="Windows of the week in which only rollbacks pass.",
        examples=[[{"from": "Fri 16:00", "to": "Mon 08:00", "timezone": "Europe/London"}]],
    )
    bake: Bake | None = Field(
        default=None,
        description="Alarms that undo the deployment for a time after its last wave.",
        examples=[{"for": "5m", "alarms": ["arive-5xx"]}],
    )
    guard: Guard | None = Field(
        default=None,
        description="Alarms that roll back, once, for a time after a success.",
        examples=[{"for": "1h", "alarms": ["arive-5xx"]}],
    )
    strategy: Literal["rolling", "canary", "linear", "blue-green"] = Field(
        default="rolling", description="How ECS replaces the tasks of a service.", examples=["rolling"]
    )
    scan: Scan | None = Field(
        default=None, description="Findings of ECR that refuse a release.", examples=[{"fail_on": "CRITICAL"}]
    )
    queue: Literal["latest", "fifo"] = Field(
        default="latest",
        description="latest: a newer deployment supersedes those that wait; fifo: each gets its turn.",
        examples=["latest"],
    )
    # Not always an environment of this manifest: promotion may come from another account, with a manifest of its own.
    after: EnvironmentName | None = Field(
        default=None,
        description="Environment in which a release must have succeeded first.",
        examples=["staging"],
    )
    services: Mapping[ServiceKey, ServiceOverride] = Field(
        default_factory=dict,
        description="What is different about services in this environment, by their key.",
        examples=[{"api": {"service": "arive-api-staging"}}],
    )
