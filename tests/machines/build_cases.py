"""The ways through `build`: images side by side, each to its end; then published, or a failure that is recorded."""

from __future__ import annotations

from unittest.mock import ANY

from tests.machines.case import DENIED, SILENCE, Answers, Case, Ending, fails, gives
from tests.machines.stage import ENVIRONMENT, Json

BUILD = "01JD6QZ5N8W3F4T7X2V9K1M0BU"
SELECT = ["SelectImages", "Selected?"]
BUILT = ["StartBuild", "ImageBuilt?", "ImageBuilt"]
NOT_BUILT = ["StartBuild", "ImageBuilt?", "ReportBuild", "ImageNotBuilt"]
CUT_SHORT = ["StartBuild", "ReportBuild", "ImageNotBuilt"]
PUBLISH = ["PublishImages", "Published?", "Ended"]
FAIL = ["RecordFailure", "Published?", "Failed"]
REPORTED = gives(image="api", outcome="Failed")
SCANNED = gives(outcome="Scanned")


def digest(image: str) -> str:
    return f"sha256:{image.encode().hex():0>64}"


def document(outcome: str | None) -> Json:
    return {
        "outcome": outcome,
        "build": BUILD,
        "commit": "c42",
        "reason": "why",
        "images": {},
        "deployments": {},
    }


def selected(*images: str, outcome: str = "Ready", scanned: bool = False) -> Json:
    """What `Select` answers: the images to build. Its system is the script's key in every later call."""
    return gives(
        outcome=outcome,
        build=BUILD,
        system=ENVIRONMENT,
        images=list(images),
        scanned=scanned,
        document=document(None if outcome == "Ready" else outcome),
    )


def refused() -> Json:
    """A request that is about no system."""
    answer = selected(outcome="Refused")["gives"]
    return gives(**{**answer, "system": None})


def built(image: str) -> Json:
    return gives(outcome="Built", image=image, digest=digest(image), phase=None, reason="")


def not_built(image: str) -> Json:
    reason = "FAILED in phase BUILD: exit status 1"
    return gives(outcome="Failed", image=image, digest=None, phase="BUILD", reason=reason)


def recorded(outcome: str) -> Json:
    return gives(outcome=outcome, document=document(outcome))


def ended(outcome: str) -> Ending:
    if outcome == "Failed":
        return Ending("FAILED", document(outcome), outcome)
    return Ending("SUCCEEDED", document(outcome))


def lost(build: str | None, reason: object) -> Ending:
    """A failure that nobody could write down."""
    said = {"outcome": "Failed", "build": build, "commit": None, "reason": reason}
    return Ending("FAILED", {**said, "images": {}, "deployments": {}}, "Failed")


def build(name: str, answers: Answers, path: list[str], outcome: str, **more: object) -> Case:
    return Case(name, "build", answers, path, more.pop("ending", ended(outcome)), **more)  # type: ignore[arg-type]


def nothing_caught_while_building(definition: Json) -> None:
    """The iterations catch everything: only without that can the Map itself fail."""
    del definition["States"]["BuildImages"]["ItemProcessor"]["States"]["StartBuild"]["Catch"]


PUBLISHED: Answers = {"Publish": [recorded("Built")]}
FAILED: Answers = {"Fail": [recorded("Failed")]}

WENT_WELL = [
    build(
        "one image",
        {"Select": [selected("api")], "Start api": [built("api")], **PUBLISHED},
        [*SELECT, "BuildImages", *BUILT, "AllBuilt?", *PUBLISH],
        "Built",
    ),
    build(
        "three images",
        {
            "Select": [selected("api", "worker", "web")],
            **{f"Start {image}": [built(image)] for image in ("api", "worker", "web")},
            **PUBLISHED,
        },
        [*SELECT, "BuildImages", *BUILT, *BUILT, *BUILT, "AllBuilt?", *PUBLISH],
        "Built",
        side_by_side=True,
    ),
    build(
        "an image that is scanned",
        {
            "Select": [selected("api", scanned=True)],
            "Start api": [built("api")],
            "AwaitScans": [SCANNED],
            **PUBLISHED,
        },
        [*SELECT, "BuildImages", *BUILT, "AllBuilt?", "AwaitScans", *PUBLISH],
        "Built",
    ),
    build("all is built already", {"Select": [selected()], **PUBLISHED}, [*SELECT, *PUBLISH], "Built"),
    build(
        "all is built already, and scanned",
        {"Select": [selected(scanned=True)], "AwaitScans": [SCANNED], **PUBLISHED},
        [*SELECT, "AwaitScans", *PUBLISH],
        "Built",
    ),
]
CHANGED_NOTHING = [
    *(
        build(f"{outcome} at once", {"Select": [selected(outcome=outcome)]}, [*SELECT, "Ended"], outcome)
        for outcome in ("NoChange", "Refused")
    ),
    build("Refused, of no system", {"Select": [refused()]}, [*SELECT, "Ended"], "Refused"),
    build(
        "its publication is refused",
        {"Select": [selected()], "Publish": [recorded("Refused")]},
        [*SELECT, *PUBLISH],
        "Refused",
    ),
]
FAILS = [
    build(
        "the only image fails",
        {"Select": [selected("api")], "Start api": [not_built("api")], "Report api": [REPORTED], **FAILED},
        [*SELECT, "BuildImages", *NOT_BUILT, "AllBuilt?", *FAIL],
        "Failed",
    ),
    build(
        "one of three images fails, the others go on",
        {
            "Select": [selected("api", "worker", "web", scanned=True)],
            "Start api": [not_built("api")],
            "Report api": [REPORTED],
            "Start worker": [built("worker")],
            "Start web": [built("web")],
            **FAILED,
        },
        [*SELECT, "BuildImages", *NOT_BUILT, *BUILT, *BUILT, "AllBuilt?", *FAIL],
        "Failed",
        side_by_side=True,
    ),
    build(
        "what was built is not in ECR",
        {"Select": [selected()], "Publish": [recorded("Failed")]},
        [*SELECT, "PublishImages", "Published?", "Failed"],
        "Failed",
    ),
    build(
        "it had failed before it was selected again",
        {"Select": [selected(outcome="Failed")], **FAILED},
        [*SELECT, *FAIL],
        "Failed",
    ),
]
CAUGHT = [
    build(
        "the selection fails",
        {"Select": [DENIED]},
        ["SelectImages", "NotSelected"],
        "Failed",
        ending=lost(None, ANY),
        caught=("SelectImages", 0),
        error=("OutsideError: ", "access denied"),
    ),
    build(
        "CodeBuild does not finish in time",
        {"Select": [selected("api")], "Start api": [SILENCE], "Report api": [REPORTED], **FAILED},
        [*SELECT, "BuildImages", *CUT_SHORT, "AllBuilt?", *FAIL],
        "Failed",
        seconds=1,
        caught=("StartBuild", 0),
        error=("CodeBuild had not finished within 1 s", ""),
    ),
    build(
        "a build cannot be started, its sibling goes on",
        {
            "Select": [selected("api", "worker")],
            "Start api": [DENIED],
            "Report api": [REPORTED],
            "Start worker": [built("worker")],
            **FAILED,
        },
        [*SELECT, "BuildImages", *CUT_SHORT, *BUILT, "AllBuilt?", *FAIL],
        "Failed",
        caught=("StartBuild", 1),
        error=("OutsideError: ", "access denied"),
        side_by_side=True,
    ),
    build(
        "a token is answered with a failure",
        {
            "Select": [selected("api")],
            "Start api": [fails("Broken", "by hand")],
            "Report api": [REPORTED],
            **FAILED,
        },
        [*SELECT, "BuildImages", *CUT_SHORT, "AllBuilt?", *FAIL],
        "Failed",
        caught=("StartBuild", 1),
        error=("Broken: ", "by hand"),
    ),
    build(
        "the report cannot be written",
        {"Select": [selected("api")], "Start api": [not_built("api")], "Report api": [DENIED], **FAILED},
        [*SELECT, "BuildImages", *NOT_BUILT, "AllBuilt?", *FAIL],
        "Failed",
        caught=("ReportBuild", 0),
    ),
    build(
        "the building breaks off",
        {"Select": [selected("api")], "Start api": [DENIED], **FAILED},
        [*SELECT, "BuildImages", "StartBuild", *FAIL],
        "Failed",
        caught=("BuildImages", 0),
        error=("OutsideError", "access denied"),
        change=nothing_caught_while_building,
    ),
    build(
        "ECR does not finish its scan in time, publishing decides",
        {"Select": [selected(scanned=True)], "AwaitScans": [SILENCE], "Publish": [recorded("Refused")]},
        [*SELECT, "AwaitScans", *PUBLISH],
        "Refused",
        seconds=1,
        caught=("AwaitScans", 0),
    ),
    build(
        "the scans cannot be awaited",
        {"Select": [selected(scanned=True)], "AwaitScans": [DENIED], **FAILED},
        [*SELECT, "AwaitScans", *FAIL],
        "Failed",
        caught=("AwaitScans", 1),
        error=("OutsideError", "access denied"),
    ),
    build(
        "publishing fails",
        {"Select": [selected()], "Publish": [DENIED], **FAILED},
        [*SELECT, "PublishImages", *FAIL],
        "Failed",
        caught=("PublishImages", 0),
        error=("OutsideError", "access denied"),
    ),
    build(
        "publishing fails after the end was recorded",
        {"Select": [selected()], "Publish": [DENIED], "Fail": [recorded("Built")]},
        [*SELECT, "PublishImages", "RecordFailure", "Published?", "Ended"],
        "Built",
        caught=("PublishImages", 0),
    ),
    build(
        "no outcome can be recorded",
        {"Select": [selected()], "Publish": [DENIED], "Fail": [DENIED]},
        [*SELECT, "PublishImages", "RecordFailure", "NotRecorded"],
        "Failed",
        ending=lost(BUILD, "the outcome could not be recorded; the sweep takes over"),
        caught=("RecordFailure", 0),
    ),
]

BUILDS = [*WENT_WELL, *CHANGED_NOTHING, *FAILS, *CAUGHT]
