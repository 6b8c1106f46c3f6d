"""Who gives way to whom: newer releases supersede those that wait (`queue: latest`), and a rollback goes before
everything.

Never the one that runs: only a rollback, or a person, takes that back. Each of these may be done twice, and a crash
in between leaves deployments that wait a little longer than they should.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.domain.deployment import Deployment, Machine, Phase
from tidegate.domain.lock import Rank, outranked
from tidegate.domain.outcome import Outcome
from tidegate.ledger.handover import release
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.stopping import aborted, stop, superseded, withdraw


def give_way(ports: Ports, ledger: Ledger, deployment: Deployment) -> None:
    """In an environment whose queue is `latest`: `deployment`, which has come to wait, takes the place of older ones
    that wait, or gives way to a newer one."""
    if deployment.queue != "latest":
        return
    beaten, by = outranked(deployment.rank, _waiting(ports, deployment))
    if by is not None:
        withdraw(ports, deployment, superseded(deployment, _instead(ledger, deployment, by)))
        return
    for identity in beaten:
        older = ledger.deployment(deployment.system, deployment.environment, identity)
        if older is not None:
            withdraw(ports, older, superseded(older, _instead(ledger, older, deployment.id)))


def supersede_waiting(ports: Ports, ledger: Ledger, rollback: Deployment) -> None:
    """Of a rollback: what waits for the lock, or for a person, is not released any more."""
    why = _with_reason(f"rollback {rollback.id} by {rollback.actor or 'somebody'}", rollback)
    for identity, _ in _waiting(ports, rollback):
        waiting = ledger.deployment(rollback.system, rollback.environment, identity)
        # Neither a rotation nor a count is of a release: they wait until the rollback is over.
        if waiting is not None and not (waiting.rotation or waiting.scales):
            withdraw(ports, waiting, superseded(waiting, why))


def clear_the_way(ports: Ports, ledger: Ledger, rollback: Deployment) -> None:
    """Of a rollback that waits for the lock: the deployment that holds it is taken back, those that wait are
    superseded, a mess that one left behind is no obstacle."""
    supersede_waiting(ports, ledger, rollback)
    locks = Locks(ports.store, ports.clock)
    lock = locks.read(rollback.system, rollback.environment)
    owner = (
        None if lock.owner is None else ledger.deployment(rollback.system, rollback.environment, lock.owner)
    )
    if owner is None or owner.id == rollback.id:
        return
    if owner.outcome is Outcome.FAILED_DIRTY:
        release_mess(ports, owner)
        return
    interventions = Interventions(ports.store, ports.clock)
    by, why = rollback.actor or "somebody", _with_reason(f"rollback {rollback.id}", rollback)
    if can_be_aborted(owner) and interventions.ask_abort(owner.id, owner, by, why):
        abort = interventions.abort_of(owner.id)
        if abort is not None:
            stop(ports, owner, aborted(abort))


def _with_reason(said: str, rollback: Deployment) -> str:
    return f"{said}: {rollback.reason}" if rollback.reason else said


def can_be_aborted(deployment: Deployment) -> bool:
    """A rollback that has begun is finished: half of it would be no state that anybody ran. A rotation that disables
    the old credential goes forward only."""
    if deployment.phase is Phase.RETIRING:
        return False
    return deployment.machine is not Machine.ROLLBACK or not deployment.fence


def release_mess(ports: Ports, owner: Deployment) -> bool:
    """Hand on the lock that a deployment kept when it ended FailedDirty, for one that puts things right; False while
    its execution runs."""
    execution = ports.executions.describe(owner.execution)
    if execution is not None and execution.running:
        return False
    release(ports, owner.system, owner.environment, owner.id)
    return True


def _waiting(ports: Ports, newcomer: Deployment) -> Iterator[tuple[str, Rank]]:
    """Others that wait for the lock, or for a person before they do; without rollbacks."""
    place = newcomer.system, newcomer.environment
    for waiter in Locks(ports.store, ports.clock).waiters(*place):
        if waiter.deployment != newcomer.id and not waiter.rank.urgent:
            yield waiter.deployment, waiter.rank
    for approval in Interventions(ports.store, ports.clock).approvals(*place):
        if approval.deployment != newcomer.id:
            yield approval.deployment, approval.rank


def _instead(ledger: Ledger, deployment: Deployment, by: str) -> str:
    newer = ledger.deployment(deployment.system, deployment.environment, by)
    name = None if newer is None else newer.release_name
    return f"{name or 'a newer release'} took its place (deployment {by})"
