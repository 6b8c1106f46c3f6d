"""Every event that comes in, through its function's handler: one row a file, and a file without one fails."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tidegate.ports import Answer

from tests.functions.build_rows import BUILD_ROWS
from tests.functions.invoking import FUNCTIONS, invoke
from tests.functions.migration_rows import MIGRATION_ROWS
from tests.functions.rotation_rows import ROTATION_ROWS
from tests.functions.safety_rows import SAFETY_ROWS
from tests.functions.scale_rows import SCALE_ROWS
from tests.functions.scene import (
    CANARY,
    DEPLOYMENT,
    EVENTS,
    FENCE,
    FOREIGN_ECS_DEPLOYMENT,
    PLACE,
    TOKEN,
    Row,
    Scene,
    event,
    started,
)
from tests.functions.sql_rows import SQL_ROWS


def registered() -> Scene:
    return Scene().registered()


def planned() -> Scene:
    return registered().planned()


def rolling() -> Scene:
    return planned().locked().rolling("api", "worker")


def crashed() -> Scene:
    return planned().locked().rolling("api").crashed()


def reverted() -> Scene:
    return crashed().rolling("api", back=True).completed("api")


def freed(scene: Scene) -> bool:
    return scene.locks.read(*PLACE).free


def outcome_of(scene: Scene) -> str | None:
    outcome = scene.deployment.outcome
    return None if outcome is None else outcome.value


def refusals(scene: Scene) -> list[str]:
    return [detail["reason"] for detail in scene.world.bus.of("Deployment Refused")]


def told(scene: Scene) -> list[str]:
    return [line.what for line in scene.ledger.timeline(DEPLOYMENT)]


WAVES = [{"services": ["api"]}, {"services": ["worker"]}]
PLANS = {
    "plan": Row(
        registered, {"outcome": "Ready", "system": "shop", "waves": WAVES, "planned_fence": FENCE - 1}
    ),
    "plan_a_commit": Row(registered, {"outcome": "Ready", "waves": WAVES}),
    "plan_a_known_release": Row(registered, {"outcome": "NoChange"}),
    "plan_a_recovery": Row(planned, {"outcome": "Recover", "deployment": DEPLOYMENT, "waves": WAVES}),
    "plan_a_rollback": Row(registered, {"outcome": "Ready", "waves": [{"services": ["api", "worker"]}]}),
    "plan_a_rollback_to_a_release": Row(registered, {"outcome": "Ready"}),
    "plan_again": Row(
        lambda: planned().locked(), {"outcome": "Ready", "deployment": DEPLOYMENT, "waves": WAVES}
    ),
    "plan_of_a_bad_request": Row(registered, {"outcome": "Refused", "system": None, "waves": []}),
}
LOCKS = {
    "acquire": Row(
        lambda: planned().asks_for_the_lock(),
        {"outcome": "Acquired", "fence": FENCE},
        lambda scene: (
            scene.world.executions.answers[TOKEN] == {"outcome": "Acquired", "fence": FENCE, "document": None}
        ),
    ),
    "acquire_for_a_rollback": Row(
        lambda: planned().held_by_another().asks_for_the_lock(),
        {"outcome": "Queued", "place": 1},
        lambda scene: TOKEN not in scene.world.executions.answers,
    ),
    "take_over": Row(lambda: rolling().abandoned(), {"outcome": "Wait"}),
}
ROLLS = {
    "await": Row(
        lambda: planned().locked().busy(),
        {"waiting_for": FOREIGN_ECS_DEPLOYMENT},
        lambda scene: [w["token"] for w in scene.ledger.waiting_for(FOREIGN_ECS_DEPLOYMENT)] == [TOKEN],
    ),
    "report": Row(
        crashed,
        {"service": "api", "outcome": "RolledBack"},
        lambda scene: "password=***" in json.dumps(scene.ledger.reports(DEPLOYMENT)[0].to_json()),
    ),
    "report_stuck": Row(
        lambda: planned().locked().rolling("api"),
        {"service": "api", "summary": "api: ECS had not decided within 1800 s"},
    ),
    "start": Row(
        lambda: planned().locked(),
        {},
        lambda scene: scene.world.containers.called("update_service") == 1,
    ),
    "start_back": Row(
        crashed,
        {},
        lambda scene: scene.world.containers.service("shop-api").primary.task_definition.endswith(":2"),
    ),
}
ENDS = {
    "begin_compensation": Row(rolling, {"waves": WAVES[::-1]}),
    "conclude_no_change": Row(
        planned, {"outcome": "NoChange"}, lambda scene: outcome_of(scene) == "NoChange"
    ),
    "conclude_refused": Row(
        lambda: planned().locked(),
        {"outcome": "Refused"},
        lambda scene: freed(scene) and len(refusals(scene)) == 1,
    ),
    "conclude_refused_unregistered": Row(
        registered,
        {"outcome": "Refused"},
        lambda scene: refusals(scene) == ["system: Shop! is not a system name"],
    ),
    "fail": Row(crashed, {"outcome": "FailedDirty"}, lambda scene: not freed(scene)),
    "fail_before_a_plan": Row(registered, {"outcome": "FailedClean"}),
    "fail_in_the_queue": Row(
        lambda: planned().held_by_another(),
        {"outcome": "FailedClean"},
        lambda scene: "States.Timeout" in scene.deployment.explanation,
    ),
    "fail_on_an_error": Row(
        reverted,
        {"outcome": "FailedClean"},
        lambda scene: freed(scene) and "access denied" in scene.deployment.explanation,
    ),
    "succeed": Row(
        lambda: rolling().completed("api", "worker"),
        {"outcome": "Succeeded"},
        lambda scene: freed(scene) and len(scene.world.bus.of("Deployment Succeeded")) == 1,
    ),
}
STARTED = Row(
    registered,
    {"did": "started"},
    lambda scene: [(machine, given["system"]) for machine, given in started(scene)] == [("deploy", "shop")],
)


def refused(what: str) -> Row:
    return Row(
        registered,
        {"did": "refused"},
        lambda scene: what in refusals(scene)[0] and started(scene) == [],
    )


WAKES = {
    "ecs_deployment_completed": Row(
        lambda: rolling().completed("api"),
        {"did": "looked", "resumed": 1},
        lambda scene: scene.world.executions.answers[f"{TOKEN}-api-False"]["outcome"] == "Rolled",
    ),
    "ecs_deployment_failed": Row(
        crashed,
        {"did": "looked", "resumed": 1},
        lambda scene: scene.world.executions.answers[f"{TOKEN}-api-False"]["outcome"] == "RolledBack",
    ),
    # It is let through by no rule, and would do no harm: what ECS says decides.
    "ecs_deployment_in_progress": Row(rolling, {"did": "looked", "resumed": 0}),
    "ecs_deployment_nobody_waits_for": Row(rolling, {"did": "nothing"}),
    "ecs_deployment_rollback_in_progress": Row(rolling, {"did": "nothing"}),
    "ecs_task_failed_to_start": Row(
        rolling, {"did": "told", "tasks": 1}, lambda scene: "a task stopped" in told(scene)
    ),
    "ecs_task_of_nobody": Row(rolling, {"did": "told", "tasks": 0}),
    "ecs_task_stopped_by_scaling": Row(rolling, {"did": "nothing"}),
    "ecs_task_stopped_with_exit_code": Row(
        rolling, {"did": "told", "tasks": 1}, lambda scene: "a task stopped" in told(scene)
    ),
    "image_published": STARTED,
    "image_published_bad_digest": refused("digest"),
    # A tag may move: what was published is its digest.
    "image_published_by_tag": refused("digest"),
    "image_published_no_images": refused("images"),
    "image_published_several_images": STARTED,
    "image_published_unknown_key": refused("priority"),
    "image_published_unknown_system": refused("nobody is not registered"),
    "image_published_without_commit": STARTED,
    "image_published_without_environment": STARTED,
    "of_no_use": Row(registered, {"did": "nothing"}),
}
SWEEPS = {
    "scheduled": Row(
        lambda: rolling().completed("api").abandoned(),
        {"resumed": 1, "recovered": 1},
        lambda scene: [machine for machine, _ in started(scene)] == ["deploy"],
    )
}


def pushed(**detail: object) -> Callable[[Scene], bool]:
    """One event was put, with these values."""

    def look(scene: Scene) -> bool:
        (found,) = scene.world.bus.of("GitHub Push")
        return scene.world.bus.sources == ["tidegate.github"] and detail.items() <= found.items()

    return look


def nothing_put(scene: Scene) -> bool:
    return scene.world.bus.events == []


PUSHED = ["backend/api.py", "backend/stock.py", "docs/old.md"]
AFTER, BEFORE = "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "1f0c7b1c6f4f0f6a0b7b4a9a6d8d53f5e07c5a11"
TAKEN = Row(
    registered,
    {"statusCode": 202},
    pushed(
        repository="acme/shop",
        ref="refs/heads/main",
        before=BEFORE,
        commit=AFTER,
        forced=False,
        changed=PUSHED,
        actor="ada",
        url=f"https://github.com/acme/shop/compare/{BEFORE[:12]}...{AFTER[:12]}",
        delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958",
    ),
)
WEBHOOKS = {
    "push": TAKEN,
    "push_in_base64": TAKEN,
    "push_of_a_new_branch": Row(
        registered, {"statusCode": 202}, pushed(ref="refs/heads/next", before=None, changed=None)
    ),
    "push_forced": Row(registered, {"statusCode": 202}, pushed(forced=True, before=BEFORE, changed=None)),
    "push_of_a_tag": Row(registered, {"statusCode": 202}, nothing_put),
    "branch_deleted": Row(registered, {"statusCode": 202}, nothing_put),
    "ping": Row(registered, {"statusCode": 200}, nothing_put),
    "push_signed_by_nobody": Row(registered, {"statusCode": 401}, nothing_put),
    "push_of_another_repository": Row(registered, {"statusCode": 403}, nothing_put),
    "push_as_a_form": Row(registered, {"statusCode": 415}, nothing_put),
    "somebody_looks": Row(registered, {"statusCode": 405}, nothing_put),
}


def answering(*answers: Answer | str) -> Callable[[], Scene]:
    """The service says these, one after the other, and the last for ever."""

    def scene() -> Scene:
        found = Scene()
        found.world.web.answers = [*answers]
        return found

    return scene


SAID = f'{{"status":"ok","password":"{CANARY}"}}'.encode()
SMOKES = {
    "check": Row(
        answering("connection refused", Answer(503, SAID, 0.1), Answer(200, SAID, 0.1)),
        {"outcome": "Healthy", "attempts": 3, "status": 200},
    ),
    "check_of_a_redirect": Row(answering(Answer(301, b"", 0.1)), {"outcome": "Healthy", "status": 301}),
    "check_that_never_gets_well": Row(
        answering(Answer(503, SAID, 0.1)), {"outcome": "Unhealthy", "status": 503}
    ),
    # Its address has a token in the query.
    "check_with_a_body_and_a_latency": Row(
        answering(Answer(200, b"starting", 0.1), Answer(200, SAID, 2.5), Answer(200, SAID, 0.1)),
        {"outcome": "Healthy", "attempts": 3},
    ),
}
ROWS = {
    f"{function}/{case}": row
    for function, rows in {
        "lock": LOCKS,
        "migrate_sql": SQL_ROWS,
        "plan_release": PLANS,
        "record": ENDS,
        "roll_service": ROLLS,
        "smoke": SMOKES,
        "sweep": SWEEPS,
        "wake": WAKES,
        "webhook": WEBHOOKS,
    }.items()
    for case, row in rows.items()
} | {**BUILD_ROWS, **ROTATION_ROWS}
ROWS |= SAFETY_ROWS | MIGRATION_ROWS | SCALE_ROWS
# What is in an environment's VPC: infrastructure/runner.yaml.
RUNNERS = ("migrate_sql", "smoke")


def test_every_file_has_a_row_and_every_function_files() -> None:
    functions = {path.parent.name for path in FUNCTIONS.glob("*/app.py")}
    files = {path for path in EVENTS.glob("*/*.json") if path.parent.name in functions}
    assert {f"{path.parent.name}/{path.stem}" for path in files} == set(ROWS)
    assert {path.parent.name for path in files} == functions


@pytest.mark.parametrize("name", ROWS)
def test_an_event_is_taken_as_expected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[name]
    scene = row.scene()
    done = invoke(name.partition("/")[0], event(name), scene.world, monkeypatch)
    assert done.error is None
    result = done.result
    assert result is not None
    assert {key: result[key] for key in row.gives} == row.gives
    assert row.then(scene)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("name", [name for name in ROWS if name.partition("/")[0] in RUNNERS])
def test_a_runner_has_no_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards `table=False` in functions/smoke/app.py and functions/migrate_sql/app.py."""
    scene = ROWS[name].scene()
    done = invoke(name.partition("/")[0], event(name), scene.world, monkeypatch, table="")
    assert done.error is None
    assert scene.world.store.items == {}


@pytest.mark.parametrize("name", ROWS)
def test_no_secret_is_written_anywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task definitions, the logs and the tokens of the scene have them."""
    scene = ROWS[name].scene()
    done = invoke(name.partition("/")[0], event(name), scene.world, monkeypatch)
    world = scene.world
    kept = [done.written, done.result, [*world.store.items.values()], world.bus.events, started(scene)]
    for written in kept:
        assert CANARY not in json.dumps(written)
    assert TOKEN not in done.written
