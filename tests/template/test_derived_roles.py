"""Who may call whom follows from the definitions and the targets, so it is derived from them: no more, no less.

The emulator does not enforce these roles and policies, which is why nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import pytest
from tidegate.adapters.scheduler import Target, role_of
from tidegate.domain.deployment import Machine

from tests.template.loading import Change, Json, Stack, referred
from tests.template.policies import Permission, as_list, canonical, function_roles, machine_roles, permissions
from tests.template.test_policies import FROM_OUTSIDE
from tests.template.walking import RUN, called, flow_of, runners, tasks

Rule = Callable[[Stack], list[str]]
_ARN = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
_MACHINE = "stateMachine:%s"
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


def whoever_looks_at_the_owner_of_a_lock_may(stack: Stack) -> list[str]:
    """An environment is changed by the machines of the deployments alone: who may describe, or recover, a run of one
    may of each."""
    wrong = []
    for role in function_roles(stack):
        given = permissions(stack, role)
        for action, part in (
            ("states:DescribeExecution", "execution:%s:*"),
            ("states:StartExecution", _MACHINE),
        ):
            each = {
                Permission(
                    role,
                    action,
                    canonical({"Fn::Sub": _ARN % ("states", part % f"${{AWS::StackName}}-{one}")}),
                )
                for one in Machine
            }
            whole = action == "states:DescribeExecution" or role == "SweepRole"
            if whole and each & given:
                wrong += [f"{role} lacks {action} on {entry.resource}" for entry in sorted(each - given)]
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


def an_alarm_may_publish_to_its_topic(stack: Stack) -> list[str]:
    """Each topic that an alarm names lets CloudWatch in for the alarms of this stack: else nobody hears it ring."""
    wrong = []
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for topic in alarm.get("AlarmActions", []):
            sources = _of_alarms(stack, referred(topic) or "")
            if not any(fnmatch(alarm["AlarmName"]["Fn::Sub"], source) for source in sources):
                wrong.append(f"{name} may not publish to {referred(topic)}")
    return wrong


def _of_alarms(stack: Stack, topic: str) -> set[str]:
    """Names of alarms, or patterns, that the topic's policy lets publish."""
    found = set()
    for policy in stack.of_type("AWS::SNS::TopicPolicy").values():
        for one in policy["PolicyDocument"]["Statement"]:
            if (
                one["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
                and one["Action"] == "sns:Publish"
                and referred(one["Resource"]) == topic
                and topic in {referred(named) for named in policy["Topics"]}
            ):
                (test,) = one["Condition"].values()
                found.add(test["aws:SourceArn"]["Fn::Sub"].removeprefix(_ARN % ("cloudwatch", "alarm:")))
    return found


# The schedules themselves are made by `tidegate apply` (adapters/scheduler.py), in the group of the stack's name; what
# they name has to be what the template makes.
_GROUP = {"Ref": "AWS::StackName"}
_SCHEDULES = "RotationScheduleRole"


def only_schedules_of_our_group_take_their_role(stack: Stack) -> list[str]:
    """The source is the group, never a schedule or a prefix (Scheduler user guide, "Confused deputy prevention")."""
    (group,) = stack.of_type("AWS::Scheduler::ScheduleGroup").values()
    trust = stack.resources[_SCHEDULES]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    wanted = {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {
                "aws:SourceArn": {"Fn::Sub": _ARN % ("scheduler", "schedule-group/${AWS::StackName}")}
            },
        },
    }
    wrong = [] if group.get("Name") == _GROUP else [f"the group is called {group.get('Name')}"]
    return wrong if trust == [wanted] else [*wrong, f"{_SCHEDULES} may be taken by {trust}"]


def a_schedule_may_start_a_rotation_and_say_that_it_could_not(stack: Stack) -> list[str]:
    """Under its role it also writes to its dead-letter queue (user guide, "Configuring a dead-letter queue"), which so
    needs no policy of its own."""
    needed = {
        Permission(_SCHEDULES, "states:StartExecution", canonical({"Ref": "RotateMachine"})),
        Permission(_SCHEDULES, "sqs:SendMessage", canonical({"Fn::GetAtt": ["RotationDeadLetters", "Arn"]})),
    }
    return [str(entry) for entry in sorted(needed ^ permissions(stack, _SCHEDULES))]


class _Outputs:
    """CloudFormation, as far as it is asked: an output's value is what the template says there, as JSON."""

    def __init__(self, written: Json) -> None:
        self._given = {name: canonical(output["Value"]) for name, output in written.items()}

    def describe_stacks(self, StackName: str) -> Json:  # noqa: N803 - boto3's name
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self._given.items()]
        return {"Stacks": [{"StackName": StackName, "Outputs": outputs}]}


def a_schedule_names_what_is_there(stack: Stack) -> list[str]:
    """As `tidegate apply` makes it, of the stack's name and its outputs."""
    role = role_of(_Outputs(stack.written["Outputs"]), "tidegate")
    target = Target.of("${AWS::StackName}", "${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}", role)
    machine = stack.resources["RotateMachine"]["Properties"]["StateMachineName"]["Fn::Sub"]
    queue = stack.resources["RotationDeadLetters"]["Properties"]["QueueName"]["Fn::Sub"]
    named = {
        target.machine: _ARN % ("states", f"stateMachine:{machine}"),
        target.dead_letters: _ARN % ("sqs", queue),
        target.role: canonical({"Fn::GetAtt": [_SCHEDULES, "Arn"]}),
    }
    return [f"{found} is not {there}" for found, there in named.items() if found != there]


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
    whoever_looks_at_the_owner_of_a_lock_may,
    a_rule_may_call_its_function_and_nobody_else_may,
    a_rule_may_publish_to_its_topic_and_no_other,
    each_target_has_a_dead_letter_queue_that_takes_its_letters,
    what_is_invoked_by_events_says_where_failures_go,
    an_alarm_may_publish_to_its_topic,
    only_schedules_of_our_group_take_their_role,
    a_schedule_may_start_a_rotation_and_say_that_it_could_not,
    a_schedule_names_what_is_there,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule, stack: Stack) -> None:
    assert rule(stack) == []


def properties(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda written, _: change(written["Resources"][name]["Properties"])


def statement(name: str, number: int, change: Callable[[Json], object]) -> Change:
    return properties(name, lambda p: change(p["Policies"][0]["PolicyDocument"]["Statement"][number]))


def _not_of_rotations(document: Json, part: str = "execution:%s:*") -> None:
    gone = {"Fn::Sub": _ARN % ("states", part % "${AWS::StackName}-rotate")}
    for one in document["Statement"]:
        if gone in as_list(one["Resource"]):
            one["Resource"].remove(gone)


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
        *[
            (
                whoever_looks_at_the_owner_of_a_lock_may,
                properties(role, lambda p: _not_of_rotations(p["Policies"][0]["PolicyDocument"])),
            )
            for role in ("LockRole", "RecordRole", "SweepRole", "ControlRole")
        ],
        (
            whoever_looks_at_the_owner_of_a_lock_may,
            properties(
                "SweepRole", lambda p: _not_of_rotations(p["Policies"][0]["PolicyDocument"], _MACHINE)
            ),
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
            a_schedule_names_what_is_there,
            lambda t, _: t["Outputs"]["RotationScheduleRoleArn"].update(
                Value={"Fn::GetAtt": ["RotateRole", "Arn"]}
            ),
        ),
        (
            what_is_invoked_by_events_says_where_failures_go,
            properties("WakeFunction", lambda p: p["EventInvokeConfig"].pop("DestinationConfig")),
        ),
        (
            an_alarm_may_publish_to_its_topic,
            properties("WarningTopicPolicy", lambda p: p["PolicyDocument"]["Statement"].pop()),
        ),
        (
            an_alarm_may_publish_to_its_topic,
            properties("FailedDirtyAlarm", lambda p: p.update(AlarmActions=[{"Ref": "WarningTopic"}])),
        ),
        (
            only_schedules_of_our_group_take_their_role,
            properties("RotationSchedules", lambda p: p.update(Name="default")),
        ),
        (
            only_schedules_of_our_group_take_their_role,
            properties(
                "RotationScheduleRole",
                lambda p: p["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
            ),
        ),
        (
            only_schedules_of_our_group_take_their_role,
            properties(
                "RotationScheduleRole",
                lambda p: p["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"].update(
                    {"aws:SourceArn": {"Fn::Sub": _ARN % ("scheduler", "schedule/${AWS::StackName}/*")}}
                ),
            ),
        ),
        (
            a_schedule_may_start_a_rotation_and_say_that_it_could_not,
            statement("RotationScheduleRole", 0, lambda s: s.update(Resource={"Ref": "DeployMachine"})),
        ),
        (
            a_schedule_may_start_a_rotation_and_say_that_it_could_not,
            properties(
                "RotationScheduleRole", lambda p: p["Policies"][0]["PolicyDocument"]["Statement"].pop()
            ),
        ),
        (
            a_schedule_names_what_is_there,
            properties(
                "RotationDeadLetters", lambda p: p.update(QueueName={"Fn::Sub": "${AWS::StackName}-dead"})
            ),
        ),
        (
            what_is_invoked_by_events_says_where_failures_go,
            properties("SweepFunction", lambda p: p["EventInvokeConfig"].update(MaximumRetryAttempts=2)),
        ),
    ],
)
def test_the_rule_can_fail(rule: Rule, change: Change, stack: Stack) -> None:
    assert rule(stack.changed(change)) != []
