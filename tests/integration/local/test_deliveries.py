"""What happens to an event that nobody can take, and to a function that fails."""

import pytest

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

RAISES = """
    class Unlucky(Exception):
        pass

    def handler(event, context):
        raise Unlucky("again")
"""


def test_an_event_for_a_deleted_function_reaches_the_dead_letter_queue(
    cloud: Cloud, queue: tuple[str, str]
) -> None:
    url, arn = queue
    function = cloud.function("def handler(event, context): pass")
    rule = cloud.rule({"source": ["test.dlq"]}, function, DeadLetterConfig={"Arn": arn})
    cloud.client("lambda").delete_function(FunctionName=function)
    cloud.control.put_events({"source": "test.dlq", "detail-type": "Lost", "detail": {"n": 1}})

    message = cloud.message(url)
    assert (message["body"]["detail-type"], message["body"]["detail"]) == ("Lost", {"n": 1})
    assert message["attributes"]["RULE_ARN"] == rule
    assert message["attributes"]["TARGET_ARN"] == function
    assert message["attributes"]["ERROR_CODE"] == "NO_RESOURCE"
    assert message["attributes"]["ERROR_MESSAGE"]


def test_a_function_a_rule_invokes_is_retried_then_reported(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    function = cloud.function(RAISES)
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    cloud.rule({"source": ["test.retry"]}, function)
    cloud.control.put_events({"source": "test.retry", "detail-type": "Try", "detail": {"n": 1}})

    record = cloud.message(url)["body"]
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["functionArn"] == f"{function}:$LATEST"
    assert record["requestPayload"]["detail"] == {"n": 1}
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert (record["responsePayload"]["errorType"], record["responsePayload"]["errorMessage"]) == (
        "Unlucky",
        "again",
    )


def test_an_event_bus_can_be_the_destination(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    function = cloud.function(RAISES)
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": bus}}
    )
    cloud.rule(
        {"source": ["lambda"], "detail": {"requestContext": {"functionArn": [f"{function}:$LATEST"]}}}, arn
    )
    cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b'{"n": 2}')

    event = cloud.message(url)["body"]
    assert event["detail-type"] == "Lambda Function Invocation Result - Failure"
    assert event["detail"]["requestPayload"] == {"n": 2}
    assert event["detail"]["requestContext"]["approximateInvokeCount"] == 1


def test_a_dead_letter_queue_of_a_function_gets_the_event_itself(
    cloud: Cloud, queue: tuple[str, str]
) -> None:
    url, arn = queue
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    function = cloud.function(RAISES, send, DeadLetterConfig={"TargetArn": arn})
    client = cloud.client("lambda")
    client.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    client.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"n": 3}')

    message = cloud.message(url)
    assert message["body"] == {"n": 3}
    assert message["attributes"]["ErrorMessage"] == "again"


def test_a_retry_that_succeeds_is_no_failure(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    table = cloud.client("dynamodb").create_table(
        TableName="attempts",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]["TableArn"]
    function = cloud.function(
        """
        import boto3

        def handler(event, context):
            boto3.client("dynamodb").put_item(
                TableName="attempts", Item={"id": {"S": event["id"]}}, ConditionExpression="attribute_exists(id)"
            )
        """,
        {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": table},
    )
    client = cloud.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=function,
        DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}},
    )
    client.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"id": "a"}')
    cloud.client("dynamodb").put_item(TableName="attempts", Item={"id": {"S": "a"}})
    assert cloud.message(url)["body"]["requestContext"]["condition"] == "Success"


def test_a_scheduled_rule_is_due_after_its_interval(cloud: Cloud) -> None:
    events = cloud.client("events")
    events.put_rule(Name="every-minute", ScheduleExpression="rate(1 minute)")
    described = wait_until(lambda: events.describe_rule(Name="every-minute"), what="the rule")
    assert (described["ScheduleExpression"], described["State"]) == ("rate(1 minute)", "ENABLED")
