"""Who may call whom follows from the definitions and the targets, so it is derived from them: no more, no less.

The emulator does not enforce these roles and policies, which is why nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.template.loading import Change, Json, Stack, referred
from tests.template.policies import Permission, as_list, canonical, machine_roles, permissions
from tests.template.test_policies import FROM_OUTSIDE
from tests.template.walking import RUN, called, flow_of, runners, tasks

Rule = Callable[[Stack], list[str]]
_ARN = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
# startExecution.sync:2, https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
NESTED_RUN = ("states:DescribeExecution", "states:StopExecution")
NESTED_RULE = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
LOGGING = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
# https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html
TRACING = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)


def derived(stack: Stack, machine: str, role: str) -> set[Permission]:
    properties = stack.resources[machine]["Properties"]
    defined = properties["DefinitionSubstitutions"]
    needed: set[Permission] = set()
    for flow in flow_of(machine, stack.machines[machine]).all():
        for _, state in tasks(flow):
            target = defined[called(state)]
            if state["Resource"] != RUN:
                needed.add(Permission(role, "lambda:InvokeFunction", canonical(target)))
                if suffix := runners(state):
                    theirs = f"function:${{AWS::StackName}}-runner-*{suffix}"
                    resource = canonical({"Fn::Sub": _ARN % ("lambda", theirs)})
                    needed.add(Permission(role, "lambda:InvokeFunction", resource))
                continue
            name = stack.resources[stack.target(target) or ""]["Properties"]["StateMachineName"]["Fn::Sub"]
            executions = canonical({"Fn::Sub": _ARN % ("states", f"execution:{name}:*")})
            rule = "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
            needed.add(Permission(role, "states:StartExecution", canonical(target)))
            needed |= {Permission(role, action, executions) for action in NESTED_RUN}
            needed |= {
                Permission(role, action, canonical({"Fn::Sub": _ARN % ("events", rule)}))
                for action in NESTED_RULE
            }
    if properties.get("LoggingConfiguration"):
        needed |= {Permission(role, action, '"*"') for action in LOGGING}
    if properties.get("TracingConfiguration", {}).get("Enabled"):
        needed |= {Permission(role, action, '"*"') for action in TRACING}
    return needed


def a_machine_may_do_what_its_states_do(stack: Stack) -> list[str]:
    wrong = []
    for role, machines in machine_roles(stack).items():
        needed = set().union(*(derived(stack, machine, role) for machine in machines))
        given = permissions(stack, role)
        wrong += [f"{role} lacks {entry.action} on {entry.resource}" for entry in needed - given]
        wrong += [f"{role} needs no {entry.action} on {entry.resource}" for entry in given - needed]
    return wrong


def each_machine_has_a_role_that_only_it_may_take(stack: Stack) -> list[str]:
    wrong = []
    for role, machines in machine_roles(stack).items():
        if len(machines) != 1:
            wrong.append(f"{role} serves {machines}")
        name = stack.resources[machines[0]]["Properties"]["StateMachineName"]["Fn::Sub"]
        source = {"Fn::Sub": _ARN % ("states", f"stateMachine:{name}")}
        (trust,) = stack.resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if trust["Principal"] != {"Service": "states.amazonaws.com"} or trust.get("Condition") != {
            "ArnLike": {"aws:SourceArn": source}
        }:
            wrong.append(f"{role} may be taken by {trust['Principal']} if {trust.get('Condition')}")
    return wrong


def _targets(stack: Stack, type_: str) -> set[tuple[str, str]]:
    """(rule, target) for the targets of a type."""
    return {
        (rule, referred(target["Arn"]) or "")
        for rule, properties in stack.of_type("AWS::Events::Rule").items()
        for target in properties["Targets"]
        if stack.resources[referred(target["Arn"]) or ""]["Type"] == type_
    }


def a_rule_may_call_its_function_and_nobody_else_may(stack: Stack) -> list[str]:
    allowed = set()
    wrong = []
    for name, permission in stack.of_type("AWS::Lambda::Permission").items():
        if name in FROM_OUTSIDE:
            continue
        if (permission["Principal"], permission["Action"]) != (
            "events.amazonaws.com",
            "lambda:InvokeFunction",
        ):
            wrong.append(f"{name} lets {permission['Principal']} {permission['Action']}")
        allowed.add((referred(permission.get("SourceArn")) or "", referred(permission["FunctionName"]) or ""))
    return wrong + [str(pair) for pair in allowed ^ _targets(stack, "AWS::Lambda::Function")]


def _allowed_rules(stack: Stack, type_: str, key: str, action: str) -> set[tuple[str, str]]:
    """(rule, resource) as the policies of queues or topics allow EventBridge to write there."""
    allowed = set()
    for policy in stack.of_type(type_).values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "events.amazonaws.com"} or statement["Action"] != action:
                continue
            sources = as_list(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
            for resource in policy[key]:
                if referred(statement["Resource"]) == referred(resource):
                    allowed |= {(referred(source) or "", referred(resource) or "") for source in sources}
    return allowed


def a_rule_may_publish_to_its_topic_and_no_other(stack: Stack) -> list[str]:
    allowed = _allowed_rules(stack, "AWS::SNS::TopicPolicy", "Topics", "sns:Publish")
    return [str(pair) for pair in allowed ^ _targets(stack, "AWS::SNS::Topic")]


def each_target_has_a_dead_letter_queue_that_takes_its_letters(stack: Stack) -> list[str]:
    wrong, needed = [], set()
    for rule, properties in stack.of_type("AWS::Events::Rule").items():
        for target in properties["Targets"]:
            queue = referred(target.get("DeadLetterConfig", {}).get("Arn"))
            needed.add((rule, queue or ""))
            if "RetryPolicy" not in target:
                wrong.append(f"{rule} is not told how long to try")
    allowed = _allowed_rules(stack, "AWS::SQS::QueuePolicy", "Queues", "sqs:SendMessage")
    return wrong + [str(pair) for pair in allowed ^ needed]


def what_is_invoked_by_events_says_where_failures_go(stack: Stack) -> list[str]:
    """A queue that the function may write to; or no retry and an alarm on errors, where the event says nothing."""
    wrong = []
    configured = {
        referred(config["FunctionName"]): config
        for config in stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    }
    for _, function in _targets(stack, "AWS::Lambda::Function"):
        config = configured.get(function, {})
        queue = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        role = referred(stack.resources[function]["Properties"]["Role"]) or ""
        may = Permission(role, "sqs:SendMessage", canonical(queue)) in permissions(stack, role)
        alarms = [
            alarm
            for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
            if alarm["MetricName"] == "Errors" and referred(alarm["Dimensions"][0]["Value"]) == function
        ]
        if not (may if queue else alarms and config.get("MaximumRetryAttempts") == 0):
            wrong.append(function)
    return wrong


RULES: list[Rule] = [
    a_machine_may_do_what_its_states_do,
    each_machine_has_a_role_that_only_it_may_take,
    a_rule_may_call_its_function_and_nobody_else_may,
    a_rule_may_publish_to_its_topic_and_no_other,
    each_target_has_a_dead_letter_queue_that_takes_its_letters,
    what_is_invoked_by_events_says_where_failures_go,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule, stack: Stack) -> None:
    assert rule(stack) == []


def properties(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda written, _: change(written["Resources"][name]["Properties"])


def statement(name: str, number: int, change: Callable[[Json], object]) -> Change:
    return properties(name, lambda p: change(p["Policies"][0]["PolicyDocument"]["Statement"][number]))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (a_machine_may_do_what_its_states_do, statement("DeployRole", 0, lambda s: s["Resource"].pop())),
        (
            a_machine_may_do_what_its_states_do,
            statement(
                "RollRole", 0, lambda s: s["Resource"].append({"Fn::GetAtt": ["SweepFunction", "Arn"]})
            ),
        ),
        (a_machine_may_do_what_its_states_do, statement("RollRole", 0, lambda s: s["Resource"].pop())),
        (
            a_machine_may_do_what_its_states_do,
            lambda _, m: m["RollMachine"]["States"]["CheckSmoke"]["Arguments"].update(
                FunctionName="${SmokeArn}"
            ),
        ),
        (a_machine_may_do_what_its_states_do, statement("RollbackRole", 2, lambda s: s["Action"].pop())),
        (a_machine_may_do_what_its_states_do, statement("RollbackRole", 3, lambda s: s.update(Resource="*"))),
        (
            each_machine_has_a_role_that_only_it_may_take,
            properties("RollMachine", lambda p: p.update(Role={"Fn::GetAtt": ["DeployRole", "Arn"]})),
        ),
        (
            each_machine_has_a_role_that_only_it_may_take,
            properties("RollRole", lambda p: p["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition")),
        ),
        (
            a_rule_may_call_its_function_and_nobody_else_may,
            lambda t, _: t["Resources"].update(
                Extra={
                    "Type": "AWS::Lambda::Permission",
                    "Properties": {
                        "Action": "lambda:InvokeFunction",
                        "Principal": "events.amazonaws.com",
                        "FunctionName": {"Ref": "LockFunction"},
                    },
                }
            ),
        ),
        (
            a_rule_may_publish_to_its_topic_and_no_other,
            properties("InfoTopicPolicy", lambda p: p["PolicyDocument"]["Statement"].pop()),
        ),
        (
            a_rule_may_publish_to_its_topic_and_no_other,
            properties("InfoRule", lambda p: p["Targets"][0].update(Arn={"Ref": "WarningTopic"})),
        ),
        (
            each_target_has_a_dead_letter_queue_that_takes_its_letters,
            properties("InfoRule", lambda p: p["Targets"][0].pop("DeadLetterConfig")),
        ),
        (
            each_target_has_a_dead_letter_queue_that_takes_its_letters,
            properties("WakeFunction", lambda p: p["Events"]["EcsTask"]["Properties"].pop("RetryPolicy")),
        ),
        (
            each_target_has_a_dead_letter_queue_that_takes_its_letters,
            properties(
                "WakeDeadLettersPolicy",
                lambda p: p["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"][
                    "aws:SourceArn"
                ].pop(),
            ),
        ),
        (
            what_is_invoked_by_events_says_where_failures_go,
            properties("WakeFunction", lambda p: p["EventInvokeConfig"].pop("DestinationConfig")),
        ),
        (
            what_is_invoked_by_events_says_where_failures_go,
            properties("SweepFunction", lambda p: p["EventInvokeConfig"].update(MaximumRetryAttempts=2)),
        ),
    ],
)
def test_the_rule_can_fail(rule: Rule, change: Change, stack: Stack) -> None:
    assert rule(stack.changed(change)) != []
