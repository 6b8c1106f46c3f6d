"""Function `control`: what people do to a run or an environment. Who they are, IAM says: the function's URL takes
signed requests only, and Lambda puts the caller's ARN into the event.

Every command about something that exists is recorded with who, when and why, those that are refused as well.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError, TransientError
from tidegate.domain.fields import Fields
from tidegate.domain.freeze import Freeze, parse_until
from tidegate.domain.ids import ulid
from tidegate.domain.intervention import APPROVED, REJECTED, Approval, same_person
from tidegate.domain.outcome import Outcome
from tidegate.ledger.handover import release
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import iso
from tidegate.ports import Ports
from tidegate.steps.queueing import can_be_aborted
from tidegate.steps.resuming import awaited_approval, resume
from tidegate.steps.stopping import aborted, stop

_NOT_SIGNED = "not_signed"
_STATUS = {"bad_input": 400, _NOT_SIGNED: 403, "not_found": 404, "refused": 409}


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """A request to the function's URL whose body is `{"command", …}`; gives `{"statusCode", "headers", "body"}`,
    whose body is `{"command", "by", "at", "did", …}` or `{"error": {"code", "message", "field"?, "hint"?}}`."""
    try:
        by = _caller(event)
        request = _body(event)
        answer = _Command(ports, by, str(event["requestContext"].get("requestId", "")), request).carry_out()
    except RefusalError as error:
        said = {"code": error.code, "message": error.message, "field": error.field, "hint": error.hint}
        return _answer(
            _STATUS.get(error.code, 409),
            {"error": {name: text for name, text in said.items() if text is not None}},
        )
    except TransientError as error:
        said = {"code": error.code, "message": error.message, "hint": "try again in a moment"}
        return _answer(503, {"error": said})
    return _answer(200, answer)


def _answer(status: int, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(document, ensure_ascii=False),
    }


def _caller(event: Mapping[str, Any]) -> str:
    """The ARN of whoever signed the request (Lambda developer guide, "Request payload format" of function URLs)."""
    context = event.get("requestContext")
    authorizer = context.get("authorizer") if isinstance(context, Mapping) else None
    identity = authorizer.get("iam") if isinstance(authorizer, Mapping) else None
    arn = identity.get("userArn") if isinstance(identity, Mapping) else None
    if not isinstance(arn, str) or not arn:
        raise RefusalError(
            "the request is not signed", hint="tidegate signs it with your AWS credentials", code=_NOT_SIGNED
        )
    return arn


def _body(event: Mapping[str, Any]) -> dict[str, Any]:
    text = event.get("body") or ""
    try:
        if event.get("isBase64Encoded"):
            text = base64.b64decode(text, validate=True).decode()
        parsed = json.loads(text)
    except (ValueError, binascii.Error):
        parsed = None
    if not isinstance(parsed, dict):
        raise BadInputError("the body is not a JSON object", field="body", hint='{"command": "abort", …}')
    return parsed


class _Command:
    """One request. `_place` and `_reason` are what it is recorded under, as soon as they are known to be right."""

    def __init__(self, ports: Ports, by: str, request_id: str, request: dict[str, Any]) -> None:
        self._ports = ports
        self._by = by
        self._ledger = Ledger(ports.store, ports.clock)
        self._people = Interventions(ports.store, ports.clock)
        self._request = request
        self._id = ulid(ports.clock.now(), request_id or iso(ports.clock.now()))
        self._place: tuple[str, str] | None = None
        self._reason = ""
        self._about: dict[str, str] = {}

    def carry_out(self) -> dict[str, Any]:
        """What was done; raises the refusal."""
        wanted = self._request.get("command")
        commands: dict[str, tuple[set[str], Callable[[Fields], dict[str, Any]]]] = {
            "abort": ({"deployment", "reason"}, self._abort),
            "approve": ({"deployment", "plan", "reason"}, self._approve),
            "reject": ({"deployment", "reason"}, self._reject),
            "freeze": ({"system", "environment", "until", "reason"}, self._freeze),
            "unfreeze": ({"system", "environment", "reason"}, self._unfreeze),
            "unlock": ({"system", "environment", "reason"}, self._unlock),
        }
        if not isinstance(wanted, str) or wanted not in commands:
            raise BadInputError(
                "there is no such command", field="command", hint=f"known are {', '.join(sorted(commands))}"
            )
        known, act = commands[wanted]
        try:
            done = act(Fields(self._request, {"command", *known}))
        except RefusalError as error:
            self._record(wanted, {"refused": error.message})
            raise
        self._record(wanted, done)
        return {"command": wanted, "by": self._by, "at": iso(self._ports.clock.now()), **done}

    def _record(self, command: str, done: Mapping[str, Any]) -> None:
        if self._place is not None:
            what = {"command": command, "by": self._by, "reason": self._reason, **self._about, **done}
            self._people.record(*self._place, self._id, what)

    # --- a deployment

    def _deployment(self, fields: Fields, reason: str) -> Deployment | None:
        deployment = self._ledger.find(fields.deployment("deployment"))
        if deployment is not None:
            self._place, self._reason = (deployment.system, deployment.environment), reason
            self._about = {"deployment": deployment.id}
        return deployment

    def _abort(self, fields: Fields) -> dict[str, Any]:
        reason = fields.text("reason")
        deployment = self._deployment(fields, reason)
        if deployment is None:
            return self._abort_unseen(fields.deployment("deployment"), reason)
        if deployment.outcome is not None:
            raise RefusalError(
                f"deployment {deployment.id} has ended: {deployment.outcome.value}",
                field="deployment",
                hint=_way_back(deployment),
            )
        if deployment.rotation and not can_be_aborted(deployment):
            raise RefusalError(
                f"rotation {deployment.id} is disabling the old credential, and every consumer has the new one",
                field="deployment",
                hint="let it end; then rotate again",
            )
        if not can_be_aborted(deployment):
            raise RefusalError(
                f"rollback {deployment.id} is under way, and half of it would be no state that anybody ran",
                field="deployment",
                hint="let it end; then deploy, or roll back to another release with --to",
            )
        if not self._people.ask_abort(deployment.id, deployment, self._by, reason):
            raise RefusalError(
                f"deployment {deployment.id} has just ended", field="deployment", hint=_way_back(deployment)
            )
        abort = self._people.abort_of(deployment.id)
        if abort is not None:
            stop(self._ports, deployment, aborted(abort))
        return {"did": "aborting", "deployment": deployment.id}

    def _abort_unseen(self, identity: str, reason: str) -> dict[str, Any]:
        """It may have been started a moment ago: then it finds the record before it changes anything."""
        for machine in Machine:
            execution = self._ports.executions.named(machine.value, identity)
            if execution is not None and execution.running:
                self._people.ask_abort(identity, None, self._by, reason)
                return {"did": "aborting", "deployment": identity}
        raise _unknown(identity)

    def _approve(self, fields: Fields) -> dict[str, Any]:
        return self._decide(fields, APPROVED, fields.note("reason"))

    def _reject(self, fields: Fields) -> dict[str, Any]:
        return self._decide(fields, REJECTED, fields.text("reason"))

    def _decide(self, fields: Fields, decision: str, reason: str) -> dict[str, Any]:
        deployment = self._deployment(fields, reason)
        if deployment is None:
            raise _unknown(fields.deployment("deployment"))
        place = deployment.system, deployment.environment
        approval = self._people.approval(*place, deployment.id)
        if approval is None or deployment.outcome is not None:
            raise RefusalError(
                f"deployment {deployment.id} waits for no approval",
                field="deployment",
                hint="see tidegate show",
            )
        if (approval.decision, approval.by) != (decision, self._by):
            self._may_decide(approval, decision, fields)
            self._put_decision(deployment, approval, decision, reason)
        # Also for who asks again because the answer got lost: the run may not have been told.
        resume(self._ports, self._ledger, self._ledger.waiting_for(awaited_approval(deployment.id)))
        return {"did": decision.lower(), "deployment": deployment.id, "release": deployment.release_name}

    def _put_decision(self, deployment: Deployment, approval: Approval, decision: str, reason: str) -> None:
        place = deployment.system, deployment.environment
        if self._people.decide(*place, approval, decision, self._by, reason):
            return
        known = self._people.approval(*place, deployment.id)
        told = "its plan has changed" if known is None or known.decision is None else f"it was {known.told}"
        raise RefusalError(
            f"deployment {deployment.id}: {told}", field="deployment", hint="see tidegate show"
        )

    def _may_decide(self, approval: Approval, decision: str, fields: Fields) -> None:
        identity = approval.deployment
        if approval.decision is not None:
            raise RefusalError(
                f"deployment {identity} was {approval.told}", field="deployment", hint="see tidegate show"
            )
        if decision != APPROVED:
            return
        if fields.text("plan") != approval.plan:
            raise RefusalError(
                f"the plan of deployment {identity} is not the one that you saw",
                field="plan",
                hint=f"look at it again: tidegate show {identity}",
            )
        if approval.other and same_person(self._by, approval.author):
            raise RefusalError(
                f"deployment {identity} was asked for by {approval.author}, and somebody else has to approve it",
                field="deployment",
                hint="ask somebody else: the environment has approval: {by: other}",
            )

    # --- an environment

    def _environment(self, fields: Fields, reason: str) -> tuple[str, str]:
        system, environment = fields.system(), fields.key("environment")
        if self._ports.registry.manifest(system, environment) is None:
            raise NotFoundError(
                f"system {system} is not registered in environment {environment}",
                field="system",
                hint=f"tidegate apply --environment {environment}",
            )
        self._place, self._reason = (system, environment), reason
        return system, environment

    def _freeze(self, fields: Fields) -> dict[str, Any]:
        reason, now = fields.text("reason"), self._ports.clock.now()
        until = iso(parse_until(fields.text("until"), now)) if fields.has("until") else None
        place = self._environment(fields, reason)
        self._people.put_freeze(*place, Freeze(self._by, reason, iso(now), until))
        return {"did": "frozen", "until": until}

    def _unfreeze(self, fields: Fields) -> dict[str, Any]:
        place = self._environment(fields, fields.note("reason"))
        if self._people.freeze(*place) is None:
            raise RefusalError(
                f"{'/'.join(place)} was not frozen by hand",
                field="environment",
                hint="windows of the manifest end by themselves: tidegate apply changes them",
            )
        self._people.lift_freeze(*place)
        return {"did": "unfrozen"}

    def _unlock(self, fields: Fields) -> dict[str, Any]:
        reason = fields.text("reason")
        place = self._environment(fields, reason)
        owner = self._unlockable(place)
        if self._ledger.find(owner) is not None:
            self._ledger.tell(owner, "unlocked", detail=f"by {self._by}: {reason}")
        release(self._ports, *place, owner)
        return {"did": "unlocked", "owner": owner}

    def _unlockable(self, place: tuple[str, str]) -> str:
        """The owner that left the lock behind; a RefusalError while it may still change something."""
        lock = Locks(self._ports.store, self._ports.clock).read(*place)
        if lock.owner is None:
            raise RefusalError(f"{'/'.join(place)} is not locked", field="environment")
        owner = self._ledger.deployment(*place, lock.owner)
        for arn in {lock.execution, None if owner is None else owner.execution} - {None}:
            execution = self._ports.executions.describe(str(arn))
            if execution is not None and execution.running:
                raise RefusalError(
                    f"deployment {lock.owner} holds the lock and runs",
                    field="environment",
                    hint=f"take it back: tidegate abort {lock.owner} --reason …",
                )
        if owner is not None and owner.outcome is None:
            raise RefusalError(
                f"deployment {lock.owner} has lost its execution, and the sweep takes it over within a minute",
                field="environment",
                hint=f"see tidegate show {lock.owner}",
            )
        return lock.owner


def _unknown(identity: str) -> NotFoundError:
    return NotFoundError(
        f"there is no deployment {identity}", field="deployment", hint="see tidegate history"
    )


def _way_back(deployment: Deployment) -> str:
    if deployment.outcome in (None, Outcome.SUCCEEDED):
        return f"tidegate rollback {deployment.system} {deployment.environment} --reason …"
    return f"see tidegate show {deployment.id}"
