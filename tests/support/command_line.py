"""The installed command `tidegate`, run as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TIDEGATE = str(Path(sys.executable).with_name("tidegate"))


@dataclass(frozen=True)
class Ended:
    """What a call left."""

    exit_code: int
    output: str
    progress: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that `--json` promises."""
        return json.loads(self.output)

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.document["error"])


@dataclass(frozen=True)
class CommandLine:
    """`tidegate`, with these environment variables beside a clean environment."""

    variables: Mapping[str, str]
    folder: Path

    def run(self, *words: str, stdin: str = "", seconds: float = 180) -> Ended:
        ended = subprocess.run(
            [TIDEGATE, *words],
            env=self.environ,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The same in the background."""
        return subprocess.Popen(
            [TIDEGATE, *words],
            env=self.environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def with_variables(self, **variables: str) -> "CommandLine":
        return replace(self, variables={**self.variables, **variables})

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TIDEGATE_"))
        }
        return kept | dict(self.variables)
