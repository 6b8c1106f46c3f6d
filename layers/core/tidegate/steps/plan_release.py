"""Function `plan_release`: from a request to a recorded deployment with a plan, or to a refusal.

`Plan`, `PlanRollback` and `PlanRotation` open the deployment without the lock; `PlanAgain` repeats the plan under it,
when anything may have happened in between. Each may run twice: the deployment's id follows from the execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Machine, Phase
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError, SupersededError
from tidegate.domain.ids import deployment_id
from tidegate.domain.intervention import APPROVED
from tidegate.domain.lock import Lock
from tidegate.domain.migration import SQL
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.request import (
    DeployRequest,
    RecoverRequest,
    RollbackRequest,
    RotateRequest,
    parse_deploy,
    parse_rollback,
    parse_rotate,
)
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.schemas import Schemas
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports
from tidegate.steps.announce import announce
from tidegate.steps.migration_planning import Folder
from tidegate.steps.planning import propose_deploy, propose_rollback, unfinished_deployment
from tidegate.steps.proposal import Proposal
from tidegate.steps.releasing import tell_duplicates
from tidegate.steps.rotation_planning import propose_rotation, slot_of
from tidegate.steps.services import Busy
from tidegate.steps.stopping import ABORTED, abort_of

READY, BUSY, RECOVER, APPROVAL, ADOPTION = "Ready", "Busy", "Recover", "Approval", "Adoption"
_GOES_ON = (READY, BUSY, RECOVER, APPROVAL, ABORTED, ADOPTION)
_MACHINES = {"Plan": Machine.DEPLOY, "PlanRollback": Machine.ROLLBACK, "PlanRotation": Machine.ROTATE}
_PARSERS = {Machine.DEPLOY: parse_deploy, Machine.ROLLBACK: parse_rollback, Machine.ROTATE: parse_rotate}
Request = DeployRequest | RollbackRequest | RotateRequest


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step": "Plan" | "PlanRollback" | "PlanRotation", "request", "execution": {"id", "name", "started_at"}}` or
    `{"step": "PlanAgain", "system", "environment", "deployment", "fence"}`; gives `_answer`'s document."""
    if event["step"] == "PlanAgain":
        return _plan_again(event, ports)
    machine = _MACHINES[event["step"]]
    execution = event["execution"]
    identity = deployment_id(execution["name"], parse_iso(execution["started_at"]))
    try:
        request = _PARSERS[machine](event["request"])
    except RefusalError as error:
        return _answer(Outcome.REFUSED.value, identity, error=error)
    if isinstance(request, RecoverRequest):
        return _recover(request, ports)
    return _plan(event, ports, machine, request, identity)


def _plan(
    event: Mapping[str, Any], ports: Ports, machine: Machine, request: Request, identity: str
) -> Mapping[str, Any]:
    ledger, execution = Ledger(ports.store, ports.clock), event["execution"]
    known = ledger.deployment(request.system, request.environment, identity)
    if known is not None and known.plan is not None:
        _tell_duplicates(ledger, known)
        return _answer(APPROVAL if known.approval else READY, identity, known, waves=known.plan.waves())
    lock = Locks(ports.store, ports.clock).read(request.system, request.environment)
    deployment = Deployment(
        id=identity,
        system=request.system,
        environment=request.environment,
        machine=machine,
        execution=execution["id"],
        started_at=execution["started_at"],
        commit=request.commit if isinstance(request, DeployRequest) else None,
        actor=request.actor,
        reason=request.reason,
        trigger=request.trigger,
        request=dict(event["request"]),
        order=_order(request, identity),
    )
    try:
        proposal = _propose(ports, request, identity, lock)
    except NotFoundError as error:
        if error.field == "system":
            # Nothing is written for a system that nobody registered: a mistyped name must not make one.
            return _answer(Outcome.REFUSED.value, identity, deployment, error=error)
        return _refused(ledger, deployment, error)
    except RefusalError as error:
        if isinstance(request, RotateRequest) and request.adopt is None:
            outcome = _outcome_of(error).value
            Rotations(ports.store, ports.clock).note_attempt(deployment, request.secret, outcome)
        return _refused(ledger, deployment, error)
    settled = _settled(ledger, request, deployment, proposal, lock)
    if settled is not None:
        return settled
    _keep_folder(ports, proposal.folder)
    planned = _with_plan(ledger, deployment, proposal)
    # Whoever was first recorded it: a retry goes on with what is in the ledger.
    planned = _open(ledger, planned, _told(planned, proposal))
    plan = planned.plan or proposal.plan
    if planned.approval is not None:
        return _answer(APPROVAL, identity, planned, waves=plan.waves())
    # Good under the lock only if the lock was free now and is ours next: nobody can have changed anything between.
    fence = lock.fence if lock.free and not proposal.busy else -1
    return _answer(READY, identity, planned, waves=plan.waves(), fence=fence)


def _settled(
    ledger: Ledger, request: Request, deployment: Deployment, proposal: Proposal, lock: Lock
) -> Mapping[str, Any] | None:
    """The answer where there is nothing to carry out."""
    if isinstance(request, RotateRequest):
        if request.adopt == "plan":
            return _answer(ADOPTION, deployment.id, replace(deployment, plan=proposal.plan))
        return _served(ledger, request, deployment)
    finishes = deployment.machine is Machine.ROLLBACK and unfinished_deployment(ledger, lock)
    if not proposal.nothing_to_do or finishes:
        return None
    unchanged = replace(deployment, release=proposal.release)
    _open(ledger, unchanged)
    return _answer(Outcome.NO_CHANGE.value, deployment.id, unchanged, reason=_nothing(deployment, proposal))


NOTHING = "every service runs these images already"
MIGRATED = "the migrations of this release ran here before"


def _nothing(deployment: Deployment, proposal: Proposal) -> str:
    scale = proposal.plan.scale
    if scale is not None:
        return f"{scale.service} has a desired count of {scale.count} already"
    return MIGRATED if deployment.only_migrations else NOTHING


def _plan_again(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    ledger = Ledger(ports.store, ports.clock)
    deployment = ledger.deployment(event["system"], event["environment"], event["deployment"])
    if deployment is None:
        raise NotFoundError(f"deployment {event['deployment']} is not in the ledger", field="deployment")
    request = _PARSERS[deployment.machine](deployment.request)
    if isinstance(request, RecoverRequest):
        raise BadInputError("a recovery has no plan of its own", field="recover")
    if abort_of(ports, deployment.id) is not None:
        return _answer(ABORTED, deployment.id, deployment)
    rollback = isinstance(request, RollbackRequest)
    if isinstance(request, RollbackRequest):
        # Where it goes was decided when it was asked for: what is current may have changed since.
        request = replace(request, to=deployment.release)
    try:
        proposal = _propose(ports, request, deployment.id)
    except RefusalError as error:
        return _answer(_outcome_of(error).value, deployment.id, deployment, error=error)
    if deployment.scales and deployment.plan is not None and ledger.rollouts(deployment.id):
        # A call that comes late: the count that was set must not pass for the one before. Looked for behind the
        # proposal, since what is intended is recorded before the count is set.
        return _answer(READY, deployment.id, deployment, waves=deployment.plan.waves())
    if proposal.busy:
        return _busy(ledger, deployment, proposal.busy[0])
    if proposal.nothing_to_do and not rollback and not deployment.rotation:
        return _answer(
            Outcome.NO_CHANGE.value, deployment.id, deployment, reason=_nothing(deployment, proposal)
        )
    # A rollback whose way was cleared finds its release back in place: it has succeeded all the same.
    return _go_on(ports, ledger, deployment, proposal, int(event["fence"]))


def _busy(ledger: Ledger, deployment: Deployment, busy: Busy) -> Mapping[str, Any]:
    what = "waiting for an ECS deployment that is not ours"
    ledger.tell(deployment.id, what, busy.service, busy.ecs_deployment)
    return _answer(BUSY, deployment.id, deployment) | {
        "busy": {
            "service": busy.service,
            "cluster": busy.cluster,
            "ecs_service": busy.ecs_service,
            "ecs_deployment": busy.ecs_deployment,
        }
    }


def _go_on(
    ports: Ports, ledger: Ledger, deployment: Deployment, proposal: Proposal, fence: int
) -> Mapping[str, Any]:
    """With the new plan, unless a person has to approve it first."""
    _keep_folder(ports, proposal.folder)
    planned = _with_plan(ledger, deployment, proposal)
    lines: list[Line] = []
    # What the manifest asks for by now counts as well: who approves, and who gives way.
    if (deployment.plan, deployment.approval, deployment.queue) != (
        planned.plan,
        planned.approval,
        planned.queue,
    ):
        lines.append(Line(ledger.now(), "planned again under the lock", detail=_summary(proposal)))
    approved = proposal.approval is None or _is_approved(ports, planned, proposal.plan.hash)
    # Who was handed the lock in the queue learns it here; who found it free was told by the step that took it.
    begins = approved and deployment.fence != fence
    if begins:
        planned = replace(planned, phase=Phase.ROLLING, fence=fence)
        lines.append(Line(ledger.now(), "lock acquired", detail=f"fence {fence}"))
    if lines:
        ledger.save(planned, *lines, fence=fence)
    if begins:
        announce(ports, planned, "Deployment Started")
    return _answer(READY if approved else APPROVAL, planned.id, planned, waves=proposal.plan.waves())


def _keep_folder(ports: Ports, folder: Folder | None) -> None:
    """What an image holds never changes: read once, known from then on."""
    if folder is not None and folder.new:
        schemas = Schemas(ports.store, ports.clock)
        schemas.keep_folder(folder.repository, folder.digest, folder.directory, folder.content)


def _is_approved(ports: Ports, deployment: Deployment, plan: str) -> bool:
    approval = Interventions(ports.store, ports.clock).approval(
        deployment.system, deployment.environment, deployment.id
    )
    return approval is not None and approval.plan == plan and approval.decision == APPROVED


def _propose(ports: Ports, request: Request, identity: str, lock: Lock | None = None) -> Proposal:
    if isinstance(request, RotateRequest):
        return propose_rotation(ports, request, identity)
    if isinstance(request, DeployRequest):
        return propose_deploy(ports, request)
    return propose_rollback(ports, request, lock)


def _served(ledger: Ledger, request: RotateRequest, deployment: Deployment) -> Mapping[str, Any] | None:
    """A schedule starts an execution at least once for each of its moments: the first serves it."""
    if not request.scheduled:
        return None
    mark = {"deployment": deployment.id, "execution": deployment.execution}
    known = ledger.mark_unseen(slot_of(request), mark)
    if known["deployment"] == deployment.id:
        return None
    _open(ledger, deployment)
    reason = f"rotation {known['deployment']} serves {request.slot} already"
    return _answer(Outcome.NO_CHANGE.value, deployment.id, deployment, reason=reason)


def _order(request: Request, identity: str) -> str:
    """Of a push: when it was made, where somebody recorded that, else when it arrived."""
    if not isinstance(request, DeployRequest) or not request.by_event or request.unreleased:
        return ""
    return request.order or identity


def _with_plan(ledger: Ledger, deployment: Deployment, proposal: Proposal) -> Deployment:
    deployment = replace(
        deployment,
        commit=proposal.commit,
        plan=proposal.plan,
        queue=proposal.queue,
        approval=proposal.approval,
    )
    if proposal.unreleased:
        return replace(deployment, release=proposal.release)
    if ledger.current(deployment.system, deployment.environment) is None:
        _adopt(ledger, deployment, proposal)
    number = proposal.release
    if number is not None:
        known = ledger.release(deployment.system, number)
        order = "" if known is None else known.order
        return replace(deployment, release=number, order=deployment.order or order)
    made = ledger.ensure_release(deployment.system, proposal.commit, proposal.digests, deployment.order)
    return replace(deployment, release=made.number)


def _adopt(ledger: Ledger, deployment: Deployment, proposal: Proposal) -> None:
    """`r0` is what ran when Tidegate came: a rollback of the first release goes there."""
    running = {service.key: service.previous for service in proposal.plan.services}
    ledger.adopt_release(deployment.system)
    ledger.adopt(
        deployment.system,
        deployment.environment,
        Standing(0, Verdict.SUCCEEDED, "", deployment.started_at, running),
    )


def _refused(ledger: Ledger, deployment: Deployment, error: RefusalError) -> Mapping[str, Any]:
    _open(ledger, deployment)
    return _answer(_outcome_of(error).value, deployment.id, deployment, error=error)


def _outcome_of(error: RefusalError) -> Outcome:
    return Outcome.SUPERSEDED if isinstance(error, SupersededError) else Outcome.REFUSED


def _recover(request: RecoverRequest, ports: Ports) -> Mapping[str, Any]:
    deployment = Ledger(ports.store, ports.clock).deployment(
        request.system, request.environment, request.deployment
    )
    if deployment is None:
        error = NotFoundError(f"there is no deployment {request.deployment}", field="recover")
        return _answer(Outcome.REFUSED.value, request.deployment, error=error)
    if deployment.outcome is not None:
        return _answer(deployment.outcome.value, deployment.id, deployment, reason=deployment.explanation)
    waves = [] if deployment.plan is None else deployment.plan.waves()
    known = Rotations(ports.store, ports.clock).run_of(deployment.id) if deployment.rotation else None
    return _answer(RECOVER, deployment.id, deployment, waves=waves) | (
        {} if known is None else {"previous": known.previous, "retiring": known.forward_only}
    )


def _open(ledger: Ledger, deployment: Deployment, detail: str | None = None) -> Deployment:
    opened = ledger.open(deployment, _asked(deployment), detail)
    _tell_duplicates(ledger, opened)
    return opened


def _tell_duplicates(ledger: Ledger, deployment: Deployment) -> None:
    """Events of ten at once come before the deployment is recorded, and find nothing to write to."""
    if deployment.by_event:
        tell_duplicates(ledger, deployment.id, deployment.execution)


def _asked(deployment: Deployment) -> str:
    what = "rollback requested" if deployment.machine is Machine.ROLLBACK else "deployment requested"
    if deployment.restart:
        what = "restart requested"
    if deployment.only_migrations:
        what = "migrations requested"
    if deployment.scales:
        what = "scaling requested"
    if deployment.rotation:
        what = "adoption requested" if deployment.adopts else "rotation requested"
    return f"{what} by {deployment.actor}" if deployment.actor else what


def _told(deployment: Deployment, proposal: Proposal) -> str:
    scale = proposal.plan.scale
    if scale is not None:
        return f"{scale.service}: {scale.told}"
    name = "restart" if proposal.unreleased else deployment.release_name
    rotation = proposal.plan.rotation
    if rotation is not None and rotation.adopt is not None:
        return f"{rotation.secret}: a second user is to be prepared"
    if rotation is not None:
        return f"{rotation.secret}: {_summary(proposal) or 'no service takes it'}"
    return f"{name}: {_summary(proposal) or 'nothing to change'}"


def _summary(proposal: Proposal) -> str:
    waves = [" and ".join(wave) for wave in proposal.plan.waves()]
    migration = proposal.plan.migration
    if migration is not None:
        count = len(migration.pending)
        files = f"{count} file{'' if count == 1 else 's'}" if migration.runner == SQL else migration.image
        waves.insert(0, f"migrations ({files})")
    return ", then ".join(waves)


def _answer(
    outcome: str,
    identity: str,
    deployment: Deployment | None = None,
    *,
    waves: list[list[str]] | None = None,
    fence: int = -1,
    error: RefusalError | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Every key is always there: a JSONata expression that finds nothing is an error of its own."""
    if error is not None:
        mend = f" ({error.hint})" if error.hint else ""
        reason = f"{error.field}: {error.message}{mend}" if error.field else f"{error.message}{mend}"
    release = None if deployment is None else deployment.release_name
    plan = None if deployment is None else deployment.plan
    bake, migration = (None, None) if plan is None else (plan.bake, plan.migration)
    rotation = None if plan is None else plan.rotation
    final = outcome not in _GOES_ON
    document = OutcomeDocument(Outcome(outcome), identity, release, reason).to_json() if final else None
    return {
        "outcome": outcome,
        "deployment": identity,
        "system": None if deployment is None else deployment.system,
        "environment": None if deployment is None else deployment.environment,
        "waves": [{"services": wave} for wave in waves or []],
        "planned_fence": fence,
        "bake": 0 if bake is None else bake.seconds,
        "migration": 0 if migration is None else migration.longest,
        "reason": reason,
        "document": document,
        "busy": None,
        "rotation": None if rotation is None else rotation.payload(),
        "runner": "" if rotation is None else rotation.function,
        "overlap": 0 if rotation is None else rotation.overlap,
        "adopts": rotation is not None and rotation.adopt is not None,
        "previous": None,
        "retiring": False,
    }
