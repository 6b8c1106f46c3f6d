"""An execution that has failed goes on where it failed, as Step Functions redrives one."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

PARK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


def park(url: str, **fields: Any) -> dict[str, Any]:
    """A Task that tells a queue its token, its input and what the machine remembers."""
    body = {
        "token": "{% $states.context.Task.Token %}",
        "given": "{% $states.input %}",
        "note": "{% $note %}",
        "retries": "{% $states.context.State.RetryCount %}",
        "redrives": "{% $states.context.Execution.RedriveCount %}",
    }
    arguments = {"QueueUrl": url, "MessageBody": body}
    return {"Type": "Task", "Resource": PARK, "Arguments": arguments, "End": True, **fields}


def remembering(url: str, **fields: Any) -> dict[str, Any]:
    """States of which the first must not run twice."""
    first = {"Type": "Pass", "Assign": {"note": "remembered"}, "Output": {"n": 1}, "Next": "Ask"}
    return {"First": first, "Ask": park(url, **fields)}


def redrive(cloud: Cloud, execution: str, **request: str) -> Any:
    return cloud.client("stepfunctions").redrive_execution(executionArn=execution, **request)["redriveDate"]


def not_redrivable(cloud: Cloud, execution: str) -> None:
    with pytest.raises(ClientError) as refused:
        redrive(cloud, execution)
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"
    described = cloud.client("stepfunctions").describe_execution(executionArn=execution)
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    assert described["redriveStatusReason"] == f"Execution is {described['status']} and cannot be redriven."


def test_a_failed_task_runs_again_with_its_input_and_variables(cloud: Cloud, queue: tuple[str, str]) -> None:
    states, url = cloud.client("stepfunctions"), queue[0]
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    machine = cloud.machine(remembering(url, Retry=retry, Output="{% [$note, $states.result] %}"))
    execution = cloud.start(machine)
    first = cloud.message(url)["body"]
    not_redrivable(cloud, execution)
    states.send_task_failure(taskToken=first["token"], error="Broken", cause="why")
    states.send_task_failure(taskToken=cloud.message(url)["body"]["token"], error="Broken", cause="why")
    failed = cloud.ended(execution)
    assert (failed["status"], failed["redriveCount"], failed["redriveStatus"]) == ("FAILED", 0, "REDRIVABLE")

    asked = redrive(cloud, execution)
    again = cloud.message(url)["body"]
    assert {**again, "token": ""} == {**first, "token": "", "redrives": 1}, "and retries are counted anew"
    assert again["token"] != first["token"]
    running = states.describe_execution(executionArn=execution)
    assert (running["status"], running["redriveCount"]) == ("RUNNING", 1)
    assert (running["redriveDate"], "error" in running) == (asked, False)
    states.send_task_success(taskToken=again["token"], output='"done"')
    done = cloud.ended(execution)
    assert (done["status"], done["output"]) == ("SUCCEEDED", '["remembered", "done"]')
    assert (done["executionArn"], done["startDate"]) == (execution, failed["startDate"])
    assert cloud.path(execution) == ["First", "Ask", "Ask"]
    history = states.get_execution_history(executionArn=execution)["events"]
    (redriven,) = (event for event in history if event["type"] == "ExecutionRedriven")
    assert redriven["executionRedrivenEventDetails"] == {"redriveCount": 1}
    (listed,) = states.list_executions(stateMachineArn=machine)["executions"]
    assert (listed["redriveCount"], listed["redriveDate"]) == (1, asked)
    not_redrivable(cloud, execution)


def test_one_that_was_stopped_goes_on_and_can_be_stopped_again(cloud: Cloud, queue: tuple[str, str]) -> None:
    states, url = cloud.client("stepfunctions"), queue[0]
    execution = cloud.start(cloud.machine(remembering(url)))
    for redrives in range(3):
        assert cloud.message(url)["body"]["redrives"] == redrives
        states.stop_execution(executionArn=execution, error="Enough")
        assert cloud.ended(execution)["error"] == "Enough"
        redrive(cloud, execution)
    states.send_task_success(taskToken=cloud.message(url)["body"]["token"], output="1")
    assert cloud.ended(execution)["redriveCount"] == 3


def test_one_that_timed_out_has_its_time_again(cloud: Cloud, queue: tuple[str, str]) -> None:
    url = queue[0]
    execution = cloud.start(cloud.machine(remembering(url), TimeoutSeconds=2))
    cloud.message(url)
    assert cloud.ended(execution)["status"] == "TIMED_OUT"
    redrive(cloud, execution)
    cloud.message(url)
    assert cloud.ended(execution)["status"] == "TIMED_OUT"
    redrive(cloud, execution)
    token = cloud.message(url)["body"]["token"]
    cloud.client("stepfunctions").send_task_success(taskToken=token, output="1")
    assert cloud.ended(execution)["status"] == "SUCCEEDED"


def test_one_that_ended_in_a_fail_state_fails_there_again(cloud: Cloud) -> None:
    first = {"Type": "Pass", "Assign": {"why": "because"}, "Next": "No"}
    no = {"Type": "Fail", "Error": "Refused", "Cause": "{% $why %}"}
    execution = cloud.start(cloud.machine({"First": first, "No": no}))
    cloud.ended(execution)
    redrive(cloud, execution)
    again = cloud.ended(execution)
    assert (again["status"], again["error"], again["cause"]) == ("FAILED", "Refused", "because")
    assert (cloud.path(execution), again["redriveCount"]) == (["First", "No", "No"], 1)


def test_a_map_is_run_again_as_a_whole(cloud: Cloud, queue: tuple[str, str]) -> None:
    states, url = cloud.client("stepfunctions"), queue[0]
    body = {"token": "{% $states.context.Task.Token %}", "item": "{% $states.input %}"}
    ask = {
        "Type": "Task",
        "Resource": PARK,
        "Arguments": {"QueueUrl": url, "MessageBody": body},
        "End": True,
    }
    every = {
        "Type": "Map",
        "Items": ["a", "b"],
        "MaxConcurrency": 1,
        "ItemProcessor": {"StartAt": "Ask", "States": {"Ask": ask}},
        "End": True,
    }
    execution = cloud.start(cloud.machine({"Every": every}))
    states.send_task_success(taskToken=cloud.message(url)["body"]["token"], output="1")
    states.send_task_failure(taskToken=cloud.message(url)["body"]["token"], error="Broken")
    assert cloud.ended(execution)["status"] == "FAILED"
    redrive(cloud, execution)
    for item in ("a", "b"):
        message = cloud.message(url)["body"]
        assert message["item"] == item
        states.send_task_success(taskToken=message["token"], output="1")
    assert cloud.ended(execution)["output"] == "[1, 1]"


def test_a_wait_begins_again(cloud: Cloud) -> None:
    wait = {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "End": True}
    execution = cloud.start(cloud.machine({"Sleep": wait}), {"seconds": 6})
    wait_until(lambda: cloud.path(execution), what="the wait")
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    redrive(cloud, execution)
    assert cloud.ended(execution)["status"] == "SUCCEEDED"
    assert cloud.path(execution) == ["Sleep", "Sleep"]


def test_the_definition_is_that_of_the_first_attempt(cloud: Cloud, queue: tuple[str, str]) -> None:
    states, url = cloud.client("stepfunctions"), queue[0]
    machine = cloud.machine(remembering(url))
    execution = cloud.start(machine)
    cloud.message(url)
    states.stop_execution(executionArn=execution)
    changed = '{"StartAt": "Other", "States": {"Other": {"Type": "Succeed"}}}'
    states.update_state_machine(stateMachineArn=machine, definition=changed)
    redrive(cloud, execution)
    states.send_task_success(taskToken=cloud.message(url)["body"]["token"], output='"old"')
    assert cloud.ended(execution)["output"] == '"old"'


def test_the_same_token_redrives_once(cloud: Cloud, queue: tuple[str, str]) -> None:
    execution = cloud.start(cloud.machine(remembering(queue[0])))
    cloud.message(queue[0])
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert redrive(cloud, execution, clientToken="once") == redrive(cloud, execution, clientToken="once")
    assert cloud.client("stepfunctions").describe_execution(executionArn=execution)["redriveCount"] == 1


def test_an_execution_that_is_not_there(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        redrive(cloud, "arn:aws:states:us-east-1:000000000000:execution:no:such")
