"""The rows of what people do (`control`), of approvals, bakes and restarts, and of releases that give way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.domain.deployment import Phase
from tidegate.steps.resuming import awaited_alarm

from tests.functions.safety_scene import ALARM, ORDER, SECRET, SafetyScene
from tests.functions.scene import DEPLOYMENT, PLACE, TOKEN, Row, started

ADA = "arn:aws:sts::111122223333:assumed-role/Oncall/ada"


def registered() -> SafetyScene:
    scene = SafetyScene()
    scene.registered()
    return scene


def rolling() -> SafetyScene:
    scene = registered()
    scene.planned().locked().rolling("api", "worker")
    return scene


def answers(scene: SafetyScene) -> dict[str, Any]:
    """What the tasks that waited were told, by the end of their token."""
    told = scene.world.executions.answers
    return {token.removeprefix(TOKEN): answer["outcome"] for token, answer in told.items()}


def commands(scene: SafetyScene) -> list[tuple[str, str, str]]:
    """Those in the record: what, by whom, why."""
    return [(item["command"], item["by"], item["reason"]) for item in scene.people.commands()]


def done(command: str, reason: str, also: Callable[[SafetyScene], bool]) -> Callable[[SafetyScene], bool]:
    return lambda scene: commands(scene) == [(command, ADA, reason)] and also(scene)


def refused(command: str, why: str) -> Callable[[SafetyScene], bool]:
    """It is in the record, with the reason, and no task was told anything."""

    def look(scene: SafetyScene) -> bool:
        (item,) = scene.people.commands()
        return item["command"] == command and why in item["refused"] and TOKEN not in answers(scene)

    return look


def unheard(scene: SafetyScene) -> bool:
    """Nothing is recorded, aborted or answered."""
    return (
        commands(scene) == []
        and scene.people.abort_of(DEPLOYMENT) is None
        and "Aborted" not in answers(scene).values()
    )


def frozen(until: str | None) -> Callable[[SafetyScene], bool]:
    def look(scene: SafetyScene) -> bool:
        found = scene.people.freeze(*PLACE)
        return found is not None and (found.by, found.until) == (ADA, until)

    return look


def aborted(scene: SafetyScene) -> bool:
    abort = scene.people.abort_of(DEPLOYMENT)
    return abort is not None and (abort.by, abort.reason) == (ADA, "wrong commit")


GOOD, BAD, UNKNOWN, REFUSED = ({"statusCode": status} for status in (200, 400, 404, 409))
CONTROL = {
    "abort": Row(
        rolling,
        GOOD,
        done(
            "abort",
            "wrong commit",
            lambda scene: (
                aborted(scene)
                and (answers(scene)["-api-False"], answers(scene)["-worker-False"]) == ("Aborted", "Aborted")
            ),
        ),
    ),
    "abort_too_late": Row(
        lambda: SafetyScene().succeeded(),
        REFUSED,
        lambda scene: (
            refused("abort", "has ended: Succeeded")(scene) and scene.people.abort_of(DEPLOYMENT) is None
        ),
    ),
    # It is no command about a system until the deployment says of which.
    "abort_of_what_has_just_begun": Row(
        lambda: SafetyScene().just_begun(), GOOD, lambda scene: aborted(scene) and commands(scene) == []
    ),
    "abort_of_nobodys": Row(rolling, UNKNOWN, unheard),
    "abort_without_a_reason": Row(rolling, BAD, unheard),
    "approve": Row(
        lambda: SafetyScene().waits_for_approval(),
        GOOD,
        done("approve", "looked at it", lambda scene: answers(scene)[""] == "Approved"),
    ),
    "approve_in_base64": Row(
        lambda: SafetyScene().waits_for_approval(other=True),
        GOOD,
        done("approve", "", lambda scene: answers(scene)[""] == "Approved"),
    ),
    "approve_another_plan": Row(
        lambda: SafetyScene().waits_for_approval(), REFUSED, refused("approve", "is not the one that you saw")
    ),
    "approve_ones_own": Row(
        lambda: SafetyScene().waits_for_approval(other=True),
        REFUSED,
        refused("approve", "somebody else has to approve it"),
    ),
    "reject": Row(
        lambda: SafetyScene().waits_for_approval(),
        GOOD,
        done("reject", "not on a Friday", lambda scene: answers(scene)[""] == "Rejected"),
    ),
    "freeze": Row(registered, GOOD, done("freeze", "the sale begins", frozen(None))),
    "freeze_until": Row(
        registered, GOOD, done("freeze", "the sale begins", frozen("2026-11-23T08:00:00.000Z"))
    ),
    "freeze_for_a_year": Row(registered, BAD, lambda scene: scene.people.freeze(*PLACE) is None),
    "freeze_of_nobody": Row(registered, UNKNOWN, unheard),
    "unfreeze": Row(
        lambda: SafetyScene().frozen(),
        GOOD,
        done("unfreeze", "the sale is over", lambda scene: scene.people.freeze(*PLACE) is None),
    ),
    "unfreeze_what_is_not_frozen": Row(registered, REFUSED, refused("unfreeze", "was not frozen by hand")),
    "unlock": Row(
        lambda: SafetyScene().left_a_mess(),
        GOOD,
        done("unlock", "put right by hand", lambda scene: scene.locks.read(*PLACE).free),
    ),
    "unlock_of_one_that_runs": Row(
        rolling,
        REFUSED,
        lambda scene: (
            refused("unlock", "holds the lock and runs")(scene) and not scene.locks.read(*PLACE).free
        ),
    ),
    # Lambda lets none through that is not signed; should one come all the same, nothing is done.
    "unsigned": Row(rolling, {"statusCode": 403}, unheard),
    "bad_body": Row(rolling, BAD, unheard),
    "unknown_command": Row(rolling, BAD, unheard),
    "unknown_field": Row(rolling, BAD, unheard),
}
LOCK = {
    "await_approval": Row(
        lambda: SafetyScene().waits_for_approval(other=True),
        {"waiting_for": f"approval/{DEPLOYMENT}"},
        lambda scene: (
            len(scene.world.bus.of("Deployment Awaiting Approval")) == 1
            and TOKEN not in scene.world.executions.answers
        ),
    ),
    "release": Row(
        lambda: registered().planned().locked(),
        {"outcome": "Released"},
        lambda scene: scene.locks.read(*PLACE).free,
    ),
}
ROLL_SERVICE = {
    "bake": Row(
        lambda: SafetyScene().rolled(),
        {"waiting_for": {"seconds": 300, "alarms": [ALARM]}},
        lambda scene: (
            [waiting["token"] for waiting in scene.ledger.waiting_for(awaited_alarm(ALARM))] == [TOKEN]
            and scene.deployment.phase is Phase.BAKING
        ),
    ),
}
PLAN_RELEASE = {
    "plan_a_push_in_its_order": Row(
        registered,
        {"outcome": "Ready"},
        lambda scene: [deployment.order for deployment in scene.ledger.history(*PLACE)] == [ORDER],
    ),
    "plan_a_push_that_comes_too_late": Row(
        lambda: SafetyScene().overtaken(), {"outcome": "Superseded", "waves": []}
    ),
    # Only `api` takes the secret.
    "plan_a_restart": Row(
        lambda: SafetyScene().takes_the_secret(), {"outcome": "Ready", "waves": [{"services": ["api"]}]}
    ),
}
RECORD = {
    "conclude_superseded": Row(
        lambda: registered().planned(),
        {"outcome": "Superseded"},
        lambda scene: len(scene.world.bus.of("Deployment Superseded")) == 1,
    ),
    "fail_unapproved": Row(
        lambda: registered().planned(),
        {"outcome": "FailedClean"},
        lambda scene: "ApprovalExpired" in scene.deployment.explanation,
    ),
}
WAKE = {
    "alarm_rang": Row(
        lambda: SafetyScene().baking().rings(),
        {"did": "looked", "resumed": 1},
        lambda scene: answers(scene)[""] == "Alarmed",
    ),
    # It is let through by no rule, and would do no harm: what CloudWatch says when asked decides.
    "alarm_fell_silent": Row(
        lambda: SafetyScene().baking(),
        {"did": "looked", "resumed": 0},
        lambda scene: "" not in answers(scene),
    ),
    "alarm_rang_nobody_waits_for": Row(
        lambda: SafetyScene().baking(), {"did": "nothing"}, lambda scene: "" not in answers(scene)
    ),
    "secret_changed": Row(
        lambda: SafetyScene().takes_the_secret(),
        {"did": "restarted its consumers", "started": ["shop/production: started"]},
        lambda scene: [given["restart"]["secret"] for _, given in started(scene)] == [SECRET],
    ),
    "secret_changed_of_nobody": Row(
        lambda: SafetyScene().takes_the_secret(), {"did": "nothing"}, lambda scene: started(scene) == []
    ),
    "secret_has_another_label": Row(
        lambda: SafetyScene().takes_the_secret(), {"did": "nothing"}, lambda scene: started(scene) == []
    ),
}


SAFETY_ROWS = {
    f"{function}/{case}": row
    for function, rows in {
        "control": CONTROL,
        "lock": LOCK,
        "plan_release": PLAN_RELEASE,
        "record": RECORD,
        "roll_service": ROLL_SERVICE,
        "wake": WAKE,
    }.items()
    for case, row in rows.items()
}
