"""The rows of a service whose count somebody changes."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.domain.scaling import Bounds
from tidegate.steps import plan_release, roll_service

from tests.functions.scene import CLUSTER, DEPLOYMENT, PLACE, TOKEN, Row, Scene, event

WAITING = "ecs-count/production/shop-worker"
WAVES = [{"services": ["worker"]}]


@dataclass
class ScaleScene(Scene):
    """`worker` has two tasks, and is to have three."""

    def asked_for(self) -> ScaleScene:
        """The deployment that the events name is one that scales."""
        self.registered()
        plan = event("plan_release/plan_a_scale")
        self._runs(plan["execution"]["id"])
        planned = plan_release.run(plan, self.world.ports)
        assert (planned["outcome"], planned["deployment"]) == ("Ready", DEPLOYMENT)
        self.locked()
        self.world.executions.wait(TOKEN)
        return self

    def scaling(self) -> ScaleScene:
        self.asked_for()
        roll_service.run(event("roll_service/start_a_scale"), self.world.ports)
        return self

    def reached(self) -> ScaleScene:
        self.scaling()
        self.world.containers.settle("shop-worker")
        return self

    def kept_by_auto_scaling(self) -> ScaleScene:
        self.registered()
        self.world.scaling.targets[CLUSTER, "shop-worker"] = Bounds(1, 10)
        return self

    @property
    def count(self) -> int:
        return self.world.containers.service("shop-worker").desired_count


def registered() -> ScaleScene:
    scene = ScaleScene()
    scene.registered()
    return scene


def told_so() -> ScaleScene:
    scene = registered()
    scene.world.registry.counts[(*PLACE, "worker")] = "2"
    return scene


SCALE_ROWS = {
    "plan_release/plan_a_scale": Row(
        registered,
        {"outcome": "Ready", "waves": WAVES},
        lambda scene: scene.deployment.plan.scale.before == 2 and scene.count == 2,
    ),
    "plan_release/plan_a_scale_that_is_so": Row(told_so, {"outcome": "NoChange"}),
    "plan_release/plan_a_scale_of_an_unknown_service": Row(
        registered,
        {"outcome": "Refused"},
        lambda scene: scene.count == 2,
    ),
    "plan_release/plan_a_scale_that_auto_scaling_would_undo": Row(
        lambda: ScaleScene().kept_by_auto_scaling(), {"outcome": "Refused", "waves": []}
    ),
    "roll_service/start_a_scale": Row(
        lambda: ScaleScene().asked_for(),
        {"waiting_for": WAITING},
        lambda scene: scene.count == 3 and TOKEN not in scene.world.executions.answers,
    ),
    "roll_service/start_a_scale_back": Row(
        lambda: ScaleScene().scaling(),
        {"waiting_for": WAITING},
        lambda scene: scene.count == 2 and scene.world.executions.answers[TOKEN]["outcome"] == "Rolled",
    ),
    "roll_service/report_a_scale": Row(
        lambda: ScaleScene().scaling(),
        {
            "service": "worker",
            "summary": "worker: 2 of 3 tasks run (ECS had not decided within 1800 s)",
        },
    ),
    "record/succeed_a_scale": Row(
        lambda: ScaleScene().reached(),
        {"outcome": "Succeeded"},
        lambda scene: (
            scene.world.registry.counts[(*PLACE, "worker")] == "3"
            and scene.world.registry.images == {}
            and scene.locks.read(*PLACE).free
        ),
    ),
    "wake/ecs_service_steady": Row(
        lambda: ScaleScene().reached(),
        {"did": "looked", "resumed": 1},
        lambda scene: scene.world.executions.answers[TOKEN]["outcome"] == "Rolled",
    ),
    # It is let through by no rule, and would do no harm: the service's own count decides.
    "wake/ecs_service_impaired": Row(lambda: ScaleScene().scaling(), {"did": "looked", "resumed": 0}),
    "wake/ecs_service_steady_nobody_waits_for": Row(lambda: ScaleScene().scaling(), {"did": "nothing"}),
}
