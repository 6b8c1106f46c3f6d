"""infrastructure/queue.yaml: what becomes of a message, and who may do what with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, render_file

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1a2b3c4d"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:critical"


def queue(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/queue.yaml", **{"QueueName": "orders", **parameters})


def actions(policy: dict[str, Any], resource: str) -> set[str]:
    statements = policy["PolicyDocument"]["Statement"]
    return {action for one in statements if one["Resource"] == resource for action in one["Action"]}


def test_what_nobody_can_handle_is_kept() -> None:
    rendered = queue(MaxReceiveCount="3")
    redrive = rendered["Queue"]["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": "<DeadLetters.Arn>", "maxReceiveCount": "3"}
    allowed = rendered["DeadLetters"]["RedriveAllowPolicy"]
    assert allowed["sourceQueueArns"] == ["arn:aws:sqs:us-east-1:123456789012:orders"]
    assert rendered["DeadLetters"]["QueueName"] == "orders-dead-letters"


def test_who_asks_waits_for_a_message() -> None:
    found = queue(VisibilityTimeoutSeconds="120")["Queue"]
    assert (found["ReceiveMessageWaitTimeSeconds"], found["VisibilityTimeout"]) == (20, "120")


@pytest.mark.parametrize("days", range(1, 15))
def test_days_are_seconds(days: int) -> None:
    rendered = queue(RetentionDays=str(days), DeadLetterRetentionDays=str(days))
    kept = [rendered[name]["MessageRetentionPeriod"] for name in ("Queue", "DeadLetters")]
    assert kept == [str(days * 24 * 60 * 60)] * 2


@pytest.mark.parametrize("name", ["Queue", "DeadLetters"])
def test_messages_are_encrypted(name: str) -> None:
    assert queue()[name]["SqsManagedSseEnabled"] is True
    own = queue(KeyArn=KEY)[name]
    assert ("SqsManagedSseEnabled" in own, own["KmsMasterKeyId"]) == (False, KEY)


@pytest.mark.parametrize("name", ["Queue", "DeadLetters"])
def test_nothing_passes_without_tls(name: str) -> None:
    policy = queue().named("AWS::SQS::QueuePolicy", Queues=[f"<{name}>"])
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Resource"] == f"<{name}.Arn>"
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_first_dead_letter_rings() -> None:
    alarm = queue(CriticalTopicArn=TOPIC).one("AWS::CloudWatch::Alarm")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "orders-dead-letters"}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert (alarm["Statistic"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Maximum", 60, 1)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]
    assert "AlarmActions" not in queue().one("AWS::CloudWatch::Alarm")


def test_who_sends_cannot_take() -> None:
    policy = queue()["SendPolicy"]
    assert actions(policy, "<Queue.Arn>") == {
        "sqs:SendMessage",
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
    }
    assert len(policy["PolicyDocument"]["Statement"]) == 1


def test_who_takes_cannot_send() -> None:
    policy = queue()["ConsumePolicy"]
    assert actions(policy, "<Queue.Arn>") == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
    }
    assert len(policy["PolicyDocument"]["Statement"]) == 1


def test_a_key_of_the_account_is_used_by_way_of_sqs() -> None:
    rendered = queue(KeyArn=KEY)
    assert actions(rendered["SendPolicy"], KEY) == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert actions(rendered["ConsumePolicy"], KEY) == {"kms:Decrypt"}
    for name in ("SendPolicy", "ConsumePolicy"):
        last = rendered[name]["PolicyDocument"]["Statement"][-1]
        assert last["Condition"] == {"StringLike": {"kms:ViaService": "sqs.*"}}
