"""What people did about a run or to an environment: aborts, approvals, freezes, and the record of each command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.errors import ConflictError
from tidegate.domain.freeze import Freeze
from tidegate.domain.intervention import Abort, Approval
from tidegate.ledger import keys
from tidegate.ledger.lines import line_write, present
from tidegate.ledger.time import iso
from tidegate.ports import Check, Clock, ConditionFailedError, Delete, Item, Put, Store, Write


class Interventions:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> str:
        return iso(self._clock.now())

    # --- aborts

    def abort_of(self, deployment_id: str) -> Abort | None:
        item = self._store.get(keys.abort(deployment_id))
        return None if item is None else Abort.from_json(item)

    def ask_abort(self, deployment_id: str, deployment: Deployment | None, by: str, reason: str) -> bool:
        """Record that a deployment is to be taken back; False where it has ended. Who asked first is kept.

        One that is not in the ledger yet (`deployment` is None) finds the record when it comes.
        """
        abort = Abort(by, reason, self.now())
        item = {
            **abort.to_json(),
            "kind": keys.OPEN,
            "at": abort.at,
            "type": "abort",
            "deployment": deployment_id,
        }
        still_open: list[Write] = []
        if deployment is not None:
            key = keys.deployment(deployment.system, deployment.environment, deployment.id)
            still_open.append(Check(key, {"outcome": None, "id": deployment.id}))
        writes: list[Write] = [
            *still_open,
            Put(keys.abort(deployment_id), item, {"pk": None}),
            line_write(deployment_id, Line(abort.at, "abort requested", detail=abort.told)),
        ]
        try:
            self._store.transact(writes)
        except ConditionFailedError as refused:
            return refused.index == len(still_open)
        return True

    def close_abort(self, deployment_id: str) -> None:
        """The deployment has ended: the sweep need not look after it any more. Who asked and why stays."""
        abort = self.abort_of(deployment_id)
        if abort is not None:
            self._store.transact([Put(keys.abort(deployment_id), abort.to_json())])

    # --- approvals

    def approval(self, system: str, environment: str, deployment_id: str) -> Approval | None:
        item = self._store.get(keys.approval(system, environment, deployment_id))
        return None if item is None else Approval.from_json(item)

    def approvals(self, system: str, environment: str) -> list[Approval]:
        """Those that are asked for, and those that were decided for deployments which have not ended."""
        pk = keys.lock(system, environment).pk
        return [Approval.from_json(item) for item in self._store.query(pk, "APPROVAL#")]

    def ask_approval(self, system: str, environment: str, approval: Approval) -> Approval:
        """Ask for one; for the same plan, what is known of it is the answer. Another plan is asked for anew."""
        key = keys.approval(system, environment, approval.deployment)
        known = self.approval(system, environment, approval.deployment)
        if known is not None and known.plan == approval.plan:
            return known
        expect = {"pk": None} if known is None else {"plan": known.plan}
        try:
            self._store.transact([Put(key, present(approval.to_json()), expect)])
        except ConditionFailedError:
            raise ConflictError(
                f"the approval of {approval.deployment} was asked for by another attempt"
            ) from None
        return approval

    def decide(
        self, system: str, environment: str, approval: Approval, decision: str, by: str, reason: str
    ) -> bool:
        """Record a decision, once; False where another was quicker, or the plan is not that one any more."""
        decided = replace(approval, decision=decision, by=by, reason=reason, decided_at=self.now())
        key = keys.approval(system, environment, approval.deployment)
        line = Line(self.now(), decision.lower(), detail=decided.told)
        try:
            self._store.transact(
                [
                    Put(key, present(decided.to_json()), {"plan": approval.plan, "decision": None}),
                    line_write(approval.deployment, line),
                ]
            )
        except ConditionFailedError:
            return False
        return True

    def forget_approval(self, system: str, environment: str, deployment_id: str) -> None:
        """The deployment has ended: its timeline has the decision."""
        self._store.transact([Delete(keys.approval(system, environment, deployment_id))])

    # --- freezes

    def freeze(self, system: str, environment: str) -> Freeze | None:
        """The one that was put on by hand and not lifted since, run out or not."""
        item = self._store.get(keys.freeze(system, environment))
        return None if item is None else Freeze.from_json(item)

    def put_freeze(self, system: str, environment: str, freeze: Freeze) -> None:
        """In place of the one before."""
        self._store.transact([Put(keys.freeze(system, environment), present(freeze.to_json()))])

    def lift_freeze(self, system: str, environment: str) -> None:
        self._store.transact([Delete(keys.freeze(system, environment))])

    # --- the record

    def record(self, system: str, environment: str, command_id: str, command: Mapping[str, Any]) -> None:
        """What a person did, who and why; the same id is recorded once."""
        item = present({**command, "system": system, "environment": environment, "id": command_id})
        item |= {"kind": keys.COMMANDS, "at": self.now(), "type": "command"}
        try:
            self._store.transact([Put(keys.command(system, environment, command_id), item, {"pk": None})])
        except ConditionFailedError:
            return

    def commands(self, since: str = "") -> Iterator[Item]:
        """Of all systems, newest first, from `since` (ISO 8601) on."""
        return self._store.query_kind(keys.COMMANDS, since=since, newest_first=True)
