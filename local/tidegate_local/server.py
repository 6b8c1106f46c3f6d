"""The process of the embedded cloud.

    python -m tidegate_local.server --port 4566 --region us-east-1 --state-dir .tidegate/cloud

Listens on 127.0.0.1 and runs until SIGTERM or SIGINT, then stops its Lambda workers and removes what it
wrote. MiniStack reads its settings from the environment when it is imported, so nothing of it may be
imported before `prepare_environment`.
"""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from tidegate_local import engine
from tidegate_local.databases.fronts import Fronts
from tidegate_local.databases.servers import Servers
from tidegate_local.faults import FaultBoard
from tidegate_local.postgres.server import Server
from tidegate_local.settings import ACCOUNT, Pace, Settings

TRUSTED = "SSL_CERT_FILE"
"""Functions inherit it: OpenSSL reads from it whom to trust, which is the databases' authority besides all others."""
KEEP_ALIVE_SECONDS = 75  # longer than botocore keeps an idle connection, or it would meet a closed one


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the embedded cloud; the process ends with it."""
    settings = parse(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    scratch = prepare_environment(settings)
    try:
        asyncio.run(_serve(settings))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.stderr.flush()
    # Not sys.exit: it would wait for threads that still answer for something that is gone.
    os._exit(0)


def parse(arguments: Sequence[str] | None) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tidegate_local.server", description=__doc__)
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--iam", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--ecs-events", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--docker", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--postgres", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--task-start-seconds", type=float, help="PENDING takes this long")
    parser.add_argument("--steady-seconds", type=float, help="RUNNING until healthy")
    parser.add_argument(
        "--build-minute-seconds", type=float, default=60.0, help="a minute of a build's time-out"
    )
    parser.add_argument("--without", action="append", default=[], metavar="MEND", help="leave a mend out")
    given = parser.parse_args(arguments)
    pace = Pace.of_containers() if given.docker else Pace()
    for name, seconds in {"start": given.task_start_seconds, "steady": given.steady_seconds}.items():
        if seconds is not None:
            pace = replace(pace, **{name: seconds})
    docker_host = ""
    if given.docker:
        try:
            docker_host = engine.find().address
        except engine.NoEngineError as error:
            parser.error(f"--docker: {error}")
    return Settings(
        port=given.port,
        region=given.region,
        state_dir=given.state_dir.resolve(),
        iam=given.iam,
        ecs_events=given.ecs_events,
        docker=given.docker,
        docker_host=docker_host,
        postgres=given.postgres,
        pace=pace,
        build_minute_seconds=given.build_minute_seconds,
        without=frozenset(given.without),
    )


def prepare_environment(settings: Settings) -> Path:
    """Set what MiniStack reads at import; returns the folder that is removed at the end.

    A caller's AWS settings must not reach MiniStack or the functions it starts: the key pair test/test is
    the administrator, and functions get the credentials of their role.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    scratch = settings.state_dir / f"scratch-{settings.port}"
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    for folder in ("tmp", "state", "s3"):
        # A worker of one that was killed may write there until it notices: what it leaves does no harm.
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    os.environ.update(
        AUTH=str(settings.iam).lower(),
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106 -- the documented key pair
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{settings.port}",
        BIND_HOST="127.0.0.1",
        DOCKER_HOST="unix:///nonexistent",  # also with Docker: see Settings.docker_host
        GATEWAY_PORT=str(settings.port),
        IOT_MTLS_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        LOG_LEVEL="WARNING",
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        MINISTACK_HOST="127.0.0.1",
        MINISTACK_REGION=settings.region,
        MINISTACK_WORKER_THREADS="32",
        NO_PROXY="127.0.0.1,localhost",
        PERSIST_STATE="0",
        S3_DATA_DIR=str(scratch / "s3"),
        SFTP_ENABLED="0",
        STATE_DIR=str(scratch / "state"),
        TMPDIR=str(scratch / "tmp"),
    )
    tempfile.tempdir = str(scratch / "tmp")
    return scratch


async def _serve(settings: Settings) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def shut_down() -> None:
        loop.call_soon_threadsafe(over.set)

    if not settings.postgres:
        await _serve_aws(settings, over, shut_down, None)
        return
    fronts = Fronts(settings)
    os.environ[TRUSTED] = str(fronts.authority.trusted)
    database, servers = Server(settings, fronts, failed=shut_down), Servers(settings, fronts)
    try:
        # Before the imports, which take longer than it does.
        database.start()
        await _serve_aws(settings, over, shut_down, servers)
    finally:
        for end in (servers.stop_all, database.stop, fronts.stop):
            await asyncio.to_thread(end)


async def _serve_aws(
    settings: Settings, over: asyncio.Event, shut_down: Callable[[], None], servers: Servers | None
) -> None:
    import ministack.app as ministack  # noqa: PLC0415 -- after prepare_environment
    from hypercorn.asyncio import serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack.core import lambda_runtime  # noqa: PLC0415

    from tidegate_local import asgi, mends  # noqa: PLC0415

    # MiniStack has read it; a function that inherits it would keep its log lines to itself.
    del os.environ["LOG_LEVEL"]
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)

    board = FaultBoard()
    installed = mends.install(settings, board, servers)
    # Hypercorn types the messages of its applications one by one; ours only passes them on.
    app: Any = asgi.wrap(ministack.app, asgi.Control(settings, board, installed, shut_down))
    config = Config()
    config.bind = [f"127.0.0.1:{settings.port}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    installed.start()
    try:
        await serve(app, config, shutdown_trigger=over.wait)
    finally:
        installed.stop()
        lambda_runtime.reset()


if __name__ == "__main__":
    main()
