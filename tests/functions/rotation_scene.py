"""The shop whose database password is rotated: what of it the ledger and ECS see, and what `rotate_secret` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.domain.rotation import CURRENT, RotationRun
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.time import iso
from tidegate.steps import plan_release, record, rotate_secret

from tests.functions.scene import CANARY, DEPLOYMENT, EXECUTION, PLACE, Scene, event
from tests.support.logins import ADMIN, HOST, FakeUser

SECRET = str(event("rotate_secret/set")["secret"])
ADMIN_SECRET = str(event("rotate_secret/set")["admin"])
VERSION, PREVIOUS = (str(event("rotate_secret/set")[name]) for name in ("version", "previous"))
BARE = str(event("plan_release/plan_a_rotation_of_a_bare_value")["request"]["secret"])
ARN = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{SECRET}-AbCdEf"
GRANTS = {"SELECT ON orders", "DELETE ON orders WITH GRANT OPTION"}
OLD = f"{CANARY}-old"


@dataclass
class RotationScene(Scene):
    """Both services take the secret. Each method brings the rotation that the events name one step on."""

    def registered(self) -> RotationScene:
        super().registered()
        for family in ("shop-api", "shop-worker"):
            for revision in self.world.containers.revisions_of[family]:
                (container,) = revision.content["containerDefinitions"]
                container["secrets"] = [{"name": "DATABASE", "valueFrom": ARN}]
        manifest: Any = self.world.registry.manifest(*PLACE)
        alternating = {"kind": "postgres", "admin": "shop/{environment}/database-admin"}
        manifest["secrets"] = {
            "shop/{environment}/database": alternating,
            BARE: {**alternating, "format": "plain"},
        }
        self.world.registry.put_manifest(*PLACE, manifest)
        return self

    @property
    def rotations(self) -> Rotations:
        return Rotations(self.world.store, self.world.clock)

    @property
    def run(self) -> RotationRun:
        found = self.rotations.run_of(DEPLOYMENT)
        assert found is not None
        return found

    def planned(self) -> RotationScene:
        """The rotation is in the ledger, under the id that the events name."""
        self._runs(EXECUTION)
        execution = {"id": EXECUTION, "name": DEPLOYMENT, "started_at": iso(self.world.clock.now())}
        asked = {**event("plan_release/plan_a_rotation"), "execution": execution}
        planned = plan_release.run(asked, self.world.ports)
        assert (planned["outcome"], planned["deployment"]) == ("Ready", DEPLOYMENT)
        return self

    def served(self) -> RotationScene:
        """Another execution has its moment of the schedule."""
        asked = event("plan_release/plan_a_rotation_on_schedule")
        asked["execution"]["name"] = "the-first-one"
        assert plan_release.run(asked, self.world.ports)["outcome"] == "Ready"
        return self

    def begun(self) -> RotationScene:
        """It has the lock, and what was current is in the ledger."""
        self.planned().locked()
        assert record.run(event("record/begin_rotation"), self.world.ports)["outcome"] == "Begun"
        return self

    def restarted(self) -> RotationScene:
        """Every consumer has started again."""
        self.begun().rolling("api", "worker").completed("api", "worker")
        return self

    def retiring(self) -> RotationScene:
        self.restarted()
        assert record.run(event("record/begin_retire"), self.world.ports)["outcome"] == "Retire"
        return self


@dataclass
class SecretScene(Scene):
    """A secret, and a database that knows what is in it. A canary stands in every password and in the host; in those
    that are made it is the one of `tests.support.secrets`."""

    def there(self, name: str) -> SecretScene:
        """The world that an event in `events/rotate_secret/` is about."""
        asked = event(f"rotate_secret/{name}")
        secrets, users = self.world.secrets, self.world.logins.users
        secrets.put(ADMIN_SECRET, self._json(ADMIN, f"{CANARY}-admin"))
        users[ADMIN] = FakeUser(f"{CANARY}-admin", may_change=True)
        if asked["kind"] == "token":
            secrets.put(asked["secret"], {"keys": [OLD]}, PREVIOUS)
            return self
        first, second = asked["users"] or ("shop", "shop_clone")
        users[first] = FakeUser(OLD, grants=set(GRANTS))
        users[second] = FakeUser(f"{CANARY}-idle", login=False, grants=set(GRANTS))
        value: dict[str, Any] = self._json(first, OLD)
        if isinstance(asked["format"], dict):
            text = f"Host={HOST};Port=5432;Database=shop;Username={first};Password={OLD}"
            value = {asked["format"]["key"]: text}
        secrets.put(asked["secret"], value, PREVIOUS)
        return self

    def after(self, name: str, *steps: str) -> SecretScene:
        """These steps were taken before the one of the event."""
        self.there(name)
        for step in steps:
            taken = {**event(f"rotate_secret/{name}"), "step": step, "previous": PREVIOUS}
            rotate_secret.run(taken, self.world.ports)
        return self

    def alone(self) -> SecretScene:
        """There is no second user yet."""
        self.there("adoption")
        del self.world.logins.users["shop_clone"]
        return self

    def stages(self, name: str) -> dict[str, str]:
        return self.world.secrets.stages(str(event(f"rotate_secret/{name}")["secret"]))

    def current(self, name: str) -> str:
        return self.stages(name)[CURRENT]

    @staticmethod
    def _json(user: str, password: str) -> dict[str, Any]:
        return {"host": HOST, "port": 5432, "username": user, "password": password, "dbname": "shop"}
