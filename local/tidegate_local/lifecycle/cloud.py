"""Up, down, status: the life of one embedded cloud."""

import contextlib
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tidegate_local import engine
from tidegate_local.control import Control, ControlError, NotRunningError
from tidegate_local.databases import servers
from tidegate_local.lifecycle import environment, processes, record
from tidegate_local.lifecycle.building import build
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.deploying import deploy, parameters
from tidegate_local.lifecycle.errors import LocalError, NotUpError, UsageError, failed
from tidegate_local.lifecycle.locking import exclusive
from tidegate_local.lifecycle.record import Cloud, Docker, Options
from tidegate_local.postgres import access
from tidegate_local.postgres.access import Access
from tidegate_local.postgres.process import sweep
from tidegate_local.settings import cloud_id

READY_SECONDS = 60.0
TURN_SECONDS = 600.0
"""How long a second `up` or a `down` waits for the first `up`."""

Say = Callable[[str], None]
State = Literal["running", "starting", "broken", "stopped"]
SAID: dict[State, str] = {
    "running": "the embedded cloud runs",
    "starting": "the embedded cloud is still starting",
    "broken": "the embedded cloud was started, and does not answer any more",
    "stopped": "no embedded cloud is running",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options that somebody named; None where whatever runs is meant, else the default."""

    port: int | None = None
    region: str | None = None
    iam: bool | None = None
    ecs_events: bool | None = None
    stack: str | None = None
    docker: Docker | None = None

    def options(self) -> Options:
        """With the defaults for what was left open."""
        return Options(**self._named())

    def differences(self, running: Cloud) -> list[str]:
        """The options that were named and run otherwise. Of Docker it matters whether it is used."""
        named = self._named()
        contained = running.engine is not None
        docker = {"auto": contained, "require": True, "off": False}[named.pop("docker", "auto")]
        found = [name for name, value in named.items() if getattr(running.options, name) != value]
        return found if docker == contained else [*found, "docker"]

    def _named(self) -> dict[str, Any]:
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Status:
    """`broken`: started once, and does not answer any more. `cloud` is None when stopped."""

    state: State
    cloud: Cloud | None

    def document(self) -> dict[str, Any]:
        """What `local status --json` prints."""
        return {"state": self.state} | (self.cloud.document() if self.cloud else {})


def up(checkout: Checkout, wanted: Wanted, say: Say) -> Cloud:
    """A running embedded cloud with the orchestrator of this checkout in it.

    Starts nothing that runs already and deploys only what changed. `say` gets a line for each step. Raises
    `LocalError`; then nothing runs that did not run before.
    """
    with _turn(checkout, say):
        running = _running(checkout)
        if running is None:
            return _start_and_fill(checkout, wanted.options(), say)
        if differences := wanted.differences(running):
            raise UsageError(
                f"an embedded cloud runs at {running.endpoint_url} with another {', '.join(differences)}",
                hint="stop it first: tidegate local down",
                field=differences[0],
            )
        say(f"it runs already, at {running.endpoint_url}")
        return _fill(checkout, running, say)


def down(checkout: Checkout, say: Say) -> bool:
    """Stop everything that `up` started and remove the state folder; False if there was nothing."""
    if not checkout.state.exists():
        return False
    with _turn(checkout, say):
        cloud = record.read(checkout.record)
        if cloud is not None:
            _stop(checkout, cloud)
        shutil.rmtree(checkout.state)
    return cloud is not None


def status(checkout: Checkout) -> Status:
    """What there is, without touching it."""
    cloud = record.read(checkout.record)
    if cloud is None:
        return Status("stopped", None)
    if not processes.runs(cloud.pid, _marker(checkout)):
        return Status("broken", cloud)
    cloud = cloud.with_postgres(access.read(checkout.server))
    if cloud.deployed is None:
        return Status("starting", cloud)
    return Status("running" if _answers(cloud) else "broken", cloud)


def running(checkout: Checkout) -> Cloud:
    """The running embedded cloud. Raises `NotUpError`."""
    found = status(checkout)
    if found.state == "running" and found.cloud is not None:
        return found.cloud
    raise NotUpError(SAID[found.state])


@contextmanager
def _turn(checkout: Checkout, say: Say) -> Iterator[None]:
    def waiting() -> None:
        say("waiting for another `tidegate local` to end")

    what = "the state folder of the embedded cloud"
    lock = checkout.state / "lock"
    with exclusive(lock, what=what, seconds=TURN_SECONDS, waiting=waiting):
        try:
            yield
        finally:
            if list(checkout.state.glob("*")) == [lock]:
                shutil.rmtree(checkout.state)


def _running(checkout: Checkout) -> Cloud | None:
    """The cloud that answers; what is left of one that does not is cleaned away."""
    cloud = record.read(checkout.record)
    if cloud is None:
        return None
    if processes.runs(cloud.pid, _marker(checkout)) and _answers(cloud):
        return cloud
    _stop(checkout, cloud)
    return None


def _start_and_fill(checkout: Checkout, options: Options, say: Say) -> Cloud:
    _require_free(options.port)
    engine_used = _engine(options.docker)
    started: Cloud | None = None
    try:
        # The server imports for seconds: it may do so while sam builds.
        with processes.uninterrupted():
            started = _start(checkout, options, engine_used)
        say(f"starting the embedded cloud at {options.endpoint_url}: {tasks_of(started)}")
        return _fill(checkout, started, say)
    except BaseException:
        if started is not None:
            _stop(checkout, started)
        raise


def _fill(checkout: Checkout, cloud: Cloud, say: Say) -> Cloud:
    built = build(checkout, say)
    _wait_until_ready(checkout, cloud)
    deployed = " ".join([built.parent.name, *parameters(checkout)])
    if cloud.deployed == deployed:
        say("the stack is up to date")
    else:
        say(f"sam deploy: stack {cloud.options.stack}")
        deploy(checkout, cloud, built)
        cloud = cloud.with_deployed(deployed)
        record.write(checkout.record, cloud)
    return cloud.with_postgres(_database(checkout))


def tasks_of(cloud: Cloud) -> str:
    """What its tasks are, for a person."""
    if cloud.engine is not None:
        return f"containers by Docker {cloud.engine.version}"
    return "tasks are simulated" + ("" if cloud.options.docker == "off" else ": no Docker engine answers")


def _engine(wanted: Docker) -> engine.Engine | None:
    if wanted == "off":
        return None
    try:
        return engine.find()
    except engine.NoEngineError as error:
        if wanted == "auto":
            return None
        raise LocalError(
            str(error),
            hint="start Docker, or name its engine: DOCKER_HOST=unix:///path/docker.sock; --docker off simulates tasks",
            field="docker",
            code="no_docker",
        ) from error


def _start(checkout: Checkout, options: Options, engine_used: engine.Engine | None) -> Cloud:
    command = [sys.executable, "-m", "tidegate_local.server", "--port", str(options.port)]
    command += ["--region", options.region, "--state-dir", _marker(checkout)]
    command += ["--iam" if options.iam else "--no-iam"]
    command += ["--ecs-events" if options.ecs_events else "--no-ecs-events"]
    command += ["--docker" if engine_used else "--no-docker", "--postgres"]
    checkout.temporary.mkdir(parents=True, exist_ok=True)
    environ = environment.clean(checkout)
    log = checkout.log("server")
    log.unlink(missing_ok=True)
    pid = processes.start(command, environ=environ, log=log, folder=checkout.state)
    cloud = Cloud(options, pid, engine=engine_used)
    record.write(checkout.record, cloud)
    return cloud


def _wait_until_ready(checkout: Checkout, cloud: Cloud) -> None:
    log = checkout.log("server")

    def ready() -> bool:
        if not processes.runs(cloud.pid, _marker(checkout)):
            raise failed("the embedded cloud ended while it was starting", log)
        return _answers(cloud)

    if not processes.wait_until(ready, seconds=READY_SECONDS):
        raise failed(f"the embedded cloud is not ready after {READY_SECONDS:g} s", log)


def _database(checkout: Checkout) -> Access:
    """Of PostgreSQL, once it takes connections. It was started with the cloud, and is started again when it dies."""

    def ready() -> bool:
        found = access.read(checkout.server)
        return found is not None and _listens(found.host, found.port)

    if not processes.wait_until(ready, seconds=READY_SECONDS):
        raise failed(f"PostgreSQL is not ready after {READY_SECONDS:g} s", checkout.log("server"))
    found = access.read(checkout.server)
    if found is None:
        raise failed("PostgreSQL ended", checkout.log("server"))
    return found


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _answers(cloud: Cloud) -> bool:
    try:
        return Control(cloud.endpoint_url).health().ready
    except (NotRunningError, ControlError, TypeError):
        return False


def _stop(checkout: Checkout, cloud: Cloud) -> None:
    """The logs stay, for whoever asks why."""
    processes.stop(cloud.pid, _marker(checkout))
    # The server does so itself, unless it was killed.
    sweep(access.data_of(checkout.server))
    servers.sweep(checkout.server)
    if cloud.engine is not None:
        # As above.
        own = cloud_id(Path(_marker(checkout)))
        engine.sweep(cloud.engine.address, cloud_id=own, registry=cloud.options.registry)
    checkout.record.unlink(missing_ok=True)
    for folder in (Path(_marker(checkout)), checkout.temporary):
        shutil.rmtree(folder, ignore_errors=True)


def _marker(checkout: Checkout) -> str:
    """The server's own folder: on its command line, it tells our process from any other."""
    return str(checkout.server)


def free_port(preferred: int = Options().port) -> int:
    """`preferred` where nobody listens on it, else one that the system names."""
    return preferred if _is_free(preferred) else _any_port()


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((environment.LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: connections of one that has just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((environment.LOOPBACK, port))
            return True
    return False


def _require_free(port: int) -> None:
    if _is_free(port):
        return
    endpoint = f"http://{environment.LOOPBACK}:{port}"
    try:
        Control(endpoint, timeout=2).health()
        owner = "an embedded cloud of another checkout or state folder"
    except (NotRunningError, ControlError, TypeError):
        owner = "another program"
    raise LocalError(
        f"port {port} is taken by {owner}",
        hint=f"choose another one: tidegate local up --port {port + 1 if port < 65535 else port - 1}",
        field="port",
        code="port_taken",
    )
