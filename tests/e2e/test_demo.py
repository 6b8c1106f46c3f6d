"""`tidegate demo`, as a person runs it."""

from pathlib import Path

import pytest
from tidegate_local import sample

from tests.e2e.support import ROOT, SampleCloud
from tests.support.command_line import CommandLine
from tests.support.leftovers import processes_of

pytestmark = pytest.mark.emulator

OUTCOMES = ["Succeeded", "Succeeded", "FailedClean", "Succeeded"]


def test_the_demo_ends_as_told_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    tidegate = CommandLine({"TIDEGATE_STATE_DIR": str(state)}, tmp_path)
    ended = tidegate.run("demo", "--json", seconds=240)
    assert ended.exit_code == 0, ended.progress
    story = ended.document
    assert story["outcomes"] == OUTCOMES
    assert (story["as_expected"], story["cloud"]) == (True, None)
    assert [run["release"] for run in story["runs"]] == ["r1", "r2", "r3", "r1"]

    failed = story["runs"][2]["failure"]
    assert failed["service"] == "worker"
    task = failed["tasks"][0]
    assert (task["container"], task["exit_code"]) == ("worker", 1)
    assert task["reason"]
    assert task["logs"]

    first = story["runs"][0]["digest"]
    assert {service["digest"] for service in story["running"]["services"].values()} == {first}
    assert not state.exists()
    assert processes_of(state) == []


def test_a_cloud_that_runs_is_used_and_stays(cloud: SampleCloud) -> None:
    before = len(cloud.history())
    ended = cloud.command.run("demo", seconds=240)
    assert ended.exit_code == 0, ended.progress
    assert [run.outcome for run in cloud.history()[: len(OUTCOMES)]] == OUTCOMES[::-1]
    assert len(cloud.history()) == before + len(OUTCOMES)
    assert cloud.lock_is_free()
    assert len(set(cloud.digests().values())) == 1
    assert "tidegate local down" in ended.output
    assert cloud.control.health().ready


def test_the_sample_can_be_deployed_as_its_readme_says(cloud: SampleCloud) -> None:
    """Its stack is there already: the commands of systems/sample/README.md then change nothing."""
    words = f"--template-file systems/sample/template.yaml --stack-name {sample.STACK}"
    assert words in (ROOT / "systems" / "sample" / "README.md").read_text()
    applied = cloud.command.run(
        "--local", "apply", "systems/sample/tidegate.yaml", "--environment", sample.ENVIRONMENT, "--json"
    )
    assert (applied.exit_code, applied.document["changed"]) == (0, False)
