"""State machines fail, wait, time out and stop as Step Functions does."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

INVOKE = "arn:aws:states:::lambda:invoke"
PARK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
RUN = "arn:aws:states:::states:startExecution.sync:2"

RAISES = """
    class OrderRefused(Exception):
        pass

    def handler(event, context):
        raise OrderRefused("no")
"""


def park(url: str, **fields: Any) -> dict[str, Any]:
    """A Task that sends its token to a queue and waits for an answer."""
    body = {"token": "{% $states.context.Task.Token %}", "try": "{% $states.context.State.RetryCount %}"}
    task = {
        "Type": "Task",
        "Resource": PARK,
        "Arguments": {"QueueUrl": url, "MessageBody": body},
        "End": True,
    }
    return {**task, **fields}


def parked(cloud: Cloud, url: str) -> str:
    """The next token that was sent to the queue."""
    return str(cloud.message(url)["body"]["token"])


def answer(cloud: Cloud, token: str, output: Any = None) -> None:
    cloud.client("stepfunctions").send_task_success(taskToken=token, output=json.dumps(output))


def refused(cloud: Cloud, token: str) -> str:
    """The error code with which an answer to `token` is refused."""
    with pytest.raises(ClientError) as error:
        answer(cloud, token)
    return str(error.value.response["Error"]["Code"])


# -- errors of functions ---------------------------------------------------------------------------


def test_the_class_of_an_exception_is_the_error(cloud: Cloud) -> None:
    function = cloud.function(RAISES)
    task = {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {"FunctionName": function, "Payload": {}},
        "End": True,
    }
    caught = {
        **task,
        "Catch": [
            {
                "ErrorEquals": ["OrderRefused"],
                "Next": "Told",
                "Output": "{% $parse($states.errorOutput.Cause) %}",
            }
        ],
    }
    result = cloud.run(cloud.machine({"Ask": caught, "Told": {"Type": "Succeed"}}))
    assert result["status"] == "SUCCEEDED"
    assert (result["output"]["errorType"], result["output"]["errorMessage"]) == ("OrderRefused", "no")
    assert any('raise OrderRefused("no")' in line for line in result["output"]["stackTrace"])


def test_a_function_error_fails_a_callback_task_at_once(cloud: Cloud) -> None:
    arguments = {
        "FunctionName": cloud.function(RAISES),
        "Payload": {"token": "{% $states.context.Task.Token %}"},
    }
    task = {"Type": "Task", "Resource": f"{INVOKE}.waitForTaskToken", "Arguments": arguments, "End": True}
    result = cloud.run(cloud.machine({"Ask": {**task, "TimeoutSeconds": 600}}))
    assert (result["status"], result["error"]) == ("FAILED", "OrderRefused")
    assert json.loads(result["cause"])["errorMessage"] == "no"


# -- tokens ----------------------------------------------------------------------------------------


def test_a_token_is_answered_once(cloud: Cloud, queue: tuple[str, str]) -> None:
    execution = cloud.start(cloud.machine({"Wait": park(queue[0])}))
    token = parked(cloud, queue[0])
    assert len(token) > 300
    answer(cloud, token, {"answer": 1})
    assert refused(cloud, token) == "TaskTimedOut"
    assert json.loads(cloud.ended(execution)["output"]) == {"answer": 1}
    assert refused(cloud, token) == "TaskTimedOut"
    assert refused(cloud, "made-up") == "InvalidToken"


def test_each_attempt_has_its_own_token(cloud: Cloud, queue: tuple[str, str]) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    execution = cloud.start(cloud.machine({"Wait": park(queue[0], Retry=retry)}))
    first = parked(cloud, queue[0])
    cloud.client("stepfunctions").send_task_failure(taskToken=first, error="Busy", cause="later")
    second = parked(cloud, queue[0])
    assert first != second
    assert refused(cloud, first) == "TaskTimedOut"
    answer(cloud, second, "done")
    assert cloud.ended(execution)["output"] == '"done"'


def test_a_failure_carries_its_error_and_cause(cloud: Cloud, queue: tuple[str, str]) -> None:
    execution = cloud.start(cloud.machine({"Wait": park(queue[0])}))
    cloud.client("stepfunctions").send_task_failure(
        taskToken=parked(cloud, queue[0]), error="Stuck", cause="why"
    )
    result = cloud.ended(execution)
    assert (result["status"], result["error"], result["cause"]) == ("FAILED", "Stuck", "why")


def test_a_time_out_may_be_an_expression(cloud: Cloud, queue: tuple[str, str]) -> None:
    told = {
        "Type": "Succeed",
        "Output": "{% $states.input.Error %}",
    }
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Told", "Output": "{% $states.errorOutput %}"}]
    waiting = park(queue[0], TimeoutSeconds="{% $states.input.seconds %}", Catch=catch)
    machine = cloud.machine({"Wait": waiting, "Told": told})
    execution = cloud.start(machine, {"seconds": 1})
    token = parked(cloud, queue[0])
    assert json.loads(cloud.ended(execution)["output"]) == "States.Timeout"
    assert refused(cloud, token) == "TaskTimedOut"


def test_a_missed_heartbeat_ends_the_task(cloud: Cloud, queue: tuple[str, str]) -> None:
    waiting = park(queue[0], HeartbeatSeconds="{% $states.input.seconds %}", TimeoutSeconds=600)
    execution = cloud.start(cloud.machine({"Wait": waiting}), {"seconds": 1})
    cloud.client("stepfunctions").send_task_heartbeat(taskToken=parked(cloud, queue[0]))
    assert cloud.ended(execution)["error"] == "States.HeartbeatTimeout"


def test_a_function_that_takes_too_long_is_not_waited_for(cloud: Cloud, queue: tuple[str, str]) -> None:
    sleeper = cloud.function(
        """
        import threading

        def handler(event, context):
            threading.Event().wait(5)
        """,
        Timeout=10,
    )
    task = {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": sleeper, "Payload": {}}}
    result = cloud.run(cloud.machine({"Ask": {**task, "TimeoutSeconds": "{% 1 %}", "End": True}}))
    assert (result["status"], result["error"]) == ("FAILED", "States.Timeout")


# -- executions ------------------------------------------------------------------------------------


def test_a_machine_has_a_time_out_of_its_own(cloud: Cloud, queue: tuple[str, str]) -> None:
    execution = cloud.start(cloud.machine({"Wait": park(queue[0])}, TimeoutSeconds=1))
    token = parked(cloud, queue[0])
    result = cloud.ended(execution)
    assert (result["status"], result["error"]) == ("TIMED_OUT", "States.Timeout")
    assert refused(cloud, token) == "TaskTimedOut"


def test_starting_twice_under_one_name(cloud: Cloud, queue: tuple[str, str]) -> None:
    machine = cloud.machine({"Wait": park(queue[0])})
    execution = cloud.start(machine, {"n": 1}, name="once")
    assert cloud.start(machine, {"n": 1}, name="once") == execution
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        cloud.start(machine, {"n": 2}, name="once")
    answer(cloud, parked(cloud, queue[0]))
    cloud.ended(execution)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        cloud.start(machine, {"n": 1}, name="once")
    with pytest.raises(ClientError, match="InvalidName"):
        cloud.start(machine, name="two words")


def test_a_stopped_execution_runs_no_further_state(cloud: Cloud, queue: tuple[str, str]) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "After"}]
    inner = {"StartAt": "Wait", "States": {"Wait": park(queue[0])}}
    both = {"Type": "Map", "Items": [1], "ItemProcessor": inner, "Catch": catch, "Next": "After"}
    machine = cloud.machine({"Both": both, "After": {"Type": "Pass", "End": True}})
    execution = cloud.start(machine)
    token = parked(cloud, queue[0])
    stopped = cloud.client("stepfunctions").stop_execution(
        executionArn=execution, error="Enough", cause="asked"
    )
    assert stopped["stopDate"]
    assert refused(cloud, token) == "TaskTimedOut"
    result = cloud.ended(execution)
    assert (result["status"], result["error"], result["cause"]) == ("ABORTED", "Enough", "asked")
    assert result["stopDate"]
    assert cloud.path(execution) == ["Both", "Wait"]


# -- children --------------------------------------------------------------------------------------


def child(machine: str, **fields: Any) -> dict[str, Any]:
    arguments = {"StateMachineArn": machine, "Input": "{% $states.input %}"}
    return {"Type": "Task", "Resource": RUN, "Arguments": arguments, "End": True, **fields}


def test_a_child_answers_with_its_parsed_output(cloud: Cloud) -> None:
    inner = cloud.machine(
        {"Say": {"Type": "Pass", "Output": {"said": "{% $states.input.word %}"}, "End": True}}
    )
    result = cloud.run(cloud.machine({"Run": child(inner)}), {"word": "yes"})
    assert result["output"]["Output"] == {"said": "yes"}
    assert result["output"]["Input"] == {"word": "yes"}
    assert result["output"]["Status"] == "SUCCEEDED"
    assert isinstance(result["output"]["StopDate"], int)


def test_a_failed_child_fails_the_task_with_its_description(cloud: Cloud) -> None:
    inner = cloud.machine({"No": {"Type": "Fail", "Error": "Refused", "Cause": "because"}})
    result = cloud.run(cloud.machine({"Run": child(inner)}), {"n": 1})
    assert (result["status"], result["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(result["cause"])
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Refused", "because")
    assert cause["StateMachineArn"] == inner
    assert json.loads(cause["Input"]) == {"n": 1}
    assert ":execution:" in cause["ExecutionArn"]


def running_child(cloud: Cloud, machine: str) -> str:
    listed = wait_until(
        lambda: cloud.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"],
        what="a child",
    )
    return str(listed[0]["executionArn"])


def test_stopping_the_parent_stops_the_child(cloud: Cloud, queue: tuple[str, str]) -> None:
    inner = cloud.machine({"Wait": park(queue[0])})
    parent = cloud.start(cloud.machine({"Run": child(inner)}))
    token = parked(cloud, queue[0])
    cloud.client("stepfunctions").stop_execution(executionArn=parent)
    assert cloud.ended(running_child(cloud, inner))["status"] == "ABORTED"
    assert cloud.ended(parent)["status"] == "ABORTED"
    assert refused(cloud, token) == "TaskTimedOut"


def test_a_time_out_of_the_task_stops_the_child(cloud: Cloud, queue: tuple[str, str]) -> None:
    inner = cloud.machine({"Wait": park(queue[0])})
    result = cloud.run(cloud.machine({"Run": child(inner, TimeoutSeconds=1)}))
    assert (result["status"], result["error"]) == ("FAILED", "States.Timeout")
    assert cloud.ended(running_child(cloud, inner))["status"] == "ABORTED"


def test_stopping_the_child_fails_the_parent(cloud: Cloud, queue: tuple[str, str]) -> None:
    inner = cloud.machine({"Wait": park(queue[0])})
    parent = cloud.start(cloud.machine({"Run": child(inner)}))
    parked(cloud, queue[0])
    cloud.client("stepfunctions").stop_execution(executionArn=running_child(cloud, inner), error="Enough")
    result = cloud.ended(parent)
    assert (result["status"], result["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(result["cause"])["Status"] == "ABORTED"


# -- tasks of ECS ----------------------------------------------------------------------------------


def test_run_task_sync_waits_and_fails_with_the_task(cloud: Cloud) -> None:
    cloud.client("ecs").register_task_definition(
        family="migrate", containerDefinitions=[{"name": "sql", "image": "sql:1"}]
    )
    arguments = {"Cluster": "shop", "TaskDefinition": "migrate"}
    machine = cloud.machine(
        {
            "Run": {
                "Type": "Task",
                "Resource": "arn:aws:states:::ecs:runTask.sync",
                "Arguments": arguments,
                "End": True,
            }
        }
    )
    done = cloud.run(machine)
    assert done["output"]["Containers"][0]["ExitCode"] == 0

    cloud.control.set_fault("family:migrate", "crash", exit_code=3)
    failed = cloud.run(machine)
    cloud.control.clear_fault("family:migrate")
    assert failed["error"] == "States.TaskFailed"
    assert json.loads(failed["cause"])["Containers"][0]["ExitCode"] == 3


# -- branches and data -----------------------------------------------------------------------------


def test_a_failed_iteration_ends_its_siblings(cloud: Cloud, queue: tuple[str, str]) -> None:
    states = {
        "Which?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input = 'bad' %}", "Next": "Tell"}],
            "Default": "Wait",
        },
        "Wait": park(queue[0]),
        "Tell": park(queue[0], Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]),
        "Bad": {"Type": "Fail", "Error": "Bad", "Cause": "{% 'bad ' & 'luck' %}"},
    }
    every = {
        "Type": "Map",
        "Items": ["good", "bad"],
        "ItemSelector": "{% $states.context.Map.Item.Value %}",
        "ItemProcessor": {"StartAt": "Which?", "States": states},
        "End": True,
    }
    execution = cloud.start(cloud.machine({"Every": every}))
    tokens = [parked(cloud, queue[0]), parked(cloud, queue[0])]
    cloud.client("stepfunctions").send_task_failure(taskToken=tokens[0], error="Bad")
    result = cloud.ended(execution)
    assert (result["status"], result["error"]) == ("FAILED", "Bad")
    assert {refused(cloud, token) for token in tokens} == {"TaskTimedOut"}


def test_a_sibling_that_sleeps_does_not_hold_a_failure_up(cloud: Cloud) -> None:
    states = {
        "Which?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input = 'bad' %}", "Next": "Bad"}],
            "Default": "Sleep",
        },
        "Sleep": {"Type": "Wait", "Seconds": 60, "End": True},
        "Bad": {"Type": "Fail", "Error": "Bad"},
    }
    processor = {"StartAt": "Which?", "States": states}
    every = {"Type": "Map", "Items": ["good", "bad"], "ItemProcessor": processor, "End": True}
    assert cloud.run(cloud.machine({"Every": every}))["error"] == "Bad"
