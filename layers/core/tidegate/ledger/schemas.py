"""The migration of a deployment, what an environment's schema is since, and what was read from an image's files."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.migration import MigrationRun, Schema
from tidegate.ledger import keys
from tidegate.ledger.lines import line_write, present
from tidegate.ledger.records import Ledger
from tidegate.ports import Clock, Item, Put, Store, Write


class Schemas:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._ledger = Ledger(store, clock)

    def run_of(self, deployment_id: str) -> MigrationRun | None:
        item = self._store.get(keys.migration(deployment_id))
        return None if item is None else MigrationRun.from_json(item)

    def save_run(
        self,
        deployment: Deployment,
        run: MigrationRun,
        *lines: Line,
        fence: int,
        also: Sequence[Write] = (),
    ) -> None:
        """Under the fence: raises LostLockError where another run owns the environment."""
        writes: list[Write] = [Put(keys.migration(deployment.id), present(run.to_json())), *also]
        writes += [line_write(deployment.id, line, number) for number, line in enumerate(lines)]
        self._ledger.write(deployment, writes, fence)

    def schema(self, system: str, environment: str) -> Schema | None:
        item = self._store.get(keys.schema(system, environment))
        return None if item is None else Schema.from_json(item)

    def schema_write(self, system: str, environment: str, schema: Schema) -> Write:
        return Put(keys.schema(system, environment), present(schema.to_json()))

    def folder(self, repository: str, digest: str, directory: str) -> Item | None:
        return self._store.get(keys.image_folder(repository, digest, directory))

    def keep_folder(self, repository: str, digest: str, directory: str, content: Item) -> None:
        self._store.transact([Put(keys.image_folder(repository, digest, directory), content)])
