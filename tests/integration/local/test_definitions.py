"""The Amazon States Language as Tidegate's machines use it."""

import json
from typing import Any

import pytest

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def test_variables_outputs_and_choices(cloud: Cloud) -> None:
    states = {
        "Count": {
            "Type": "Pass",
            "Assign": {"n": "{% $states.input.n + 1 %}", "kept": {"deep": ["{% $states.input.n %}", "text"]}},
            "Output": {"n": "{% $states.input.n * 2 %}"},
            "Next": "Large?",
        },
        "Large?": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $n > 10 and $exists($kept.deep) %}",
                    "Assign": {"size": "large"},
                    "Output": {"was": "{% $states.input.n %}"},
                    "Next": "Tell",
                }
            ],
            "Assign": {"size": "small"},
            "Default": "Tell",
        },
        "Tell": {
            "Type": "Succeed",
            "Output": "{% {'n': $n, 'size': $size, 'kept': $kept, 'in': $states.input} %}",
        },
    }
    machine = cloud.machine(states)
    small = {"n": 2, "size": "small", "kept": {"deep": [1, "text"]}, "in": {"n": 2}}
    large = {"n": 11, "size": "large", "kept": {"deep": [10, "text"]}, "in": {"was": 20}}
    assert cloud.run(machine, {"n": 1})["output"] == small
    assert cloud.run(machine, {"n": 10})["output"] == large


def test_iterations_see_their_item_and_keep_their_variables(cloud: Cloud) -> None:
    inner = {
        "Own": {"Type": "Pass", "Assign": {"mine": "{% $states.input.item & $outer %}"}, "Next": "Say"},
        "Say": {
            "Type": "Pass",
            "Output": {"i": "{% $states.input.index %}", "said": "{% $mine %}"},
            "End": True,
        },
    }
    states = {
        "Set": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "Each"},
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.items %}",
            "MaxConcurrency": "{% 2 %}",
            "ItemSelector": {
                "item": "{% $states.context.Map.Item.Value %}",
                "index": "{% $states.context.Map.Item.Index %}",
                "of": "{% $count($states.input.items) %}",
            },
            "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Own", "States": inner},
            "Assign": {"all": "{% $states.result.said %}"},
            "Output": "{% {'first': $states.result[0], 'count': $count($states.result)} %}",
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Succeed",
            "Output": "{% {'all': $all, 'leaked': $exists($mine), 'in': $states.input} %}",
        },
    }
    result = cloud.run(cloud.machine(states), {"items": ["a", "b", "c"]})
    assert result["output"] == {
        "all": ["a!", "b!", "c!"],
        "leaked": False,
        "in": {"first": {"i": 0, "said": "a!"}, "count": 3},
    }


def test_branches_have_arguments_output_and_scopes(cloud: Cloud) -> None:
    def branch(word: str) -> dict[str, Any]:
        say = {
            "Type": "Pass",
            "Assign": {"x": word},
            "Output": f"{{% '{word}' & $states.input.mark %}}",
            "End": True,
        }
        return {"StartAt": f"Say {word}", "States": {f"Say {word}": say}}

    states = {
        "Both": {
            "Type": "Parallel",
            "Arguments": {"mark": "{% $states.input.m %}"},
            "Branches": [branch("a"), branch("b")],
            "Assign": {"joined": "{% $join($states.result) %}"},
            "Output": "{% $states.result %}",
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Succeed",
            "Output": "{% {'joined': $joined, 'in': $states.input, 'leaked': $exists($x)} %}",
        },
    }
    result = cloud.run(cloud.machine(states), {"m": "?"})
    assert result["output"] == {"joined": "a?b?", "in": ["a?", "b?"], "leaked": False}


def test_a_catch_assigns_and_writes_the_output(cloud: Cloud) -> None:
    missing = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
        "Arguments": {"TableName": "none", "Key": {"id": {"S": "1"}}},
        "Catch": [
            {
                "ErrorEquals": ["DynamoDb.ResourceNotFoundException"],
                "Assign": {"error": "{% $states.errorOutput.Error %}"},
                "Output": {"cause": "{% $states.errorOutput.Cause %}"},
                "Next": "Give up",
            }
        ],
        "End": True,
    }
    give_up = {"Type": "Fail", "Error": "{% 'Wrapped' & $error %}", "Cause": "{% $string($states.input) %}"}
    result = cloud.run(cloud.machine({"Get": missing, "Give up": give_up}))
    assert (result["status"], result["error"]) == ("FAILED", "WrappedDynamoDb.ResourceNotFoundException")
    assert json.loads(result["cause"])["cause"]


def test_the_context_says_what_runs(cloud: Cloud) -> None:
    context = "$states.context"
    fields = [
        "Execution.Id",
        "Execution.Name",
        "Execution.Input",
        "StateMachine.Id",
        "StateMachine.Name",
        "State.Name",
    ]
    output = {field: f"{{% {context}.{field} %}}" for field in fields}
    output["started"] = f"{{% $toMillis({context}.Execution.StartTime) > 0 %}}"
    machine = cloud.machine({"Tell": {"Type": "Pass", "Output": output, "End": True}})
    execution = cloud.start(machine, {"n": 1})
    told = json.loads(cloud.ended(execution)["output"])
    assert told["Execution.Id"] == execution
    assert told["Execution.Name"] == execution.rsplit(":", 1)[-1]
    assert told["Execution.Input"] == {"n": 1}
    assert (told["StateMachine.Id"], told["State.Name"], told["started"]) == (machine, "Tell", True)


def test_a_wait_may_be_an_expression(cloud: Cloud) -> None:
    states = {
        "Pause": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "Assign": {"w": 1}, "Next": "Tell"},
        "Tell": {"Type": "Succeed", "Output": "{% $w %}"},
    }
    assert cloud.run(cloud.machine(states), {"s": 0})["output"] == 1


def test_a_delay_is_cut_at_its_maximum(cloud: Cloud) -> None:
    retry = [
        {
            "ErrorEquals": ["States.ALL"],
            "IntervalSeconds": 60,
            "MaxDelaySeconds": 1,
            "MaxAttempts": 2,
            "JitterStrategy": "FULL",
        }
    ]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
        "Arguments": {
            "TableName": "none",
            "Key": {"id": {"S": "{% $string($states.context.State.RetryCount) %}"}},
        },
        "Retry": retry,
        "End": True,
    }
    execution = cloud.start(cloud.machine({"Get": task}))
    assert cloud.ended(execution)["error"] == "DynamoDb.ResourceNotFoundException"
    history = cloud.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in history].count("TaskScheduled") == 3


def test_too_much_output_ends_the_run_and_no_catch_sees_it(cloud: Cloud) -> None:
    grow = {
        "Type": "Parallel",
        "Branches": [
            {
                "StartAt": "Grow",
                "States": {"Grow": {"Type": "Pass", "Output": "{% $pad('', 300000, 'x') %}", "End": True}},
            }
        ],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "After"}],
        "Next": "After",
    }
    result = cloud.run(cloud.machine({"Grow all": grow, "After": {"Type": "Succeed"}}))
    assert (result["status"], result["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_an_expression_without_a_result_fails_the_state(cloud: Cloud) -> None:
    result = cloud.run(
        cloud.machine({"Ask": {"Type": "Pass", "Output": "{% $states.input.none %}", "End": True}})
    )
    assert (result["status"], result["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_services_are_called_directly(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    cloud.rule({"source": ["tidegate.test"]}, arn)
    entry = {
        "Source": "tidegate.test",
        "DetailType": "Deployment Started",
        "Detail": {"system": "{% $states.input.system %}"},
        "EventBusName": "default",
    }
    states = {
        "Tell": {
            "Type": "Task",
            "Resource": "arn:aws:states:::events:putEvents",
            "Arguments": {"Entries": [entry]},
            "Next": "List",
        },
        "List": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:ecs:listClusters",
            "Arguments": {},
            "Output": "{% $type($states.result.ClusterArns) %}",
            "End": True,
        },
    }
    assert cloud.run(cloud.machine(states), {"system": "shop"})["output"] == "array"
    assert cloud.message(url)["body"]["detail"] == {"system": "shop"}
