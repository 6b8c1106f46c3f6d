"""Function `record`, of rotations: what is written before a secret's value changes, and how a rotation ends.

The order of the writes is the safety: which version was current is in the ledger before anything else becomes current;
that the old credential is about to be disabled is there before it is. Whoever carries on after a crash reads from it in
which direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tidegate.domain.deployment import Deployment, Line, Phase
from tidegate.domain.errors import LostLockError, NotFoundError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import Direction, EcsDeployment, ServiceState
from tidegate.domain.rotation import RotationPlan, RotationRun, SecretStanding, version_of
from tidegate.ledger.records import Ledger
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports, Write
from tidegate.steps.announce import announce
from tidegate.steps.ending import (
    answer,
    count,
    described,
    leave,
    open_document,
    plan_of,
    states_of,
    unfinished,
)
from tidegate.steps.fencing import insist_on_lock
from tidegate.steps.resuming import alarm_report
from tidegate.steps.stopping import ABORTED, abort_of

BEGUN, NOT_READY, RETIRE, DRAINING, NOT_ROLLED = "Begun", "NotReady", "Retire", "Draining", "NotRolled"
# What `rotate_secret` found when it was to move the current version back.
RESTORED: Final = "Restored"
NOT_PROMOTED: Final = "NotPromoted"
MOVED: Final = "Moved"
_RETIRED_PART: Final = "retired"


def rotation_of(deployment: Deployment) -> RotationPlan:
    rotation = plan_of(deployment).rotation
    if rotation is None:
        raise NotFoundError(f"deployment {deployment.id} rotates nothing", field="deployment")
    return rotation


def begin_rotation(event: Mapping[str, Any], ports: Ports, deployment: Deployment) -> Mapping[str, Any]:
    """`event` has `previous`, `user`, `next_user` and `created_at` of `rotate_secret`'s Precheck. From here on the new
    version may be current.

    A consumer that started before the value that is current was promoted still holds the one before: its user is the
    one whose password would be overwritten.
    """
    plan, rotation, fence = plan_of(deployment), rotation_of(deployment), int(event["fence"])
    rotations = Rotations(ports.store, ports.clock)
    if rotations.run_of(deployment.id) is not None:
        # An attempt before wrote it; an abort since then is heard before there is no way back.
        insist_on_lock(ports, deployment, fence)
        return _answer(BEGUN, "")
    abort = abort_of(ports, deployment.id)
    if abort is not None:
        return _answer(ABORTED, abort.told)
    standing = rotations.standing(deployment.system, deployment.environment, rotation.secret)
    since, states = _since(standing, event), states_of(ports, plan)
    rolled = {} if standing is None or standing.version != event["previous"] else standing.rolled
    suspects = frozenset[str]() if standing is None else frozenset(standing.suspects)
    stale = [
        service.key
        for service in plan.changed
        if _is_stale(states.get(service.service), since, rolled.get(service.key), suspects)
    ]
    if stale:
        names = ", ".join(sorted(plan.service(key).service for key in stale))
        return _answer(
            NOT_READY,
            f"{' and '.join(sorted(stale))} may hold another value than the current one:"
            f" start anew first (aws ecs update-service --force-new-deployment --cluster {plan.cluster}"
            f" --service {names})",
        )
    run = RotationRun(
        str(event["previous"]), rotation.version, str(event["user"]), str(event["next_user"]), _now(ports)
    )
    to = "" if run.user == run.next_user else f": {run.user}, then {run.next_user}"
    rotations.save(
        replace(deployment, phase=Phase.ROTATING),
        run,
        Line(_now(ports), "rotating", detail=f"{rotation.secret}{to}{_noticed(event, run)}"),
        fence=fence,
        versions=[rotation.version, version_of(deployment.id, _RETIRED_PART)],
    )
    return _answer(BEGUN, "")


def _since(standing: SecretStanding | None, event: Mapping[str, Any]) -> str:
    """When the current value was promoted, as far as anybody knows: by us, or not before it was made."""
    if standing is not None and standing.version == event["previous"] and standing.promoted_at:
        return standing.promoted_at
    return str(event.get("created_at") or "")


def _noticed(event: Mapping[str, Any], run: RotationRun) -> str:
    """What Precheck has seen and found no fault with."""
    sessions, said = int(event.get("sessions") or 0), str(event.get("noticed") or "")
    open_ones = (
        f"{run.next_user} has {sessions} open session{'' if sessions == 1 else 's'}" if sessions else ""
    )
    return "".join(f"; {part}" for part in (open_ones, said) if part)


def _is_stale(state: ServiceState | None, since: str, rolled: str | None, suspects: frozenset[str]) -> bool:
    """The ECS deployment that the last rotation itself `rolled` has its value, whatever two clocks say; those of
    one that failed dirty may have the value that it gave up."""
    if state is None:
        return False
    return any(
        entry.id in suspects
        or (
            entry.id != rolled
            and since
            and entry.created_at
            and parse_iso(entry.created_at) < parse_iso(since)
        )
        for entry in _with_tasks(state)
    )


def begin_retire(event: Mapping[str, Any], ports: Ports, deployment: Deployment) -> Mapping[str, Any]:
    """Whether every task that runs has the new value, and no alarm rings; from a yes on there is no way back."""
    plan, fence = plan_of(deployment), int(event["fence"])
    rotations, ledger = Rotations(ports.store, ports.clock), Ledger(ports.store, ports.clock)
    run = rotations.run_of(deployment.id)
    if run is None:
        raise NotFoundError(f"rotation {deployment.id} has not begun", field="deployment")
    if run.retiring:
        insist_on_lock(ports, deployment, fence)
        return _answer(RETIRE, "")
    states, rolled = states_of(ports, plan), _rolled(ledger, deployment, Direction.ROLL)
    astray = [key for key, known in rolled.items() if not _runs(states.get(plan.service(key).service), known)]
    astray += [service.key for service in plan.changed if service.key not in rolled]
    if astray:
        ledger.tell(
            deployment.id, "a service does not run what was rolled out", detail=", ".join(sorted(astray))
        )
        return _answer(
            NOT_ROLLED, f"{', '.join(sorted(astray))}: another ECS deployment took the place of ours"
        )
    old = [service.key for service in plan.changed if len(_with_tasks(states[service.service])) > 1]
    if old:
        return _answer(DRAINING, f"tasks that started before are still there: {', '.join(sorted(old))}")
    ringing = [] if plan.bake is None else ports.alarms.in_alarm(plan.bake.alarms)
    if ringing:
        report = alarm_report(ringing)
        ledger.save_report(deployment.id, report)
        return _answer(NOT_ROLLED, report.summary())
    line = Line(_now(ports), "every consumer has the new value", detail=", ".join(sorted(rolled)) or "none")
    retiring = replace(deployment, phase=Phase.RETIRING)
    try:
        rotations.save(retiring, replace(run, retiring=True), line, fence=fence, unless_aborted=True)
    except LostLockError:
        abort = abort_of(ports, deployment.id)
        if abort is None:
            raise
        return _answer(ABORTED, abort.told)
    return _answer(RETIRE, "")


def rotated(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """The end of one that went well, or of an adoption; `event` has `version`, which is current since."""
    first = deployment.outcome is None
    if first:
        rotation, plan = rotation_of(deployment), plan_of(deployment)
        if rotation.adopt is not None:
            outcome, told, also = Outcome.SUCCEEDED, f"secret {rotation.secret} can be rotated", []
        else:
            outcome, told = Outcome.ROTATED, deployment.reason
            also = [_standing(ports, deployment, rotation, str(event.get("version") or rotation.version))]
        services = described(plan, {service.key: service.previous for service in plan.services}, "Restarted")
        fence = int(event["fence"])
        deployment = ledger.end(deployment, outcome, told, fence=fence, services=services, also=also)
        count(ports, deployment)
    if first or unfinished(ports, deployment):
        announce(ports, deployment, deployment.event)
    leave(ports, deployment)
    return answer(deployment.document().to_json())


def _standing(ports: Ports, deployment: Deployment, rotation: RotationPlan, version: str) -> Write:
    rotations = Rotations(ports.store, ports.clock)
    run, now = rotations.run_of(deployment.id), _now(ports)
    return rotations.standing_write(
        deployment.system,
        deployment.environment,
        SecretStanding(
            rotation.secret,
            rotated_at=now,
            # Every consumer started after its promotion, which was after this.
            promoted_at="" if run is None else run.at,
            version=version,
            deployment=deployment.id,
            actor=deployment.actor,
            user="" if run is None else run.next_user,
            rolled=_rolled(Ledger(ports.store, ports.clock), deployment, Direction.ROLL),
            attempt=deployment.id,
            attempt_at=now,
            attempt_outcome=Outcome.ROTATED.value,
        ),
    )


def begin_restoring(event: Mapping[str, Any], ports: Ports, deployment: Deployment) -> Mapping[str, Any]:
    """`event` has what `rotate_secret`'s Restore found, as `restored`. Where the old value is current again, every
    consumer starts again with it: also one that had not rolled, since ECS may have started tasks in between."""
    if deployment.outcome is not None:
        return answer(deployment.document().to_json())
    plan, rotations = plan_of(deployment), Rotations(ports.store, ports.clock)
    ledger = Ledger(ports.store, ports.clock)
    run = rotations.run_of(deployment.id)
    promoted = event["restored"] == RESTORED or (run is not None and run.restored)
    if run is None or not promoted:
        return {**answer(open_document(deployment, "")), "outcome": NOT_PROMOTED}
    if not run.restored:
        states = states_of(ports, plan)
        primaries = {
            service.key: state.primary.id
            for service in plan.changed
            if (state := states.get(service.service)) is not None and state.primary is not None
        }
        keys = ", ".join(service.key for service in plan.changed)
        line = Line(
            _now(ports),
            "the value before is current again",
            detail=f"starting anew: {keys}" if keys else None,
        )
        rotations.save(
            replace(deployment, phase=Phase.COMPENSATING),
            replace(run, restored=True, replaces=primaries),
            line,
            fence=int(event["fence"]),
        )
    elif deployment.phase is not Phase.COMPENSATING:
        ledger.save(replace(deployment, phase=Phase.COMPENSATING), fence=int(event["fence"]))
    services = [service.key for service in plan.changed]
    return {
        **answer(open_document(deployment, "")),
        "outcome": RESTORED,
        "waves": [{"services": services}] if services else [],
    }


def how_it_failed(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment, reason: str
) -> tuple[Outcome, str, dict[str, dict[str, Any]]]:
    """FailedClean where the value before is current, and every task that runs started with it; or where no service was
    touched, whatever somebody else has made current meanwhile."""
    run = Rotations(ports.store, ports.clock).run_of(deployment.id)
    if deployment.plan is not None and rotation_of(deployment).adopt is not None:
        return Outcome.FAILED_CLEAN, f"{reason}; nothing was rotated", {}
    if run is None:
        return Outcome.FAILED_CLEAN, f"{reason}; no consumer was started with the new value", {}
    plan = plan_of(deployment)
    if run.forward_only:
        return (
            Outcome.FAILED_DIRTY,
            f"{reason}; every consumer has the new value, but the old credential may still work",
            described(plan, {service.key: service.previous for service in plan.services}, "Restarted"),
        )
    rolled, restored = _rolled(ledger, deployment, Direction.ROLL), event.get("restored")
    if not run.restored and restored in (NOT_PROMOTED, MOVED):
        if not rolled:
            return Outcome.FAILED_CLEAN, f"{reason}; no consumer was started with the new value", {}
        # A service rolls only after Promote: somebody has moved the value since, and tasks of ours hold ours.
        return (
            Outcome.FAILED_DIRTY,
            f"{reason}; the new value is not current, but was already rolled out to: {', '.join(sorted(rolled))}",
            {},
        )
    if not run.restored:
        what = (
            "the value before is current again, but no consumer was started with it"
            if restored == RESTORED
            else "which value is current could not be put right"
        )
        return Outcome.FAILED_DIRTY, f"{reason}; {what}", {}
    states, back = states_of(ports, plan), _rolled(ledger, deployment, Direction.REVERT)
    services = described(plan, {service.key: service.previous for service in plan.services}, "Reverted")
    astray = [
        service.key
        for service in plan.changed
        if not _runs(states.get(service.service), back.get(service.key, ""))
    ]
    for key in astray:
        services[key]["outcome"] = "NotReverted"
    if astray:
        return (
            Outcome.FAILED_DIRTY,
            f"{reason}; the value before is current again, but did not start with it: {', '.join(astray)}",
            services,
        )
    return Outcome.FAILED_CLEAN, f"{reason}; the value before is current again", services


def attempted(ports: Ports, deployment: Deployment, outcome: Outcome) -> list[Write]:
    """That it was tried, for whoever asks how the secret stands."""
    rotation = None if deployment.plan is None else deployment.plan.rotation
    if rotation is None or rotation.adopt is not None:
        return []
    rotations = Rotations(ports.store, ports.clock)
    suspects = _suspects(ports, deployment) if outcome is Outcome.FAILED_DIRTY else []
    return [rotations.attempt_write(deployment, rotation.secret, _now(ports), outcome.value, suspects)]


def _suspects(ports: Ports, deployment: Deployment) -> list[str]:
    """ECS deployments with tasks that may hold the value which was given up: the next rotation would set another
    password for its user under them."""
    run = Rotations(ports.store, ports.clock).run_of(deployment.id)
    if run is None or run.forward_only:
        return []
    ledger, plan = Ledger(ports.store, ports.clock), plan_of(deployment)
    states, back = states_of(ports, plan), _rolled(ledger, deployment, Direction.REVERT)
    found = {*run.replaces.values(), *_rolled(ledger, deployment, Direction.ROLL).values()}
    for service in plan.changed:
        state = states.get(service.service)
        if state is not None and not (run.restored and _runs(state, back.get(service.key, ""))):
            found |= {entry.id for entry in _with_tasks(state)}
    return sorted(found - {""})


def _rolled(ledger: Ledger, deployment: Deployment, direction: Direction) -> dict[str, str]:
    """The ECS deployment that each service was rolled by."""
    return {
        rollout.service: rollout.ecs_deployment or ""
        for rollout in ledger.rollouts(deployment.id)
        if rollout.direction is direction
    }


def _runs(state: ServiceState | None, ecs_deployment: str) -> bool:
    """Whether a service has settled on this very ECS deployment, whose tasks all started after it did."""
    primary = None if state is None else state.primary
    return primary is not None and primary.id == ecs_deployment and primary.rollout_state == "COMPLETED"


def _with_tasks(state: ServiceState) -> list[EcsDeployment]:
    """ECS may still list one that has been replaced completely (API reference, Deployment: status INACTIVE)."""
    return [entry for entry in state.deployments if entry.status != "INACTIVE"]


def _answer(outcome: str, reason: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason}


def _now(ports: Ports) -> str:
    return Ledger(ports.store, ports.clock).now()
