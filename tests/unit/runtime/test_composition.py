from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import boto3
import pytest
from tidegate.adapters.clients import Clients
from tidegate.domain.errors import OutsideError
from tidegate.ports import Key, Ports, Put
from tidegate.runtime.composition import compose, connect
from tidegate.runtime.settings import Settings, SettingsError

from tests.support.fakes import FakeMetrics

SETTINGS = Settings(table="table", region="eu-west-1", stack="gate")


class SentError(Exception):
    """A request that would have gone out."""


class Recording(Clients):
    """Remembers which clients were asked for, and whose calls go nowhere."""

    def __init__(self, arn: str | None = "arn:aws-cn:lambda:eu-west-1:210987654321:function:x") -> None:
        super().__init__("eu-west-1", arn=arn)
        self.asked: list[str] = []

    def client(self, service: str, region: str | None = None) -> Any:
        self.asked.append(service)
        return self

    def get_item(self, **question: Any) -> Any:
        raise SentError(question["TableName"])

    def start_execution(self, **question: Any) -> Any:
        raise SentError(question["stateMachineArn"])

    def get_caller_identity(self) -> Any:
        return {"Arn": "arn:aws-us-gov:sts::111122223333:assumed-role/on-call/me"}


def test_no_client_is_made_before_it_is_used() -> None:
    clients = Recording()
    ports = compose(SETTINGS, FakeMetrics(), clients)
    assert all(getattr(ports, entry.name) is not None for entry in fields(Ports))
    assert clients.asked == []
    with pytest.raises(SentError, match="table"):
        ports.store.get(Key("a", "b"))
    assert clients.asked == ["dynamodb"]


def test_without_a_table_all_but_the_store_works() -> None:
    clients = Recording()
    ports = compose(Settings(None, "eu-west-1"), FakeMetrics(), clients)
    key = Key("a", "b")
    for ask in (
        lambda: ports.store.get(key),
        lambda: list(ports.store.query("a")),
        lambda: list(ports.store.query_kind("deployment")),
        lambda: ports.store.transact([Put(key, {})]),
        lambda: ports.store.transact([Put(key, {}), Put(Key("a", "c"), {})]),
    ):
        with pytest.raises(SettingsError, match="no table") as raised:
            ask()
        assert raised.value.field == "TIDEGATE_TABLE"
    assert clients.asked == []


def test_machines_are_those_of_the_stack_in_the_account_of_the_function() -> None:
    ports = compose(SETTINGS, FakeMetrics(), Recording())
    with pytest.raises(
        SentError, match=r"^arn:aws-cn:states:eu-west-1:210987654321:stateMachine:gate-deploy$"
    ):
        ports.executions.start("deploy", "one", {})


def test_the_account_is_asked_for_where_nothing_names_it() -> None:
    clients = Recording(arn=None)
    ports = compose(SETTINGS, FakeMetrics(), clients)
    for _ in range(2):
        with pytest.raises(
            SentError, match=r"^arn:aws-us-gov:states:eu-west-1:111122223333:stateMachine:gate-deploy$"
        ):
            ports.executions.start("deploy", "one", {})
    assert clients.asked.count("sts") == 1


def test_the_clock_is_in_utc() -> None:
    now = compose(SETTINGS, FakeMetrics(), Recording()).clock.now()
    assert now.utcoffset() is not None
    assert not now.utcoffset()


def test_a_session_connects_to_the_table_that_is_named_like_the_stack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    session = boto3.Session(region_name="eu-west-1")

    def client(service: str, **options: Any) -> Any:
        asked.append((service, options))
        return Recording()

    monkeypatch.setattr(session, "client", client)
    for ports, table in ((connect(session, "gate"), "gate"), (connect(session, "gate", "other"), "other")):
        with pytest.raises(SentError, match=table):
            ports.store.get(Key("a", "b"))
        ports.metrics.count("Nothing")
    service, options = asked[0]
    assert (service, options["region_name"]) == ("dynamodb", "eu-west-1")
    assert options["config"].retries["total_max_attempts"] == 3
    assert capsys.readouterr().out == ""


def test_a_session_without_a_region_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(SettingsError, match="region"):
        connect(boto3.Session())


def test_a_client_that_cannot_be_made_is_an_error_of_ours() -> None:
    with pytest.raises(OutsideError):
        Clients("not a region").client("ecs")


def loaded(code: str) -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(answer.stdout.split())


def test_a_cold_start_loads_no_more_than_it_needs() -> None:
    """pydantic costs some 70 ms, botocore's session 200, boto3 another 13."""
    modules = loaded("import tidegate.runtime.handler")
    assert not modules & {"pydantic", "boto3", "botocore.session", "botocore.client", "yaml", "typer"}
    composed = loaded(
        "from tidegate.runtime.composition import *\n"
        "compose(Settings('t', 'eu-west-1'), None, Clients('eu-west-1', arn='a:b:c:d:e'))"
    )
    assert not composed & {"botocore.session", "botocore.client", "aws_lambda_powertools"}
    used = loaded("from tidegate.adapters.clients import *\nClients('eu-west-1').client('ecs')")
    assert "botocore.client" in used
    assert "boto3" not in used
