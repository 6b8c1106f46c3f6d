"""A build of the buildspec as CodeBuild does one, with the real bash and git; only `docker` and `aws` are stand-ins.

Each command runs in a shell that gets the exported variables of the one before (CodeBuild user guide, "Build
specification reference"). The stand-ins write down how they were called and share one file, the registry.
"""

from __future__ import annotations

import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.integration.buildspec import stand_in

_FILE = Path(__file__).parents[3] / "infrastructure/buildspec.yml"
BUILDSPEC: dict[str, Any] = yaml.safe_load(_FILE.read_text())
SHELL = BUILDSPEC["env"]["shell"]
_STAND_IN = "#!/bin/sh\nexec '{python}' -I -S '{script}' {name} '{state}' \"$@\"\n"


def git(directory: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{who}_{what}": "someone@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    ran = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=directory,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


@dataclass(frozen=True)
class Result:
    """`phase` is where it ended, `log` what the commands printed, `exported` as the build's event has it."""

    succeeded: bool
    phase: str
    log: str
    exported: dict[str, str]

    @property
    def last_line(self) -> str:
        return self.log.strip().splitlines()[-1]


@dataclass
class Builder:
    """A source repository, a registry and CodeBuild. `tags` is the registry's content, by `repository:tag`."""

    home: Path
    registry: dict[str, Any] = field(
        default_factory=lambda: {
            "repositories": ["shop"],
            "tags": {},
            "faster": False,
            "refuses": False,
            "unreachable": False,
            "broken_dockerfile": False,
        }
    )

    def __post_init__(self) -> None:
        for folder in ("state", "bin", "source"):
            (self.home / folder).mkdir()
        for name in ("docker", "aws"):
            path = self.home / "bin" / name
            path.write_text(
                _STAND_IN.format(
                    python=sys.executable, script=stand_in.__file__, name=name, state=self.home / "state"
                )
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        git(self.source, "init", "--quiet")

    @property
    def source(self) -> Path:
        return self.home / "source"

    def commit(self, files: Mapping[str, str], message: str = "change") -> str:
        for name, content in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.source, "add", "--all")
        git(self.source, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.source, "rev-parse", "HEAD")

    def build(self, variables: Mapping[str, str] | None = None, *, depth: int | None = None) -> Result:
        """Clone the source and run the phases. TIDEGATE_REPOSITORY is `shop` unless given."""
        state, clone = self.home / "state", self.home / "clone"
        subprocess.run(["rm", "-rf", str(clone)], check=True)
        shallow = [] if depth is None else ["--depth", str(depth)]
        git(self.home, "clone", "--quiet", *shallow, f"file://{self.source}", str(clone))
        (state / "registry.json").write_text(json.dumps(self.registry))
        (state / "calls.jsonl").write_text("")
        environment = {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "CODEBUILD_SRC_DIR": str(clone),
            "CODEBUILD_RESOLVED_SOURCE_VERSION": git(clone, "rev-parse", "HEAD"),
            "CODEBUILD_SOURCE_REPO_URL": "https://github.com/acme/shop.git",
            "TIDEGATE_REPOSITORY": "shop",
            **(variables or {}),
        }
        result = self._run({name: value for name, value in environment.items() if value != "<unset>"})
        self.registry = json.loads((state / "registry.json").read_text())
        return result

    def _run(self, environment: dict[str, str]) -> Result:
        kept, log = self.home / "state/environment.sh", ""
        kept.write_text("")
        for phase, content in BUILDSPEC["phases"].items():
            for command in content["commands"]:
                script = f". '{kept}'\n{command}\nlast=$?\nexport -p >'{kept}'\nexit $last\n"
                ran = subprocess.run(
                    [SHELL, "-c", script],
                    cwd=environment["CODEBUILD_SRC_DIR"],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=60,
                    check=False,
                )
                log += ran.stdout
                if ran.returncode != 0:
                    return Result(False, phase, log, {})
        return Result(True, "build", log, self._exported(kept))

    @staticmethod
    def _exported(kept: Path) -> dict[str, str]:
        found = {}
        for name in BUILDSPEC["env"]["exported-variables"]:
            printed = subprocess.run(
                [SHELL, "-c", f'. "{kept}"; printf %s "${name}"'], capture_output=True, text=True, check=True
            )
            found[name] = printed.stdout
        return found

    def calls(self, name: str, what: str) -> list[dict[str, Any]]:
        """Calls of `docker build` and the like, oldest first: {arguments, directory}."""
        lines = (self.home / "state/calls.jsonl").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if call["name"] == name and what in call["arguments"]]

    @property
    def labels(self) -> dict[str, str]:
        """Of the image that was built last."""
        (build,) = self.calls("docker", "build")
        options = itertools.pairwise(build["arguments"])
        return dict(value.split("=", 1) for name, value in options if name == "--label")

    @property
    def built(self) -> bool:
        return bool(self.calls("docker", "build") or self.calls("docker", "push"))
