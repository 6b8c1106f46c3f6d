"""The process ends when told to, and leaves nothing behind."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.embedded import Cloud, running_cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

WHERE = """
    import os, tempfile

    def handler(event, context):
        return [os.getpid(), tempfile.gettempdir()]
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def worker(cloud: Cloud) -> tuple[int, Path]:
    """A function's process and the folder it may write to."""
    answer = cloud.client("lambda").invoke(FunctionName=cloud.function(WHERE))
    pid, folder = json.load(answer["Payload"])
    return int(pid), Path(folder)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        url, _ = cloud.queue("parked")
        pid, folder = worker(cloud)
        assert alive(pid)
        assert folder.is_relative_to(tmp_path)
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": url, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            "End": True,
        }
        both = {
            "Type": "Map",
            "Items": [1, 2],
            "ItemProcessor": {"StartAt": "Wait", "States": {"Wait": task}},
        }
        cloud.start(cloud.machine({"Both": {**both, "End": True}}))
        cloud.message(url)

    assert cloud.process.returncode == 0
    wait_until(lambda: not alive(pid), what="the function's process to end")
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]


def test_a_function_does_not_outlive_a_process_that_was_killed(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        pid, _ = worker(cloud)
        cloud.process.send_signal(signal.SIGKILL)
        cloud.process.wait(timeout=10)
        wait_until(lambda: not alive(pid), what="the function's process to end")


def test_it_can_be_asked_to_end(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        cloud.control.shut_down()
        assert cloud.process.wait(timeout=10) == 0


def test_it_listens_on_loopback_only(cloud: Cloud) -> None:
    port = int(cloud.endpoint_url.rsplit(":", 1)[1])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [
        address for _, address, _, state, *_ in lines if state == "0A" and address.endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_few_idle_functions_stay_warm(cloud: Cloud) -> None:
    pids = [worker(cloud)[0] for _ in range(7)]
    wait_until(lambda: sum(alive(pid) for pid in pids) <= 6, what="surplus processes to end")
    assert alive(pids[-1])
