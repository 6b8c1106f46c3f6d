"""The control endpoints, and the events that only they may put."""

from typing import Any

import pytest
from tidegate_local.control import Control, ControlError, NotRunningError

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def test_health_says_what_is_running(cloud: Cloud) -> None:
    health = cloud.control.health()
    assert (health.ready, health.iam, health.ecs_events) == (True, True, True)
    assert (health.region, health.account) == ("us-east-1", "000000000000")


def test_nothing_there_is_not_an_embedded_cloud() -> None:
    with pytest.raises(NotRunningError):
        Control("http://127.0.0.1:9").health()


def test_an_event_of_an_aws_service_reaches_the_rules(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.codebuild"]}, arn)
    event = {
        "id": "11111111-2222-3333-4444-555555555555",
        "source": "aws.codebuild",
        "detail-type": "CodeBuild Build State Change",
        "time": "2024-01-02T03:04:05Z",
        "account": "111122223333",
        "region": "eu-west-1",
        "resources": ["arn:aws:codebuild:eu-west-1:111122223333:build/shop:1"],
        "detail": {"build-status": "SUCCEEDED"},
    }
    assert cloud.control.put_events(event) == [event["id"]]
    received = cloud.message(url)["body"]
    assert {key: received[key] for key in event} == event

    refused = cloud.client("events").put_events(
        Entries=[{"Source": "aws.codebuild", "DetailType": "x", "Detail": "{}"}]
    )
    assert refused["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_a_list_of_events_is_put_in_order(cloud: Cloud) -> None:
    batch = [{"source": "aws.ecr", "detail-type": f"n{n}", "detail": {}} for n in range(3)]
    assert len(set(cloud.control.put_events(batch))) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "aws.ecs", "detail": {}}, "detail-type"),
        ({"source": "aws.ecs", "detail-type": "x", "detail": "text"}, "detail"),
        ([{"source": "", "detail-type": "x", "detail": {}}], "0.source"),
        ({"source": "aws.ecs", "detail-type": "x", "detail": {}, "Detail": {}}, "Detail"),
    ],
)
def test_a_bad_event_is_refused_with_its_field(cloud: Cloud, body: Any, field: str) -> None:
    with pytest.raises(ControlError) as refused:
        cloud.control.put_events(body)
    assert (refused.value.status, refused.value.code, refused.value.field) == (400, "InvalidEvent", field)


def test_faults_are_listed_and_cleared(cloud: Cloud) -> None:
    cloud.control.set_fault("no such/service", "hang", all=True)
    assert cloud.control.faults()["no such/service"] == {"mode": "hang", "all": True, "exit_code": 1}
    assert cloud.control.clear_fault("no such/service")
    assert not cloud.control.clear_fault("no such/service")
