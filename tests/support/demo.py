"""What `tidegate demo` must tell, with containers and without."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.support.command_line import Ended

OUTCOMES = ["Succeeded", "Succeeded", "FailedClean", "Succeeded", "Rotated"]


def told(ended: Ended) -> dict[str, Any]:
    """The document of a demo that ended as it should and left no cloud."""
    assert ended.exit_code == 0, ended.progress
    story: dict[str, Any] = ended.document
    assert story["outcomes"] == OUTCOMES
    assert (story["as_expected"], story["cloud"]) == (True, None)
    runs = story["runs"]
    assert [run["release"] for run in runs] == ["r1", "r2", "r3", "r1"]
    assert [run["version"].partition("+")[0] for run in runs] == ["1.0.0", "2.0.0", "2.0.0", "1.0.0"]
    commits = [run["commit"] for run in runs]
    assert (len({*commits}), commits[3]) == (3, commits[0])

    failed = runs[2]["failure"]
    assert failed["service"] == "worker"
    task = failed["tasks"][0]
    assert (task["container"], task["exit_code"]) == ("worker", 1)
    assert task["reason"]
    assert task["logs"]

    rotation = story["rotation"]
    assert (rotation["as_expected"], rotation["failed_logins"]) == (True, [])
    assert (rotation["rolled"], rotation["old_is_out"]) == (["api", "worker"], True)
    assert rotation["users"] == ["sample", "sample_clone"] == sorted(rotation["logins"])
    assert rotation["prepared"]
    assert not [line for line in rotation["prepared"] if "PASSWORD" in line]

    services = story["running"]["services"].values()
    assert {service["digest"] for service in services} == {runs[0]["digest"]}
    return story


def scratch_folders() -> set[Path]:
    """The demo's scratch repositories on this machine."""
    return set(Path(tempfile.gettempdir()).glob("tidegate-demo-*"))
