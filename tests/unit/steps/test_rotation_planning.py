"""What a rotation would do: who takes the secret, the canary first, and what it is refused for."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.request import parse_rotate
from tidegate.domain.rotation import version_of

from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, crashing, manifest
from tests.unit.steps.rotating import ADMIN, ARN, BARE, CACHE, SECRET, SECRETS, SLOT, Rotating, taking

ALWAYS = [{"from": "Sun 00:00", "to": "Sat 23:59"}]


@pytest.fixture
def shop() -> Rotating:
    return Rotating()


class TestConsumers:
    def test_are_those_whose_task_definition_takes_the_secret(self, shop: Rotating) -> None:
        taking(shop, "api", ARN.replace("database", "other"))
        planned = shop.asked()
        assert (planned["outcome"], planned["waves"]) == ("Ready", [{"services": ["worker"]}])
        worker = shop.plan_of(planned).service("worker")
        primary = shop.world.containers.service("shop-worker").primary
        assert (worker.target, worker.previous) == (primary.task_definition, primary.task_definition)
        assert (worker.restarts, worker.changed) == (primary.id, True)

    def test_start_again_one_first_then_the_rest(self, shop: Rotating) -> None:
        """Guards the order of `_in_order`: by the wave in the manifest, where `worker` is the earlier one."""
        assert shop.asked()["waves"] == [{"services": ["worker"]}, {"services": ["api"]}]

    def test_of_one_wave_the_first_by_its_key_is_the_canary(self, shop: Rotating) -> None:
        data = manifest(secrets=SECRETS)
        data["services"] = {
            key: {"service": f"shop-{key}", "image": "app", "wave": 3} for key in ("worker", "extra", "api")
        }
        shop.world.containers.add_task_definition("shop-extra", shop.world.images.uri("shop-app") + "@x")
        shop.world.containers.add_service(CLUSTER, "shop-extra", "shop-extra")
        taking(shop, "extra")
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)
        assert shop.asked()["waves"] == [{"services": ["api"]}, {"services": ["extra", "worker"]}]

    def test_are_smoke_tested_as_after_a_release(self, shop: Rotating) -> None:
        data = manifest(secrets=SECRETS)
        data["services"]["api"]["smoke"] = {"url": "http://shop.internal/health"}
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)
        assert (shop.plan_of(shop.asked()).service("api").smoke or {})["url"] == "http://shop.internal/health"

    def test_are_watched_while_they_bake(self, shop: Rotating) -> None:
        shop.settings(bake={"for": "2m", "alarms": ["errors"]})
        assert shop.asked()["bake"] == 120

    def test_nobody_needs_to_be_there(self, shop: Rotating) -> None:
        """And nothing is baked where nothing rolls."""
        for service in ("api", "worker"):
            taking(shop, service, ARN.replace("database", "other"))
        shop.settings(bake={"for": "2m", "alarms": ["errors"]})
        planned = shop.asked()
        assert (planned["outcome"], planned["waves"], planned["bake"]) == ("Ready", [], 0)
        assert any("no service takes it" in str(line.detail) for line in shop.timeline(planned))
        assert shop.plan_again(planned, shop.acquire(planned))["outcome"] == "Ready"


class TestWhatRotateSecretIsTold:
    def test_is_what_the_manifest_says_in_this_environment(self, shop: Rotating) -> None:
        shop.settings(runner="shop-runner")
        planned = shop.asked()
        assert planned["rotation"] == {
            "secret": SECRET,
            "kind": "postgres",
            "strategy": "alternating",
            "admin": ADMIN,
            "users": [],
            "format": "json",
            "tls": "verify-full",
            "version": version_of(planned["deployment"]),
            "statements": None,
        }
        assert (planned["runner"], planned["overlap"], planned["adopts"]) == ("shop-runner", 30, False)
        assert (planned["previous"], planned["retiring"]) == (None, False)

    def test_is_nothing_where_nothing_is_rotated(self, shop: Rotating) -> None:
        planned = shop.release(2)
        assert (planned["rotation"], planned["runner"], planned["overlap"]) == (None, "", 0)
        assert (planned["adopts"], planned["retiring"]) == (False, False)

    def test_a_connection_string_is_a_key_and_a_style(self, shop: Rotating) -> None:
        secrets = {
            SECRET: {
                **SECRETS["shop/{environment}/database"],
                "format": {"key": "Default", "style": "npgsql"},
            }
        }
        secrets[SECRET] |= {"users": ["app_a", "app_b"], "overlap": "2m", "admin": ADMIN}
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(secrets=secrets))
        planned = shop.asked()
        assert planned["rotation"]["format"] == {"key": "Default", "style": "npgsql"}
        assert (planned["rotation"]["users"], planned["overlap"]) == (["app_a", "app_b"], 120)
        kept = shop.plan_of(planned).rotation
        assert kept is not None
        assert kept.payload() == planned["rotation"]


class TestRefused:
    @pytest.mark.parametrize(
        ("secret", "said"),
        [
            ("shop/production/databse", f"it has {BARE}, {CACHE}, {SECRET}"),
            (BARE, f"tidegate secrets adopt {SYSTEM} {ENVIRONMENT} {BARE}"),
            (CACHE, "secrets of kind redis are not supported yet"),
        ],
    )
    def test_for_what_the_secret_is(self, shop: Rotating, secret: str, said: str) -> None:
        planned = shop.asked(secret=secret)
        assert planned["outcome"] == "Refused"
        assert said in planned["reason"]
        assert shop.deployment(planned).outcome is None, "Conclude ends it, and announces it"

    @pytest.mark.parametrize(
        ("held_to", "what"),
        [("::AWSPREVIOUS:", "AWSPREVIOUS"), (f":::{version_of('x')}", f"version {version_of('x')}")],
    )
    def test_where_a_consumer_would_keep_what_opens_nothing(
        self, shop: Rotating, held_to: str, what: str
    ) -> None:
        taking(shop, "api", f"{ARN}{held_to}")
        planned = shop.asked()
        assert planned["outcome"] == "Refused"
        assert planned["reason"].startswith(f"services.api: service api takes {what} of secret {SECRET}")
        assert "let DATABASE in its task definition" in planned["reason"]

    @pytest.mark.parametrize(("system", "environment"), [(SYSTEM, "staging"), ("depot", ENVIRONMENT)])
    def test_where_somebody_else_takes_the_secret(
        self, shop: Rotating, system: str, environment: str
    ) -> None:
        shop.world.containers.add_service("elsewhere", "depot-api", "shop-api")
        place = {environment: {"region": "eu-west-1", "cluster": "elsewhere"}}
        services = {"api": {"service": "depot-api", "image": "app"}}
        other = manifest(system=system, environments=place, services=services)
        shop.world.registry.put_manifest(system, environment, other)
        planned = shop.asked()
        assert planned["outcome"] == "Refused"
        assert f"{system}/{environment}" in planned["reason"]

    def test_not_where_another_place_takes_another_secret(self, shop: Rotating) -> None:
        shop.world.containers.add_task_definition("depot-api")
        shop.world.containers.add_service("elsewhere", "depot-api")
        place = {"staging": {"region": "eu-west-1", "cluster": "elsewhere"}}
        services = {"api": {"service": "depot-api", "image": "app"}}
        shop.world.registry.put_manifest(SYSTEM, "staging", manifest(environments=place, services=services))
        assert shop.asked()["outcome"] == "Ready"

    def test_where_ecs_has_given_up_on_a_consumer(self, shop: Rotating) -> None:
        shop.world.containers.supersede("shop-api", taking(shop, "api"))
        shop.world.containers.fail("shop-api", rollback=False)
        planned = shop.asked()
        assert planned["outcome"] == "Refused"
        assert planned["reason"].startswith("services.api: service api is not steady")

    def test_not_where_ecs_has_given_up_on_a_service_that_takes_it_not(self, shop: Rotating) -> None:
        shop.world.containers.supersede("shop-api", taking(shop, "api", ARN.replace("database", "other")))
        shop.world.containers.fail("shop-api", rollback=False)
        assert shop.asked()["waves"] == [{"services": ["worker"]}]

    def test_in_a_freeze_where_a_schedule_asks(self, shop: Rotating) -> None:
        shop.settings(freeze=ALWAYS)
        planned = shop.asked(slot=SLOT)
        assert planned["outcome"] == "Refused"
        assert "freeze" in planned["reason"]

    def test_not_in_a_freeze_where_a_person_does(self, shop: Rotating) -> None:
        shop.settings(freeze=ALWAYS)
        assert shop.asked()["outcome"] == "Ready"

    def test_in_a_freeze_that_a_person_has_set(self, shop: Rotating) -> None:
        shop.command(
            "freeze", system=SYSTEM, environment=ENVIRONMENT, reason="sale", until="2026-03-05T09:00:00Z"
        )
        assert shop.asked(slot=SLOT)["outcome"] == "Refused"
        assert shop.asked()["outcome"] == "Ready"

    def test_for_a_request_that_is_none(self, shop: Rotating) -> None:
        planned = shop.asked(adopt="maybe")
        assert (planned["outcome"], planned["system"]) == ("Refused", None)
        assert planned["reason"].startswith("adopt: ")

    def test_for_a_system_that_nobody_registered(self, shop: Rotating) -> None:
        planned = shop.asked(system="depot")
        assert (planned["outcome"], planned["system"]) == ("Refused", "depot")
        assert shop.ledger.deployment("depot", ENVIRONMENT, planned["deployment"]) is None


class TestBusy:
    def test_what_somebody_else_rolls_ends_first(self, shop: Rotating) -> None:
        moving = shop.world.containers.supersede("shop-api", "shop-api")
        planned = shop.asked()
        assert (planned["outcome"], planned["planned_fence"]) == ("Ready", -1)
        fence = shop.acquire(planned)
        again = shop.plan_again(planned, fence)
        assert (again["outcome"], again["busy"]["ecs_deployment"]) == ("Busy", moving.id)
        shop.world.containers.complete("shop-api")
        again = shop.plan_again(planned, fence)
        assert again["outcome"] == "Ready"
        assert shop.plan_of(planned).service("api").restarts == moving.id

    def test_what_takes_it_not_may_roll_meanwhile(self, shop: Rotating) -> None:
        other = taking(shop, "api", ARN.replace("database", "other"))
        shop.world.containers.supersede("shop-api", other)
        planned = shop.asked()
        assert planned["planned_fence"] == 0
        assert shop.plan_again(planned, shop.acquire(planned))["outcome"] == "Ready"


class TestUnderTheLock:
    def test_who_became_a_consumer_meanwhile_starts_again_too(self, shop: Rotating) -> None:
        taking(shop, "api", ARN.replace("database", "other"))
        planned = shop.asked()
        taking(shop, "api")
        again = shop.plan_again(planned, shop.acquire(planned))
        assert again["waves"] == [{"services": ["worker"]}, {"services": ["api"]}]
        assert again["rotation"] == planned["rotation"], "the version is that of the deployment"

    def test_what_must_not_be_rotated_any_more_is_refused(self, shop: Rotating) -> None:
        planned = shop.asked()
        taking(shop, "api", f"{ARN}::AWSPREVIOUS:")
        assert shop.plan_again(planned, shop.acquire(planned))["outcome"] == "Refused"

    def test_an_abort_is_heard(self, shop: Rotating) -> None:
        planned = shop.asked()
        fence = shop.acquire(planned)
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "not now")
        assert shop.plan_again(planned, fence)["outcome"] == "Aborted"


class TestARetry:
    def test_of_the_same_execution_goes_on_with_what_is_in_the_ledger(self, shop: Rotating) -> None:
        execution = shop.execution("rotate")
        first = shop.asked(execution, slot=SLOT)
        assert (first["outcome"], first["planned_fence"]) == ("Ready", 0)
        second = shop.asked(execution, slot=SLOT)
        assert second == {**first, "planned_fence": -1}
        assert [line.what for line in shop.timeline(first)].count("rotation requested by ada") == 1

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize("number", range(2))
    def test_after_a_crash_at_any_write_serves_its_slot(self, shop: Rotating, lost: str, number: int) -> None:
        """Guards the comparison in `_served`: it must not take its own mark for another's."""
        execution = shop.execution("rotate")
        with crashing(shop.world.store, "transact", lost, number), pytest.raises(TransientError):
            shop.asked(execution, slot=SLOT)
        assert shop.asked(execution, slot=SLOT)["outcome"] == "Ready"

    def test_is_a_rotation_in_the_ledger(self, shop: Rotating) -> None:
        shop.go_out(2)
        for service in ("api", "worker"):
            taking(shop, service)
        deployment = shop.opened(shop.asked(reason="it leaked"))
        assert (deployment.release, deployment.commit) == (1, "c2")
        assert (deployment.rotation, deployment.releases) == (True, False)
        assert (deployment.reason, deployment.actor) == ("it leaked", "ada")


class TestASlot:
    def test_is_served_by_the_first(self, shop: Rotating) -> None:
        """Guards `mark_unseen` in `_served`: a schedule starts an execution at least once."""
        first = shop.asked(slot=SLOT)
        second = shop.asked(slot=SLOT)
        assert (first["outcome"], second["outcome"]) == ("Ready", "NoChange")
        assert second["reason"] == f"rotation {first['deployment']} serves {SLOT} already"
        assert shop.record(second, "Conclude", document=second["document"])["outcome"] == "NoChange"
        assert shop.deployment(second).outcome is Outcome.NO_CHANGE

    def test_is_another_for_another_moment_secret_or_place(self, shop: Rotating) -> None:
        shop.asked(slot=SLOT)
        assert shop.asked(slot="2026-04-02T03:00:00Z")["outcome"] == "Ready"
        secrets = {**SECRETS, "shop/other": SECRETS["shop/{environment}/database"]}
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(secrets=secrets))
        assert shop.asked(slot=SLOT, secret="shop/other")["outcome"] == "Ready"

    def test_is_none_of_a_persons_rotation(self, shop: Rotating) -> None:
        for _ in range(2):
            assert shop.asked()["outcome"] == "Ready"


class TestAdoption:
    def test_is_planned_without_a_trace(self, shop: Rotating) -> None:
        before = dict(shop.world.store.items)
        planned = shop.asked(adopt="plan")
        assert (planned["outcome"], planned["adopts"], planned["document"]) == ("Adoption", True, None)
        assert planned["rotation"]["secret"] == SECRET
        assert shop.world.store.items == before

    def test_runs_under_the_lock_and_restarts_nobody(self, shop: Rotating) -> None:
        planned = shop.asked(adopt="apply", statements="5e1d")
        assert (planned["outcome"], planned["adopts"], planned["waves"]) == ("Ready", True, [])
        assert planned["rotation"]["statements"] == "5e1d"
        assert shop.plan_again(planned, shop.acquire(planned))["outcome"] == "Ready"

    def test_of_a_bare_value_is_refused_with_what_to_do_first(self, shop: Rotating) -> None:
        planned = shop.asked(secret=BARE, adopt="plan")
        assert planned["outcome"] == "Refused"
        assert "write it as JSON" in planned["reason"]

    def test_waits_for_no_freeze_and_asks_no_consumer(self, shop: Rotating) -> None:
        shop.settings(freeze=ALWAYS)
        taking(shop, "api", f"{ARN}::AWSPREVIOUS:")
        assert shop.asked(adopt="plan")["outcome"] == "Adoption"


class TestARecovery:
    def test_knows_what_was_current_before(self, shop: Rotating) -> None:
        planned, _ = shop.started(previous="v7")
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["previous"], again["retiring"]) == ("Recover", "v7", False)
        assert (again["rotation"], again["waves"]) == (planned["rotation"], planned["waves"])

    def test_knows_that_there_is_no_way_back(self, shop: Rotating) -> None:
        planned, fence = shop.restarted()
        shop.record(planned, "BeginRetire", fence)
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["retiring"], again["overlap"]) == ("Recover", True, 30)

    def test_before_anything_was_begun_knows_nothing(self, shop: Rotating) -> None:
        planned = shop.asked()
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["previous"], again["retiring"]) == ("Recover", None, False)

    def test_of_an_adoption_is_known_by_it(self, shop: Rotating) -> None:
        planned = shop.asked(adopt="apply", statements="5e1d")
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["adopts"]) == ("Recover", True)

    def test_of_one_that_ended_tells_its_end(self, shop: Rotating) -> None:
        planned = shop.asked()
        fence = shop.acquire(planned)
        shop.fail(planned, fence)
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert again["outcome"] == "FailedClean"


def test_a_plan_has_no_place_in_the_order_of_releases(shop: Rotating) -> None:
    planned = shop.asked()
    assert shop.deployment(planned).rank.order == ""
    assert shop.ledger.release(SYSTEM, 1) is None


def test_the_request_is_read_again_as_it_was_recorded(shop: Rotating) -> None:
    planned = shop.asked(slot=SLOT)
    request: Any = parse_rotate(shop.deployment(planned).request)
    assert (request.secret, request.slot) == (SECRET, SLOT)


def test_a_shop_without_secrets_says_so(shop: Rotating) -> None:
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest())
    assert "it has none" in shop.asked()["reason"]
