"""A small RDS: databases with a status, and snapshots that a test completes."""

from __future__ import annotations

from tests.support.scripted import Scripted, recorded


class FakeBackups(Scripted):
    """`databases` and `snapshots` are (kind, name) to status; a snapshot is `creating` until a test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.databases: dict[tuple[str, str], str] = {}
        self.snapshots: dict[tuple[str, str], str] = {}

    @recorded
    def status(self, kind: str, name: str) -> str | None:
        return self.databases.get((kind, name))

    @recorded
    def snapshot(self, kind: str, name: str, snapshot: str) -> None:
        self.snapshots.setdefault((kind, snapshot), "creating")

    @recorded
    def snapshot_status(self, kind: str, snapshot: str) -> str | None:
        return self.snapshots.get((kind, snapshot))
