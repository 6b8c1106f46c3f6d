"""Why a build failed: the line that a person looks for, out of what CodeBuild wrote."""

from __future__ import annotations

import pytest
from tidegate.domain.build import BuildRun, ImageBuild, ImageStatus
from tidegate.domain.errors import BadInputError
from tidegate.steps.build_report import LOG_LINES, explain, failed_image, failing_line

from tests.support.fakes import World

OWN = "[Container] 2026/03/02 09:00:01.000000 "
RUN = BuildRun("shop-build:1", "shop-build", "FAILED", phase="BUILD", log_group="g", log_stream="s")
IMAGE = ImageBuild("app", "shop-app", "d4", "shop-build")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], None),
        (["only this"], "only this"),
        (["first", "last  ", "", "   "], "last"),
        ([OWN + "Running command make", "boom", OWN + "Command did not exit successfully make"], "boom"),
        (["boom", OWN + "Phase complete: BUILD State: FAILED", "later"], "boom"),
        ([OWN + "Phase complete: INSTALL State: SUCCEEDED", "boom"], "boom"),
        (["fine", OWN + "Running command exit 1"], None),
        (["fine", OWN + "Entering phase BUILD", OWN + "Phase complete: BUILD State: FAILED"], None),
        (["boom", "Tidegate: docker build failed, its error is above"], "boom"),
    ],
)
def test_the_failing_line(lines: list[str], found: str | None) -> None:
    assert failing_line(lines) == found


def _failed(*lines: str, run: BuildRun | None = RUN, reason: str = "FAILED in phase BUILD") -> ImageBuild:
    world = World()
    world.logs.write("g", "s", *lines)
    return failed_image(world.ports, IMAGE, run, reason)


def test_a_failed_image_has_phase_reason_and_lines() -> None:
    failed = _failed("one", "boom")
    assert (failed.status, failed.build_id, failed.phase) == (ImageStatus.FAILED, "shop-build:1", "BUILD")
    assert (failed.reason, failed.logs) == ("FAILED in phase BUILD: boom", ("one", "boom"))


def test_secrets_are_not_shown() -> None:
    failed = _failed("DB_PASSWORD=hunter2", reason="FAILED: token=abc123")
    assert "hunter2" not in f"{failed.reason}{failed.logs}"
    assert "abc123" not in failed.reason
    assert "abc123" not in _failed(run=None, reason="FAILED: token=abc123").reason


def test_all_of_it_fits_into_an_item_of_the_table() -> None:
    failed = _failed(*["x" * 100_000] * (LOG_LINES + 5), reason="y" * 100_000)
    assert len(str(failed.to_json()).encode()) < 100_000


def test_the_end_of_the_log_is_what_counts() -> None:
    failed = _failed(*(f"line {number}" for number in range(200)))
    assert failed.logs[-1] == "line 199"
    assert len(failed.logs) == 30


def test_one_without_a_log_has_its_reason() -> None:
    assert _failed().reason == "FAILED in phase BUILD"
    assert _failed(reason="").reason == "FAILED"


def test_a_refusal_is_told_with_its_mend() -> None:
    assert explain(BadInputError("no", field="x", hint="do")) == "no (do)"
    assert explain(BadInputError("no", field="x")) == "no"
