"""The record of a running cloud, and what `up` asks of it."""

from pathlib import Path

import pytest
from tidegate_local.lifecycle import record
from tidegate_local.lifecycle.cloud import Wanted
from tidegate_local.lifecycle.record import Cloud, Options


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    cloud = Cloud(Options(port=4700, region="eu-west-1", iam=False, stack="mine"), pid=7, deployed="abc")
    record.write(tmp_path / "state" / "cloud.json", cloud)
    assert record.read(tmp_path / "state" / "cloud.json") == cloud


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"pid": 1, "options": {"sort": 1}}', '{"options": 4}']
)
def test_anything_else_is_no_record(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cloud.json"
    assert record.read(path) is None
    path.write_text(content)
    assert record.read(path) is None


def test_the_document_has_the_keys_of_the_contract() -> None:
    assert Cloud(Options(), pid=1).document() == {
        "endpoint_url": "http://127.0.0.1:4566",
        "account": "000000000000",
        "region": "us-east-1",
        "registry": None,
        "postgres": None,
        "docker": False,
        "iam": True,
    }


def test_what_nobody_named_is_as_it_runs() -> None:
    running = Options(port=4700, iam=False)
    assert Wanted().differences(running) == []
    assert Wanted(port=4700, iam=False).differences(running) == []
    assert Wanted(port=4566, iam=True).differences(running) == ["port", "iam"]
    assert Wanted(ecs_events=False).options() == Options(ecs_events=False)
