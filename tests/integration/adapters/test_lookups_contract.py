"""Images, references, alarms and logs: in memory and on moto."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.cloudwatch import CloudWatchAlarms
from tidegate.adapters.ecr import EcrImages
from tidegate.adapters.logs import CloudWatchLogs
from tidegate.adapters.references import AwsReferences
from tidegate.domain.errors import OutsideError
from tidegate.ports import Alarms, Images, Logs, References

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused
from tests.support.fakes import FakeAlarms, FakeImages, FakeLogs, FakeReferences

Push = Callable[[str, str], str]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(params=["fake", "moto"])
def images(request: pytest.FixtureRequest) -> tuple[Images, Push]:
    if request.param == "fake":
        fake = FakeImages()
        return fake, lambda repository, tag: fake.push(
            repository, "sha256:" + hashlib.sha256(tag.encode()).hexdigest(), tag
        )
    client = request.getfixturevalue("moto").client("ecr")

    def push(repository: str, tag: str) -> str:
        if repository not in {
            found["repositoryName"] for found in client.describe_repositories()["repositories"]
        }:
            client.create_repository(repositoryName=repository)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": tag}})
        answer = client.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
        return str(answer["image"]["imageId"]["imageDigest"])

    return EcrImages(lambda: client), push


def test_an_image_is_found_by_tag_and_by_digest(images: tuple[Images, Push]) -> None:
    port, push = images
    first, second = push("arive/api", "1"), push("arive/api", "2")
    assert first != second
    assert port.digest("arive/api", "1") == first
    assert port.digest("arive/api", "2") == second
    assert port.exists("arive/api", first)
    assert port.uri("arive/api") == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/arive/api"


def test_what_is_not_in_the_registry_is_absent(images: tuple[Images, Push]) -> None:
    port, push = images
    digest = push("arive/api", "1")
    assert port.digest("arive/api", "3") is None
    assert port.digest("missing", "1") is None
    assert not port.exists("arive/api", "sha256:" + "0" * 64)
    assert not port.exists("missing", digest)
    assert port.uri("missing") is None


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:arive/database-AbCdEf"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/"
AddSecret = Callable[[], str]
AddParameter = Callable[[str], None]


@pytest.fixture(params=["fake", "moto"])
def references(request: pytest.FixtureRequest) -> tuple[References, AddSecret, AddParameter]:
    if request.param == "fake":
        fake = FakeReferences()

        def remember() -> str:
            fake.secrets.add(SECRET)
            return SECRET

        return fake, remember, fake.parameters.add
    clients: Clients = request.getfixturevalue("moto")

    def add_secret() -> str:
        made = clients.client("secretsmanager").create_secret(Name="arive/database", SecretString="{}")
        return str(made["ARN"])

    def add_parameter(name: str) -> None:
        clients.client("ssm").put_parameter(Name=name, Value="hidden", Type="SecureString")

    return on_aws(clients), add_secret, add_parameter


def on_aws(clients: Clients) -> AwsReferences:
    return AwsReferences(
        lambda region: clients.client("secretsmanager", region),
        lambda region: clients.client("ssm", region),
        lambda: clients.account,
    )


def test_references_that_lead_nowhere_are_named(
    references: tuple[References, AddSecret, AddParameter],
) -> None:
    port, add_secret, add_parameter = references
    secret = add_secret()
    for name in ("/arive/key", "plain", "/one"):
        add_parameter(name)
    there = [
        secret,
        f"{secret}:password::",
        f"{secret}:password:AWSCURRENT:",
        "/arive/key",
        "plain",
        f"{PARAMETER}arive/key",
        f"{PARAMETER}plain",
        f"{PARAMETER}one",
    ]
    gone = [
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:missing-AbCdEf:password::",
        "/arive/missing",
        "/plain",
        f"{PARAMETER}arive/missing",
    ]
    assert port.missing([]) == []
    assert port.missing(there) == []
    assert port.missing([*gone, *there, *gone]) == gone


def test_a_secret_version_must_exist_and_the_secret_not_be_deleted(moto: Clients) -> None:
    client = moto.client("secretsmanager")
    made = client.create_secret(Name="arive/database", SecretString="{}")
    arn, version = made["ARN"], made["VersionId"]
    port = on_aws(moto)
    there = [f"{arn}:key::{version}", f"{arn}:key:AWSCURRENT:{version}"]
    gone = [f"{arn}:key:AWSPENDING:", f"{arn}:key::{'0' * 36}", f"{arn}:key:AWSPREVIOUS:{version}"]
    assert port.missing([*there, *gone]) == gone
    client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    assert port.missing([arn]) == [arn]


def test_a_parameter_may_stand_for_a_secret(moto: Clients) -> None:
    """DescribeParameters knows none of these: a release of a service that takes one was refused."""
    made = moto.client("secretsmanager").create_secret(Name="arive/database", SecretString="{}")
    reference = "/aws/reference/secretsmanager/arive/database"
    there = [
        reference,
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{reference}",
        f"{reference}:AWSCURRENT",
        f"{reference}:{made['VersionId']}",
    ]
    gone = [f"{reference}:AWSPENDING", f"{reference}:{'0' * 36}", "/aws/reference/secretsmanager/arive/none"]
    assert on_aws(moto).missing([*there, *gone]) == gone


def test_parameters_are_looked_up_by_fifties_in_their_own_region(moto: Clients) -> None:
    far = moto.client("ssm", "us-west-2")
    far.put_parameter(Name="/far/key", Value="x", Type="String")
    names = [f"/many/{number:03}" for number in range(60)]
    for name in names:
        moto.client("ssm").put_parameter(Name=name, Value="x", Type="String")
    there = f"arn:aws:ssm:us-west-2:{ACCOUNT}:parameter/far/key"
    shared = f"arn:aws:ssm:{REGION}:210987654321:parameter/theirs/key"
    assert on_aws(moto).missing([*names, "/far/key", there, shared]) == ["/far/key"]


@pytest.fixture(params=["fake", "moto"])
def alarms(request: pytest.FixtureRequest) -> tuple[Alarms, Callable[[str, str], None]]:
    if request.param == "fake":
        fake = FakeAlarms()
        fake.unknown = {"none", "missing"}

        def remember(name: str, state: str) -> None:
            if state == "ALARM":
                fake.alarming.add(name)

        return fake, remember
    client = request.getfixturevalue("moto").client("cloudwatch")

    def add(name: str, state: str) -> None:
        client.put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Sum",
        )
        client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")

    return CloudWatchAlarms(lambda: client), add


def test_alarms_in_alarm_are_named_in_the_order_asked(
    alarms: tuple[Alarms, Callable[[str, str], None]],
) -> None:
    port, add = alarms
    assert port.in_alarm(["none"]) == []
    add("quiet", "OK")
    add("unsure", "INSUFFICIENT_DATA")
    add("loud", "ALARM")
    add("all", "ALARM")
    add("unasked", "ALARM")
    assert port.in_alarm(["loud", "quiet", "unsure", "missing", "all", "loud"]) == ["loud", "all"]
    assert port.in_alarm([]) == []


def test_alarms_that_nobody_made_are_named_whatever_state_the_others_are_in(
    alarms: tuple[Alarms, Callable[[str, str], None]],
) -> None:
    port, add = alarms
    add("quiet", "OK")
    add("unsure", "INSUFFICIENT_DATA")
    add("loud", "ALARM")
    assert port.missing(["quiet", "none", "loud", "missing", "unsure", "none"]) == ["none", "missing"]
    assert port.missing([]) == []


def test_composite_alarms_are_not_missing_on_whatever_page_they_are(clients: Clients) -> None:
    """On the wire: moto has no composite alarms. Red where one page is taken for all, or a state is asked for."""
    client = clients.client("cloudwatch")
    asked: list[Any] = []
    pages = [
        {"MetricAlarms": [{"AlarmName": "metric", "StateValue": "OK"}], "NextToken": "more"},
        {"CompositeAlarms": [{"AlarmName": "composite", "StateValue": "INSUFFICIENT_DATA"}]},
    ]
    client.meta.events.register(
        "before-parameter-build.cloudwatch.DescribeAlarms", lambda params, **_: asked.append(dict(params))
    )
    client.meta.events.register(
        "before-call.cloudwatch.DescribeAlarms",
        lambda **_: (type("Answer", (), {"status_code": 200}), pages[len(asked) - 1]),
    )
    assert CloudWatchAlarms(lambda: client).missing(["metric", "composite", "none"]) == ["none"]
    assert [question.get("NextToken") for question in asked] == [None, "more"]
    assert all("StateValue" not in question for question in asked)
    assert all(question["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"] for question in asked)


def test_metric_and_composite_alarms_are_asked_for_by_hundreds(clients: Clients) -> None:
    client = clients.client("cloudwatch")
    """On the wire: moto has no composite alarms."""
    asked: list[Any] = []
    composite = {"AlarmName": "7", "StateValue": "ALARM"}
    client.meta.events.register(
        "before-parameter-build.cloudwatch.DescribeAlarms", lambda params, **_: asked.append(dict(params))
    )
    client.meta.events.register(
        "before-call.cloudwatch.DescribeAlarms",
        lambda **_: (
            type("Answer", (), {"status_code": 200}),
            {"MetricAlarms": [], "CompositeAlarms": [composite]},
        ),
    )
    assert CloudWatchAlarms(lambda: client).in_alarm([f"{number}" for number in range(101)]) == ["7"]
    assert [len(question["AlarmNames"]) for question in asked] == [100, 1]
    assert asked[0]["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"]
    assert asked[0]["StateValue"] == "ALARM"


@pytest.fixture(params=["fake", "moto"])
def logs(request: pytest.FixtureRequest) -> tuple[Logs, Callable[..., None]]:
    if request.param == "fake":
        fake = FakeLogs()
        return fake, fake.write
    client = request.getfixturevalue("moto").client("logs")

    def write(group: str, stream: str, *lines: str) -> None:
        client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        now = int(time.time() * 1000)  # moto takes no line older than 14 days
        events = [{"timestamp": now + n, "message": line} for n, line in enumerate(lines)]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    return CloudWatchLogs(lambda: client), write


def test_the_last_lines_are_given_oldest_first(logs: tuple[Logs, Callable[..., None]]) -> None:
    port, write = logs
    write("/ecs/api", "ecs/api/1", "one", "two", "three")
    assert port.tail("/ecs/api", "ecs/api/1", 2) == ["two", "three"]
    assert port.tail("/ecs/api", "ecs/api/1", 9) == ["one", "two", "three"]
    assert port.tail("/ecs/api", "ecs/api/1", 0) == []
    assert port.tail("/ecs/api", "ecs/api/2", 2) == []
    assert port.tail("/ecs/missing", "ecs/api/1", 2) == []


def test_an_empty_page_is_not_the_end_of_a_stream(clients: Clients) -> None:
    def page(token: str, *lines: str) -> Any:
        events = [{"message": f"{line}\n", "timestamp": 1} for line in lines]
        return ok({"events": events, "nextBackwardToken": token, "nextForwardToken": "f"})

    client = clients.client("logs")
    wire = Wire(client, page("b/1", "three"), page("b/2"), page("b/3", "one", "two"))
    assert CloudWatchLogs(lambda: client).tail("g", "s", 3) == ["one", "two", "three"]
    assert [sent["limit"] for sent in wire.requests] == [3, 2, 2]
    assert all(sent["startFromHead"] is False for sent in wire.requests)


def test_a_stream_that_goes_on_empty_is_given_up(clients: Clients) -> None:
    client = clients.client("logs")
    answers = [ok({"events": [], "nextBackwardToken": f"b/{number}"}) for number in range(9)]
    wire = Wire(client, *answers)
    assert CloudWatchLogs(lambda: client).tail("g", "s", 3) == []
    assert len(wire.requests) == 5


def test_a_refusal_is_not_an_empty_stream(clients: Clients) -> None:
    client = clients.client("logs")
    Wire(client, refused("AccessDeniedException"))
    with pytest.raises(OutsideError) as raised:
        CloudWatchLogs(lambda: client).tail("g", "s", 3)
    assert raised.value.hint == "allow logs:GetLogEvents to the role that made this call"
