"""Where the password of a database has been since a migration logged in with it: nowhere but in its secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e import histories
from tests.e2e.migrating_system import CANARY, Database, Migrating
from tests.e2e.support import SampleCloud

pytestmark = pytest.mark.emulator

TOPICS = ("info", "warning", "critical")
VISITS = {"0001_visits.sql": "CREATE TABLE visits (id int PRIMARY KEY);\n"}
# Fails in its second statement.
HALF = "ALTER TABLE visits ADD COLUMN half int;\nALTER TABLE nobody ADD COLUMN id int;\n"


def test_the_password_is_nowhere_but_in_its_secret(cloud: SampleCloud) -> None:
    """After SQL that succeeds, SQL that fails half-way, a database that refuses the login, and a task: in no history of
    an execution, no log stream, no event or notice, no item of a table, no task or its definition.

    Red where `_connection` (adapters/postgres.py) says with what it was refused.
    """
    with heard(cloud) as queue:
        shop, database = Migrating.of_files(cloud, "secretive")
        assert shop.deployed(shop.push(VISITS)).outcome is Outcome.SUCCEEDED
        failed = shop.deployed(shop.push({**VISITS, "0002_half.sql": HALF}))
        assert failed.outcome is Outcome.FAILED_CLEAN
        assert "0002_half.sql" in failed.explanation
        # A login with the right password into what is not there: the server's own words name it.
        secret = f"{shop.name}/production/migrator"
        nowhere = database.credential(dbname=f"{database.name}_gone")
        cloud.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=nowhere)
        refused = shop.deployed(shop.push({**VISITS, "0002_more.sql": "SELECT 1"}))
        assert refused.outcome is Outcome.FAILED_CLEAN, refused.explanation
        asked, other = Migrating.of_command_and_database(cloud, "discreet")
        done = asked.deployed(asked.push())
        assert done.outcome is Outcome.SUCCEEDED, done.explanation
        with asked.task_fault("crash"):
            assert asked.deployed(asked.push()).outcome is Outcome.FAILED_CLEAN
        kept = everything(cloud, queue)
    assert set(kept) == {"execution", "log", "event", "item", "task", "definition"}
    assert any(failed.id in text for text in kept["event"]), "its notices are among them"
    assert any(failed.id in text for text in kept["log"]), "and its log lines"
    assert found(kept, needles(database) | needles(other)) == []


def test_the_search_finds_what_is_there(cloud: SampleCloud) -> None:
    """Something like a password is put into an input, a log, an event, a notice and an item, and is found in each."""
    planted = f"planted{secrets.token_hex(12)}"
    events, logs, topics = (cloud.client(name) for name in ("events", "logs", "sns"))
    with heard(cloud) as queue:
        shop = Migrating.of_command(cloud, "planted")
        execution = shop.begin("deploy", commit="0" * 40, actor=planted)
        histories.over(cloud, execution)
        logs.create_log_stream(logGroupName=f"/{shop.name}", logStreamName="planted")
        lines = [{"timestamp": 1, "message": f"password={planted}"}]
        logs.put_log_events(logGroupName=f"/{shop.name}", logStreamName="planted", logEvents=lines)
        events.put_events(
            Entries=[{"Source": "tidegate", "DetailType": "A Test", "Detail": json.dumps([planted])}]
        )
        topics.publish(TopicArn=_topic("info"), Message=f"a notice of {planted}")
        kept = everything(cloud, queue)
    assert {kind for kind, _ in found(kept, {planted})} >= {"execution", "log", "event", "item"}
    assert len([kind for kind, _ in found(kept, {planted}) if kind == "event"]) >= 2, "the notice as well"


# --- how it is searched


def needles(database: Database) -> set[str]:
    """The password, the ways to write where it logs in, and the superuser's password."""
    access = database.access
    place = f"{access.host}:{access.port}"
    return {
        CANARY,
        f"{place}/{database.name}",
        f"{database.name}@{access.host}",
        f"@{place}",
        access.password,
    }


def found(kept: Mapping[str, list[str]], wanted: set[str]) -> list[tuple[str, str]]:
    """(kind, what it says) of each text with one of them in it."""
    return [
        (kind, text[:500])
        for kind, texts in kept.items()
        for text in texts
        if any(one in text for one in wanted)
    ]


@contextmanager
def heard(cloud: SampleCloud) -> Iterator[str]:
    """The URL of a queue for every event on the bus and every notice, from now on."""
    name = f"heard-{secrets.token_hex(4)}"
    sqs, events, topics = (cloud.client(service) for service in ("sqs", "events", "sns"))
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    # An event pattern needs something; each event has an account.
    events.put_rule(Name=name, EventPattern=json.dumps({"account": [{"prefix": ""}]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    subscribed = [
        topics.subscribe(TopicArn=_topic(topic), Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
        for topic in TOPICS
    ]
    try:
        yield url
    finally:
        for subscription in subscribed:
            topics.unsubscribe(SubscriptionArn=subscription)
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)
        sqs.delete_queue(QueueUrl=url)


def everything(cloud: SampleCloud, queue: str) -> dict[str, list[str]]:
    """What the embedded cloud keeps where anybody may read it, as text, by its kind."""
    return {
        "execution": list(_executions(cloud)),
        "log": list(_logs(cloud)),
        "event": list(_messages(cloud, queue)),
        "item": list(_items(cloud)),
        "task": list(_tasks(cloud)),
        "definition": list(_definitions(cloud)),
    }


def _topic(name: str) -> str:
    return f"arn:aws:sns:{sample.REGION}:000000000000:tidegate-{name}"


def _executions(cloud: SampleCloud) -> Iterator[str]:
    """Every event of every history, with inputs and outputs."""
    states = cloud.client("stepfunctions")
    for machine in _pages(states, "list_state_machines", "stateMachines"):
        for execution in _pages(
            states, "list_executions", "executions", stateMachineArn=machine["stateMachineArn"]
        ):
            arn = execution["executionArn"]
            yield _text(states.describe_execution(executionArn=arn))
            yield _text(_pages(states, "get_execution_history", "events", executionArn=arn))


def _logs(cloud: SampleCloud) -> Iterator[str]:
    logs = cloud.client("logs")
    for group in _pages(logs, "describe_log_groups", "logGroups"):
        name = group["logGroupName"]
        for stream in _pages(logs, "describe_log_streams", "logStreams", logGroupName=name):
            answer = logs.get_log_events(
                logGroupName=name, logStreamName=stream["logStreamName"], startFromHead=True
            )
            before = None
            while answer["events"] and answer["nextForwardToken"] != before:
                yield _text(answer["events"])
                before = answer["nextForwardToken"]
                answer = logs.get_log_events(
                    logGroupName=name,
                    logStreamName=stream["logStreamName"],
                    startFromHead=True,
                    nextToken=before,
                )


def _messages(cloud: SampleCloud, queue: str) -> Iterator[str]:
    sqs = cloud.client("sqs")
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            yield message["Body"]
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def _items(cloud: SampleCloud) -> Iterator[str]:
    tables = cloud.client("dynamodb")
    for table in _pages(tables, "list_tables", "TableNames"):
        for item in _pages(tables, "scan", "Items", TableName=table):
            yield _text(item)


def _tasks(cloud: SampleCloud) -> Iterator[str]:
    ecs = cloud.client("ecs")
    for cluster in _pages(ecs, "list_clusters", "clusterArns"):
        for status in ("RUNNING", "STOPPED"):
            arns = _pages(ecs, "list_tasks", "taskArns", cluster=cluster, desiredStatus=status)
            for start in range(0, len(arns), 100):
                yield _text(ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + 100])["tasks"])


def _definitions(cloud: SampleCloud) -> Iterator[str]:
    ecs = cloud.client("ecs")
    for arn in _pages(ecs, "list_task_definitions", "taskDefinitionArns"):
        yield _text(ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"])


def _pages(client: Any, operation: str, field: str, **request: Any) -> list[Any]:
    pages = client.get_paginator(operation).paginate(**request)
    return [one for page in pages for one in page.get(field, [])]


def _text(document: Any) -> str:
    """JSON inside of JSON, as inputs and log lines are, has its quotes escaped; a needle has none."""
    return json.dumps(document, default=str, ensure_ascii=False)
