"""The record of a running cloud, and what `up` asks of it."""

from pathlib import Path

import pytest
from tidegate_local.engine import Engine
from tidegate_local.lifecycle import record
from tidegate_local.lifecycle.cloud import Wanted, tasks_of
from tidegate_local.lifecycle.record import Cloud, Docker, Options
from tidegate_local.postgres.access import Access

CHOICES: tuple[Docker, ...] = ("auto", "require", "off")
ENGINE = Engine("unix:///var/run/docker.sock", "20.10.24")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    options = Options(port=4700, region="eu-west-1", iam=False, docker="require", stack="mine")
    for engine in (None, ENGINE):
        cloud = Cloud(options, pid=7, deployed="abc", engine=engine)
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
        "registry": "127.0.0.1:4566",
        "postgres": None,
        "docker": False,
        "iam": True,
    }
    assert Cloud(Options(), pid=1, engine=ENGINE).document()["docker"] is True
    database = Access("127.0.0.1", 14566, "postgres", "secret")
    assert Cloud(Options(), pid=1).with_postgres(database).document()["postgres"] == {
        "host": "127.0.0.1",
        "port": 14566,
        "user": "postgres",
        "password": "secret",
    }


def test_a_password_is_not_written_down(tmp_path: Path) -> None:
    cloud = Cloud(Options(), pid=1).with_postgres(Access("127.0.0.1", 14566, "postgres", "secret"))
    path = tmp_path / "cloud.json"
    record.write(path, cloud)
    assert "secret" not in path.read_text()
    assert record.read(path) == Cloud(Options(), pid=1)


def test_what_nobody_named_is_as_it_runs() -> None:
    running = Cloud(Options(port=4700, iam=False), pid=1)
    assert Wanted().differences(running) == []
    assert Wanted(port=4700, iam=False).differences(running) == []
    assert Wanted(port=4566, iam=True).differences(running) == ["port", "iam"]
    assert Wanted(ecs_events=False).options() == Options(ecs_events=False)


def test_of_docker_it_matters_whether_it_is_used() -> None:
    simulated, contained = Cloud(Options(), pid=1), Cloud(Options(), pid=1, engine=ENGINE)
    differences = {
        docker: (Wanted(docker=docker).differences(simulated), Wanted(docker=docker).differences(contained))
        for docker in CHOICES
    }
    assert differences == {"auto": ([], []), "require": (["docker"], []), "off": ([], ["docker"])}


def test_a_person_is_told_what_tasks_are() -> None:
    assert tasks_of(Cloud(Options(), pid=1, engine=ENGINE)) == "containers by Docker 20.10.24"
    assert tasks_of(Cloud(Options(), pid=1)) == "tasks are simulated: no Docker engine answers"
    assert tasks_of(Cloud(Options(docker="off"), pid=1)) == "tasks are simulated"
