"""What the functions log: one line on what it was about and how it went, and metrics that CloudWatch reads."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import LostLockError, TransientError
from tidegate.runtime.observability import KEYS, NAMESPACE, SERVICE

from tests.functions.invoking import REQUEST, Invocation, invoke
from tests.functions.scene import DEPLOYMENT, ENVIRONMENT, SYSTEM, event
from tests.functions.test_replay import ROWS

PLACE = {"system": SYSTEM, "environment": ENVIRONMENT}
OURS = {**PLACE, "deployment": DEPLOYMENT}
# What a line can be searched by; an event of ECS names none of it.
ABOUT: dict[str, dict[str, str]] = {
    "wake/image_published_unknown_system": {**PLACE, "system": "nobody"},
    "plan_release/plan_again": OURS,
    "lock/acquire": OURS,
    "lock/take_over": OURS,
    "roll_service/start": {**OURS, "service": "api"},
    "roll_service/report": {**OURS, "service": "api"},
    "roll_service/await": OURS,
    "roll_service/bake": OURS,
    "lock/await_approval": OURS,
    "lock/release": OURS,
    "smoke/check": {**OURS, "service": "api"},
    "record/begin_compensation": OURS,
    "record/succeed": OURS,
    "record/fail": OURS,
    "record/conclude_refused": OURS,
    "record/fail_before_a_plan": PLACE,
    "record/begin_rotation": OURS,
    "record/rotated": OURS,
    "rotate_secret/set": OURS,
    "rotate_secret/restore": OURS,
    "wake/image_published": PLACE,
    "wake/ecs_deployment_completed": {},
    "sweep/scheduled": {},
}
COUNTED = {
    "record/succeed": {"Succeeded", "DeploymentDuration"},
    "record/fail": {"FailedDirty", "DeploymentDuration"},
    "record/fail_on_an_error": {"FailedClean", "DeploymentDuration"},
    "record/conclude_refused": {"Refused", "DeploymentDuration"},
    "record/rotated": {"Rotated", "DeploymentDuration"},
    "record/fail_a_rotation": {"FailedClean", "DeploymentDuration"},
    "roll_service/report": {"RolloutFailed"},
    "wake/image_published_bad_digest": {"EventRefused"},
    "sweep/scheduled": {"RecoveryStarted"},
    "lock/acquire": set(),
}


def replayed(name: str, monkeypatch: pytest.MonkeyPatch) -> Invocation:
    return invoke(name.partition("/")[0], event(name), ROWS[name].scene().world, monkeypatch)


@pytest.mark.parametrize("name", ROWS)
def test_one_line_a_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = replayed(name, monkeypatch).logged
    assert (line["message"], line["level"]) == ("done", "INFO")
    assert (line["step"], line["request"]) == (name.partition("/")[0], REQUEST)
    assert line["duration_ms"] >= 0


@pytest.mark.parametrize(("name", "about"), ABOUT.items())
def test_a_line_says_what_it_is_about(
    name: str, about: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = replayed(name, monkeypatch).logged
    said = {key: line[key] for key in KEYS if key in line}
    # Powertools names whoever logs `service`, until a service of the system is what it is about.
    expected = {"service": SERVICE, **about}
    assert said == expected


def test_a_new_deployment_is_named_in_the_line_of_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    done = replayed("plan_release/plan", monkeypatch)
    assert done.result is not None
    assert done.logged[0]["deployment"] == done.result["deployment"]


@pytest.mark.parametrize(("name", "counted"), COUNTED.items())
def test_what_is_counted(name: str, counted: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = replayed(name, monkeypatch)
    assert done.counted == counted


def test_metrics_are_lines_in_the_embedded_metric_format(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = replayed("record/fail", monkeypatch).metrics
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        for metric in directive["Metrics"]:
            assert line[metric["Name"]][0] >= 0
        for dimension in directive["Dimensions"][0]:
            assert isinstance(line[dimension], str)
    dimensions = [
        {name: line[name] for name in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]}
        for line in lines
        if "FailedDirty" in line
    ]
    # The alarm knows only the stack.
    assert dimensions == [PLACE, {"stack": "tidegate"}]


@pytest.mark.parametrize(
    ("error", "level"), [(TransientError("throttled"), "WARNING"), (LostLockError("void"), "ERROR")]
)
def test_a_failure_is_one_line_with_the_same_keys(
    error: Any, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = ROWS["roll_service/start"].scene()
    scene.world.containers.fails("update_service", error)
    done = invoke("roll_service", event("roll_service/start"), scene.world, monkeypatch)
    assert done.error is error
    (line,) = done.logged
    assert {key: line[key] for key in KEYS} == ABOUT["roll_service/start"]
    assert (line["level"], line["message"], line["error"]) == (level, error.message, type(error).__name__)
