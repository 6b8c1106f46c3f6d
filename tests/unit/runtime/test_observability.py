from __future__ import annotations

import json

import pytest
from tidegate.runtime.observability import EmfMetrics, logger, subject


def test_each_count_is_a_line_with_its_own_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = EmfMetrics("tidegate")
    metrics.count("DeploymentEnded", system="arive", outcome="Succeeded")
    metrics.count("WaitSeconds", 12.5, "Seconds")
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Tidegate"
    assert directive["Metrics"] == [{"Name": "DeploymentEnded", "Unit": "Count"}]
    assert sorted(directive["Dimensions"][0]) == ["outcome", "system"]
    assert (first["system"], first["outcome"], first["DeploymentEnded"]) == ("arive", "Succeeded", [1.0])
    assert second["WaitSeconds"] == [12.5]
    assert "system" not in second


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="Fortnights"):
        EmfMetrics("tidegate").count("WaitSeconds", 1, "Fortnights")


def test_a_subject_is_found_at_the_top_or_in_the_detail() -> None:
    assert subject({"system": "arive", "detail": {"system": "other", "environment": "dev"}}) == {
        "system": "arive",
        "environment": "dev",
    }
    assert subject({"detail": "text", "service": {"name": "api"}}) == {}


def test_there_is_one_logger() -> None:
    assert logger() is logger()
    assert logger().service == "tidegate"


def test_what_an_alarm_watches_is_counted_for_the_stack_too(capsys: pytest.CaptureFixture[str]) -> None:
    EmfMetrics("tidegate").count("FailedDirty", system="shop", environment="production")
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    dimensions = [line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for line in written]
    assert dimensions == [[["system", "environment"]], [["stack"]]]
    assert written[1]["stack"] == "tidegate"
