"""A build from SUBMITTED to COMPLETED, in a thread of its own.

Which phase follows which: CodeBuild user guide, "Build phase transitions": what fails ends the build in FINALIZING,
but for BUILD, after which POST_BUILD still runs. `on-failure` of a phase says otherwise: CONTINUE goes on to the next
one (the build has failed all the same), ABORT does not, RETRY runs the phase again.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from ministack.core.responses import request_scope

from tidegate_local.codebuild import sources, variables
from tidegate_local.codebuild.buildspec import NAMES, Buildspec, BuildspecError, Name, is_inline, parse
from tidegate_local.codebuild.commands import Commands, NoShellError
from tidegate_local.codebuild.console import Console
from tidegate_local.codebuild.identity import IdentityError, Session, assume
from tidegate_local.codebuild.orders import Order
from tidegate_local.codebuild.records import Context, PhaseType, Record, Status
from tidegate_local.codebuild.sources import Source, SourceError
from tidegate_local.codebuild.variables import VariableError
from tidegate_local.codecommit.repositories import Repositories
from tidegate_local.settings import Settings

logger = logging.getLogger("tidegate.codebuild")

PHASES: dict[Name, PhaseType] = {
    "install": "INSTALL",
    "pre_build": "PRE_BUILD",
    "build": "BUILD",
    "post_build": "POST_BUILD",
}


class Toolbox(Protocol):
    """The programs a build finds first on its PATH, and the variables they need."""

    def install(self, folder: Path) -> dict[str, str]:
        """Put the programs into `folder`; returns variables."""


class PhaseError(Exception):
    """A phase of ours, not of the buildspec's, failed."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.message)
        self.context = context


class Run:
    """One build. `start` returns at once; `end` ends it early."""

    def __init__(
        self,
        settings: Settings,
        order: Order,
        record: Record,
        repositories: Repositories,
        toolbox: Toolbox,
        announce: Callable[[dict[str, Any]], None],
    ) -> None:
        self._settings, self._order, self.record = settings, order, record
        self._repositories, self._toolbox, self._announce = repositories, toolbox, announce
        self._folder = settings.state_dir / "builds" / record.identity.uuid
        self._lock = threading.Lock()
        self._ended: Status | None = None
        self._commands: Commands | None = None
        self._console: Console | None = None
        self._thread = threading.Thread(target=self._live, name="tidegate-build", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, status: Status) -> None:
        """Kill what runs; the build completes with `status` (STOPPED or TIMED_OUT) if it has not completed."""
        with self._lock:
            self._ended = self._ended or status
            commands = self._commands
        if commands is not None:
            commands.end()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def _live(self) -> None:
        timer = threading.Timer(
            self._order.minutes * self._settings.build_minute_seconds, self.end, args=("TIMED_OUT",)
        )
        timer.daemon = True
        try:
            self.record.end()
            self._announce(self.record.snapshot())
            self.record.begin("QUEUED")
            self.record.end()
            timer.start()
            with request_scope(self._settings.account, self._settings.region):
                status = self._phases()
        except Exception:
            logger.exception("build %s stumbled", self.record.identity.id)
            status = "FAULT"
        finally:
            timer.cancel()
        if self._commands is not None:
            self._commands.close()
        self.record.complete(status)
        if self._console is not None:
            self._console.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._announce(self.record.snapshot())

    def _phases(self) -> Status:
        try:
            session = self._provision()
            spec = self._download(session)
        except PhaseError as error:
            return self._fail(error.context)
        failed = not self._run_phases(spec)
        self._export(spec)
        if self._ended is None:
            self._trivial("UPLOAD_ARTIFACTS")
        self._trivial("FINALIZING")
        return self._ended or ("FAILED" if failed else "SUCCEEDED")

    def _fail(self, context: Context) -> Status:
        """A phase of ours failed: FINALIZING, and over."""
        self._end_phase("FAILED", context)
        self._trivial("FINALIZING")
        return self._ended or "FAILED"

    def _provision(self) -> Session:
        """Credentials, and the place where its lines go."""
        self.record.begin("PROVISIONING")
        identity, wanted = self.record.identity, self._order.logs
        try:
            session = assume(self._settings, str(self._order.project.get("serviceRole", "")), identity.uuid)
        except IdentityError as error:
            raise PhaseError(error.context) from error
        group = wanted.get("groupName") or f"/aws/codebuild/{self._order.name}"
        stream = "/".join(part for part in (wanted.get("streamName"), identity.uuid) if part)
        enabled = wanted.get("status", "ENABLED") == "ENABLED"
        console = Console(session.client("logs") if enabled else None, group, stream)
        try:
            console.open()
        except (BotoCoreError, ClientError) as error:
            console.close()
            message = (
                f"Service role {self._order.project.get('serviceRole')} does not allow AWS CodeBuild to create Amazon "
                f"CloudWatch Logs log streams for build {identity.arn}. Error message: {error}"
            )
            raise PhaseError(Context("ACCESS_DENIED", message)) from error
        self._console = console
        if enabled:
            self.record.log_to(group, stream)
        self._end_phase("SUCCEEDED")
        return session

    def _download(self, session: Session) -> Buildspec:
        """The source, the buildspec in it, the variables."""
        self.record.begin("DOWNLOAD_SOURCE")
        self._say("Phase is DOWNLOAD_SOURCE")
        try:
            source = sources.download(self._order, self._repositories, session, self._folder / "src")
            if source.commit:
                self.record.resolve(source.commit)
            self._say(f"CODEBUILD_SRC_DIR={source.folder}")
            spec = self._buildspec(source)
            self._say("Processing environment variables")
            given = variables.of_the_user(self._order, spec.env, session)
            self._prepare(spec, source, session, given)
        except (SourceError, VariableError) as error:
            raise PhaseError(error.context) from error
        except (BuildspecError, NoShellError, OSError) as error:
            raise PhaseError(Context("YAML_FILE_ERROR", str(error))) from error
        self._end_phase("SUCCEEDED")
        return spec

    def _buildspec(self, source: Source) -> Buildspec:
        named = str(self._order.source.get("buildspec") or "buildspec.yml")
        if is_inline(named):
            return parse(named)
        path = (source.folder / named).resolve()
        if not path.is_relative_to(source.folder.resolve()) or not path.is_file():
            raise BuildspecError(f"stat {source.folder / named}: no such file or directory")
        return parse(path.read_text(errors="replace"))

    def _prepare(self, spec: Buildspec, source: Source, session: Session, given: variables.Variables) -> None:
        home = self._folder / "home"
        temporary = self._folder / "tmp"
        for folder in (home, temporary):
            folder.mkdir(parents=True)
        machine = variables.of_the_machine()
        tools = self._toolbox.install(self._folder / "bin")
        environ = {
            **machine,
            **session.variables,
            **variables.of_codebuild(self.record.snapshot(), self._order, source),
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **tools,
            **given.values,
        }
        environ["PATH"] = f"{self._folder / 'bin'}:{environ.get('PATH', '/usr/bin:/bin')}"
        if self._console is None:
            raise RuntimeError("a build without a console")
        self._console.hide(given.hidden)
        commands = Commands(
            spec.env.shell, environ, source.folder, self._folder / "run", self._console.write_end
        )
        with self._lock:
            self._commands = commands
            over = self._ended is not None
        if over:
            commands.end()

    def _run_phases(self, spec: Buildspec) -> bool:
        """The phases of the buildspec; whether all of them succeeded."""
        good = True
        for name in NAMES:
            phase = spec.phase(name)
            failure = self._run_phase(name, spec, good)
            if self._ended is not None:
                return False
            if failure is None:
                continue
            good = False
            goes_on = phase.on_failure == "CONTINUE" or (name == "build" and phase.on_failure != "ABORT")
            if not goes_on:
                return False
        return good

    def _run_phase(self, name: Name, spec: Buildspec, good: bool) -> Context | None:
        phase = spec.phase(name)
        self.record.begin(PHASES[name])
        self._say(f"Entering phase {PHASES[name]}")
        for _attempt in range(phase.retries + 1):
            failure = self._run_commands(phase.commands, good)
            at_last = self._run_commands(phase.finally_, good and failure is None)
            failure = failure or at_last
            if failure is None or self._ended is not None:
                break
        self._end_phase("FAILED" if failure else "SUCCEEDED", *([failure] if failure else []))
        return failure

    def _run_commands(self, commands: list[str], good: bool) -> Context | None:
        """The first failure; what comes after it does not run."""
        if self._commands is None:
            raise RuntimeError("commands before the source is there")
        for command in commands:
            if self._ended is not None:
                return None
            self._say(f"Running command {command.rstrip()}")
            code = self._commands.run(command, succeeding=good)
            if self._ended is not None:
                return None
            if code != 0:
                reason = f"exit status {code}" if code > 0 else f"signal {-code}"
                self._say(f"Command did not exit successfully {command.rstrip()} {reason}")
                message = f"Error while executing command: {command.rstrip()}. Reason: {reason}"
                return Context("COMMAND_EXECUTION_ERROR", message)
        return None

    def _export(self, spec: Buildspec) -> None:
        wanted = spec.env.exported_variables
        if not wanted or self._commands is None or self._ended is not None:
            return
        found = self._commands.variables()
        self.record.export({name: found[name] for name in wanted if name in found})

    def _trivial(self, phase: PhaseType) -> None:
        self.record.begin(phase)
        self.record.end()

    def _end_phase(self, status: Status, *contexts: Context) -> None:
        if self._ended == "TIMED_OUT":
            status, contexts = "TIMED_OUT", (Context("BUILD_TIMED_OUT", "Build has timed out."),)
        elif self._ended is not None:
            status, contexts = self._ended, ()
        phase = self.record.snapshot()["currentPhase"]
        self.record.end(status, *contexts)
        first = contexts[0] if contexts else Context("", "")
        self._say(f"Phase complete: {phase} State: {status}")
        self._say(f"Phase context status code: {first.code} Message: {first.message}")

    def _say(self, line: str) -> None:
        if self._console is not None:
            self._console.say(line)
