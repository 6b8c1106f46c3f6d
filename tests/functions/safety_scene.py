"""The shop where people, alarms and the order of pushes have a say in its releases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tidegate.domain.deployment import Current
from tidegate.domain.freeze import Freeze
from tidegate.domain.intervention import Approval
from tidegate.ledger.interventions import Interventions
from tidegate.steps import plan_release, record, roll_service
from tidegate.steps.resuming import awaited_approval

from tests.functions.scene import (
    DEPLOYMENT,
    EXECUTION,
    FENCE,
    OTHER,
    PLACE,
    PLAN,
    RUNNING,
    TOKEN,
    Scene,
    event,
)
from tests.support.clock import iso

ALARM = str(event("wake/alarm_rang")["detail"]["alarmName"])
(SECRET,) = event("wake/secret_changed")["resources"]
ORDER = str(event("plan_release/plan_a_push_in_its_order")["request"]["order"])
# The plan that `approve` names, and who asked for it.
PLAN_HASH = str(json.loads(event("control/approve")["body"])["plan"])
AUTHOR = str(PLAN["request"]["actor"])


@dataclass
class SafetyScene(Scene):
    @property
    def people(self) -> Interventions:
        return Interventions(self.world.store, self.world.clock)

    def with_gates(self, **environment: object) -> SafetyScene:
        self.registered()
        manifest: Any = self.world.registry.manifest(*PLACE)
        manifest["environments"]["production"].update(environment)
        self.world.registry.put_manifest(*PLACE, manifest)
        return self

    def waits_for_approval(self, other: bool = False) -> SafetyScene:
        """With the token of the events; the plan is called what `control/approve.json` calls it."""
        self.with_gates(approval={"by": "other"} if other else "required")
        self._runs(EXECUTION)
        execution = {"id": EXECUTION, "name": DEPLOYMENT, "started_at": iso(self.world.clock.now())}
        planned = plan_release.run({**PLAN, "execution": execution}, self.world.ports)
        assert planned["outcome"] == "Approval"
        approval = Approval(DEPLOYMENT, PLAN_HASH, self.ledger.now(), AUTHOR, other=other)
        self.people.ask_approval(*PLACE, approval)
        self.world.executions.wait(TOKEN)
        waiting = {"token": TOKEN, "deployment": DEPLOYMENT, "system": PLACE[0], "environment": PLACE[1]}
        self.ledger.keep_token(awaited_approval(DEPLOYMENT), EXECUTION, waiting)
        return self

    def rolled(self) -> SafetyScene:
        """Every service runs the new release, and `ALARM` is watched from now on."""
        self.with_gates(bake={"for": "5m", "alarms": [ALARM]})
        self.planned().locked().rolling("api", "worker").completed("api", "worker")
        self.asks_for_the_lock()
        return self

    def baking(self) -> SafetyScene:
        """With the token of the events."""
        self.rolled()
        roll_service.run(event("roll_service/bake"), self.world.ports)
        return self

    def rings(self) -> SafetyScene:
        self.world.alarms.alarming.add(ALARM)
        return self

    def takes_the_secret(self) -> SafetyScene:
        """The tasks of `api` do."""
        self.registered()
        running = self.world.containers.service("shop-api").primary.task_definition
        known = self.world.containers.task_definition(running)
        assert known is not None
        container: Any = known.content["containerDefinitions"][0]
        container["secrets"] = [{"name": "DATABASE_URL", "valueFrom": SECRET}]
        return self

    def overtaken(self) -> SafetyScene:
        """What runs was pushed after what the events push."""
        self.registered()
        later = Current(RUNNING, OTHER, self.ledger.now(), FENCE - 1, order=OTHER)
        assert later.order > ORDER
        self.world.store.transact([self.ledger.current_write(*PLACE, later)])
        return self

    def succeeded(self) -> SafetyScene:
        self.registered().planned().locked().rolling("api", "worker").completed("api", "worker")
        self._ends("record/succeed", "Succeeded")
        return self

    def left_a_mess(self) -> SafetyScene:
        """It ended FailedDirty and kept the lock."""
        self.registered().planned().locked().rolling("api").crashed()
        self._ends("record/fail", "FailedDirty")
        return self

    def _ends(self, name: str, outcome: str) -> None:
        assert record.run(event(name), self.world.ports)["outcome"] == outcome
        self.world.executions.end(EXECUTION)

    def frozen(self) -> SafetyScene:
        self.registered()
        self.people.put_freeze(*PLACE, Freeze("ada", "the sale begins", self.ledger.now()))
        return self

    def just_begun(self) -> SafetyScene:
        """Nothing of it is in the ledger yet."""
        self.registered()
        self.world.executions.run("deploy", DEPLOYMENT)
        return self
