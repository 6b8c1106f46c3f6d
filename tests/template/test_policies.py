"""What roles may not have, whatever they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.template.loading import Change, Json, Stack, referred, within
from tests.template.policies import (
    Permission,
    as_list,
    canonical,
    function_roles,
    machine_roles,
    permissions,
    roles,
    statements,
)

Rule = Callable[[Stack], list[str]]
WILDCARDS: dict[str, str] = yaml.safe_load((Path(__file__).parent / "wildcards.yaml").read_text())
# Nothing that Tidegate does reads a secret's value, but for the one that `webhook` verifies with and those, named one
# by one, that migrations and rotations log in with; and nothing writes one but a rotation. These know no value.
WITHOUT_A_VALUE = {"secretsmanager:DescribeSecret", "secretsmanager:GetRandomPassword"}
VALUES_ARE_READ = {
    "WebhookRole": {"GitHubSecret"},
    "MigrateSqlRole": {"MigrationSecrets"},
    "RotateSecretRole": {"RotatedSecrets", "AdminSecrets"},
}
VALUES_ARE_WRITTEN = {"RotateSecretRole": {"RotatedSecrets"}}
# What Secrets Manager does with a customer managed key, on behalf of whoever asks it (its user guide, "Secret
# encryption and decryption", Permissions for the KMS key). Nobody else may use the key for them: `kms:ViaService`.
KEYS_ARE_USED = {
    "MigrateSqlRole": {"kms:Decrypt"},
    "RotateSecretRole": {"kms:Decrypt", "kms:GenerateDataKey"},
}
BY_WAY_OF_SECRETS_MANAGER = canonical({"StringLike": {"kms:ViaService": "secretsmanager.*"}})
# A statement that is there only where the parameter names something.
ONLY_IF_NAMED = {
    "MigrationSecrets": "MigrationsLogIn",
    "RotatedSecrets": "SecretsAreRotated",
    "AdminSecrets": "AdministratorsLogIn",
    "SecretsKey": "SecretsHaveAKey",
}


# Of no function and no machine: those that `tidegate apply` makes are not in the template.
SCHEDULES = "RotationScheduleRole"


def all_permissions(stack: Stack) -> Iterator[Permission]:
    for role in roles(stack):
        yield from sorted(permissions(stack, role))


def each_function_has_a_role_of_its_own(stack: Stack) -> list[str]:
    """Written out in the template: SAM's own would add policies of AWS with wider resources."""
    wrong = [f"{role} serves {names}" for role, names in function_roles(stack).items() if len(names) != 1]
    known = function_roles(stack).keys() | machine_roles(stack).keys() | {SCHEDULES}
    wrong += [f"{role} is nobody's" for role in roles(stack).keys() - known]
    wrong += [f"{role} is not in the template" for role in known - roles(stack).keys()]
    wrong += [role for role, properties in roles(stack).items() if "ManagedPolicyArns" in properties]
    return wrong


def no_action_is_a_wildcard(stack: Stack) -> list[str]:
    return [f"{entry.role}: {entry.action}" for entry in all_permissions(stack) if "*" in entry.action]


def nothing_is_granted_by_exception(stack: Stack) -> list[str]:
    """`NotAction` and `NotResource` grant what nobody has thought of."""
    return [
        f"{role}: {key}"
        for role, properties in roles(stack).items()
        for statement in statements(properties)
        for key in statement
        if key.startswith("Not")
    ]


def every_resource_is_named_or_has_a_reason_not_to_be(stack: Stack) -> list[str]:
    wide = {entry.action for entry in all_permissions(stack) if entry.resource == '"*"'}
    named = {entry.action for entry in all_permissions(stack) if entry.resource != '"*"'}
    wrong = [f"{action} on * has no reason" for action in wide - WILDCARDS.keys()]
    wrong += [f"{action} has a reason but is not used on *" for action in WILDCARDS.keys() - wide]
    return wrong + [f"{action} is used on * though it can be narrowed" for action in wide & named]


def every_resource_stays_in_this_account(stack: Stack) -> list[str]:
    """Patterns are of this account, or a parameter of the stack, whose default is this account."""
    return [
        f"{entry.role}: {entry.action} on {entry.resource}"
        for entry in all_permissions(stack)
        if entry.resource != '"*"'
        and not any(
            part in entry.resource for part in ("${AWS::AccountId}", "Fn::GetAtt", "${Table.Arn}", '"Ref"')
        )
    ]


def roles_are_passed_to_tasks_only(stack: Stack) -> list[str]:
    wanted = canonical({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
    return [
        f"{entry.role} passes {entry.resource} if {entry.condition}"
        for entry in all_permissions(stack)
        if entry.action.lower() == "iam:passrole"
        and (entry.condition != wanted or '"Ref": "TaskRoles"' not in entry.resource)
    ]


def services_are_bounded_by_the_clusters(stack: Stack) -> list[str]:
    bounded = {"ecs:DescribeServices", "ecs:UpdateService", "ecs:ListTasks", "ecs:DescribeTasks"}
    bounded |= {"ecs:RunTask", "ecs:StopTask"}
    wanted = canonical(
        {
            "Fn::If": [
                "ClustersAreNamed",
                {"ArnLike": {"ecs:cluster": {"Ref": "Clusters"}}},
                {"Ref": "AWS::NoValue"},
            ]
        }
    )
    return [
        f"{entry.role}: {entry.action}"
        for entry in all_permissions(stack)
        if entry.action in bounded and entry.condition != wanted
    ]


def no_secret_is_read_or_written_but_the_named_ones(stack: Stack) -> list[str]:
    """Neither a value nor its key; what may be read or written there has to be named, and nothing is by default."""
    allowed = {
        Permission(role, "secretsmanager:GetSecretValue", canonical({"Ref": name}))
        for role, names in VALUES_ARE_READ.items()
        for name in names
    }
    allowed |= {
        Permission(role, action, canonical({"Ref": name}))
        for role, names in VALUES_ARE_WRITTEN.items()
        for name in names
        for action in ("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage")
    }
    allowed |= {
        Permission(role, action, canonical({"Ref": "SecretsKey"}), BY_WAY_OF_SECRETS_MANAGER)
        for role, actions in KEYS_ARE_USED.items()
        for action in actions
    }
    touching = {
        entry
        for entry in all_permissions(stack)
        if entry.action.startswith(("secretsmanager:", "kms:")) and entry.action not in WITHOUT_A_VALUE
    }
    wrong = [f"{entry.role}: {entry.action} on {entry.resource}" for entry in touching - allowed]
    wrong += [f"{entry.role} lacks {entry.action} on {entry.resource}" for entry in allowed - touching]
    parameters = stack.written["Parameters"]
    return wrong + [name for name in ("GitHubSecret", *ONLY_IF_NAMED) if parameters[name]["Default"]]


def what_touches_a_secret_is_there_only_where_one_is_named(stack: Stack) -> list[str]:
    """A statement on an empty list is refused by IAM, so that nobody could install without naming one."""
    conditions = stack.written["Conditions"]
    wrong = [
        f"{condition} is not whether {name} names any"
        for name, condition in ONLY_IF_NAMED.items()
        if conditions.get(condition) != {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": name}]}, ""]}]}
    ]
    for role, properties in roles(stack).items():
        for policy in properties["Policies"]:
            for statement in as_list(policy["PolicyDocument"]["Statement"]):
                condition, bare, *_ = statement.get("Fn::If", [None, statement])
                named = referred(bare.get("Resource"))
                if named in ONLY_IF_NAMED and condition != ONLY_IF_NAMED[named]:
                    wrong.append(f"{role} on {named} if {condition}")
    return wrong


def the_webhook_may_write_nothing_but_its_marks_and_its_event(stack: Stack) -> list[str]:
    """It speaks to everybody, so that whoever gets hold of it must get no further."""
    bounds = {
        "dynamodb:GetItem": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["SEEN#webhook-*"]}},
        "dynamodb:PutItem": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["SEEN#webhook-*"]}},
        "events:PutEvents": {"ForAllValues:StringEquals": {"events:source": ["tidegate.github"]}},
    }
    free = {"secretsmanager:GetSecretValue", "logs:CreateLogStream", "logs:PutLogEvents"}
    free |= {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    return [
        f"{entry.action} if {entry.condition}"
        for entry in sorted(permissions(stack, "WebhookRole"))
        if entry.action not in free
        and (entry.action not in bounds or entry.condition != canonical(bounds[entry.action]))
    ]


# Of the one function whose callers cannot sign for IAM; it checks an HMAC itself (tests/functions/test_replay.py).
WITHOUT_IAM = "WebhookFunction"


def every_function_url_asks_who_calls(stack: Stack) -> list[str]:
    """IAM does, but for GitHub's deliveries: their function has the secret that they are signed with."""
    wrong = []
    for name, url in stack.of_type("AWS::Lambda::Url").items():
        function = referred(url["TargetFunctionArn"]) or ""
        if url["AuthType"] == "AWS_IAM":
            continue
        secret = stack.functions()[function]["Environment"]["Variables"].get("TIDEGATE_GITHUB_SECRET")
        if function != WITHOUT_IAM or secret != {"Ref": "GitHubSecret"}:
            wrong.append(f"{name} of {function}: {url['AuthType']}")
    return wrong


# What SAM makes of `FunctionUrlConfig: {AuthType: NONE}`: both permissions are needed since October 2025. With AWS_IAM
# it makes none: whoever has the rights in their own policy may call.
# https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
_WEBHOOK = {"Ref": "WebhookFunction"}
FROM_OUTSIDE: dict[str, Json] = {
    "WebhookFunctionUrl": {"TargetFunctionArn": _WEBHOOK, "AuthType": "NONE"},
    "WebhookFunctionUrlPublicPermissions": {
        "Action": "lambda:InvokeFunctionUrl",
        "FunctionName": _WEBHOOK,
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    },
    "WebhookFunctionURLInvokeAllowPublicAccess": {
        "Action": "lambda:InvokeFunction",
        "FunctionName": _WEBHOOK,
        "Principal": "*",
        "InvokedViaFunctionUrl": True,
    },
}


SIGNED_FOR_IAM: dict[str, Json] = {
    "ControlFunctionUrl": {"TargetFunctionArn": {"Ref": "ControlFunction"}, "AuthType": "AWS_IAM"}
}


def nothing_can_be_called_from_outside_but_the_webhook(stack: Stack) -> list[str]:
    """By anybody: the URL of `control` takes what is signed for IAM. No other function URL, no API: everything else
    comes by EventBridge or by Step Functions. The webhook checks an HMAC itself, is there only where a secret is named,
    and has concurrency of its own."""
    outside = ("AWS::Lambda::Url", "AWS::ApiGateway", "AWS::ElasticLoadBalancing")
    expected = {
        name
        for name, properties in FROM_OUTSIDE.items()
        if stack.resources.get(name, {}).get("Properties") == properties
        and stack.resources[name].get("Condition") == "PushesComeFromGitHub"
    }
    expected |= {
        name
        for name, properties in SIGNED_FOR_IAM.items()
        if stack.resources.get(name, {}).get("Properties") == properties
    }
    bounded = stack.functions()["WebhookFunction"].get("ReservedConcurrentExecutions")
    wrong = [] if bounded else ["a flood on the webhook takes the account's concurrency"]
    others = {name: resource for name, resource in stack.resources.items() if name not in expected}
    wrong += [name for name, resource in others.items() if resource["Type"].startswith(outside)]
    for name, resource in others.items():
        for part in within(resource.get("Properties", {})):
            principals = part.get("Principal") if isinstance(part, dict) else None
            found = [
                x
                for value in as_list(principals)
                for x in (value.values() if isinstance(value, dict) else [value])
            ]
            if "*" in [x for value in found for x in as_list(value)]:
                wrong.append(f"{name} names everybody")
    return wrong


IN_A_VPC = {
    "SmokeFunction": "SmokeRole",
    "MigrateSqlFunction": "MigrateSqlRole",
    "RotateSecretFunction": "RotateSecretRole",
}


def only_what_asks_services_and_databases_is_in_a_vpc(stack: Stack) -> list[str]:
    """And only where subnets are named: from there no API of AWS may be reached, which the others need."""
    wanted = {
        "Fn::If": [
            "RunnersAreInAVpc",
            {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}},
            {"Ref": "AWS::NoValue"},
        ]
    }
    configured = {name: function.get("VpcConfig") for name, function in stack.functions().items()}
    wrong = [
        name for name, found in configured.items() if found and (name not in IN_A_VPC or found != wanted)
    ]
    wrong += [f"{name} reaches no private address" for name in IN_A_VPC if configured[name] is None]
    network = {entry.role for entry in all_permissions(stack) if entry.action.startswith("ec2:")}
    return wrong + sorted(network ^ set(IN_A_VPC.values()))


def every_bounding_parameter_is_used(stack: Stack) -> list[str]:
    used = {referred(part) for part in within(stack.written["Resources"])}
    used |= {referred(part) for part in within(stack.written.get("Conditions", {}))}
    used |= {referred(part) for part in within(stack.written.get("Globals", {}))}
    return sorted(stack.written["Parameters"].keys() - used)


RULES: list[Rule] = [
    each_function_has_a_role_of_its_own,
    no_action_is_a_wildcard,
    nothing_is_granted_by_exception,
    every_resource_is_named_or_has_a_reason_not_to_be,
    every_resource_stays_in_this_account,
    roles_are_passed_to_tasks_only,
    services_are_bounded_by_the_clusters,
    no_secret_is_read_or_written_but_the_named_ones,
    what_touches_a_secret_is_there_only_where_one_is_named,
    the_webhook_may_write_nothing_but_its_marks_and_its_event,
    every_function_url_asks_who_calls,
    nothing_can_be_called_from_outside_but_the_webhook,
    only_what_asks_services_and_databases_is_in_a_vpc,
    every_bounding_parameter_is_used,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule, stack: Stack) -> None:
    assert rule(stack) == []


def test_every_wildcard_says_why() -> None:
    assert all(isinstance(why, str) and len(why) > 20 for why in WILDCARDS.values())


def granted(role: str, **statement: object) -> Change:
    def add(written: Json, _: object) -> None:
        policy = written["Resources"][role]["Properties"]["Policies"][0]
        policy["PolicyDocument"]["Statement"].append({"Effect": "Allow", "Resource": "*", **statement})

    return add


def each_statement(role: str, action: str, change: Callable[[Json], object]) -> Change:
    def find(written: Json, _: object) -> None:
        for statement in statements(written["Resources"][role]["Properties"]):
            if action in as_list(statement["Action"]):
                change(statement)

    return find


def shared(written: Json, _: object) -> None:
    functions = written["Resources"]
    functions["WakeFunction"]["Properties"]["Role"] = functions["SweepFunction"]["Properties"]["Role"]


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (each_function_has_a_role_of_its_own, shared),
        (
            each_function_has_a_role_of_its_own,
            lambda t, _: t["Resources"]["WakeFunction"]["Properties"].pop("Role"),
        ),
        (
            each_function_has_a_role_of_its_own,
            lambda t, _: t["Resources"].update(Nobodys=t["Resources"]["RotationScheduleRole"]),
        ),
        (
            each_function_has_a_role_of_its_own,
            lambda t, _: t["Resources"]["WakeRole"]["Properties"].update(
                ManagedPolicyArns=["arn:aws:iam::aws:policy/x"]
            ),
        ),
        (no_action_is_a_wildcard, granted("WakeRole", Action="*")),
        (no_action_is_a_wildcard, granted("WakeRole", Action=["s3:Get*"])),
        (nothing_is_granted_by_exception, granted("WakeRole", NotAction="iam:*")),
        (every_resource_is_named_or_has_a_reason_not_to_be, granted("WakeRole", Action="s3:GetObject")),
        (every_resource_is_named_or_has_a_reason_not_to_be, granted("WakeRole", Action="dynamodb:Query")),
        (
            every_resource_is_named_or_has_a_reason_not_to_be,
            each_statement(
                "PlanReleaseRole",
                "ssm:DescribeParameters",
                lambda s: s["Action"].remove("ssm:DescribeParameters"),
            ),
        ),
        (
            every_resource_stays_in_this_account,
            granted(
                "WakeRole", Action="sqs:SendMessage", Resource="arn:aws:sqs:us-east-1:123456789012:other"
            ),
        ),
        (
            roles_are_passed_to_tasks_only,
            each_statement("RollServiceRole", "iam:PassRole", lambda s: s.pop("Condition")),
        ),
        (
            roles_are_passed_to_tasks_only,
            each_statement("RollServiceRole", "iam:PassRole", lambda s: s.update(Resource="*")),
        ),
        (
            services_are_bounded_by_the_clusters,
            each_statement("RollServiceRole", "ecs:UpdateService", lambda s: s.pop("Condition")),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            granted("WakeRole", Action="secretsmanager:GetSecretValue"),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            granted("WebhookRole", Action="secretsmanager:GetSecretValue"),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            lambda t, _: t["Parameters"]["MigrationSecrets"].update(Default="arn:aws:secretsmanager:*"),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            each_statement(
                "MigrateSqlRole",
                "secretsmanager:GetSecretValue",
                lambda s: s.update(Resource={"Ref": "Secrets"}),
            ),
        ),
        *[
            (no_secret_is_read_or_written_but_the_named_ones, granted(role, Action=action, Resource=resource))
            for role, action, resource in (
                ("MigrateSqlRole", "secretsmanager:PutSecretValue", {"Ref": "RotatedSecrets"}),
                ("RecordRole", "secretsmanager:UpdateSecretVersionStage", {"Ref": "RotatedSecrets"}),
                ("RotateSecretRole", "secretsmanager:PutSecretValue", {"Ref": "AdminSecrets"}),
                ("RotateSecretRole", "secretsmanager:UpdateSecretVersionStage", {"Ref": "Secrets"}),
                ("RotateSecretRole", "secretsmanager:RotateSecret", {"Ref": "RotatedSecrets"}),
                ("RotateSecretRole", "secretsmanager:GetSecretValue", {"Ref": "MigrationSecrets"}),
                ("RotateSecretRole", "kms:Decrypt", {"Ref": "SecretsKey"}),  # for whatever it asks itself
                ("MigrateSqlRole", "kms:GenerateDataKey", {"Ref": "SecretsKey"}),
            )
        ],
        (
            no_secret_is_read_or_written_but_the_named_ones,
            each_statement("RotateSecretRole", "kms:GenerateDataKey", lambda s: s.pop("Condition")),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            each_statement(
                "RotateSecretRole",
                "secretsmanager:PutSecretValue",
                lambda s: s["Action"].remove("secretsmanager:UpdateSecretVersionStage"),
            ),
        ),
        (
            no_secret_is_read_or_written_but_the_named_ones,
            lambda t, _: t["Parameters"]["RotatedSecrets"].update(Default="arn:aws:secretsmanager:*"),
        ),
        (
            what_touches_a_secret_is_there_only_where_one_is_named,
            granted("WakeRole", Action="secretsmanager:DescribeSecret", Resource={"Ref": "RotatedSecrets"}),
        ),
        (
            what_touches_a_secret_is_there_only_where_one_is_named,
            lambda t, _: t["Conditions"].update(
                AdministratorsLogIn={"Fn::Equals": [{"Ref": "AWS::Region"}, ""]}
            ),
        ),
        (
            services_are_bounded_by_the_clusters,
            each_statement("RunMigrationRole", "ecs:RunTask", lambda s: s.pop("Condition")),
        ),
        (
            the_webhook_may_write_nothing_but_its_marks_and_its_event,
            granted("WebhookRole", Action="states:StartExecution"),
        ),
        (
            the_webhook_may_write_nothing_but_its_marks_and_its_event,
            each_statement("WebhookRole", "dynamodb:PutItem", lambda s: s.pop("Condition")),
        ),
        (
            nothing_can_be_called_from_outside_but_the_webhook,
            lambda t, _: t["Resources"]["WakeFunction"]["Properties"].update(
                FunctionUrlConfig={"AuthType": "NONE"}
            ),
        ),
        (
            nothing_can_be_called_from_outside_but_the_webhook,
            lambda t, _: t["Resources"]["WebhookFunction"]["Properties"].pop("ReservedConcurrentExecutions"),
        ),
        (
            nothing_can_be_called_from_outside_but_the_webhook,
            lambda t, _: t["Resources"]["WebhookFunction"].pop("Condition"),
        ),
        (
            nothing_can_be_called_from_outside_but_the_webhook,
            lambda t, _: t["Resources"]["InfoTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"][
                0
            ].update(Principal={"AWS": "*"}),
        ),
        (
            nothing_can_be_called_from_outside_but_the_webhook,
            lambda t, _: t["Resources"]["ControlFunction"]["Properties"]["FunctionUrlConfig"].update(
                AuthType="NONE"
            ),
        ),
        (
            every_function_url_asks_who_calls,
            lambda t, _: t["Resources"]["ControlFunction"]["Properties"]["FunctionUrlConfig"].update(
                AuthType="NONE"
            ),
        ),
        (
            every_function_url_asks_who_calls,
            lambda t, _: t["Resources"]["WebhookFunction"]["Properties"].pop("Environment"),
        ),
        (
            only_what_asks_services_and_databases_is_in_a_vpc,
            lambda t, _: t["Resources"]["SmokeFunction"]["Properties"].pop("VpcConfig"),
        ),
        (
            only_what_asks_services_and_databases_is_in_a_vpc,
            lambda t, _: t["Resources"]["MigrateSqlFunction"]["Properties"].pop("VpcConfig"),
        ),
        (
            only_what_asks_services_and_databases_is_in_a_vpc,
            lambda t, _: t["Resources"]["RotateSecretFunction"]["Properties"].pop("VpcConfig"),
        ),
        (
            only_what_asks_services_and_databases_is_in_a_vpc,
            lambda t, _: t["Resources"]["LockFunction"]["Properties"].update(
                VpcConfig=t["Resources"]["SmokeFunction"]["Properties"]["VpcConfig"]
            ),
        ),
        (
            only_what_asks_services_and_databases_is_in_a_vpc,
            granted("WakeRole", Action="ec2:CreateNetworkInterface"),
        ),
        (every_bounding_parameter_is_used, lambda t, _: t["Parameters"].update(Forgotten={"Type": "String"})),
    ],
)
def test_the_rule_can_fail(rule: Rule, change: Change, stack: Stack) -> None:
    assert rule(stack.changed(change)) != []
