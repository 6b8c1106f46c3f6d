"""One command after the other, as CodeBuild runs those of a buildspec 0.2.

Each is a process of its own that goes on where the one before ended: in its folder, with its variables (set ones
are exported, as CodeBuild does it). So a command may `exit`, and what follows still has what it set. Processes that a
command leaves behind live until the build ends, or this process does.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

SHELLS = {"sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
ORDERLY_SECONDS = 2.0
# Ends the whole group when nobody holds the other end of standard input any more: the server was killed.
_GUARDED = 'exec 3<&0; (read _ <&3; kill -KILL 0) & exec "$@" </dev/null 3<&-'
_DUMP = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"


class NoShellError(ValueError):
    """The shell the buildspec names is not on this machine."""


class Commands:
    """Runs commands in `folder` until `end` is called; what they print goes to the descriptor `output`."""

    def __init__(
        self, shell: str, variables: Mapping[str, str], folder: Path, scratch: Path, output: int
    ) -> None:
        program = shutil.which(SHELLS.get(shell, shell), path=variables.get("PATH"))
        if program is None or shell not in SHELLS:
            raise NoShellError(f"env.shell: {shell} is not supported here, write bash or sh")
        self._shell, self._start, self._output = program, dict(variables), output
        self._folder, self._scratch = folder, scratch
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "dir.txt").write_text(str(folder))
        (scratch / "env.sh").write_text("")
        self._lock = threading.Lock()
        self._groups: list[int] = []
        self._ended = False
        self._count = 0
        self._watched, self._watch = os.pipe()

    def run(self, command: str, *, succeeding: bool) -> int:
        """The exit code of a command, negative for a signal; -9 once `end` was called."""
        # A process that an earlier command left behind may still read that one's.
        self._count += 1
        script = self._scratch / f"script{self._count}.sh"
        script.write_text(self._prelude(succeeding) + command + "\n")
        process = self._spawn([self._shell, str(script)])
        return -signal.SIGKILL if process is None else process.wait()

    def variables(self) -> dict[str, str]:
        """What the next command would find in its environment."""
        target = self._scratch / "variables.json"
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        dump = shlex.join([sys.executable, "-I", "-c", _DUMP, str(target)])
        if self.run(dump, succeeding=True) != 0:
            return {}
        found: dict[str, str] = json.loads(target.read_text())
        return found

    def end(self) -> None:
        """Kill what runs; politely, then not. Nothing can be started any more."""
        with self._lock:
            self._ended = True
            groups, self._groups = self._groups, []
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in groups:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)
            if number is signal.SIGTERM and groups:
                threading.Event().wait(0.05)
        with contextlib.suppress(OSError):
            os.close(self._watch)

    def close(self) -> None:
        """After the last `run` has returned."""
        self.end()
        os.close(self._watched)

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._ended:
                return None
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED, "sh", *command],
                cwd=self._folder,
                env=self._start,
                stdin=self._watched,
                stdout=self._output,
                stderr=self._output,
                process_group=0,
            )
            self._groups.append(process.pid)
        return process

    def _prelude(self, succeeding: bool) -> str:
        env, place = shlex.quote(str(self._scratch / "env.sh")), shlex.quote(str(self._scratch / "dir.txt"))
        # On one line, so that the shell's own messages count the command's lines from two.
        return (
            f'. {env}; cd "$(cat {place})"; export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)}; '
            f"trap 'export -p >{env}; pwd >{place}' EXIT; set -a\n"
        )
