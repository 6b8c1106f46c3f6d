"""The rows of rotations: what is planned and recorded of them, and what `rotate_secret` does with a secret."""

from __future__ import annotations

from tidegate.domain.outcome import Outcome
from tidegate.domain.rotation import CURRENT, PENDING, version_of

from tests.functions.rotation_scene import (
    BARE,
    PREVIOUS,
    SECRET,
    VERSION,
    RotationScene,
    SecretScene,
)
from tests.functions.scene import DEPLOYMENT, FENCE, PLACE, Row, started

WAVES = [{"services": ["api"]}, {"services": ["worker"]}]


def registered() -> RotationScene:
    return RotationScene().registered()


def freed(scene: RotationScene) -> bool:
    return scene.locks.read(*PLACE).free


def announced(scene: RotationScene, event: str) -> list[str]:
    return [detail["reason"] for detail in scene.world.bus.of(event)]


PLANS = {
    "plan_a_rotation": Row(
        registered,
        {"outcome": "Ready", "waves": WAVES, "planned_fence": FENCE - 1, "overlap": 30, "adopts": False},
    ),
    "plan_a_rotation_on_schedule": Row(lambda: registered().served(), {"outcome": "NoChange", "waves": []}),
    "plan_a_rotation_of_an_unknown_secret": Row(
        registered,
        {
            "outcome": "Refused",
            "reason": f"secret: the manifest of shop has no secret shop/production/databse in production"
            f" (it has {BARE}, {SECRET})",
        },
    ),
    "plan_a_rotation_of_a_bare_value": Row(registered, {"outcome": "Refused", "rotation": None}),
    "plan_a_rotation_to_adopt": Row(
        registered, {"outcome": "Adoption", "adopts": True, "waves": [], "document": None}
    ),
    "plan_a_rotation_again": Row(
        lambda: registered().planned().locked(),
        {"outcome": "Ready", "deployment": DEPLOYMENT, "waves": WAVES},
    ),
    "plan_a_rotation_that_is_recovered": Row(
        lambda: registered().begun(),
        {"outcome": "Recover", "deployment": DEPLOYMENT, "previous": PREVIOUS, "retiring": False},
    ),
}
ENDS = {
    "begin_rotation": Row(
        lambda: registered().planned().locked(),
        {"outcome": "Begun", "reason": ""},
        lambda scene: (
            (scene.run.previous, scene.run.version) == (PREVIOUS, VERSION)
            and scene.rotations.wrote(VERSION)
            and scene.rotations.wrote(version_of(DEPLOYMENT, "retired"))
        ),
    ),
    "begin_retire": Row(
        lambda: registered().restarted(), {"outcome": "Retire"}, lambda scene: scene.run.retiring
    ),
    "rotated": Row(
        lambda: registered().retiring(),
        {"outcome": "Rotated"},
        lambda scene: (
            freed(scene)
            and announced(scene, "Rotation Succeeded") == ["a laptop was lost"]
            and scene.rotations.standing(*PLACE, SECRET).version == VERSION
        ),
    ),
    "begin_restoring": Row(
        lambda: registered().begun().rolling("api").crashed(),
        {"outcome": "Restored", "waves": [{"services": ["api", "worker"]}]},
        lambda scene: scene.run.restored and sorted(scene.run.replaces) == ["api", "worker"],
    ),
    "begin_restoring_what_was_never_current": Row(
        lambda: registered().begun(),
        {"outcome": "NotPromoted", "waves": []},
        lambda scene: not scene.run.restored,
    ),
    "fail_a_rotation": Row(
        lambda: registered().begun(),
        {"outcome": "FailedClean"},
        lambda scene: (
            freed(scene)
            and scene.world.containers.called("update_service") == 0
            and "opens nothing" in announced(scene, "Rotation Failed")[0]
        ),
    ),
    "fail_a_rotation_without_a_way_back": Row(
        lambda: registered().retiring(),
        {"outcome": "FailedDirty"},
        lambda scene: not freed(scene) and scene.deployment.outcome is Outcome.FAILED_DIRTY,
    ),
}


def works(scene: SecretScene, user: str) -> bool:
    return scene.world.logins.users[user].login


def after(name: str, *steps: str) -> SecretScene:
    return SecretScene().after(name, *steps)


SECRETS = {
    "precheck": Row(
        lambda: after("precheck"),
        {"outcome": "Ready", "previous": PREVIOUS, "user": "shop", "next_user": "shop_clone", "sessions": 0},
        lambda scene: scene.stages("precheck") == {CURRENT: PREVIOUS},
    ),
    "stage": Row(
        lambda: after("stage"),
        {"outcome": "Staged"},
        lambda scene: scene.stages("stage") == {CURRENT: PREVIOUS, PENDING: VERSION},
    ),
    "stage_a_token": Row(
        lambda: after("stage_a_token"),
        {"outcome": "Staged"},
        lambda scene: scene.stages("stage_a_token")[PENDING] == VERSION,
    ),
    "set": Row(
        lambda: after("set", "Stage"),
        {"outcome": "Set"},
        lambda scene: works(scene, "shop_clone") and scene.current("set") == PREVIOUS,
    ),
    "set_a_connection_string": Row(
        lambda: after("set_a_connection_string", "Stage"),
        {"outcome": "Set"},
        lambda scene: works(scene, "shop_b"),
    ),
    "set_two_passwords": Row(
        lambda: after("set_two_passwords", "Stage"),
        {"outcome": "Set"},
        lambda scene: scene.world.logins.users["shop"].second is not None,
    ),
    "test": Row(
        lambda: after("test", "Stage", "Set"),
        {"outcome": "Tested"},
        lambda scene: scene.current("test") == PREVIOUS,
    ),
    "promote": Row(
        lambda: after("promote", "Stage", "Set"),
        {"outcome": "Promoted"},
        lambda scene: scene.current("promote") == VERSION and works(scene, "shop"),
    ),
    "retire": Row(
        lambda: after("retire", "Stage", "Set", "Promote"),
        {"outcome": "Retired", "version": VERSION},
        lambda scene: not works(scene, "shop") and works(scene, "shop_clone"),
    ),
    "retire_a_token": Row(
        lambda: after("retire_a_token", "Stage", "Promote"),
        {"outcome": "Retired", "version": version_of(DEPLOYMENT, "retired")},
        lambda scene: scene.current("retire_a_token") == version_of(DEPLOYMENT, "retired"),
    ),
    "restore": Row(
        lambda: after("restore", "Stage", "Set", "Promote"),
        {"outcome": "Restored"},
        lambda scene: scene.current("restore") == PREVIOUS,
    ),
    "restore_before_anything": Row(
        lambda: after("restore_before_anything"),
        {"outcome": "NotPromoted"},
        lambda scene: scene.current("restore_before_anything") == PREVIOUS,
    ),
    "abandon": Row(
        lambda: after("abandon", "Stage"),
        {"outcome": "Abandoned"},
        lambda scene: PENDING not in scene.stages("abandon"),
    ),
    "adoption": Row(
        lambda: SecretScene().alone(),
        {"outcome": "Adoption"},
        lambda scene: "shop_clone" not in scene.world.logins.users,
    ),
    # The statements that a person agreed to are others by now.
    "adopt": Row(
        lambda: SecretScene().alone(),
        {"outcome": "Changed"},
        lambda scene: "shop_clone" not in scene.world.logins.users,
    ),
}
WAKE = {
    # It starts its consumers itself: nothing is queued behind it.
    "secret_changed_by_a_rotation": Row(
        lambda: registered().begun(), {"did": "nothing"}, lambda scene: started(scene) == []
    ),
}
ROTATION_ROWS = {
    f"{function}/{case}": row
    for function, rows in {
        "plan_release": PLANS,
        "record": ENDS,
        "rotate_secret": SECRETS,
        "wake": WAKE,
    }.items()
    for case, row in rows.items()
}
