"""The rows of builds: from a push to images that are published, and what `wake` makes of the events on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.domain.build import COMMIT, DIGEST, IMAGE
from tidegate.steps.resuming import awaited_build, awaited_scan

from tests.functions.build_scene import (
    BEFORE,
    BRANCH,
    BUILD,
    FAILED_PHASE,
    GITHUB,
    NO_PHASE,
    PUSHED,
    BuildScene,
)
from tests.functions.scene import DIGEST as IMAGE_DIGEST
from tests.functions.scene import REPOSITORY, SYSTEM, TOKEN, Row, started

SCAN = {"scan": {"fail_on": "HIGH"}}
OF_A_TEAM = {DIGEST: IMAGE_DIGEST, IMAGE: "app", COMMIT: PUSHED}


def built_from() -> BuildScene:
    return BuildScene().built_from()


def from_github() -> BuildScene:
    return BuildScene().built_from(GITHUB)


def selected() -> BuildScene:
    return built_from().selected()


def building() -> BuildScene:
    return selected().building()


def built() -> BuildScene:
    return building().built()


def scanning() -> BuildScene:
    return BuildScene().built_from(**SCAN).selected().building().built()


def broken() -> BuildScene:
    return building().broken()


def reused() -> BuildScene:
    """An earlier run had built this commit already."""
    prepared = built_from()
    prepared.world.images.push(REPOSITORY, IMAGE_DIGEST, PUSHED)
    return prepared.selected()


def tagged_only() -> BuildScene:
    """The build exported nothing; what it pushed has the commit's tag."""
    prepared = building()
    prepared.world.images.push(REPOSITORY, IMAGE_DIGEST, PUSHED)
    return prepared


def built_of_a_team() -> BuildScene:
    prepared = from_github()
    prepared.world.images.push(REPOSITORY, IMAGE_DIGEST)
    name = "wake/codebuild_succeeded_of_a_team"
    return prepared.built_by_its_team(name, status="SUCCEEDED", exported=OF_A_TEAM)


def released(found: BuildScene) -> bool:
    """`deploy` was started once, with the digest, and the image has its release tag."""
    ((machine, given),) = started(found)
    return (
        machine == "deploy"
        and given["images"] == {"app": {"digest": IMAGE_DIGEST}}
        and given["commit"] == PUSHED
    )


def published(found: BuildScene) -> bool:
    return (
        released(found)
        and found.world.images.digest(REPOSITORY, PUSHED) == IMAGE_DIGEST
        and found.builds.last_commit(SYSTEM, BRANCH, "codecommit:shop") == PUSHED
    )


def failed(what: str) -> Callable[[BuildScene], bool]:
    """It is recorded and announced, and says so; nothing is released."""

    def look(found: BuildScene) -> bool:
        (announced,) = found.world.bus.of("Build Failed")
        return what in announced["reason"] and started(found) == []

    return look


def built_of(repository: str, **more: object) -> Callable[[BuildScene], bool]:
    """`build` was started for the push."""

    def look(found: BuildScene) -> bool:
        ((machine, given),) = started(found)
        wanted = {"system": SYSTEM, "commit": PUSHED, "ref": BRANCH, "repository": repository, **more}
        return machine == "build" and wanted.items() <= given.items()

    return look


def answered(found: BuildScene, token: str) -> Any:
    return found.world.executions.answers.get(f"{TOKEN}-of-the-{token}", {}).get("outcome")


NOTHING = Row(built_from, {"did": "nothing"}, lambda found: started(found) == [])
BUILD_IMAGES = {
    "select": Row(built_from, {"outcome": "Ready", "build": BUILD, "images": ["app"], "scanned": False}),
    "select_a_push_that_touches_no_image": Row(
        lambda: from_github().built_before(),
        {"outcome": "NoChange", "images": []},
        lambda found: found.builds.last_commit(SYSTEM, BRANCH, "github:acme/shop") == PUSHED,
    ),
    "select_one_image": Row(built_from, {"outcome": "Ready", "images": ["app"]}),
    "select_what_came_built": Row(built_from, {"outcome": "Ready", "images": []}),
    "select_of_a_bad_request": Row(built_from, {"outcome": "Refused", "system": None, "images": []}),
    "start": Row(
        lambda: selected().asks_codebuild(),
        {"waiting_for": "shop-build:1"},
        lambda found: (
            [waiting["token"] for waiting in found.ledger.waiting_for(awaited_build("shop-build:1"))]
            == [TOKEN]
            and [(run.project, run.commit) for run in found.world.builds.started] == [("shop-build", PUSHED)]
        ),
    ),
    "report": Row(
        broken,
        {"image": "app", "outcome": "Failed"},
        lambda found: (
            (found.image.phase, found.image.logs[-1]) == ("BUILD", "make: *** [all] Error 2")
            and "API_PASSWORD=***" in found.image.logs[-2]
        ),
    ),
    "report_too_late": Row(
        building,
        {"image": "app", "outcome": "Failed"},
        lambda found: "not finished within 7200 s" in found.image.reason,
    ),
}
PUBLISH_IMAGES = {
    "await_scans": Row(
        lambda: scanning().asks_codebuild(),
        {"waiting_for": 1},
        lambda found: (
            [waiting["token"] for waiting in found.ledger.waiting_for(awaited_scan(REPOSITORY, IMAGE_DIGEST))]
            == [TOKEN]
        ),
    ),
    "publish": Row(built, {"outcome": "Built"}, published),
    "publish_without_a_digest": Row(tagged_only, {"outcome": "Built"}, published),
    "publish_what_is_reused": Row(reused, {"outcome": "Built"}, published),
    "fail": Row(lambda: broken().reported(), {"outcome": "Failed"}, failed("make: *** [all] Error 2")),
    "fail_on_a_timeout": Row(built, {"outcome": "Failed"}, failed("States.Timeout")),
    "fail_on_an_error": Row(built, {"outcome": "Failed"}, failed("ecr:PutImage: access denied")),
}
WAKE = {
    "codebuild_succeeded": Row(
        built, {"did": "looked", "resumed": 1}, lambda found: answered(found, "build") == "Built"
    ),
    "codebuild_failed": Row(
        lambda: selected().building("wake/codebuild_failed").broken(),
        {"did": "looked", "resumed": 1},
        lambda found: answered(found, "build") == "Failed" and started(found) == [],
    ),
    "codebuild_stopped": Row(
        lambda: selected().building("wake/codebuild_stopped").broken(**NO_PHASE),
        {"did": "looked", "resumed": 1},
        lambda found: answered(found, "build") == "Failed",
    ),
    # It is let through by no rule, and would do no harm: what CodeBuild says decides.
    "codebuild_in_progress": Row(
        lambda: selected().building("wake/codebuild_in_progress"),
        {"did": "looked", "resumed": 0},
        lambda found: answered(found, "build") is None,
    ),
    "codebuild_succeeded_of_a_team": Row(
        built_of_a_team,
        {"did": "looked at a build", "released": ["shop/production: started"]},
        released,
    ),
    "codebuild_failed_of_a_team": Row(
        lambda: from_github().built_by_its_team("wake/codebuild_failed_of_a_team", **FAILED_PHASE),
        {"did": "reported", "systems": [SYSTEM]},
        failed("make: *** [all] Error 2"),
    ),
    "codecommit_branch_created": Row(
        built_from,
        {"did": "started"},
        built_of("codecommit:shop", actor="assumed-role/Developer/mary.major"),
    ),
    "codecommit_branch_updated": Row(
        built_from, {"did": "started"}, built_of("codecommit:shop", before=BEFORE)
    ),
    "codecommit_branch_deleted": NOTHING,
    "codecommit_tag_created": NOTHING,
    "codecommit_of_another_repository": NOTHING,
    "ecr_scan_complete": Row(
        lambda: scanning().awaits_scans().scanned(CRITICAL=1),
        {"did": "looked", "resumed": 1},
        lambda found: answered(found, "scans") == "Scanned",
    ),
    "github_push": Row(
        from_github,
        {"did": "started"},
        built_of("github:acme/shop", before=BEFORE, changed=["backend/app.py", "README.md"]),
    ),
}


BUILD_ROWS = {
    f"{function}/{case}": row
    for function, rows in {
        "build_images": BUILD_IMAGES,
        "publish_images": PUBLISH_IMAGES,
        "wake": WAKE,
    }.items()
    for case, row in rows.items()
}
