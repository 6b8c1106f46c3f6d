"""What the ledger keeps of migrations: under the fence, in one write, and an image's files for good."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tidegate.domain.deployment import Deployment, Line, Machine
from tidegate.domain.errors import LostLockError, TransientError
from tidegate.domain.migration import Irreversible, MigrationRun, Schema
from tidegate.ledger.locks import Acquired, Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas

from tests.support.clock import FakeClock
from tests.support.store import FakeStore
from tests.unit.ledger.meddling import ENVIRONMENT, SYSTEM

PLACE = (SYSTEM, ENVIRONMENT)
SCHEMA = Schema(
    2,
    "D1",
    "2026-03-02T09:00:00.000Z",
    1,
    files={"0001_a.sql": "c1"},
    done=("k1",),
    irreversible=(Irreversible("0001_a.sql", 2, "D1", "2026-03-02T09:00:00.000Z"),),
)


class Place:
    """An environment whose lock the deployment D1 holds."""

    def __init__(self) -> None:
        self.store, clock = FakeStore(), FakeClock()
        self.schemas = Schemas(self.store, clock)
        self.ledger = Ledger(self.store, clock)
        self.locks = Locks(self.store, clock)
        self.deployment = self.ledger.open(
            Deployment("D1", *PLACE, Machine.DEPLOY, "arn:D1", self.ledger.now()), "deployment requested"
        )
        acquired = self.locks.acquire(*PLACE, "D1", "arn:D1", "token", "")
        assert isinstance(acquired, Acquired)
        self.fence = acquired.fence
        self.run = MigrationRun("arn:migrate", self.ledger.now())

    def save(self, run: MigrationRun, *lines: Line) -> None:
        also = [self.schemas.schema_write(*PLACE, SCHEMA)]
        self.schemas.save_run(self.deployment, run, *lines, fence=self.fence, also=also)


@pytest.fixture
def place() -> Place:
    return Place()


def test_nothing_is_known_before_anything_was_written(place: Place) -> None:
    assert place.schemas.run_of("D1") is None
    assert place.schemas.schema(*PLACE) is None
    assert place.schemas.folder("r", "sha256:1", "/migrations") is None


def test_a_run_its_lines_and_the_schema_are_read_as_they_were_written(place: Place) -> None:
    run = replace(place.run, task="arn:task", head="0001_a.sql", outcome="Migrated", asking="Verify")
    place.save(run, Line(place.ledger.now(), "migrated"), Line(place.ledger.now(), "told"))
    assert place.schemas.run_of("D1") == run
    assert place.schemas.schema(*PLACE) == SCHEMA
    assert [line.what for line in place.ledger.timeline("D1")][-2:] == ["migrated", "told"]


def test_what_became_unknown_again_is_not_kept(place: Place) -> None:
    """A task that ECS refused: `asking` must not stay from the write before."""
    place.save(replace(place.run, asking="Migrate"))
    place.save(place.run)
    assert place.schemas.run_of("D1") == place.run


def test_under_a_void_fence_nothing_of_it_is_written(place: Place) -> None:
    """Row 16. Guards the fence in `save_run`."""
    place.locks.take_over(*PLACE, "D1", "arn:other")
    with pytest.raises(LostLockError):
        place.save(place.run, Line(place.ledger.now(), "migrated"))
    assert place.schemas.run_of("D1") is None
    assert place.schemas.schema(*PLACE) is None
    assert "migrated" not in [line.what for line in place.ledger.timeline("D1")]


def test_a_write_that_failed_has_written_nothing(place: Place) -> None:
    place.store.fails("transact")
    with pytest.raises(TransientError):
        place.save(place.run)
    assert (place.schemas.run_of("D1"), place.schemas.schema(*PLACE)) == (None, None)


def test_each_environment_has_a_schema_of_its_own(place: Place) -> None:
    place.save(place.run)
    assert place.schemas.schema(SYSTEM, "staging") is None


def test_files_are_kept_by_image_and_folder(place: Place) -> None:
    content = {"files": [{"name": "0001_a.sql", "checksum": "c1"}], "linter": None}
    place.schemas.keep_folder("r", "sha256:1", "/migrations", content)
    kept = place.schemas.folder("r", "sha256:1", "/migrations")
    assert kept is not None
    assert kept["files"] == content["files"]
    for other in (
        ("other", "sha256:1", "/migrations"),
        ("r", "sha256:2", "/migrations"),
        ("r", "sha256:1", "/sql"),
    ):
        assert place.schemas.folder(*other) is None
