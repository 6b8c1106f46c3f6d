"""What is kept, for how long and how safely, and who is told when something was not delivered."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from typing import Any

import pytest
from tidegate.domain.migration import LONGEST_BESIDE, LONGEST_SNAPSHOT
from tidegate.domain.smoke import LONGEST_WITHIN
from tidegate.runtime.observability import ALARMED, NAMESPACE
from tidegate.runtime.settings import Settings
from tidegate.steps.taking_over import LONGEST_FUNCTION, LONGEST_ROTATION

from tests.template.loading import Change, Stack, referred
from tests.template.policies import permissions
from tests.template.walking import RUN, called, flow_of, reachable, tasks

Rule = Callable[[Stack], list[str]]
# How Lambda puts a function into a VPC (AWS managed policy AWSLambdaVPCAccessExecutionRole).
NETWORK = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
FOURTEEN_DAYS = 14 * 24 * 3600
RETENTION = {"Ref": "LogRetentionDays"}


def tables_survive(stack: Stack) -> list[str]:
    wrong = []
    for name, table in stack.of_type("AWS::DynamoDB::Table").items():
        resource = stack.resources[name]
        kept = (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")) == ("Retain", "Retain")
        back = table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is True
        protected = table.get("DeletionProtectionEnabled") == {"Ref": "DeletionProtection"}
        # Always encrypted: the template has to say under whose key.
        encrypted = "SSESpecification" in table
        if not (kept and back and protected and encrypted):
            wrong.append(name)
    return wrong


def the_table_is_what_the_store_expects(stack: Stack) -> list[str]:
    (table,) = stack.of_type("AWS::DynamoDB::Table").values()
    keys = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]
    (index,) = table["GlobalSecondaryIndexes"]
    index_keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
    found = {
        "name": table["TableName"] == {"Ref": "AWS::StackName"},
        "keys": keys == [("pk", "HASH"), ("sk", "RANGE")],
        "index": (index["IndexName"], index_keys) == ("by_time", [("kind", "HASH"), ("at", "RANGE")]),
        "projection": index["Projection"] == {"ProjectionType": "ALL"},
        "ttl": table.get("TimeToLiveSpecification") == {"AttributeName": "ttl", "Enabled": True},
        "billing": table["BillingMode"] == "PAY_PER_REQUEST",
    }
    return [name for name, right in found.items() if not right]


def queues_keep_letters_for_two_weeks_and_encrypted(stack: Stack) -> list[str]:
    return [
        name
        for name, queue in stack.of_type("AWS::SQS::Queue").items()
        if queue.get("MessageRetentionPeriod") != FOURTEEN_DAYS
        or queue.get("SqsManagedSseEnabled") is not True
    ]


def every_queue_has_an_alarm(stack: Stack) -> list[str]:
    watched = {
        referred(dimension["Value"])
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        for dimension in alarm["Dimensions"]
    }
    return sorted(stack.of_type("AWS::SQS::Queue").keys() - watched)


def topics_are_encrypted_unless_told_otherwise(stack: Stack) -> list[str]:
    wanted = {"Fn::If": ["TopicsAreEncrypted", {"Ref": "TopicsKey"}, {"Ref": "AWS::NoValue"}]}
    wrong = [
        name
        for name, topic in stack.of_type("AWS::SNS::Topic").items()
        if topic.get("KmsMasterKeyId") != wanted
    ]
    if stack.written["Parameters"]["EncryptTopics"]["Default"] != "true":
        wrong.append("EncryptTopics is off by default")
    return wrong


def those_who_publish_may_use_the_topics_key(stack: Stack) -> list[str]:
    """A key that a publisher may not use swallows its messages: nobody would be told, and nobody told of that.

    For EventBridge a condition on the source of the call is never met (SNS developer guide, "Managing Amazon SNS
    encryption keys").
    """
    publishers = set()
    for policy in stack.of_type("AWS::SNS::TopicPolicy").values():
        publishers |= {s["Principal"]["Service"] for s in policy["PolicyDocument"]["Statement"]}
    allowed, wrong = set(), []
    for key in stack.of_type("AWS::KMS::Key").values():
        for statement in key["KeyPolicy"]["Statement"]:
            service = statement["Principal"].get("Service")
            if service and {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(statement["Action"]):
                allowed.add(service)
                conditions = {name for test in statement.get("Condition", {}).values() for name in test}
                if not conditions:
                    wrong.append(f"{service} may use it for anybody")
                if service == "events.amazonaws.com" and any("aws:Source" in name for name in conditions):
                    wrong.append(f"{service} cannot meet {sorted(conditions)}")
    return wrong + sorted(publishers - allowed)


def there_is_a_topic_for_each_severity(stack: Stack) -> list[str]:
    heard = {
        severity: referred(rule["Targets"][0]["Arn"])
        for rule in stack.of_type("AWS::Events::Rule").values()
        if rule.get("EventPattern", {}).get("source") == ["tidegate"]
        for severity in rule["EventPattern"]["detail"]["severity"]
    }
    wanted = {"critical": "CriticalTopic", "warning": "WarningTopic", "info": "InfoTopic"}
    return [
        f"{severity}: {heard.get(severity)}" for severity in wanted if heard.get(severity) != wanted[severity]
    ]


def log_groups_forget(stack: Stack) -> list[str]:
    groups = stack.of_type("AWS::Logs::LogGroup")
    return [name for name, group in groups.items() if group.get("RetentionInDays") != RETENTION]


def everything_that_logs_has_a_group_of_the_template(stack: Stack) -> list[str]:
    """Else Lambda would make one that keeps everything for ever."""
    wrong = []
    groups = stack.of_type("AWS::Logs::LogGroup")
    for name, function in stack.functions().items():
        group = groups.get(referred(function.get("LoggingConfig", {}).get("LogGroup")) or "", {})
        wanted = "/aws/lambda/" + function["FunctionName"]["Fn::Sub"]
        if group.get("LogGroupName", {}).get("Fn::Sub") != wanted:
            wrong.append(name)
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine").items():
        logging = machine.get("LoggingConfiguration", {})
        (target,) = logging.get("Destinations", [{"CloudWatchLogsLogGroup": {}}])
        group = groups.get(referred(target["CloudWatchLogsLogGroup"].get("LogGroupArn")) or "", {})
        wanted = "/aws/vendedlogs/states/" + machine["StateMachineName"]["Fn::Sub"]
        if (
            group.get("LogGroupName", {}).get("Fn::Sub") != wanted
            or logging.get("IncludeExecutionData") is not False
        ):
            wrong.append(name)
    return wrong


# What is late by days is nobody's to mend at night.
IN_THE_MORNING = {"RotationOverdueAlarm"}


def every_alarm_reaches_somebody(stack: Stack) -> list[str]:
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    wrong = [
        name
        for name, alarm in alarms.items()
        if alarm.get("AlarmActions")
        != [{"Ref": "WarningTopic" if name in IN_THE_MORNING else "CriticalTopic"}]
        or "TreatMissingData" not in alarm
    ]
    return wrong + sorted(IN_THE_MORNING - alarms.keys())


def what_is_counted_once_an_hour_rings_until_it_is_counted_again(stack: Stack) -> list[str]:
    """Where nothing counts as good, an alarm falls silent between two counts, and rings anew with each."""
    alarm = stack.of_type("AWS::CloudWatch::Alarm").get("RotationOverdueAlarm", {})
    kept = (alarm.get("Statistic"), alarm.get("Period"), alarm.get("TreatMissingData"))
    return [] if kept == ("Maximum", 3600, "ignore") else [str(kept)]


def every_alarm_of_ours_watches_what_is_counted(stack: Stack) -> list[str]:
    ours = {
        alarm["MetricName"]: alarm["Dimensions"]
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == NAMESPACE
    }
    wanted = [{"Name": "stack", "Value": {"Ref": "AWS::StackName"}}]
    return [name for name in ours.keys() | ALARMED if ours.get(name) != wanted or name not in ALARMED]


def the_sweep_is_watched(stack: Stack) -> list[str]:
    watched = {
        alarm["MetricName"]: alarm["TreatMissingData"]
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        if referred(alarm["Dimensions"][0]["Value"]) == "SweepFunction"
    }
    wrong = [] if "Errors" in watched else ["nobody hears of its errors"]
    return wrong if watched.get("Invocations") == "breaching" else [*wrong, "nobody hears of its absence"]


def a_takeover_waits_for_the_longest_function(stack: Stack) -> list[str]:
    """But not for one that only asks: whatever it still does changes nothing. Nor for one whose statements the machine
    that takes over ends in the database. For `rotate_secret`, of a rotation, it waits longer."""
    longest = int(LONGEST_FUNCTION.total_seconds())
    of_a_rotation = int(LONGEST_ROTATION.total_seconds())
    return [
        name
        for name, function in stack.functions().items()
        if function["Timeout"] > (of_a_rotation if name == "RotateSecretFunction" else longest)
        and not _only_asks(stack, referred(function["Role"]) or "")
        and not (name == "MigrateSqlFunction" and _a_takeover_ends_its_statements(stack))
    ]


# What `migrate_sql` logs in with, and where its files are: nothing of it changes anything in AWS.
_READS = {"secretsmanager:GetSecretValue", "kms:Decrypt", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}


def _only_asks(stack: Stack, role: str, also: Set[str] = frozenset()) -> bool:
    """It has no right but to write its log and traces, to be in a VPC, and `also`."""
    actions = {entry.action for entry in permissions(stack, role)}
    return all(action.startswith(("logs:", "xray:")) or action in NETWORK | also for action in actions)


def _a_takeover_ends_its_statements(stack: Stack) -> bool:
    """Behind TakeOverLock comes EndMigration, which runs `migrate` with `stop`; there comes TerminateBackends."""
    deploy, migrate = stack.machines["DeployMachine"]["States"], stack.machines["MigrateMachine"]["States"]
    ended = deploy.get("EndMigration", {}).get("Arguments", {}).get("Input", {}).get("stop") is True
    stopped = [c["Next"] for c in migrate["Prepared?"]["Choices"] if "$outcome = 'Stop'" in c["Condition"]]
    return (
        ended
        and "EndMigration" in reachable(deploy, "TakeOverLock")
        and any("TerminateBackends" in reachable(migrate, name) for name in stopped)
        and _only_asks(stack, "MigrateSqlRole", _READS)
    )


def only_a_rotation_calls_what_its_takeover_waits_for(stack: Stack) -> list[str]:
    """A takeover waits for LONGEST_ROTATION after the execution of a rotation, and after no other."""
    wrong = []
    for machine, definition in stack.machines.items():
        defined = stack.resources[machine]["Properties"]["DefinitionSubstitutions"]
        called_ = {
            referred(defined.get(called(s))) for f in flow_of(machine, definition).all() for _, s in tasks(f)
        }
        if "RotateSecretFunction" in called_ and machine != "RotateMachine":
            wrong.append(machine)
    return wrong


# A paused Aurora cluster wakes in some 15 s, in 30 s and more when it has slept for a day (Aurora user guide, "Scaling
# to Zero ACUs with automatic pause and resume"). A rotation function with Lambda's 3 s, or the 30 s of most templates,
# is killed in the middle of a login, and every time again.
LEAST_FOR_A_LOGIN = 60


def a_rotation_has_time_for_a_database_that_wakes(stack: Stack) -> list[str]:
    seconds = stack.functions()["RotateSecretFunction"].get("Timeout", 3)
    return [] if seconds >= LEAST_FOR_A_LOGIN else [f"{seconds} s"]


def a_task_outlasts_its_function(stack: Stack) -> list[str]:
    """Else the machine would try again, or clean up, beside a function that still runs."""
    wrong = []
    for machine, definition in stack.machines.items():
        defined = stack.resources[machine]["Properties"]["DefinitionSubstitutions"]
        for flow in flow_of(machine, definition).all():
            for name, state in tasks(flow):
                function = stack.functions().get(referred(defined.get(called(state))) or "")
                seconds = state["TimeoutSeconds"]
                if function is not None and isinstance(seconds, int) and seconds <= function["Timeout"]:
                    wrong.append(f"{flow.path}/{name}")
    return wrong


def a_smoke_check_has_the_time_that_a_manifest_may_give_it(stack: Stack) -> list[str]:
    """The longest one ends in its function, and its Task outlasts it; so does the Task that runs the whole roll."""
    wrong = [] if stack.functions()["SmokeFunction"]["Timeout"] >= LONGEST_WITHIN else ["SmokeFunction"]
    states = stack.machines["RollMachine"]["States"]
    given = re.fullmatch(r"\{% \$smoke\.within \+ (\d+) %\}", str(states["CheckSmoke"]["TimeoutSeconds"]))
    if given is None or int(given[1]) < 60:
        wrong.append("RollMachine/CheckSmoke")
    behind = LONGEST_WITHIN + 60 + states["ReportFailure"]["TimeoutSeconds"]
    for machine, definition in stack.machines.items():
        for flow in flow_of(machine, definition).all():
            for name, state in tasks(flow):
                if state["Resource"] != RUN or called(state) != "RollMachineArn":
                    continue
                more = re.fullmatch(
                    r"\{% \$\{RolloutTimeoutSeconds\} \+ (\d+) %\}", str(state["TimeoutSeconds"])
                )
                if more is None or int(more[1]) <= behind:
                    wrong.append(f"{flow.path}/{name}")
    return wrong


def a_migration_has_the_time_that_its_plan_says(stack: Stack) -> list[str]:
    """Its Task in `deploy` outlasts it, whatever it comes to: else it would be given up while it still ends its task.
    Without the time of the manifest, that is what the plan adds to it."""
    states = stack.machines["MigrateMachine"]["States"]
    bounded = ("Prepare", "CheckDatabase", "StopTask", "TerminateBackends", "RecordFailure")
    needed = sum(states[name]["TimeoutSeconds"] for name in bounded)
    wrong = [] if needed <= LONGEST_BESIDE else [f"{LONGEST_BESIDE} s, but {needed} s may be needed"]
    if states["AwaitSnapshot"]["TimeoutSeconds"] > LONGEST_SNAPSHOT:
        wrong.append("MigrateMachine/AwaitSnapshot")
    deploy = stack.machines["DeployMachine"]["States"]
    if deploy["Migrate"]["TimeoutSeconds"] != "{% $migration %}":
        wrong.append("DeployMachine/Migrate")
    if deploy["EndMigration"]["TimeoutSeconds"] < needed:
        wrong.append("DeployMachine/EndMigration")
    return wrong


def functions_are_told_what_they_ask_for(stack: Stack) -> list[str]:
    """And no more: Lambda keeps nothing secret in its variables."""
    wrong = []
    of_their_own = {"WebhookFunction": {"TIDEGATE_GITHUB_SECRET"}}  # the secret's ARN
    for name, function in stack.functions().items():
        variables = function["Environment"]["Variables"]
        given = {key: f"any-{key.lower()}" for key in variables}
        settings = Settings.from_environment({**given, "AWS_REGION": "us-east-1"})
        wanted = {"TIDEGATE_TABLE", "TIDEGATE_STACK"} | of_their_own.get(name, set())
        if variables.keys() != wanted or settings.stack != "any-tidegate_stack":
            wrong.append(name)
    return wrong


RULES: list[Rule] = [
    tables_survive,
    the_table_is_what_the_store_expects,
    queues_keep_letters_for_two_weeks_and_encrypted,
    every_queue_has_an_alarm,
    topics_are_encrypted_unless_told_otherwise,
    those_who_publish_may_use_the_topics_key,
    there_is_a_topic_for_each_severity,
    log_groups_forget,
    everything_that_logs_has_a_group_of_the_template,
    every_alarm_reaches_somebody,
    what_is_counted_once_an_hour_rings_until_it_is_counted_again,
    every_alarm_of_ours_watches_what_is_counted,
    the_sweep_is_watched,
    a_takeover_waits_for_the_longest_function,
    only_a_rotation_calls_what_its_takeover_waits_for,
    a_rotation_has_time_for_a_database_that_wakes,
    a_task_outlasts_its_function,
    a_smoke_check_has_the_time_that_a_manifest_may_give_it,
    a_migration_has_the_time_that_its_plan_says,
    functions_are_told_what_they_ask_for,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule, stack: Stack) -> None:
    assert rule(stack) == []


def properties(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda written, _: change(written["Resources"][name]["Properties"])


def globals_(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda written, _: change(written["Globals"]["Function"])


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (tables_survive, lambda t, _: t["Resources"]["Table"].pop("DeletionPolicy")),
        (tables_survive, properties("Table", lambda p: p.pop("PointInTimeRecoverySpecification"))),
        (tables_survive, properties("Table", lambda p: p.pop("SSESpecification"))),
        (the_table_is_what_the_store_expects, properties("Table", lambda p: p.update(TableName="tidegate"))),
        (
            the_table_is_what_the_store_expects,
            properties("Table", lambda p: p.pop("TimeToLiveSpecification")),
        ),
        (
            queues_keep_letters_for_two_weeks_and_encrypted,
            properties("WakeFailures", lambda p: p.pop("SqsManagedSseEnabled")),
        ),
        (
            queues_keep_letters_for_two_weeks_and_encrypted,
            properties("WakeFailures", lambda p: p.pop("MessageRetentionPeriod")),
        ),
        (every_queue_has_an_alarm, lambda t, _: t["Resources"].pop("WakeFailuresAlarm")),
        (
            topics_are_encrypted_unless_told_otherwise,
            properties("InfoTopic", lambda p: p.pop("KmsMasterKeyId")),
        ),
        (
            topics_are_encrypted_unless_told_otherwise,
            lambda t, _: t["Parameters"]["EncryptTopics"].update(Default="false"),
        ),
        (
            those_who_publish_may_use_the_topics_key,
            properties("TopicsKey", lambda p: p["KeyPolicy"]["Statement"].pop()),
        ),
        (
            those_who_publish_may_use_the_topics_key,
            properties(
                "TopicsKey",
                lambda p: p["KeyPolicy"]["Statement"][1].update(
                    Condition={"StringEquals": {"aws:SourceAccount": "1"}}
                ),
            ),
        ),
        (there_is_a_topic_for_each_severity, lambda t, _: t["Resources"].pop("WarningRule")),
        (log_groups_forget, properties("LockLogs", lambda p: p.pop("RetentionInDays"))),
        (
            everything_that_logs_has_a_group_of_the_template,
            properties("LockFunction", lambda p: p.pop("LoggingConfig")),
        ),
        (
            everything_that_logs_has_a_group_of_the_template,
            properties("RollMachine", lambda p: p.pop("Logging")),
        ),
        (
            everything_that_logs_has_a_group_of_the_template,
            properties("RollMachine", lambda p: p["Logging"].update(IncludeExecutionData=True)),
        ),
        (
            everything_that_logs_has_a_group_of_the_template,
            properties("RotateMachine", lambda p: p["Logging"].update(IncludeExecutionData=True)),
        ),
        (
            everything_that_logs_has_a_group_of_the_template,
            properties("RotateMachine", lambda p: p["Logging"].pop("IncludeExecutionData")),
        ),
        (every_alarm_reaches_somebody, properties("FailedDirtyAlarm", lambda p: p.pop("AlarmActions"))),
        (
            every_alarm_reaches_somebody,
            properties("FailedDirtyAlarm", lambda p: p.update(AlarmActions=[{"Ref": "WarningTopic"}])),
        ),
        (every_alarm_reaches_somebody, properties("RotationOverdueAlarm", lambda p: p.pop("AlarmActions"))),
        (
            what_is_counted_once_an_hour_rings_until_it_is_counted_again,
            properties("RotationOverdueAlarm", lambda p: p.update(TreatMissingData="notBreaching")),
        ),
        (
            every_alarm_of_ours_watches_what_is_counted,
            properties("FailedDirtyAlarm", lambda p: p.update(MetricName="Other")),
        ),
        (
            every_alarm_of_ours_watches_what_is_counted,
            properties("FailedDirtyAlarm", lambda p: p["Dimensions"][0].update(Name="system")),
        ),
        (the_sweep_is_watched, lambda t, _: t["Resources"].pop("SweepErrorsAlarm")),
        (
            the_sweep_is_watched,
            properties("SweepAbsentAlarm", lambda p: p.update(TreatMissingData="missing")),
        ),
        (a_takeover_waits_for_the_longest_function, globals_(lambda p: p.update(Timeout=31))),
        (
            a_takeover_waits_for_the_longest_function,
            properties("WakeFunction", lambda p: p.update(Timeout=60)),
        ),
        (
            a_takeover_waits_for_the_longest_function,
            properties("RotateSecretFunction", lambda p: p.update(Timeout=121)),
        ),
        (
            only_a_rotation_calls_what_its_takeover_waits_for,
            properties(
                "MigrateMachine",
                lambda p: p["DefinitionSubstitutions"].update(
                    MigrateSqlArn={"Fn::GetAtt": ["RotateSecretFunction", "Arn"]}
                ),
            ),
        ),
        (
            a_rotation_has_time_for_a_database_that_wakes,
            properties("RotateSecretFunction", lambda p: p.update(Timeout=30)),
        ),
        # Then it is that of all functions; and Lambda's own.
        (
            a_rotation_has_time_for_a_database_that_wakes,
            properties("RotateSecretFunction", lambda p: p.pop("Timeout")),
        ),
        (
            a_rotation_has_time_for_a_database_that_wakes,
            lambda t, _: (
                t["Resources"]["RotateSecretFunction"]["Properties"].pop("Timeout"),
                t["Globals"]["Function"].pop("Timeout"),
            ),
        ),
        (
            a_task_outlasts_its_function,
            lambda _, m: m["RotateMachine"]["States"]["Set"].update(TimeoutSeconds=60),
        ),
        (
            a_task_outlasts_its_function,
            lambda _, m: m["DeployMachine"]["States"]["PlanAgain"].update(TimeoutSeconds=30),
        ),
        (
            a_takeover_waits_for_the_longest_function,
            properties(
                "SmokeRole",
                lambda p: p["Policies"][0]["PolicyDocument"]["Statement"].append(
                    {"Effect": "Allow", "Action": "ecs:UpdateService", "Resource": "*"}
                ),
            ),
        ),
        (
            a_smoke_check_has_the_time_that_a_manifest_may_give_it,
            properties("SmokeFunction", lambda p: p.update(Timeout=60)),
        ),
        (
            a_smoke_check_has_the_time_that_a_manifest_may_give_it,
            lambda _, m: m["RollMachine"]["States"]["CheckSmoke"].update(
                TimeoutSeconds="{% $smoke.within %}"
            ),
        ),
        (
            a_smoke_check_has_the_time_that_a_manifest_may_give_it,
            lambda _, m: m["DeployMachine"]["States"]["RollWave"]["ItemProcessor"]["States"][
                "RollService"
            ].update(TimeoutSeconds="{% ${RolloutTimeoutSeconds} + 600 %}"),
        ),
        (
            a_takeover_waits_for_the_longest_function,
            lambda _, m: m["DeployMachine"]["States"]["EndMigration"]["Arguments"]["Input"].pop("stop"),
        ),
        (
            a_takeover_waits_for_the_longest_function,
            lambda _, m: m["MigrateMachine"]["States"]["Prepared?"]["Choices"][0].update(
                Next="RecordFailure"
            ),
        ),
        (
            a_takeover_waits_for_the_longest_function,
            properties(
                "MigrateSqlRole",
                lambda p: p["Policies"][0]["PolicyDocument"]["Statement"].append(
                    {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}
                ),
            ),
        ),
        (
            a_task_outlasts_its_function,
            lambda _, m: m["MigrateMachine"]["States"]["MigrateSql"].update(TimeoutSeconds=900),
        ),
        (
            a_migration_has_the_time_that_its_plan_says,
            lambda _, m: m["MigrateMachine"]["States"]["StopTask"].update(TimeoutSeconds=3000),
        ),
        (
            a_migration_has_the_time_that_its_plan_says,
            lambda _, m: m["MigrateMachine"]["States"]["AwaitSnapshot"].update(TimeoutSeconds=86400),
        ),
        (
            a_migration_has_the_time_that_its_plan_says,
            lambda _, m: m["DeployMachine"]["States"]["Migrate"].update(TimeoutSeconds=3600),
        ),
        (
            a_migration_has_the_time_that_its_plan_says,
            lambda _, m: m["DeployMachine"]["States"]["EndMigration"].update(TimeoutSeconds=600),
        ),
        (
            functions_are_told_what_they_ask_for,
            globals_(lambda p: p["Environment"]["Variables"].update(PASSWORD="hunter2")),
        ),
    ],
)
def test_the_rule_can_fail(rule: Rule, change: Change, stack: Stack) -> None:
    assert rule(stack.changed(change)) != []


def test_the_longest_function_is_what_the_template_says(stack: Stack) -> None:
    """Equal, not only enough: a takeover that waits longer than it must keeps an environment down."""
    assert stack.written["Globals"]["Function"]["Timeout"] == LONGEST_FUNCTION.total_seconds()
    assert stack.functions()["RotateSecretFunction"]["Timeout"] == LONGEST_ROTATION.total_seconds()
    for machine in ("DeployMachine", "RollbackMachine", "RotateMachine"):
        waits = stack.written["Resources"][machine]["Properties"]["DefinitionSubstitutions"]
        assert waits["LongestFunctionSeconds"] == LONGEST_FUNCTION.total_seconds()
