"""`tidegate demo`, as a person runs it."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from tidegate_local import pushing
from tidegate_local.lifecycle import environment

from tests.e2e.support import ROOT, SampleCloud
from tests.support.command_line import CommandLine
from tests.support.demo import OUTCOMES, scratch_folders, told
from tests.support.leftovers import processes_of
from tests.support.scratch import IDENTITY, Scratch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator


def test_the_demo_ends_as_told_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = scratch_folders()
    tidegate = CommandLine({"TIDEGATE_STATE_DIR": str(state)}, tmp_path)
    ended = tidegate.run("demo", "--docker", "off", "--json", seconds=240)
    story = told(ended)
    assert story["docker"] is False
    assert [run["answers"] for run in story["runs"]] == [None] * 4
    assert scratch_folders() <= before, "a scratch repository is left"
    assert not state.exists()
    assert processes_of(state) == []


def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    running = CommandLine({"TIDEGATE_STATE_DIR": str(state)}, tmp_path).start("demo", "--docker", "off")
    wait_until((state / "cloud.json").exists, what="the embedded cloud to be started", seconds=30)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert not state.exists()
    assert processes_of(state) == []


def test_the_readme_of_the_sample_says_what_works(cloud: SampleCloud) -> None:
    """Its commands in order, in a shell at the root of the checkout, where nobody has pushed before. The stack is there
    already: that is fine."""
    codecommit = cloud.client("codecommit")
    if "sample" in {entry["repositoryName"] for entry in codecommit.list_repositories()["repositories"]}:
        codecommit.delete_repository(repositoryName="sample")
    text = (ROOT / "systems" / "sample" / "README.md").read_text()
    deploy, push, by_hand, fail = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    ended = in_a_shell(cloud, f"{deploy}{push}{by_hand}echo so far so good\n{fail}")
    assert "so far so good" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 10, ended.stdout + ended.stderr
    assert [run.outcome for run in cloud.history()[:3]] == ["FailedClean", "Succeeded", "Succeeded"]
    assert len(set(cloud.digests().values())) == 1


def test_a_cloud_that_runs_is_used_and_stays(cloud: SampleCloud) -> None:
    """Its commits come after those that the README's reader has pushed."""
    pushed = cloud.client("codecommit").get_branch(repositoryName="sample", branchName="main")["branch"][
        "commitId"
    ]
    before = len(cloud.history())
    ended = cloud.command.run("demo", seconds=240)
    assert ended.exit_code == 0, ended.progress
    *runs, rotated = OUTCOMES
    adopted = "Succeeded"
    after = cloud.history()[: len(cloud.history()) - before]
    assert [run.outcome for run in reversed(after)] == [*runs, adopted, rotated]
    assert cloud.lock_is_free()
    assert len(set(cloud.digests().values())) == 1
    bare = pushing.bare_repository(cloud.checkout, "sample")
    assert Scratch(bare).git("rev-parse", "main~3").strip() == pushed
    assert "tidegate local down" in ended.output
    assert cloud.control.health().ready


def in_a_shell(cloud: SampleCloud, commands: str) -> subprocess.CompletedProcess[str]:
    """As after `eval "$(tidegate local env)"`, with the checkout's .venv on the path."""
    environ = environment.embedded(cloud.checkout, cloud.cloud.endpoint_url, cloud.cloud.options.region)
    return subprocess.run(
        ["bash", "-euc", f'eval "$(tidegate local env)"\n{commands}'],
        cwd=ROOT,
        env=environ | dict(cloud.command.variables) | IDENTITY,
        capture_output=True,
        text=True,
        check=False,
    )
