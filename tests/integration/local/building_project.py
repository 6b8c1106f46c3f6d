"""CodeBuild projects for tests, and what became of their builds."""

import json
import textwrap
import uuid
from dataclasses import dataclass
from typing import Any

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

LOGS: dict[str, Any] = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}


@dataclass(frozen=True)
class Project:
    """A project of the test's own, with a role of its own."""

    cloud: Cloud
    name: str

    @classmethod
    def make(cls, cloud: Cloud, *statements: dict[str, Any], **fields: Any) -> "Project":
        name = f"project-{uuid.uuid4().hex[:8]}"
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        iam = cloud.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(LOGS, *statements))
        cloud.client("codebuild").create_project(
            **{
                "name": name,
                "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
                "artifacts": {"type": "NO_ARTIFACTS"},
                "environment": {
                    "type": "LINUX_CONTAINER",
                    "image": "aws/codebuild/standard:7.0",
                    "computeType": "BUILD_GENERAL1_SMALL",
                },
                "serviceRole": role,
                **fields,
            }
        )
        return cls(cloud, name)

    def start(self, buildspec: str = "", **request: Any) -> dict[str, Any]:
        """StartBuild with that buildspec; its answer."""
        if buildspec:
            request["buildspecOverride"] = textwrap.dedent(buildspec)
        build: dict[str, Any] = self.cloud.client("codebuild").start_build(projectName=self.name, **request)[
            "build"
        ]
        return build

    def run(self, buildspec: str = "", **request: Any) -> dict[str, Any]:
        """The build at its end."""
        return self.ended(self.start(buildspec, **request)["id"])

    def get(self, build_id: str) -> dict[str, Any]:
        build: dict[str, Any] = self.cloud.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
        return build

    def ended(self, build_id: str, seconds: float = 30.0) -> dict[str, Any]:
        def over() -> dict[str, Any] | None:
            build = self.get(build_id)
            return build if build["buildComplete"] else None

        return wait_until(over, what=f"build {build_id} to end", seconds=seconds)

    def lines(self, build: dict[str, Any]) -> list[str]:
        """Its log; CodeBuild's own lines without what comes before their text."""
        logs = self.cloud.client("logs")
        found = logs.get_log_events(
            logGroupName=build["logs"]["groupName"],
            logStreamName=build["logs"]["streamName"],
            startFromHead=True,
        )
        return [
            event["message"].rstrip("\n").split(" ", 3)[3]
            if event["message"].startswith("[Container]")
            else event["message"].rstrip("\n")
            for event in found["events"]
        ]

    def output(self, build: dict[str, Any]) -> list[str]:
        """What its commands printed."""
        logs = self.cloud.client("logs")
        found = logs.get_log_events(
            logGroupName=build["logs"]["groupName"],
            logStreamName=build["logs"]["streamName"],
            startFromHead=True,
        )
        return [
            e["message"].rstrip("\n") for e in found["events"] if not e["message"].startswith("[Container]")
        ]


def phases(build: dict[str, Any]) -> dict[str, str]:
    """The status of each phase; that of COMPLETED, which has none, is empty."""
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def contexts(build: dict[str, Any], phase: str) -> list[dict[str, str]]:
    (found,) = [one for one in build["phases"] if one["phaseType"] == phase]
    return list(found["contexts"])


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
