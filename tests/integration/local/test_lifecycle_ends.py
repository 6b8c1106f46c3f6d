"""An embedded cloud that cannot start, dies, is killed or is stopped: nothing of it is left."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from tidegate_local.lifecycle import record
from tidegate_local.postgres import access

from tests.integration.local import small_checkout
from tests.support.command_line import CommandLine
from tests.support.leftovers import free_port, listens, processes_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkout.make(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def tidegate(checkout: Path, state: Path) -> Iterator[CommandLine]:
    variables = {"TIDEGATE_CHECKOUT": str(checkout), "TIDEGATE_STATE_DIR": str(state)}
    variables["DOCKER_HOST"] = "unix:///nonexistent"  # the same on every machine
    command_line = CommandLine(variables, checkout)
    yield command_line
    command_line.run("local", "down")
    assert processes_of(state) == []


def test_down_where_nothing_runs_is_fine_twice(tidegate: CommandLine, state: Path) -> None:
    for _ in range(2):
        ended = tidegate.run("local", "down", "--json")
        assert (ended.exit_code, ended.document) == (0, {"stopped": False})
    assert not state.exists()


@pytest.mark.parametrize("words", [["env"], ["events", "put", "-"], ["fault", "shop-api", "crash"]])
def test_commands_that_need_one_say_how_to_start_it(tidegate: CommandLine, words: list[str]) -> None:
    refused = tidegate.run("local", *words, "--json", stdin="{}")
    assert (refused.exit_code, refused.error["code"]) == (1, "not_running")
    assert refused.error["hint"] == "start it: tidegate local up"
    assert tidegate.run("local", "status", "--json").document == {"state": "stopped"}


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["--docker", "maybe"], "--docker"),
        (["--region", "us-moon-1"], "region"),
        (["--port", "0"], "--port"),
        (["--port", "http"], "--port"),
    ],
)
def test_what_cannot_be_is_bad_usage(
    tidegate: CommandLine, state: Path, words: list[str], field: str
) -> None:
    refused = tidegate.run("local", "up", *words, "--json")
    assert (refused.exit_code, refused.error["field"]) == (2, field)
    assert not state.exists()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nonexistent", "no Docker engine answers at unix:///nonexistent"),
        ("tcp://192.0.2.1:2375", "not on this machine"),
    ],
)
def test_docker_that_is_required_and_is_not_there(
    tidegate: CommandLine, state: Path, host: str, why: str
) -> None:
    person = tidegate.with_variables(DOCKER_HOST=host)
    refused = person.run("local", "up", "--port", str(free_port()), "--docker", "require", "--json")
    assert (refused.exit_code, refused.error["code"], refused.error["field"]) == (1, "no_docker", "docker")
    assert why in refused.error["message"]
    assert "DOCKER_HOST" in refused.error["hint"]
    assert not state.exists()


def test_a_port_that_somebody_else_has_is_named_with_the_mend(tidegate: CommandLine, state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = tidegate.run("local", "up", "--port", str(port), "--json")
    assert (refused.exit_code, refused.error["code"], refused.error["field"]) == (1, "port_taken", "port")
    assert "tidegate local up --port" in refused.error["hint"]
    assert not state.exists()


def test_two_side_by_side(tidegate: CommandLine, tmp_path: Path) -> None:
    other = tidegate.with_variables(TIDEGATE_STATE_DIR=str(tmp_path / "other"))
    ports = [free_port(), free_port()]
    starting = [
        command.start("local", "up", "--port", str(port), "--json")
        for command, port in zip((tidegate, other), ports, strict=True)
    ]
    for process in starting:
        _, progress = process.communicate(timeout=120)
        assert process.returncode == 0, progress
    try:
        for port in ports:
            sqs = boto3.client(
                "sqs",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            sqs.create_queue(QueueName=f"only-{port}")
            names = [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]]
            assert [name for name in names if name.startswith("only-")] == [f"only-{port}"]
        taken = other.with_variables(TIDEGATE_STATE_DIR=str(tmp_path / "third"))
        refused = taken.run("local", "up", "--port", str(ports[0]), "--json")
        assert "another checkout or state folder" in refused.error["message"]
        assert tidegate.run("local", "down").exit_code == 0
        assert not listens(ports[0])
        assert other.run("local", "status", "--json").document["state"] == "running"
    finally:
        other.run("local", "down")
    assert processes_of(tmp_path) == []


def test_one_that_was_killed_is_cleared_away(tidegate: CommandLine, state: Path) -> None:
    port = free_port()
    assert tidegate.run("local", "up", "--port", str(port)).exit_code == 0
    boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).invoke(FunctionName="echo", Payload=b"{}")
    killed = record.read(state / "cloud.json")
    assert killed is not None
    database = access.read(state / "server")
    assert database is not None
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not listens(port), what="the server to be gone")
    assert tidegate.run("local", "status", "--json").document["state"] == "broken"
    assert tidegate.run("local", "env", "--json").error["code"] == "not_running"

    assert tidegate.run("local", "up", "--port", str(port)).exit_code == 0
    status = tidegate.run("local", "status", "--json").document
    assert status["state"] == "running"
    assert status["postgres"]["password"] != database.password
    assert tidegate.run("local", "down", "--json").document == {"stopped": True}
    assert not state.exists()


def test_down_after_the_kill_of_a_cloud_ends_its_database(tidegate: CommandLine, state: Path) -> None:
    up = tidegate.run("local", "up", "--port", str(free_port()), "--json").document
    killed = record.read(state / "cloud.json")
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    assert tidegate.run("local", "down", "--json").document == {"stopped": True}
    assert not state.exists()
    assert not listens(up["postgres"]["port"])
    assert processes_of(state) == []


def test_a_record_that_was_cut_off_is_no_record(tidegate: CommandLine, state: Path) -> None:
    state.mkdir()
    (state / "cloud.json").write_text('{"pid": 1')
    assert tidegate.run("local", "status", "--json").document == {"state": "stopped"}
    assert tidegate.run("local", "down").exit_code == 0
    assert not state.exists()


def test_a_process_of_somebody_else_with_its_number_is_left_alone(tidegate: CommandLine, state: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander:
        record.write(state / "cloud.json", record.Cloud(record.Options(), bystander.pid))
        assert tidegate.run("local", "down").exit_code == 0
        assert bystander.poll() is None
        bystander.kill()


def test_a_template_that_cannot_be_built_stops_what_was_started(
    tidegate: CommandLine, tmp_path: Path, state: Path
) -> None:
    broken = small_checkout.make(tmp_path / "broken")
    small_checkout.spoil(broken)
    port = free_port()
    command = tidegate.with_variables(TIDEGATE_CHECKOUT=str(broken))
    failed = command.run("local", "up", "--port", str(port))
    assert failed.exit_code == 1
    assert "samcli" in failed.progress
    assert str(state) in failed.progress  # where the log is
    assert "Traceback" not in failed.progress
    assert not listens(port)
    assert processes_of(state) == []
    assert command.run("local", "status", "--json").document == {"state": "stopped"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_that_is_interrupted_leaves_nothing(
    tidegate: CommandLine, state: Path, number: signal.Signals
) -> None:
    port = free_port()
    starting = tidegate.start("local", "up", "--port", str(port))

    def begun() -> bool:
        assert starting.poll() is None, starting.communicate()
        return (state / "cloud.json").exists()

    wait_until(begun, what="the server to be started", seconds=60)
    starting.send_signal(number)
    starting.communicate(timeout=30)
    assert starting.returncode in (130, 143)
    assert not listens(port)
    assert processes_of(state) == []
