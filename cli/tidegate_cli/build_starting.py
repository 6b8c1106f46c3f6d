"""Starting a build: the request is checked here first, so that a slip costs no execution."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.domain.build_request import parse_build
from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import ulid

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

_HEADS = "refs/heads/"
# The request's fields by the words of the command line.
_OPTIONS = {
    "system": "SYSTEM",
    "commit": "--commit",
    "ref": "--ref",
    "images": "--image",
    "reason": "--reason",
}


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """A build that was started, by the command line or by a push; `execution` is the ARN of the one that carries it."""

    system: str
    build: str
    execution: str

    def to_json(self) -> dict[str, Any]:
        return {"build": self.build, "execution": self.execution}


def build_input(
    system: str,
    *,
    commit: str,
    ref: str | None = None,
    branch: str | None = None,
    images: Iterable[str] = (),
    reason: str | None = None,
) -> dict[str, Any]:
    """The input of machine `build`. BadInputError names the option that is wrong."""
    if ref is not None and branch is not None:
        raise BadInputError("--ref and --branch say the same twice", field="--ref", hint="keep one of them")
    if branch is not None:
        ref = _ref_of(branch)
    given = (("ref", ref), ("images", list(images) or None), ("reason", reason))
    request: dict[str, Any] = {"system": system, "commit": commit}
    request |= {name: value for name, value in given if value is not None}
    if ref == "":
        raise BadInputError("the ref is empty", field="--ref", hint=f"write it as {_HEADS}main")
    try:
        parse_build(request)
    except BadInputError as error:
        name = (error.field or "").partition(".")[0]
        raise BadInputError(error.message, field=_OPTIONS.get(name, error.field), hint=error.hint) from None
    return request


def start_build(connection: Connection, request: Mapping[str, Any]) -> BuildStarted:
    """The execution's name, a new ULID, becomes the build's id."""
    ports = connection.ports
    identity = ulid(ports.clock.now(), secrets.token_hex(16))
    started = ports.executions.start("build", identity, {**request, "actor": connection.who()})
    return BuildStarted(request["system"], identity, started.arn)


def _ref_of(branch: str) -> str:
    if not branch or branch.startswith("refs/"):
        raise BadInputError(
            f"{branch!r} is not the name of a branch", field="--branch", hint="write it as main, or use --ref"
        )
    return f"{_HEADS}{branch}"
