"""doctor: does an environment run what was released, and would infrastructure as code leave it so?"""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.plan import DEPLOYMENT_TAG
from tidegate.domain.scaling import Bounds

from tests.support.answered import denied
from tests.unit.cli.conftest import Terminal
from tests.unit.cli.test_doctor import Ward
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, REPOSITORY, SYSTEM, Shop, digest, manifest

NAME = f"what {SYSTEM}/{ENVIRONMENT} runs"
BOOTSTRAP = "public.ecr.aws/docker/library/busybox:stable"
IMAGE = f"/tidegate/{SYSTEM}/{ENVIRONMENT}/image/app"
WORKER = "shop-worker"


@pytest.fixture
def ward(terminal: Terminal) -> Ward:
    """r1 was released, and nothing else has happened."""
    terminal.shop.go_out(2)
    return Ward(terminal)


@pytest.fixture
def shop(ward: Ward) -> Shop:
    return ward.terminal.shop


def findings(ward: Ward, exit_code: int = 0) -> list[dict[str, Any]]:
    return [entry for entry in ward.document(exit_code)["checks"] if entry["name"] == NAME]


def register(shop: Shop, image: str, service: str = "shop-api", **tags: str) -> str:
    """As Terraform or a stack does; the newest revision of the family."""
    return shop.world.containers.add_task_definition(service, image, tags=tags).arn


def test_what_was_released_and_is_told_is_well(ward: Ward) -> None:
    assert findings(ward) == [
        {"name": NAME, "status": "ok", "message": "r1, and infrastructure as code is told so"}
    ]


def test_nothing_is_asked_of_what_was_never_released(terminal: Terminal) -> None:
    (finding,) = findings(Ward(terminal))
    assert (finding["status"], finding["message"]) == ("skipped", "nothing was released there yet")


def test_nothing_is_asked_while_a_deployment_is_under_way(ward: Ward, shop: Shop) -> None:
    shop.acquire(shop.release(3))
    (finding,) = findings(ward)
    assert (finding["status"], finding["message"]) == ("skipped", "a deployment is under way")


def test_a_stack_that_brought_back_its_bootstrap_image(ward: Ward, shop: Shop) -> None:
    """The classic conflict."""
    shop.world.containers.supersede("shop-api", register(shop, BOOTSTRAP))
    shop.world.containers.complete("shop-api")
    (finding,) = findings(ward, exit_code=1)
    assert finding["status"] == "error"
    assert (
        f"service api runs {BOOTSTRAP} (shop-api:3, which Tidegate did not register), not r1"
        in finding["message"]
    )
    assert f"tidegate deploy {SYSTEM} {ENVIRONMENT} --release r1 --wait brings it back" in finding["hint"]
    assert IMAGE in finding["hint"]
    assert "docs/adopt.md" in finding["hint"]


def test_the_mend_that_is_proposed_mends(ward: Ward, shop: Shop) -> None:
    shop.world.containers.supersede("shop-api", register(shop, BOOTSTRAP))
    shop.world.containers.complete("shop-api")
    planned = shop.plan(release="r1")
    assert planned["waves"] == [{"services": ["api"]}]
    fence = shop.acquire(planned, "mend")
    shop.roll(planned, "api", fence)
    shop.world.containers.complete("shop-api")
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"
    assert [finding["status"] for finding in findings(ward)] == ["ok"]


def test_an_older_release_that_a_failed_stack_update_brought_back(ward: Ward, shop: Shop) -> None:
    """CloudFormation goes back to the task definition of the update before."""
    older = register(shop, f"{shop.world.images.uri(REPOSITORY)}@{digest(1)}")
    shop.world.containers.supersede("shop-api", older)
    shop.world.containers.complete("shop-api")
    (finding,) = findings(ward, exit_code=1)
    assert digest(1) in finding["message"]


def test_a_newest_revision_that_would_bring_another_image(ward: Ward, shop: Shop) -> None:
    register(shop, BOOTSTRAP)
    (finding,) = findings(ward)
    assert finding["status"] == "warning"
    assert f"shop-api:3, which Tidegate did not register) has {BOOTSTRAP}, not r1" in finding["message"]


def test_a_newest_revision_with_the_releases_image_is_well(ward: Ward, shop: Shop) -> None:
    """A variable that Terraform has changed: it comes with the next release."""
    register(shop, f"{shop.world.images.uri(REPOSITORY)}@{digest(2)}")
    assert [finding["status"] for finding in findings(ward)] == ["ok"]


def test_a_newest_revision_of_tidegates_own_is_well(ward: Ward, shop: Shop) -> None:
    """Of a release that failed, or was rolled back."""
    register(shop, f"{shop.world.images.uri(REPOSITORY)}@{digest(3)}", **{DEPLOYMENT_TAG: "01J"})
    assert [finding["status"] for finding in findings(ward)] == ["ok"]


def test_the_container_that_the_manifest_names_is_looked_at(ward: Ward, shop: Shop) -> None:
    known = manifest()
    known["services"]["api"]["container"] = "web"
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, known)
    uri = shop.world.images.uri(REPOSITORY)
    containers = [{"name": "proxy", "image": BOOTSTRAP}, {"name": "web", "image": f"{uri}@{digest(2)}"}]
    arn = shop.world.containers.register({"family": "shop-api", "containerDefinitions": containers}, {}).arn
    shop.world.containers.supersede("shop-api", arn)
    shop.world.containers.complete("shop-api")
    assert [finding["status"] for finding in findings(ward)] == ["ok"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "is not there"), ("shop:latest", "says shop:latest"), (f"shop@{digest(1)}", digest(1))],
)
def test_an_image_parameter_that_says_something_else(
    ward: Ward, shop: Shop, value: str | None, said: str
) -> None:
    del shop.world.registry.images[SYSTEM, ENVIRONMENT, "app"]
    if value is not None:
        shop.world.registry.images[SYSTEM, ENVIRONMENT, "app"] = value
    (finding,) = findings(ward)
    assert finding["status"] == "warning"
    assert finding["message"].startswith(f"{IMAGE} ")
    assert said in finding["message"]
    wanted = f"{shop.world.images.uri(REPOSITORY)}@{digest(2)}"
    assert (
        f"aws ssm put-parameter --name {IMAGE} --type String --overwrite --value {wanted}" in finding["hint"]
    )


class TestCounts:
    @pytest.fixture(autouse=True)
    def told(self, shop: Shop) -> None:
        shop.world.registry.counts[SYSTEM, ENVIRONMENT, "worker"] = "2"

    def test_one_that_is_told_is_well(self, ward: Ward) -> None:
        assert [finding["status"] for finding in findings(ward)] == ["ok"]

    def test_one_that_somebody_changed_by_hand(self, ward: Ward, shop: Shop) -> None:
        shop.world.containers.service(WORKER).desired_count = 5
        (finding,) = findings(ward)
        assert finding["status"] == "warning"
        assert "service worker has a desired count of 5" in finding["message"]
        assert f"tidegate scale {SYSTEM} {ENVIRONMENT} worker 5" in finding["hint"]

    def test_one_that_auto_scaling_keeps_is_its_own(self, ward: Ward, shop: Shop) -> None:
        shop.world.containers.service(WORKER).desired_count = 5
        shop.world.scaling.targets[CLUSTER, WORKER] = Bounds(1, 10)
        assert [finding["status"] for finding in findings(ward)] == ["ok"]

    def test_one_that_nobody_was_told_of_is_well(self, ward: Ward, shop: Shop) -> None:
        shop.world.registry.counts.clear()
        shop.world.containers.service(WORKER).desired_count = 5
        assert [finding["status"] for finding in findings(ward)] == ["ok"]


def test_who_may_not_read_parameters_still_hears_what_runs(ward: Ward, shop: Shop) -> None:
    ward.answer("ssm", "GetParameters", denied)
    shop.world.containers.supersede("shop-api", register(shop, BOOTSTRAP))
    shop.world.containers.complete("shop-api")
    assert [finding["status"] for finding in findings(ward, exit_code=1)] == ["error", "skipped"]
