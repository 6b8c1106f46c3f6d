"""`aws`, `docker` and `squawk` as a build finds them: the real docker where there is an engine, else one that simulates
it; squawk where it is installed beside this Python."""

import os
import shlex
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from tidegate_local.settings import Settings

_MODULE = "tidegate_local.codebuild.tools"


class Tools:
    """The same for all builds of a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def install(self, folder: Path) -> dict[str, str]:
        """Put the programs into `folder`; returns the variables they need."""
        folder.mkdir(parents=True)
        _script(folder / "aws", f"{_MODULE}.aws")
        squawk = Path(sys.executable).with_name("squawk")
        if squawk.exists():
            (folder / "squawk").symlink_to(squawk)
        private = folder.with_name("docker")
        private.mkdir()
        found = {"DOCKER_CONFIG": str(private)}
        if not self._settings.docker:
            _script(folder / "docker", f"{_MODULE}.docker")
            return found
        found["DOCKER_HOST"] = self._settings.docker_host
        return found if self._has_buildx else {**found, "DOCKER_BUILDKIT": "0"}

    @cached_property
    def _has_buildx(self) -> bool:
        """Without the plug-in docker refuses to build where BuildKit is asked for."""
        environ = {**os.environ, "DOCKER_HOST": self._settings.docker_host}
        try:
            done = subprocess.run(
                ["docker", "buildx", "version"], env=environ, capture_output=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def _script(path: Path, module: str) -> None:
    # -I: what a build has in its folder, or in PYTHONPATH, is none of the tool's business.
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", "-m", module])} "$@"\n')
    path.chmod(0o755)
