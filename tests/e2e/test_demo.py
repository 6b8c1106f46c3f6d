"""`tidegate demo`, as a person runs it."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from tidegate_local.lifecycle import environment

from tests.e2e.support import ROOT, SampleCloud
from tests.support.command_line import CommandLine
from tests.support.leftovers import processes_of
from tests.support.waiting import wait_until

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


def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    running = CommandLine({"TIDEGATE_STATE_DIR": str(state)}, tmp_path).start("demo")
    wait_until((state / "cloud.json").exists, what="the embedded cloud to be started", seconds=30)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
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


def test_the_readme_of_the_sample_says_what_works(cloud: SampleCloud) -> None:
    """Its commands in order, in a shell at the root of the checkout. The stack is there already: that is fine."""
    text = (ROOT / "systems" / "sample" / "README.md").read_text()
    deploy, release, fail = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for block, exit_code in ((deploy, 0), (release, 0), (fail, 10)):
        ended = in_a_shell(cloud, block)
        assert ended.returncode == exit_code, ended.stdout + ended.stderr
    assert [run.outcome for run in cloud.history()[:2]] == OUTCOMES[2:0:-1]
    assert len(set(cloud.digests().values())) == 1


def in_a_shell(cloud: SampleCloud, commands: str) -> subprocess.CompletedProcess[str]:
    """As after `eval "$(tidegate local env)"`, with the checkout's .venv on the path."""
    environ = environment.embedded(cloud.checkout, cloud.cloud.endpoint_url, cloud.cloud.options.region)
    return subprocess.run(
        ["bash", "-euc", f'eval "$(tidegate local env)"\n{commands}'],
        cwd=ROOT,
        env=environ | dict(cloud.command.variables),
        capture_output=True,
        text=True,
        check=False,
    )
