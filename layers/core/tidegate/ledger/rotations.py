"""The rotation of a deployment, how a secret stands since its last one, and which versions are rotations' own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.rotation import RotationRun, SecretStanding
from tidegate.ledger import keys
from tidegate.ledger.lines import line_write, present
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Check, Clock, Put, Store, Write


class Rotations:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._ledger = Ledger(store, clock)

    def run_of(self, deployment_id: str) -> RotationRun | None:
        item = self._store.get(keys.rotation(deployment_id))
        return None if item is None else RotationRun.from_json(item)

    def save(
        self,
        deployment: Deployment,
        run: RotationRun,
        *lines: Line,
        fence: int,
        versions: Sequence[str] = (),
        unless_aborted: bool = False,
    ) -> None:
        """The run and its deployment, under the fence: raises LostLockError where another run owns the environment, or,
        `unless_aborted`, a person has asked to take it back. `versions` are its own from now on."""
        writes: list[Write] = [Put(keys.rotation(deployment.id), present(run.to_json()))]
        writes += [Put(keys.secret_version(version), {"deployment": deployment.id}) for version in versions]
        writes.append(self._ledger.deployment_write(deployment))
        writes += [line_write(deployment.id, line, number) for number, line in enumerate(lines)]
        if unless_aborted:
            writes.append(Check(keys.abort(deployment.id), {"pk": None}))
        self._ledger.write(deployment, writes, fence)

    def wrote(self, version: str) -> str | None:
        """The rotation that made this version; None where somebody else did."""
        item = self._store.get(keys.secret_version(version))
        return None if item is None else str(item["deployment"])

    def looked_after(self, version: str, at: str) -> bool:
        """Whether the rotation that made this version made it current at this moment, ISO 8601, and looks after its
        consumers itself. Once it has ended, who makes it current again is somebody else."""
        by = self.wrote(version)
        deployment = None if by is None else self._ledger.find(by)
        if deployment is None:
            return False
        return deployment.finished_at is None or parse_iso(at) <= parse_iso(deployment.finished_at)

    def standing(self, system: str, environment: str, secret: str) -> SecretStanding | None:
        item = self._store.get(keys.secret(system, environment, secret))
        return None if item is None else SecretStanding.from_json(item)

    def standings(self, system: str, environment: str) -> list[SecretStanding]:
        items = self._store.query(keys.place(system, environment), "SECRET#")
        return [SecretStanding.from_json(item) for item in items]

    def standing_write(self, system: str, environment: str, standing: SecretStanding) -> Write:
        return Put(keys.secret(system, environment, standing.secret), present(standing.to_json()))

    def note_attempt(self, deployment: Deployment, secret: str, outcome: str) -> None:
        """One that ended before it had the lock."""
        write = self.attempt_write(deployment, secret, self._ledger.now(), outcome)
        self._store.transact([write])

    def attempt_write(
        self, deployment: Deployment, secret: str, at: str, outcome: str, suspects: Sequence[str] = ()
    ) -> Write:
        """The last attempt at a secret, whatever came of it."""
        place = deployment.system, deployment.environment
        known = self.standing(*place, secret) or SecretStanding(secret)
        return self.standing_write(
            *place,
            replace(
                known,
                attempt=deployment.id,
                attempt_at=at,
                attempt_outcome=outcome,
                suspects=tuple(sorted({*known.suspects, *suspects})),
            ),
        )
