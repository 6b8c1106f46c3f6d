"""A state machine stands still in a state until it is told to go on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tidegate_local.control import ControlError

from tests.support.embedded import Cloud, running_cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

STATES = {
    "First": {"Type": "Pass", "Next": "Second"},
    "Second": {"Type": "Pass", "Output": "through", "End": True},
}


class Held:
    """Holds of one machine, that a test leaves none of behind."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._set: list[tuple[str, str, str | None]] = []

    def hold(self, machine: str, state: str, system: str | None = None) -> str:
        """Hold it; the name without its stack."""
        name = machine.rpartition("-")[2]
        self._cloud.control.hold(name, state, system)
        self._set.append((name, state, system))
        return name

    def standing(self, machine: str, number: int) -> list[dict[str, Any]]:
        """Those of the machine, once there are so many."""
        name = machine.rpartition("-")[2]

        def there() -> tuple[list[dict[str, Any]]] | None:
            found = [one for one in self._cloud.control.held() if one["machine"] == name]
            return (found,) if len(found) == number else None

        return wait_until(there, what=f"{number} executions to stand")[0]

    def clear(self) -> None:
        for hold in self._set:
            self._cloud.control.release(*hold)


@pytest.fixture
def held(cloud: Cloud) -> Iterator[Held]:
    holds = Held(cloud)
    yield holds
    holds.clear()


def test_it_stands_in_the_state_it_entered_until_released(cloud: Cloud, held: Held) -> None:
    machine = cloud.machine(STATES)
    name = held.hold(machine, "Second")
    execution = cloud.start(machine, {"system": "shop"})
    expected = {"machine": name, "state": "Second", "execution": execution, "system": "shop"}
    assert held.standing(machine, 1) == [expected]
    history = cloud.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert history[-1]["stateEnteredEventDetails"]["name"] == "Second"
    assert cloud.control.release(name, "Second")
    assert cloud.ended(execution)["output"] == '"through"'
    assert held.standing(machine, 0) == []
    assert not cloud.control.release(name, "Second")
    assert cloud.run(machine)["status"] == "SUCCEEDED"


def test_only_executions_of_the_system_are_held(cloud: Cloud, held: Held) -> None:
    machine = cloud.machine(STATES)
    name = held.hold(machine, "Second", "shop")
    execution = cloud.start(machine, {"system": "shop"})
    held.standing(machine, 1)
    assert cloud.run(machine, {"system": "blog"})["status"] == "SUCCEEDED"
    assert cloud.run(machine, ["no", "system"])["status"] == "SUCCEEDED"
    assert not cloud.control.release(name, "Second"), "that is another hold"
    held.standing(machine, 1)
    assert cloud.control.release(name, "Second", "shop")
    assert cloud.ended(execution)["status"] == "SUCCEEDED"


def test_who_stands_at_two_holds_waits_for_both(cloud: Cloud, held: Held) -> None:
    machine = cloud.machine(STATES)
    name = held.hold(machine, "Second", "shop")
    held.hold(machine, "Second")
    execution = cloud.start(machine, {"system": "shop"})
    held.standing(machine, 1)
    cloud.control.release(name, "Second", "shop")
    held.standing(machine, 1)
    cloud.control.release(name, "Second")
    assert cloud.ended(execution)["status"] == "SUCCEEDED"


def test_the_states_of_an_iteration_are_held(cloud: Cloud, held: Held) -> None:
    processor = {"StartAt": "First", "States": STATES}
    machine = cloud.machine(
        {"Every": {"Type": "Map", "Items": [1, 2], "ItemProcessor": processor, "End": True}}
    )
    name = held.hold(machine, "Second", "shop")
    execution = cloud.start(machine, {"system": "shop"})
    assert {one["execution"] for one in held.standing(machine, 2)} == {execution}
    cloud.control.release(name, "Second", "shop")
    assert json.loads(cloud.ended(execution)["output"]) == ["through", "through"]


def test_one_that_stands_can_be_stopped_and_times_out(cloud: Cloud, held: Held) -> None:
    """Guards `stand`'s look at the lifetime: without it the thread stands there for ever."""
    machine = cloud.machine(STATES)
    held.hold(machine, "Second")
    execution = cloud.start(machine)
    held.standing(machine, 1)
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert cloud.ended(execution)["status"] == "ABORTED"
    held.standing(machine, 0)

    hasty = cloud.machine(STATES, TimeoutSeconds=1)
    held.hold(hasty, "Second")
    assert cloud.run(hasty)["status"] == "TIMED_OUT"
    held.standing(hasty, 0)


def test_a_task_that_is_tried_again_is_not_held_again(
    cloud: Cloud, held: Held, queue: tuple[str, str]
) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {
            "QueueUrl": queue[0],
            "MessageBody": {"token": "{% $states.context.Task.Token %}"},
        },
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        "End": True,
    }
    machine = cloud.machine({"Ask": task})
    name = held.hold(machine, "Ask")
    execution = cloud.start(machine)
    held.standing(machine, 1)
    cloud.control.release(name, "Ask")
    states = cloud.client("stepfunctions")
    token = cloud.message(queue[0])["body"]["token"]
    held.hold(machine, "Ask")
    states.send_task_failure(taskToken=token, error="Busy")
    states.send_task_success(taskToken=cloud.message(queue[0])["body"]["token"], output="1")
    assert cloud.ended(execution)["status"] == "SUCCEEDED"


def test_a_child_execution_is_held(cloud: Cloud, held: Held) -> None:
    inner = cloud.machine(STATES)
    run = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": inner, "Input": "{% $states.input %}"},
        "End": True,
    }
    outer = cloud.machine({"Run": run})
    held.hold(inner, "Second", "shop")
    parent = cloud.start(outer, {"system": "shop"})
    (child,) = held.standing(inner, 1)
    assert child["execution"] != parent
    cloud.client("stepfunctions").stop_execution(executionArn=parent)
    assert cloud.ended(child["execution"])["status"] == "ABORTED"
    held.standing(inner, 0)


@pytest.mark.parametrize(
    ("hold", "field"), [(("", "Second", None), "machine"), (("deploy", "Second", ""), "system")]
)
def test_a_bad_hold_is_refused_with_its_field(
    cloud: Cloud, hold: tuple[str, str, str | None], field: str
) -> None:
    with pytest.raises(ControlError) as refused:
        cloud.control.hold(*hold)
    assert (refused.value.code, refused.value.field) == ("InvalidHold", field)


def test_a_cloud_ends_while_executions_stand(tmp_path: Any) -> None:
    """`running_cloud` gives it twenty seconds."""
    with running_cloud(tmp_path) as cloud:
        machine = cloud.machine(STATES)
        holds = Held(cloud)
        holds.hold(machine, "Second")
        cloud.start(machine)
        holds.standing(machine, 1)
    assert cloud.process.returncode == 0
