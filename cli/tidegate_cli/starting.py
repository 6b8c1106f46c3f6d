"""Starting a deployment, rollback or rotation: the request is checked here first, so that a slip costs no execution."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import ulid
from tidegate.domain.request import (
    MIGRATIONS,
    DeployRequest,
    RecoverRequest,
    parse_deploy,
    parse_rollback,
    parse_rotate,
)

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

# The request's fields by the words of the command line.
_OPTIONS = {
    "system": "SYSTEM",
    "environment": "ENV",
    "images": "--image",
    "release": "--release",
    "commit": "--commit",
    "reason": "--reason",
    "to": "--to",
    "force": "--force",
    "secret": "SECRET",
    "service": "SERVICE",
    "scale.count": "N",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A deployment that was started; `execution` is the ARN of the one that carries it."""

    system: str
    environment: str
    deployment: str
    execution: str

    def to_json(self) -> dict[str, Any]:
        return {"deployment": self.deployment, "execution": self.execution}


def deploy_input(
    system: str,
    environment: str,
    *,
    release: str | None = None,
    commit: str | None = None,
    images: Iterable[str] = (),
    reason: str | None = None,
    only_migrations: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """The input of machine `deploy`. Each of `images` is `<image>=sha256:…` or `<image>=<tag>`.

    BadInputError names the option that is wrong.
    """
    if release is None and commit is None and not (images := list(images)):
        raise BadInputError(
            "nothing says what to deploy",
            field="--release",
            hint="give --release r41, --commit 4f2a91c, or --image app=sha256:…",
        )
    request: dict[str, Any] = {"system": system, "environment": environment}
    request |= {
        name: value for name, value in (("release", release), ("commit", commit)) if value is not None
    }
    chosen = _images(images)
    if chosen:
        request["images"] = chosen
    if reason is not None:
        request["reason"] = reason
    if only_migrations:
        request["only"] = MIGRATIONS
    if force:
        request["force"] = True
    deploy_request(request)
    return request


def scale_input(
    system: str, environment: str, service: str, count: int, *, reason: str | None = None
) -> dict[str, Any]:
    """The input of machine `deploy` that changes a count. BadInputError names the argument that is wrong."""
    request: dict[str, Any] = {"system": system, "environment": environment}
    request["scale"] = {"service": service, "count": count}
    if reason is not None:
        request["reason"] = reason
    deploy_request(request)
    return request


def deploy_request(request: Mapping[str, Any]) -> DeployRequest:
    """The request as the planning steps take it. BadInputError names the option that is wrong."""
    try:
        parsed = parse_deploy(request)
    except BadInputError as error:
        raise _by_option(error) from None
    if isinstance(parsed, RecoverRequest):
        raise BadInputError("a recovery is not started by hand", field="recover")
    return parsed


def rollback_input(
    system: str, environment: str, *, to: str, reason: str, force: bool = False
) -> dict[str, Any]:
    """The input of machine `rollback`; `to` is `previous` or `r41`. BadInputError names the option that is wrong."""
    request: dict[str, Any] = {"system": system, "environment": environment, "to": to, "reason": reason}
    if force:
        request["force"] = True
    try:
        parse_rollback(request)
    except BadInputError as error:
        raise _by_option(error) from None
    return request


def rotate_input(
    system: str,
    environment: str,
    secret: str,
    *,
    reason: str | None = None,
    adopt: str | None = None,
    statements: str | None = None,
) -> dict[str, Any]:
    """The input of machine `rotate`; with `adopt` (`plan`, or `apply` with the hash of the `statements`) nothing is
    rotated. BadInputError names the argument that is wrong."""
    request: dict[str, Any] = {"system": system, "environment": environment, "secret": secret}
    given = (("reason", reason), ("adopt", adopt), ("statements", statements))
    request |= {name: value for name, value in given if value is not None}
    try:
        parse_rotate(request)
    except BadInputError as error:
        raise _by_option(error) from None
    return request


def start(connection: Connection, machine: str, request: Mapping[str, Any]) -> Run:
    """Start `deploy`, `rollback` or `rotate`; the execution's name, a new ULID, becomes the deployment's id."""
    ports = connection.ports
    identity = ulid(ports.clock.now(), secrets.token_hex(16))
    started = ports.executions.start(machine, identity, {**request, "actor": connection.who()})
    return Run(request["system"], request["environment"], identity, started.arn)


def _images(images: Iterable[str]) -> dict[str, dict[str, str]]:
    chosen: dict[str, dict[str, str]] = {}
    for text in images:
        key, sign, wanted = text.partition("=")
        if not (key and sign and wanted):
            raise BadInputError(
                f"{text!r} does not say which image to run", field="--image", hint="--image app=sha256:…"
            )
        if key in chosen:
            raise BadInputError(f"image {key} is given twice", field="--image", hint="keep one of them")
        chosen[key] = {"digest": wanted} if wanted.startswith("sha256:") else {"tag": wanted}
    return chosen


def _by_option(error: BadInputError) -> BadInputError:
    known = error.field or ""
    name = known if known in _OPTIONS else known.partition(".")[0]
    return BadInputError(error.message, field=_OPTIONS.get(name, error.field), hint=error.hint)
