"""From the global options to an installation of Tidegate: credentials, region, ports, who is asking."""

from __future__ import annotations

import getpass
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from tidegate.adapters.clients import Clients
from tidegate.domain.errors import BadInputError, TidegateError
from tidegate.domain.manifest.problems import nearest
from tidegate.domain.regions import REGIONS
from tidegate.ports import Ports
from tidegate.runtime.composition import connect as connect_ports

from tidegate_cli.commanding import Control
from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.options import DEFAULT_STACK, STACK_VARIABLE, Given


@dataclass(frozen=True, slots=True)
class Connection:
    """`who` asks who the caller is, when that is needed: the ARN of the identity, else the user's name here. `client`
    gives boto3's client of a service by its name, for what no port asks; `control` sends a command of a person to the
    function of that name (`commanding.Control`)."""

    ports: Ports
    region: str
    stack: str
    who: Callable[[], str]
    client: Callable[[str], Any]
    control: Callable[[Mapping[str, Any]], dict[str, Any]]


def connect(given: Given) -> Connection:
    """Nothing is sent yet. Raises CommandError or TidegateError when it is clear already that nothing can be."""
    if given.local:
        session, stack = _local_session()
    else:
        session, stack = _session(given), os.environ.get(STACK_VARIABLE) or DEFAULT_STACK
    stack = given.stack or stack
    clients = Clients(session.region_name, session=session)
    control = Control(lambda: clients.client("lambda"), session.get_credentials, session.region_name, stack)
    return Connection(
        connect_ports(session, stack),
        session.region_name,
        stack,
        lambda: _caller(session),
        clients.client,
        control.command,
    )


def _session(given: Given) -> boto3.Session:
    """`--region`, else AWS_REGION as in Lambda and the AWS CLI, else what boto3 finds."""
    region = given.region or os.environ.get("AWS_REGION") or None
    if given.region is not None and given.region not in REGIONS:
        near = nearest(given.region, REGIONS)
        raise BadInputError(
            f"{given.region!r} is not an AWS region",
            field="--region",
            hint=f"did you mean {near}?" if near else "for example us-east-1",
        )
    try:
        session = boto3.Session(profile_name=given.profile, region_name=region)
    except BotoCoreError as error:
        raise CommandError(
            str(error), code="no_profile", exit_code=UNEXPECTED, hint="see `aws configure list-profiles`"
        ) from error
    if not session.region_name:
        raise CommandError(
            "no region is chosen",
            code="no_region",
            exit_code=UNEXPECTED,
            field="--region",
            hint="give --region, set AWS_REGION, or name a profile that has one",
        )
    return session


def _local_session() -> tuple[boto3.Session, str]:
    """The running embedded cloud of this checkout, and its stack. Raises its own error, with the mend, when none runs.

    The environment of this process is what boto3 takes an endpoint from; a real account's profile, session or
    endpoint in it must not win over what was asked for.
    """
    try:
        checkout = importlib.import_module("tidegate_local.lifecycle.checkout")
        environment = importlib.import_module("tidegate_local.lifecycle.environment")
        cloud = importlib.import_module("tidegate_local.lifecycle.cloud")
    except ModuleNotFoundError as error:
        raise CommandError(
            f"there is no embedded cloud here: {error.name} is not installed",
            code="not_available",
            exit_code=UNEXPECTED,
            field="--local",
            hint="run it from a checkout (make setup), or install tidegate with the extra: tidegate[local]",
        ) from error
    running = cloud.running(checkout.Checkout.find())
    wanted = environment.exports(running.endpoint_url, running.options.region)
    for name in [*environment.UNSET, *(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_"))]:
        os.environ.pop(name, None)
    os.environ.update(wanted)
    return boto3.Session(region_name=running.options.region), running.options.stack


def _caller(session: boto3.Session) -> str:
    """For the record only: a caller who may not ask STS may still release."""
    try:
        return str(session.client("sts").get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError, TidegateError):
        return getpass.getuser()
