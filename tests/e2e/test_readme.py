"""What the README tells people to type, typed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tidegate.domain.request import parse_published
from tidegate_cli.manifest_file import read_manifest_text

from tests.e2e.support import ROOT
from tests.support.leftovers import free_port, processes_of
from tests.support.scratch import IDENTITY

README = (ROOT / "README.md").read_text()


def _block(mark: str) -> str:
    found = re.search(rf"<!-- test: {mark} -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert found is not None, f"README.md has no block marked {mark}"
    return found[1]


@pytest.mark.emulator
def test_play_with_it(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    script = _block("play").replace("tidegate local up ", f"tidegate local up --port {port} ", 1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TIDEGATE_"))}
    typed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**kept, **IDENTITY, "TIDEGATE_STATE_DIR": str(state), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = typed.stdout + typed.stderr
    assert typed.returncode == 0, said[-4000:]
    assert "exit code 10: FailedClean" in typed.stdout
    assert re.search(r"exit(ed with)? code 1\b", said), "show names the exit code"
    assert not state.exists()
    assert processes_of(state) == []


def test_the_manifest_in_it_is_one() -> None:
    found = re.search(r"```yaml\n# tidegate.yaml\n(.*?)```", README, re.DOTALL)
    assert found is not None
    manifest = read_manifest_text(found[1].encode(), "README.md").manifest()
    assert manifest.system == "shop"


def test_the_event_in_it_starts_a_deployment_of_that_manifest() -> None:
    found = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert found is not None
    event = json.loads(found[1].replace("sha256:…", f"sha256:{'0' * 64}"))
    assert (event["source"], event["detail-type"]) == ("tidegate.ci", "Image Published")
    assert parse_published(event["detail"]).system == "shop"


@pytest.mark.parametrize("target", re.findall(r"^(?:make) (\w+)", README, re.MULTILINE))
def test_the_make_targets_it_names_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)", README))
def test_its_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
