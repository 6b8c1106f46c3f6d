"""What a plan says, and everything that it refuses before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.deployment import Deployment, Machine, Phase
from tidegate.domain.lock import Lock
from tidegate.ledger.records import Ledger
from tidegate.ports import Scan
from tidegate.steps import plan_release, planning

from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, REPOSITORY, SYSTEM, Shop, digest, manifest


def test_a_new_image_rolls_both_services_in_their_waves(shop: Shop) -> None:
    planned = shop.release(2)

    assert planned["outcome"] == "Ready"
    assert planned["waves"] == [{"services": ["api"]}, {"services": ["worker"]}]
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert {service.image_uri for service in plan.services} == {
        f"{shop.world.images.uri(REPOSITORY)}@{digest(2)}"
    }
    assert all(service.previous.endswith(":1") for service in plan.services)


def test_nothing_is_changed_by_planning(shop: Shop) -> None:
    shop.release(2)
    assert shop.world.containers.called("register") == 0
    assert shop.world.containers.called("update_service") == 0


def test_a_plan_made_while_the_lock_was_free_names_the_fence_it_read(shop: Shop) -> None:
    assert shop.release(2)["planned_fence"] == 0
    shop.acquire(shop.release(2))
    assert shop.release(3)["planned_fence"] == -1, (
        "a plan made while somebody changes things must be repeated"
    )


def test_planning_twice_in_one_execution_is_one_deployment(shop: Shop) -> None:
    execution = shop.execution()
    first = shop.release(2, execution=execution)
    second = shop.release(2, execution=execution)
    assert first["deployment"] == second["deployment"]
    assert first["waves"] == second["waves"]
    assert len(list(shop.ledger.history(SYSTEM, ENVIRONMENT))) == 1


def test_the_images_that_run_already_are_no_change(shop: Shop) -> None:
    planned = shop.release(1)
    assert planned["outcome"] == "NoChange"
    assert planned["document"]["outcome"] == "NoChange"


def test_only_the_services_that_differ_roll(shop: Shop) -> None:
    uri = f"{shop.world.images.uri(REPOSITORY)}@{digest(2)}"
    arn = shop.world.containers.add_task_definition("shop-api", uri).arn
    shop.world.containers.supersede("shop-api", arn)
    shop.world.containers.complete("shop-api")
    assert shop.release(2)["waves"] == [{"services": ["worker"]}]


def test_a_tag_is_resolved_to_its_digest(shop: Shop) -> None:
    planned = shop.plan(commit="c2")
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert {service.digest for service in plan.services} == {digest(2)}


def test_what_iac_changed_in_the_family_comes_along(shop: Shop) -> None:
    image = f"{shop.world.images.uri(REPOSITORY)}@{digest(1)}"
    newest = shop.world.containers.add_task_definition("shop-api", image, cpu="512")
    planned = shop.release(1)
    assert planned["waves"] == [{"services": ["api"]}]
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert plan.service("api").base == newest.arn


def test_a_revision_that_a_failed_release_registered_is_no_base(shop: Shop) -> None:
    failed = shop.release(2)
    fence = shop.acquire(failed)
    shop.roll(failed, "api", fence)
    shop.world.containers.fail("shop-api")
    shop.world.containers.complete("shop-api")
    assert shop.record(failed, "Fail", fence, error=None)["outcome"] == "FailedClean"

    plan = shop.deployment(shop.release(3)).plan
    assert plan is not None
    assert plan.service("api").base.endswith("shop-api:1"), "revision 2 belongs to the release that failed"


def test_a_service_somebody_else_is_rolling_is_awaited_not_refused(shop: Shop) -> None:
    other = shop.world.containers.add_task_definition("shop-api", "somebody:else")
    moving = shop.world.containers.supersede("shop-api", other.arn)
    planned = shop.release(2)
    assert planned["outcome"] == "Ready"
    assert planned["planned_fence"] == -1
    fence = shop.acquire(planned)
    event = {"step": "PlanAgain", **shop.place(planned), "fence": fence}

    again = plan_release.run(event, shop.world.ports)
    assert again["outcome"] == "Busy"
    assert again["busy"]["ecs_deployment"] == moving.id

    shop.world.containers.complete("shop-api")
    again = plan_release.run(event, shop.world.ports)
    assert again["outcome"] == "Ready"
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert plan.service("api").previous == other.arn, (
        "the way back is what runs now, not what ran at the first plan"
    )


def test_a_refusal_under_the_lock_is_data(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.world.images.delete(REPOSITORY, digest(2))
    again = plan_release.run({"step": "PlanAgain", **shop.place(planned), "fence": fence}, shop.world.ports)
    assert again["outcome"] == "Refused"
    concluded = shop.record(planned, "Conclude", fence, document=again["document"])
    assert concluded["outcome"] == "Refused"
    assert shop.acquire(shop.release(3), "next") > 0, "the lock is free again"


def test_who_was_handed_the_lock_in_the_queue_begins_with_the_plan_that_is_made_under_it(shop: Shop) -> None:
    """Guards `begins` in `_go_on`: phase, fence and announcement of one that did not take the lock itself."""
    first, second = shop.release(2), shop.release(3)
    fence = shop.acquire(first, "first")
    assert shop.acquire(second, "second") == 0
    shop.record(first, "Fail", fence, error=None)
    assert shop.answers["second"]["outcome"] == "Acquired"
    heard = [entry for entry in shop.world.bus.events if entry[0] == "Deployment Started"]
    shop.plan_again(second, fence + 1)
    shop.plan_again(second, fence + 1)
    deployment = shop.deployment(second)
    assert (deployment.phase, deployment.fence) == (Phase.ROLLING, fence + 1)
    started = [detail["deployment"] for kind, detail in shop.world.bus.events if kind == "Deployment Started"]
    assert started[len(heard) :] == [deployment.id], "once, however often the step is tried"


def _no_breaker(shop: Shop) -> None:
    shop.world.containers.service("shop-worker").circuit_breaker = False


def _no_rollback(shop: Shop) -> None:
    shop.world.containers.service("shop-worker").circuit_breaker_rollback = False


def _never_completed(shop: Shop) -> None:
    service = shop.world.containers.service("shop-worker")
    service.change(service.primary.id, rollout_state="FAILED")


def _no_image(shop: Shop) -> None:
    shop.world.images.delete(REPOSITORY, digest(2))


def _no_repository(shop: Shop) -> None:
    del shop.world.images.repositories[REPOSITORY]


def _no_service(shop: Shop) -> None:
    shop.world.containers.delete_service("shop-worker")


def _blue_green_by_codedeploy(shop: Shop) -> None:
    shop.world.containers.service("shop-api").deployment_controller = "CODE_DEPLOY"


def _alarm(shop: Shop) -> None:
    shop.world.containers.service("shop-api").alarms = ("shop-5xx",)
    shop.world.alarms.alarming.add("shop-5xx")


def _secret(shop: Shop) -> None:
    containers = [
        {
            "name": "app",
            "image": "x",
            "secrets": [{"name": "DB", "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:gone"}],
        }
    ]
    shop.world.containers.register({"family": "shop-api", "containerDefinitions": containers}, {})


def _two_containers(shop: Shop) -> None:
    containers = [{"name": "app", "image": "x"}, {"name": "proxy", "image": "y"}]
    shop.world.containers.register({"family": "shop-api", "containerDefinitions": containers}, {})


def _other_container(shop: Shop) -> None:
    services = {"api": {"service": "shop-api", "image": "app", "container": "web"}}
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(services=services))


@pytest.mark.parametrize(
    ("arrange", "field", "said"),
    [
        (_no_breaker, "services.worker", "circuit breaker"),
        (_no_rollback, "services.worker", "circuit breaker"),
        (_never_completed, "services.worker", "nothing to go back to"),
        (_no_image, "images.app.digest", "has no sha256"),
        (_no_repository, "images.app.repository", "no repository"),
        (_no_service, "services.worker.service", "no active service shop-worker"),
        (_blue_green_by_codedeploy, "services.api", "CODE_DEPLOY"),
        (_alarm, "services.api", "shop-5xx is in ALARM"),
        (_secret, "services.api", "does not exist"),
        (_two_containers, "services.api.container", "app, proxy"),
        (_other_container, "services.api.container", "no container web"),
    ],
)
def test_what_could_not_be_undone_is_refused(shop: Shop, arrange: Any, field: str, said: str) -> None:
    arrange(shop)
    planned = shop.release(2)
    assert planned["outcome"] == "Refused"
    reason = planned["document"]["reason"]
    assert reason.startswith(f"{field}: "), reason
    assert said in reason
    assert reason.endswith(")"), "the mend stands in brackets at the end"
    assert shop.world.containers.called("update_service") == 0
    assert shop.deployment(planned).plan is None


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "images"),
        ({"commit": "c9"}, "images.app"),
        ({"release": "r7"}, "release"),
        ({"release": "latest"}, "release"),
        ({"images": {"web": {"digest": digest(2)}}}, "images.web"),
        ({"images": {"app": {"digest": "latest"}}}, "images.app.digest"),
        ({"images": {"app": {"tag": "nope"}}}, "images.app.tag"),
        ({"commit": "c2", "colour": "blue"}, "colour"),
    ],
)
def test_a_request_that_cannot_be_met_names_its_field(shop: Shop, request_: Any, field: str) -> None:
    planned = shop.plan(**request_)
    assert planned["outcome"] == "Refused"
    assert planned["document"]["reason"].startswith(f"{field}: ")


@pytest.mark.parametrize("request_", [None, 3, "shop", [], {"system": 7}, {"system": "Shop!"}])
def test_an_input_that_is_no_request_is_refused(shop: Shop, request_: Any) -> None:
    event = {"step": "Plan", "request": request_, "execution": shop.execution()}
    answer = plan_release.run(event, shop.world.ports)
    assert answer["outcome"] == "Refused"
    assert answer["document"]["reason"]


def test_an_unregistered_system_leaves_no_trace(shop: Shop) -> None:
    planned = shop.plan(system="shpo", commit="c2")
    assert planned["outcome"] == "Refused"
    assert "tidegate apply" in planned["document"]["reason"]
    assert list(shop.ledger.history("shpo", ENVIRONMENT)) == []


def test_an_image_the_request_does_not_name_stays_as_it_runs(shop: Shop) -> None:
    images = {"app": {"repository": REPOSITORY}, "jobs": {"repository": "shop-jobs"}}
    services = manifest()["services"] | {"worker": {"service": "shop-worker", "image": "jobs", "wave": 2}}
    for version in (1, 2):
        shop.world.images.push("shop-jobs", digest(10 + version), f"c{version}")
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(images=images, services=services))
    first = shop.plan(images={"app": {"digest": digest(2)}, "jobs": {"digest": digest(11)}})
    fence = shop.acquire(first)
    for service in ("api", "worker"):
        shop.roll(first, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    assert shop.record(first, "Succeed", fence)["outcome"] == "Succeeded"

    planned = shop.plan(commit="c2", images={"app": {"digest": digest(3)}})
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert {service.key: service.digest for service in plan.services} == {
        "api": digest(3),
        "worker": digest(11),
    }
    assert planned["waves"] == [{"services": ["api"]}]


class TestRollback:
    def test_goes_to_the_release_before_in_one_wave(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        planned = shop.plan(step="PlanRollback", to="previous", reason="slow")
        assert planned["waves"] == [{"services": ["api", "worker"]}]
        assert shop.deployment(planned).release_name == "r1"
        plan = shop.deployment(planned).plan
        assert plan is not None
        assert all(service.target == service.base for service in plan.services)

    def test_of_the_first_release_goes_to_what_was_adopted(self, shop: Shop) -> None:
        shop.go_out(2)
        planned = shop.plan(step="PlanRollback")
        assert shop.deployment(planned).release_name == "r0"
        plan = shop.deployment(planned).plan
        assert plan is not None
        assert all((service.target or "").endswith(":1") for service in plan.services)

    def test_without_an_earlier_release_is_refused(self, shop: Shop) -> None:
        planned = shop.plan(step="PlanRollback")
        assert planned["outcome"] == "Refused"
        assert "no earlier release" in planned["document"]["reason"]

    def test_is_not_held_up_by_an_alarm_or_somebody_elses_deployment(self, shop: Shop) -> None:
        shop.go_out(2)
        _alarm(shop)
        shop.world.containers.supersede("shop-api", shop.world.containers.add_task_definition("shop-api").arn)
        planned = shop.plan(step="PlanRollback")
        assert planned["outcome"] == "Ready"
        assert planned["planned_fence"] >= 0

    def test_names_a_release_that_there_is_not(self, shop: Shop) -> None:
        assert shop.plan(step="PlanRollback", to="r9")["document"]["reason"].startswith("to: ")


class TestRecovery:
    def test_of_an_open_deployment_gives_its_waves(self, shop: Shop) -> None:
        planned = shop.release(2)
        again = shop.plan(recover=planned["deployment"])
        assert again["outcome"] == "Recover"
        assert again["deployment"] == planned["deployment"]
        assert again["waves"] == planned["waves"]

    def test_of_an_ended_deployment_is_its_outcome(self, shop: Shop) -> None:
        done = shop.go_out(2)
        again = shop.plan(recover=done["document"]["deployment"])
        assert again["outcome"] == "Succeeded"


class TestEvents:
    def test_of_a_release_that_was_rolled_back_is_refused_but_a_person_may(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        back = shop.plan(step="PlanRollback")
        fence = shop.acquire(back)
        for service in ("api", "worker"):
            shop.roll(back, service, fence)
            shop.world.containers.complete(f"shop-{service}")
        assert shop.record(back, "Succeed", fence)["outcome"] == "Succeeded"

        by_event = shop.release(3, trigger="event")
        assert by_event["outcome"] == "Refused"
        assert "was rolled back" in by_event["document"]["reason"]
        assert shop.release(3)["outcome"] == "Ready"

    def test_of_an_older_release_does_not_bring_it_back(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        assert "a newer one runs" in shop.release(2, trigger="event")["document"]["reason"]

    def test_of_the_release_that_runs_is_no_change(self, shop: Shop) -> None:
        shop.go_out(2)
        assert shop.release(2, trigger="event")["outcome"] == "NoChange"


def test_the_phase_of_a_new_deployment(shop: Shop) -> None:
    assert shop.deployment(shop.release(2)).phase is Phase.PLANNED
    assert CLUSTER in str(shop.deployment(shop.release(3)).plan)


class TestScanGate:
    @pytest.fixture
    def scanned(self, shop: Shop) -> Shop:
        """Production takes only what ECR has scanned without a HIGH; staging takes anything."""
        settings = {"region": "eu-west-1", "cluster": CLUSTER}
        both = {ENVIRONMENT: {**settings, "scan": {"fail_on": "HIGH"}}, "staging": settings}
        for name in both:
            shop.world.registry.put_manifest(SYSTEM, name, manifest(environments=both))
        return shop

    @pytest.mark.parametrize(
        ("scan", "said"),
        [
            (None, "was not scanned"),
            (Scan("PENDING"), "has a scan that is PENDING"),
            (Scan("FAILED"), "has a scan that is FAILED"),
            (Scan("COMPLETE", {"CRITICAL": 1}), "found 1 CRITICAL"),
        ],
    )
    def test_refuses_before_anything_is_touched(self, scanned: Shop, scan: Scan | None, said: str) -> None:
        if scan is not None:
            scanned.world.images.set_scan(REPOSITORY, digest(2), scan)
        for request in ({}, {"trigger": "event"}):
            planned = scanned.release(2, **request)
            assert planned["outcome"] == "Refused"
            assert said in planned["document"]["reason"]
        assert scanned.world.containers.called("register") == 0

    def test_lets_through_what_is_clean(self, scanned: Shop) -> None:
        scanned.world.images.set_scan(REPOSITORY, digest(2), Scan("COMPLETE", {"MEDIUM": 4}))
        assert scanned.release(2)["outcome"] == "Ready"

    def test_is_of_one_environment(self, scanned: Shop) -> None:
        assert scanned.release(2, environment="staging")["outcome"] == "Ready"
        assert scanned.world.images.called("scan") == 0

    def test_holds_for_a_release_that_is_named(self, scanned: Shop) -> None:
        scanned.ledger.ensure_release(SYSTEM, "c2", {"app": digest(2)})
        assert scanned.plan(release="r1")["outcome"] == "Refused"

    def test_does_not_hold_up_a_rollback(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        settings = {"region": "eu-west-1", "cluster": CLUSTER, "scan": {"fail_on": "HIGH"}}
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(environments={ENVIRONMENT: settings}))
        shop.world.images.set_scan(REPOSITORY, digest(2), Scan("COMPLETE", {"CRITICAL": 9}))
        assert shop.plan(step="PlanRollback", to="previous")["outcome"] == "Ready"


class TestApproval:
    def test_is_what_a_plan_waits_for_where_the_manifest_says_so(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        assert (planned["outcome"], planned["planned_fence"]) == ("Approval", -1)
        assert planned["document"] is None
        assert shop.deployment(planned).approval == "required"

    def test_is_the_answer_to_the_retry_as_well(self, shop: Shop) -> None:
        shop.register(approval={"by": "other"})
        execution = shop.execution()
        first = shop.release(2, execution=execution)
        assert shop.release(2, execution=execution)["outcome"] == first["outcome"] == "Approval"
        assert shop.deployment(first).approval == "other"

    def test_of_the_plan_lets_it_go_on_under_the_lock(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        shop.await_approval(planned)
        plan = shop.deployment(planned).plan
        assert plan is not None
        shop.command("approve", deployment=planned["deployment"], plan=plan.hash)
        fence = shop.acquire(planned)
        assert shop.plan_again(planned, fence)["outcome"] == "Ready"

    def test_of_another_plan_does_not(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        shop.await_approval(planned)
        plan = shop.deployment(planned).plan
        assert plan is not None
        shop.command("approve", deployment=planned["deployment"], plan=plan.hash)
        fence = shop.acquire(planned)
        uri = f"{shop.world.images.uri(REPOSITORY)}@{digest(1)}"
        shop.world.containers.add_task_definition("shop-worker", uri, cpu="512")
        again = shop.plan_again(planned, fence)
        assert (again["outcome"], again["waves"]) == ("Approval", planned["waves"])
        assert "planned again under the lock" in [line.what for line in shop.timeline(planned)]

    @pytest.mark.parametrize("asked", [False, True])
    def test_that_nobody_gave_is_asked_for_under_the_lock(self, shop: Shop, asked: bool) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        if asked:
            shop.await_approval(planned)
        assert shop.plan_again(planned, shop.acquire(planned))["outcome"] == "Approval"


def test_a_plan_that_changed_under_the_lock_is_the_one_that_rolls(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    first = shop.deployment(planned).plan
    uri = f"{shop.world.images.uri(REPOSITORY)}@{digest(2)}"
    shop.world.containers.supersede(
        "shop-api", shop.world.containers.add_task_definition("shop-api", uri).arn
    )
    shop.world.containers.complete("shop-api")
    again = shop.plan_again(planned, fence)
    assert (again["outcome"], again["waves"]) == ("Ready", [{"services": ["worker"]}])
    assert shop.deployment(planned).plan != first


def test_a_plan_that_is_the_same_under_the_lock_is_not_told_again(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    lines = shop.timeline(planned)
    assert shop.plan_again(planned, fence)["outcome"] == "Ready"
    assert shop.timeline(planned) == lines


def test_the_bake_is_part_of_the_plan(shop: Shop) -> None:
    shop.register(bake={"for": "5m", "alarms": ["shop-5xx"]})
    planned = shop.release(2)
    assert planned["bake"] == 300
    baked = shop.deployment(planned).plan
    assert baked is not None
    assert baked.bake is not None
    shop.register()
    again = shop.plan_again(planned, shop.acquire(planned))
    assert again["bake"] == 0
    plan = shop.deployment(planned).plan
    assert plan is not None
    assert plan.hash != baked.hash, "what was approved is a plan with its bake"


class TestARollbackBesideADeployment:
    @pytest.fixture
    def busy(self, shop: Shop) -> tuple[Shop, Any, int]:
        """r1 is current, r2 rolls: `api` runs it already."""
        shop.go_out(2)
        rolling = shop.release(3)
        fence = shop.acquire(rolling, "rolling")
        shop.roll(rolling, "api", fence, token="rolls")
        shop.world.containers.complete("shop-api")
        return shop, rolling, fence

    def test_that_is_under_way_goes_to_what_is_current(self, busy: tuple[Shop, Any, int]) -> None:
        """Red where `previous` is that of what is current: r0, two releases back."""
        shop, _, _ = busy
        back = shop.plan(step="PlanRollback")
        assert (back["outcome"], shop.deployment(back).release_name) == ("Ready", "r1")
        assert back["waves"] == [{"services": ["api"]}]

    def test_that_left_a_mess_goes_to_what_is_current(self, busy: tuple[Shop, Any, int]) -> None:
        shop, rolling, fence = busy
        assert shop.record(rolling, "Fail", fence, error=None)["outcome"] == "FailedDirty"
        assert shop.deployment(shop.plan(step="PlanRollback")).release_name == "r1"

    def test_that_has_touched_nothing_yet_still_waits_for_its_turn(self, shop: Shop) -> None:
        """Red where it ends as NoChange: what holds the lock would go on, and r2 would run."""
        shop.go_out(2)
        shop.acquire(shop.release(3), "rolling")
        back = shop.plan(step="PlanRollback")
        assert (back["outcome"], back["waves"]) == ("Ready", [])

    def test_under_the_lock_has_succeeded_where_all_is_back_already(
        self, busy: tuple[Shop, Any, int]
    ) -> None:
        shop, rolling, fence = busy
        back = shop.plan(step="PlanRollback")
        shop.acquire(back, "back")
        shop.roll(rolling, "api", fence, "Revert")
        shop.world.containers.complete("shop-api")
        assert shop.record(rolling, "Fail", fence, error=None)["outcome"] == "FailedClean"
        fence = int(shop.answers["back"]["fence"])
        again = shop.plan_again(back, fence)
        assert (again["outcome"], again["waves"]) == ("Ready", [])
        done = shop.record(back, "Succeed", fence)
        assert (done["outcome"], done["document"]["release"]) == ("Succeeded", "r1")

    def test_of_a_restart_goes_to_the_release_before_as_ever(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        waiting = Deployment(
            "D9", SYSTEM, ENVIRONMENT, Machine.DEPLOY, "arn", shop.ledger.now(), request={"restart": {}}
        )
        shop.ledger.open(waiting, "restart requested")
        shop.locks.acquire(SYSTEM, ENVIRONMENT, "D9", "arn", "t", "")
        assert shop.deployment(shop.plan(step="PlanRollback")).release_name == "r1"

    def test_where_nothing_was_ever_released_goes_to_what_was_adopted(self, shop: Shop) -> None:
        shop.acquire(shop.release(2), "rolling")
        back = shop.plan(step="PlanRollback")
        assert (back["outcome"], shop.deployment(back).release_name) == ("Ready", "r0")


@pytest.mark.parametrize("before", [True, False])
def test_a_deployment_succeeds_while_a_rollback_is_planned(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Guards the order of the looks in `_rollback_target`: it went one release too far, or nowhere."""
    shop.go_out(2)
    planned = shop.release(3)
    fence = shop.acquire(planned, "lock-3")
    for service in [key for wave in planned["waves"] for key in wave["services"]]:
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    look = planning.unfinished_deployment

    def meanwhile(ledger: Ledger, lock: Lock) -> Deployment | None:
        found = None if before else look(ledger, lock)
        shop.record(planned, "Succeed", fence)
        return look(ledger, lock) if before else found

    monkeypatch.setattr(planning, "unfinished_deployment", meanwhile)
    back = shop.plan(step="PlanRollback")
    assert shop.deployment(back).release == 1
