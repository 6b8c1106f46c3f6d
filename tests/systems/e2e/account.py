"""An empty embedded cloud of a region with the orchestrator in it, and stacks deployed there as a person does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse
from tidegate.runtime.composition import connect
from tidegate_local.lifecycle import building, environment
from tidegate_local.lifecycle import cloud as life
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.locking import exclusive

from tests.docker.orchestrator import Orchestrator
from tests.e2e.support import ROOT, EmbeddedSession
from tests.support.command_line import Ended
from tests.support.leftovers import free_port
from tests.systems import rendering

ACCOUNT = "000000000000"
DEPLOY_SECONDS = 600.0
BUILD_SECONDS = 300.0
POLL_SECONDS = "0.2"
"""How often SAM looks whether a stack is there; its 5 s are made for AWS."""


class Account(Orchestrator):
    """Without the sample in it."""

    @property
    def region(self) -> str:
        return self.cloud.options.region

    @property
    def engine(self) -> str | None:
        """Address of the Docker engine that runs the tasks; None where they are simulated."""
        return None if self.cloud.engine is None else self.cloud.engine.address

    def tidegate(self, *words: str, seconds: float = 600) -> Ended:
        """The command, with one JSON document for an answer."""
        return self.command.run("--local", "--region", self.region, *words, "--json", seconds=seconds)

    def deploy_system(self, system: str, place: str, given: Mapping[str, str]) -> Mapping[str, str]:
        """`sam deploy` of a system's template with its samconfig.toml and what else is given; the stack's outputs.

        On the command line SAM takes all overrides or those of the file, so all are named. What the template has no
        parameter for is left out.
        """
        folder, table = rendering.SYSTEMS / system, rendering.settings(system, place)
        known = yaml_parse((folder / "template.yaml").read_text())["Parameters"]
        overrides = table["parameter_overrides"] | {
            name: value for name, value in given.items() if name in known
        }
        self._sam(
            "deploy",
            *("--template-file", str(folder / "template.yaml")),
            *("--config-file", str(folder / "samconfig.toml"), "--config-env", place),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *_overrides(overrides),
        )
        return self.outputs(str(table["stack_name"]))

    def deploy_runner(self, stack: str, given: Mapping[str, str]) -> None:
        """infrastructure/runner.yaml, built for this machine once for each state of the sources."""
        machine = dict(entry.partition("=")[::2] for entry in building.overrides())
        self._sam(
            "deploy",
            *("--template-file", str(self._runner), "--stack-name", stack, "--region", self.region),
            *("--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--no-progressbar"),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
            *_overrides({**machine, **given}),
        )

    def outputs(self, stack: str) -> dict[str, str]:
        [described] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        assert described["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, described
        return {entry["OutputKey"]: entry["OutputValue"] for entry in described.get("Outputs", [])}

    def hosted_zone(self, domain: str) -> str:
        """Id of a new zone of that name."""
        zone = self.client("route53").create_hosted_zone(Name=domain, CallerReference=domain)["HostedZone"]
        return str(zone["Id"]).rpartition("/")[2]

    @cached_property
    def _runner(self) -> Path:
        folder = ROOT / ".aws-sam" / "systems"
        wanted = folder / f"runner-{building.fingerprint(self.checkout)}"
        with exclusive(folder / "lock", what="sam build", seconds=BUILD_SECONDS, waiting=lambda: None):
            if not (wanted / "template.yaml").exists():
                for old in folder.glob("runner-*"):
                    shutil.rmtree(old)
                command = [
                    *building.sam(),
                    "build",
                    "--template-file",
                    str(ROOT / "infrastructure/runner.yaml"),
                ]
                command += ["--build-dir", str(wanted), "--cached", "--cache-dir", str(folder / "cache")]
                command += ["--parameter-overrides", *building.overrides()]
                environ = environment.clean(self.checkout)
                self._run(command, environ, "runner", BUILD_SECONDS, folder)
        return wanted / "template.yaml"

    def _refusals(self) -> list[str]:
        """Why resources of stacks could not be made, those of nested stacks too."""
        cloudformation = self.client("cloudformation")
        pages = cloudformation.get_paginator("list_stacks").paginate()
        found = []
        for stack in (entry for page in pages for entry in page["StackSummaries"]):
            events = cloudformation.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
            found += [
                f"{event['StackName']} {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
                for event in reversed(events)
                if event["ResourceStatus"].endswith("_FAILED")
            ]
        return found

    def _sam(self, *words: str) -> None:
        environ = environment.embedded(self.checkout, self.endpoint_url, self.region)
        environ["SAM_CLI_POLL_DELAY"] = POLL_SECONDS
        self._run([*building.sam(), *words], environ, "sam", DEPLOY_SECONDS, self.checkout.state)

    def _run(
        self, command: list[str], environ: dict[str, str], log: str, seconds: float, folder: Path
    ) -> None:
        try:
            building.run(command, self.checkout, environ, log=log, folder=folder, seconds=seconds)
        except LocalError as error:
            said = "\n".join([*self._refusals(), self.checkout.log(log).read_text()[-2000:]])
            raise AssertionError(f"{error}\n{said}") from error


def _overrides(given: Mapping[str, Any]) -> list[str]:
    listed = [
        f'{name}="{value}"' if " " in str(value) else f"{name}={value}" for name, value in given.items()
    ]
    return ["--parameter-overrides", *listed] if listed else []


@dataclass(frozen=True)
class Machine:
    """What stacks are told of this machine."""

    @staticmethod
    def parameters() -> dict[str, str]:
        arm = environment.architecture() == "arm64"
        return {"Architecture": "ARM64" if arm else "X86_64"}


@contextmanager
def running_account(state: Path, region: str, *, contained: bool) -> Iterator[Account]:
    """Start one with its own state folder and port, stop it."""
    checkout = Checkout(ROOT, state)
    said: list[str] = []
    wanted = life.Wanted(port=free_port(), region=region, docker="require" if contained else "off")
    cloud = life.up(checkout, wanted, said.append)
    try:
        session = EmbeddedSession(cloud)
        yield Account(checkout, cloud, session, connect(session, cloud.options.stack))
    finally:
        life.down(checkout, said.append)
