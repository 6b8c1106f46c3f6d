"""The ASGI application: our control endpoints, and MiniStack for everything else."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tidegate_local import events
from tidegate_local.codecommit.pushes import Push
from tidegate_local.codecommit.repositories import InvalidNameError, NoSuchRepositoryError
from tidegate_local.faults import Fault, FaultBoard, Value
from tidegate_local.mends import Installed
from tidegate_local.mends.database_snapshots import FAULTS
from tidegate_local.settings import Settings
from tidegate_local.states.holds import HOLDS, Hold

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer: TypeAlias = tuple[int, Any]

PREFIX = "/_tidegate/"
LARGEST_BODY = 1024 * 1024

_EVENTS: TypeAdapter[list[events.Event]] = TypeAdapter(list[events.Event])


class ValueRequest(BaseModel):
    """A version of a secret."""

    model_config = ConfigDict(extra="forbid")

    secret: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]


class FaultRequest(BaseModel):
    """The body of `PUT /_tidegate/faults/<service>`."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["crash", "hang"]
    all: bool = False
    exit_code: Annotated[int, Field(ge=1, le=255)] = 1
    unless: ValueRequest | None = None


class RefusalRequest(BaseModel):
    """The body of `PUT /_tidegate/refusals/<group>`."""

    model_config = ConfigDict(extra="forbid")

    times: Annotated[int, Field(ge=0)]


class SnapshotRequest(BaseModel):
    """The body of `PUT /_tidegate/snapshots/<database>`."""

    model_config = ConfigDict(extra="forbid")

    fault: Literal["fail", "hang"]


class SilenceRequest(BaseModel):
    """The body of `PUT /_tidegate/silence` and of DELETE."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(pattern=r"^aws\.[a-z0-9]+$")]


class HoldRequest(BaseModel):
    """The body of `PUT /_tidegate/holds` and of DELETE."""

    model_config = ConfigDict(extra="forbid")

    machine: Annotated[str, Field(min_length=1)]
    state: Annotated[str, Field(min_length=1)]
    system: Annotated[str, Field(min_length=1)] | None = None


class RefusedError(Exception):
    """The request is answered with an error document."""

    def __init__(self, status: int, code: str, message: str, field: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.answer: Answer = (
            status,
            {"error": {"code": code, "message": message, "field": field, "hint": hint}},
        )


@dataclass(frozen=True, slots=True)
class Control:
    """What the control endpoints act on."""

    settings: Settings
    board: FaultBoard
    installed: Installed
    shut_down: Callable[[], None]

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one control request. Raises `RefusedError`."""
        parts = path.removeprefix(PREFIX).strip("/").split("/")
        match method, parts:
            case "GET", ["health"]:
                return 200, self._health()
            case "POST", ["events"]:
                return 200, {"ids": self._deliver(body)}
            case "GET", ["faults"]:
                return 200, self.board.document()
            case "PUT", ["faults", *service] if service:
                return 200, self._set_fault("/".join(service), body)
            case "DELETE", ["faults", *service] if service:
                cleared = self.board.clear("/".join(service))
                self.installed.wake()
                return 200, {"cleared": cleared}
            case "POST", ["pushes"]:
                return 200, {"told": self._report_push(body)}
            case "POST", ["shutdown"]:
                self.shut_down()
                return 202, {}
        arranged = self._arrange(method, parts, body)
        if arranged is not None:
            return 200, arranged
        raise RefusedError(
            404,
            "NoSuchEndpoint",
            f"{method} {path} is not an endpoint of the embedded cloud.",
            hint="GET /_tidegate/health, GET /_tidegate/faults, POST /_tidegate/events, ...",
        )

    def _arrange(self, method: str, parts: list[str], body: bytes) -> dict[str, Any] | None:
        """What only tests ask for; None where it is no endpoint."""
        match method, parts:
            case ("GET", ["silence", _]) | ("PUT" | "DELETE", ["silence"]):
                return self._silence(method, parts[-1], body)
            case "GET" | "PUT" | "DELETE", ["holds"]:
                return self._hold(method, body)
            case "PUT", ["refusals", *group] if group:
                return self._refuse_tasks("/".join(group), body)
            case "GET", ["snapshots"]:
                return dict(FAULTS.document())
            case "PUT", ["snapshots", database]:
                return self._set_snapshot_fault(database, body)
            case "DELETE", ["snapshots", database]:
                return {"cleared": FAULTS.clear(database)}
        return None

    def _health(self) -> dict[str, Any]:
        return {
            "ready": True,
            "iam": self.settings.iam,
            "ecs_events": self.settings.ecs_events,
            "region": self.settings.region,
            "account": self.settings.account,
        }

    def _deliver(self, body: bytes) -> list[str]:
        document = _json(body)
        try:
            if isinstance(document, list):
                wanted = _EVENTS.validate_python(document)
            else:
                wanted = [events.Event.model_validate(document)]
        except ValidationError as error:
            raise _refused("InvalidEvent", error) from error
        return [
            events.deliver(event, account=self.settings.account, region=self.settings.region)
            for event in wanted
        ]

    def _refuse_tasks(self, group: str, body: bytes) -> dict[str, Any]:
        try:
            times = RefusalRequest.model_validate(_json(body)).times
        except ValidationError as error:
            raise _refused("InvalidRefusal", error) from error
        self.board.refuse(group, times)
        return {"times": times}

    def _set_snapshot_fault(self, database: str, body: bytes) -> dict[str, Any]:
        try:
            fault = SnapshotRequest.model_validate(_json(body)).fault
        except ValidationError as error:
            raise _refused("InvalidSnapshotFault", error) from error
        FAULTS.set(database, fault)
        return {database: fault}

    def _report_push(self, body: bytes) -> list[str]:
        try:
            push = Push.model_validate(_json(body))
        except ValidationError as error:
            raise _refused("InvalidPush", error) from error
        try:
            return self.installed.report_push(push)
        except (NoSuchRepositoryError, InvalidNameError) as error:
            message = f"There is no repository {push.repository}."
            raise RefusedError(404, "NoSuchRepository", message, "repository") from error

    def _silence(self, method: str, named: str, body: bytes) -> dict[str, Any]:
        if method == "GET":
            return {"swallowed": self.installed.silence.swallowed(named)}
        try:
            source = SilenceRequest.model_validate(_json(body)).source
        except ValidationError as error:
            raise _refused("InvalidSilence", error) from error
        if method == "PUT":
            self.installed.silence.begin(source)
            return {}
        return {"swallowed": self.installed.silence.end(source)}

    def _hold(self, method: str, body: bytes) -> dict[str, Any]:
        if method == "GET":
            return {"held": HOLDS.standing()}
        try:
            hold = Hold(**HoldRequest.model_validate(_json(body)).model_dump())
        except ValidationError as error:
            raise _refused("InvalidHold", error) from error
        if method == "PUT":
            HOLDS.set(hold)
            return {}
        return {"released": HOLDS.release(hold)}

    def _set_fault(self, service: str, body: bytes) -> dict[str, Any]:
        try:
            wanted = FaultRequest.model_validate(_json(body))
        except ValidationError as error:
            raise _refused("InvalidFault", error) from error
        unless = None if wanted.unless is None else Value(wanted.unless.secret, wanted.unless.version)
        fault = Fault(wanted.mode, wanted.all, wanted.exit_code, unless)
        self.board.set(service, fault)
        self.installed.wake()
        return {service: fault.document()}


def wrap(app: App, control: Control) -> App:
    """`app` behind the control endpoints."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        try:
            body = await _body(receive)
            # Delivering an event may start functions: off the event loop, which serves their calls.
            status, document = await asyncio.to_thread(control.answer, scope["method"], scope["path"], body)
        except RefusedError as refused:
            status, document = refused.answer
        payload = json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    return wrapped


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            raise RefusedError(413, "TooLarge", "The body is larger than 1 MiB.")
    return body


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusedError(400, "InvalidJson", f"The body is not JSON: {error}.") from error


def _refused(code: str, error: ValidationError) -> RefusedError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = f"{field}: {first['msg']}" if field else first["msg"]
    hint = (
        'An event: {"source": "...", "detail-type": "...", "detail": {...}}' if code == "InvalidEvent" else ""
    )
    return RefusedError(400, code, message, field, hint)
