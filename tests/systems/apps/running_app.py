"""The application of systems/_apps as a process of its own, as a container runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.support import ROOT
from tests.support.leftovers import free_port
from tests.support.waiting import wait_until

APPS = ROOT / "systems" / "_apps"
SECONDS = 30.0


@dataclass(frozen=True)
class Ran:
    exit_code: int
    output: str


@dataclass(frozen=True)
class App:
    """A copy of the folder, whose migrations may be added to; `environment` is all that a process of it sees."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def copy(cls, folder: Path, environment: Mapping[str, str]) -> App:
        shutil.copytree(APPS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return cls(folder, {"MIGRATIONS": str(folder / "migrations"), **environment})

    def run(self, *words: str, **more: str) -> Ran:
        """One that ends by itself."""
        ended = subprocess.run(
            self._command(*words),
            cwd=self.folder,
            env=self._environ(more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout)

    @contextmanager
    def started(self, *words: str, exit_code: int = 0, **more: str) -> Iterator[Process]:
        """One that goes on; it is asked to end as ECS asks, and has to, so."""
        process = subprocess.Popen(
            self._command(*words),
            cwd=self.folder,
            env=self._environ(more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running = Process(process)
        try:
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(SECONDS) == exit_code, running.lines
            finally:
                process.kill()

    @contextmanager
    def serving(self, **more: str) -> Iterator[Client]:
        """The HTTP service, once it answers."""
        port = free_port()
        with self.started("serve", exit_code=0, PORT=str(port), **more) as process:
            client = Client(f"http://127.0.0.1:{port}", process)
            wait_until(client.listens, what="the service to answer", seconds=SECONDS)
            yield client

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "app", *words]

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        return {**own, **self.environment, **more}


class Process:
    """What it prints is read while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())


@dataclass(frozen=True)
class Client:
    url: str
    process: Process

    def listens(self) -> bool:
        assert self.process.process.poll() is None, self.process.lines
        try:
            return bool(self.ask("/anything"))
        except OSError:
            return False

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and document."""
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + path, data=data, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)
