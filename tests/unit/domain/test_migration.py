"""Migrations as data: they survive the table, older plans stay what they were, the schema only goes forward."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import content_hash
from tidegate.domain.migration import (
    Irreversible,
    MigrationPlan,
    MigrationRun,
    PendingFile,
    Schema,
)
from tidegate.domain.plan import Plan
from tidegate.domain.request import DeployRequest, RollbackRequest, parse_deploy, parse_rollback

DIGEST = "sha256:" + "1" * 64
FINDING = {"line": 3, "rule": "ban-drop-column", "level": "warning", "message": "no"}
EXPAND = PendingFile("0001_a.sql", "c1", "expand")
CONTRACT = PendingFile("0002_b.sql", "c2", "contract", ("it drops a column",), (FINDING,))
PLACE = {"system": "arive", "environment": "production"}


def plan(**more: Any) -> MigrationPlan:
    known: dict[str, Any] = {
        "runner": "sql",
        "key": "k1",
        "image": "app",
        "repository": "arive",
        "digest": DIGEST,
        "image_uri": f"registry/arive@{DIGEST}",
        "timeout": 900,
        "lock_timeout": 5,
        "statement_timeout": 900,
        "transaction_age": 300,
        "snapshot": False,
    }
    return MigrationPlan(**{**known, **more})


def run(**more: Any) -> MigrationRun:
    return replace(MigrationRun("arn:1", "2026-03-02T09:00:00.000Z"), **more)


@pytest.mark.parametrize(
    "made",
    [
        plan(),
        plan(pending=(EXPAND, CONTRACT), linter="squawk 2", database={"cluster": "c"}, directory="/sql"),
        plan(runner="task", command=("a", "b"), verify=("c",), service="api", secret="s", snapshot=True),
    ],
)
def test_a_plan_survives_the_table_and_keeps_its_hash(made: MigrationPlan) -> None:
    item = json.loads(json.dumps(made.to_json()))
    assert MigrationPlan.from_json(item) == made
    whole = Plan("c", (), migration=made)
    assert Plan.from_json(json.loads(json.dumps(whole.to_json()))).hash == whole.hash


def test_a_plan_without_a_migration_keeps_the_hash_that_it_had_before_there_were_any() -> None:
    """Row 31: one that was approved or carried while Tidegate was upgraded. Guards `Plan.to_json`."""
    old = {"cluster": "c", "services": [], "bake": None, "guard": None}
    assert Plan.from_json(old).migration is None
    assert Plan.from_json(old).to_json() == old
    assert Plan.from_json(old).hash == content_hash(old)
    assert Plan.from_json({"cluster": "c", "services": []}).migration is None


def test_another_migration_is_another_plan() -> None:
    """What a person approved is this migration and no other."""
    plans = [
        None,
        plan(),
        plan(key="k2"),
        plan(snapshot=True),
        plan(pending=(EXPAND,)),
        plan(pending=(CONTRACT,)),
    ]
    assert len({Plan("c", (), migration=made).hash for made in plans}) == len(plans)


def test_contract_steps_are_told_from_the_others() -> None:
    assert plan(pending=(EXPAND, CONTRACT)).contracts == (CONTRACT,)


def test_a_snapshot_and_a_look_take_longer() -> None:
    lengths = [plan().longest, plan(verify=("c",)).longest, plan(verify=("c",), snapshot=True).longest]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        (run(), False),
        (run(task="arn:task"), True),
        (run(asking="Migrate"), True),
        (run(task="arn:task", head="2", head_before="2"), False),
        (run(task="arn:task", head_before="2"), True),
        (run(head="1"), True),
        (run(head_before="1"), False),
        (run(outcome="Failed", head="2", head_before="1"), True),
        (run(outcome="Failed", head="1", head_before="1"), False),
        (run(outcome="Migrated"), True),
        (run(outcome="Migrated", head="2", head_before="1"), True),
        (run(outcome="Migrated", head="2", head_before="2"), False),
    ],
)
def test_whether_the_schema_may_be_another_one(made: MigrationRun, changed: bool) -> None:
    assert made.may_have_changed is changed


def test_a_run_survives_the_table_and_what_an_older_version_wrote_still_parses() -> None:
    """Row 31."""
    made = run(task="arn:task", asking="Verify", alive=True)
    assert MigrationRun.from_json(made.to_json()) == made
    assert MigrationRun.from_json({"execution": "e", "started_at": "s", "later": 1}) == MigrationRun("e", "s")


class TestTheSchema:
    def after(self, before: Schema, release: int, made: MigrationPlan, **done: Any) -> Schema:
        ended = run(outcome="Migrated", **done)
        return before.after(release, f"D{release}", f"2026-03-0{release}", release, made, ended)

    def test_has_what_ran(self) -> None:
        made = plan(pending=(EXPAND, CONTRACT))
        schema = self.after(Schema(0, "", "", 0, files={"0000_z.sql": "c0"}), 2, made, head="0002_b.sql")
        assert schema.files == {"0000_z.sql": "c0", "0001_a.sql": "c1", "0002_b.sql": "c2"}
        assert (schema.release, schema.deployment, schema.head, schema.fence) == (2, "D2", "0002_b.sql", 2)
        assert schema.irreversible == (Irreversible("0002_b.sql", 2, "D2", "2026-03-02"),)
        assert schema.done == ("k1",)

    def test_stays_that_of_the_release_that_moved_it(self) -> None:
        before = Schema(1, "D1", "2026-03-01", 1, head="h", done=("k1",))
        after = self.after(before, 2, plan(key="k2"), head="h", head_before="h")
        assert (after.release, after.deployment, after.at) == (1, "D1", "2026-03-01")
        assert (after.fence, after.done) == (2, ("k1", "k2"))

    def test_does_not_grow_for_ever(self) -> None:
        schema = Schema(0, "", "", 0)
        for number in range(150):
            made = plan(key=f"k{number}", pending=(CONTRACT,))
            schema = self.after(schema, 1, made)
        assert (len(schema.done), schema.done[-1]) == (100, "k149")
        assert len(schema.irreversible) == 50

    def test_what_is_done_again_is_the_newest(self) -> None:
        schema = Schema(0, "", "", 0, done=("k1", "k2"))
        assert self.after(schema, 1, plan()).done == ("k2", "k1")

    def test_knows_what_was_taken_away_since(self) -> None:
        steps = tuple(Irreversible(name, 1, "D1", f"2026-03-0{at}") for name, at in (("a", 1), ("b", 3)))
        schema = Schema(1, "D1", "", 1, irreversible=steps)
        assert [step.name for step in schema.taken_away_since("2026-03-01")] == ["b"]

    def test_survives_the_table(self) -> None:
        made = self.after(Schema(0, "", "", 0), 1, plan(pending=(EXPAND, CONTRACT)), head="h")
        assert Schema.from_json(json.loads(json.dumps(made.to_json()))) == made
        assert Schema.from_json({"release": 1, "deployment": "D", "at": "t", "fence": 1}).irreversible == ()


class TestRequests:
    def test_of_migrations_alone(self) -> None:
        asked = parse_deploy({**PLACE, "release": "r2", "only": "migrations", "force": True})
        assert asked == DeployRequest("arive", "production", release=2, only_migrations=True, force=True)

    def test_of_a_forced_way_back(self) -> None:
        asked = parse_rollback({**PLACE, "to": "r1", "force": True})
        assert asked == RollbackRequest("arive", "production", 1, force=True)

    @pytest.mark.parametrize("force", [None, False])
    def test_force_has_to_be_said(self, force: object) -> None:
        for asked in (parse_deploy({**PLACE, "release": "r2", "force": force}), parse_rollback(PLACE)):
            assert isinstance(asked, DeployRequest | RollbackRequest)
            assert not asked.force

    @pytest.mark.parametrize("value", ["yes", "true", 0, 1, 1.0, [], {}])
    @pytest.mark.parametrize("parse", [parse_deploy, parse_rollback])
    def test_force_is_true_or_false(self, parse: Any, value: object) -> None:
        """Row 35. Guards `Fields.flag`: 1 and 0 are equal to True and False, and are neither."""
        what = {"release": "r2"} if parse is parse_deploy else {}
        with pytest.raises(BadInputError) as refused:
            parse({**PLACE, **what, "force": value})
        assert refused.value.field == "force"
        assert refused.value.hint

    @pytest.mark.parametrize("value", ["services", "", "Migrations", True, 1, ["migrations"], {}])
    def test_only_migrations_can_be_run_alone(self, value: object) -> None:
        """Row 35."""
        with pytest.raises(BadInputError) as refused:
            parse_deploy({**PLACE, "release": "r2", "only": value})
        assert refused.value.field == "only"

    def test_a_way_back_has_no_part_of_its_own(self) -> None:
        with pytest.raises(BadInputError) as refused:
            parse_rollback({**PLACE, "only": "migrations"})
        assert refused.value.field == "only"

    @pytest.mark.parametrize("name", ["only", "force"])
    def test_a_restart_takes_neither(self, name: str) -> None:
        restart = {"secret": "s", "version": "v", "at": "2026-11-23T08:00:00Z"}
        value = "migrations" if name == "only" else True
        with pytest.raises(BadInputError) as refused:
            parse_deploy({**PLACE, "restart": restart, name: value})
        assert refused.value.field == name
