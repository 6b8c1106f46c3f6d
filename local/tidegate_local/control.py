"""A client for the control endpoints of a running embedded cloud."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote


class ControlError(Exception):
    """The embedded cloud refused; `code`, `field` and `hint` as in its error document."""

    def __init__(self, status: int, code: str, message: str, field: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.hint = hint


class NotRunningError(Exception):
    """Nothing that is an embedded cloud answers at the endpoint."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is running there."""

    ready: bool
    iam: bool
    ecs_events: bool
    region: str
    account: str


@dataclass(frozen=True, slots=True)
class Control:
    """The control endpoints at `endpoint_url`, e.g. `http://127.0.0.1:4566`.

    Every method raises `NotRunningError` and `ControlError`.
    """

    endpoint_url: str
    timeout: float = 10.0

    def health(self) -> Health:
        """What is running there."""
        return Health(**self._call("GET", "health"))

    def put_events(self, events: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[str]:
        """Put events in EventBridge's shape on the default bus, `aws.*` sources included; their ids."""
        ids: list[str] = self._call("POST", "events", events)["ids"]
        return ids

    def faults(self) -> dict[str, dict[str, Any]]:
        """The faults that are set: `{service: {"mode", "all", "exit_code", "unless"?}}`."""
        document: dict[str, dict[str, Any]] = self._call("GET", "faults")
        return document

    def set_fault(
        self,
        service: str,
        mode: Literal["crash", "hang"],
        *,
        all: bool = False,  # noqa: A002 -- the word of the command line
        exit_code: int = 1,
        unless: tuple[str, str] | None = None,
    ) -> None:
        """New deployments of the ECS service, or one-off tasks of the group, crash or hang from now on.

        With `unless`, (secret, id of a version), only those tasks of the service that start while another version of
        the secret is AWSCURRENT, whatever deployment they are of.
        """
        body: dict[str, Any] = {"mode": mode, "all": all, "exit_code": exit_code}
        if unless is not None:
            body["unless"] = dict(zip(("secret", "version"), unless, strict=True))
        self._call("PUT", f"faults/{quote(service, safe='')}", body)

    def clear_fault(self, service: str) -> bool:
        """They are healthy again; False if no fault was set."""
        cleared: bool = self._call("DELETE", f"faults/{quote(service, safe='')}")["cleared"]
        return cleared

    def refuse_tasks(self, group: str, times: int = 1) -> None:
        """The next `times` calls of RunTask for the group (`family:<family>` where none is named) find no capacity.

        They start nothing and answer so in `failures`. 0 takes back what was asked for.
        """
        self._call("PUT", f"refusals/{quote(group, safe='')}", {"times": times})

    def set_snapshot_fault(self, database: str, fault: Literal["fail", "hang"]) -> None:
        """Snapshots of the RDS instance or cluster fail, or stay `creating` until that is cleared."""
        self._call("PUT", f"snapshots/{quote(database, safe='')}", {"fault": fault})

    def clear_snapshot_fault(self, database: str) -> bool:
        """They succeed again, those that hang as well; False if nothing was set."""
        cleared: bool = self._call("DELETE", f"snapshots/{quote(database, safe='')}")["cleared"]
        return cleared

    def report_push(self, repository: str, changes: Sequence[Mapping[str, str]]) -> list[str]:
        """Tell of references that a push changed, `{"old", "new", "reference"}`; lines for the pusher."""
        body = {"repository": repository, "changes": list(changes)}
        told: list[str] = self._call("POST", "pushes", body)["told"]
        return told

    def silence(self, source: str) -> None:
        """Swallow what the services of the embedded cloud say as `source`, e.g. aws.codebuild."""
        self._call("PUT", "silence", {"source": source})

    def swallowed(self, source: str) -> list[dict[str, Any]]:
        """The events that were swallowed so far, oldest first; it stays silent."""
        swallowed: list[dict[str, Any]] = self._call("GET", f"silence/{quote(source, safe='')}")["swallowed"]
        return swallowed

    def end_silence(self, source: str) -> list[dict[str, Any]]:
        """Let it speak again; the events that were swallowed, oldest first."""
        swallowed: list[dict[str, Any]] = self._call("DELETE", "silence", {"source": source})["swallowed"]
        return swallowed

    def hold(self, machine: str, state: str, system: str | None = None) -> None:
        """Executions of the state machine `<stack>-<machine>` stand still in `state` from now on.

        The state has been entered, as the history shows, and has done nothing. With a system, only executions
        whose input has it as `system`. States inside a Map or Parallel count. Holding twice is holding once.
        """
        self._call("PUT", "holds", {"machine": machine, "state": state, "system": system})

    def held(self) -> list[dict[str, Any]]:
        """Who stands there: `{"machine", "state", "execution", "system"}`, an entry for each iteration."""
        held: list[dict[str, Any]] = self._call("GET", "holds")["held"]
        return held

    def release(self, machine: str, state: str, system: str | None = None) -> bool:
        """Take back a `hold` with the same arguments, so that they go on; False if there was none."""
        released: bool = self._call(
            "DELETE", "holds", {"machine": machine, "state": state, "system": system}
        )["released"]
        return released

    def shut_down(self) -> None:
        """Ask the process to end; it answers before it does."""
        self._call("POST", "shutdown")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.endpoint_url.rstrip('/')}/_tidegate/{path}"
        if not url.startswith("http://"):
            raise NotRunningError(f"{self.endpoint_url} is not the address of an embedded cloud")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 -- http, checked above
        try:
            with _OPENER.open(request, timeout=self.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as refused:
            raise _refusal(refused) from refused
        except (OSError, ValueError) as error:
            raise NotRunningError(f"no embedded cloud answers at {self.endpoint_url}: {error}") from error


# The embedded cloud is on this machine; a proxy of the environment must not be asked for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _refusal(refused: urllib.error.HTTPError) -> Exception:
    try:
        error = json.load(refused)["error"]
        return ControlError(refused.code, **error)
    except (ValueError, KeyError, TypeError):
        return NotRunningError(f"what answers is not an embedded cloud: HTTP {refused.code}")
