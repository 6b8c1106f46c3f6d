"""ECS and RDS know no fence: whoever is about to change something there looks at the lock right before."""

from __future__ import annotations

from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import LostLockError
from tidegate.ledger.locks import Locks
from tidegate.ports import Ports


def insist_on_lock(ports: Ports, deployment: Deployment, fence: int) -> None:
    """Raises LostLockError where another run owns the environment."""
    place = deployment.system, deployment.environment
    if not Locks(ports.store, ports.clock).holds(*place, deployment.id, fence):
        raise LostLockError(f"fence {fence} of {'/'.join(place)} is void: nothing was changed")
