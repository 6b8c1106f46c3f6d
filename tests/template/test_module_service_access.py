"""infrastructure/service.yaml: who reaches it, whom it reaches, and what it may do."""

from __future__ import annotations

from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.systems.rendering import Rendered, RenderError
from tests.template.policies import as_list
from tests.template.test_module_service import MODULE, REPOSITORY, SECRET, container, ecs, service
from tests.template.test_modules import names_in

KEY = "arn:aws:kms:us-east-1:123456789012:key/1a2b3c4d"
BEHIND = {
    "Port": "8000",
    "ListenerArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/shop/50dc/f2f7",
    "LoadBalancerSecurityGroupId": "sg-0e0e0e0e",
}


def web(**parameters: str) -> Rendered:
    return service(**{**BEHIND, **parameters})


def grants(rendered: Rendered, role: str) -> dict[str, Any]:
    """Resources by action, of the role's own policies."""
    return {
        action: statement["Resource"]
        for policy in rendered[role].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
    }


# --- who reaches it, and whom it reaches ---


def test_the_load_balancer_leads_to_it() -> None:
    rendered = web(Paths="/api/*,/docs", Priority="20")
    rule = rendered.one("AWS::ElasticLoadBalancingV2::ListenerRule")
    assert (rule["ListenerArn"], rule["Priority"]) == (BEHIND["ListenerArn"], "20")
    assert rule["Conditions"] == [
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*", "/docs"]}}
    ]
    assert rule["Actions"] == [{"Type": "forward", "TargetGroupArn": "<TargetGroup>"}]
    assert ecs(rendered)["LoadBalancers"] == [
        {"ContainerName": "api", "ContainerPort": "8000", "TargetGroupArn": "<TargetGroup>"}
    ]
    assert container(rendered)["PortMappings"] == [{"ContainerPort": "8000", "Protocol": "tcp"}]


def test_the_service_waits_for_the_rule() -> None:
    """CreateService refuses a target group that no load balancer has ("does not have an associated load balancer")."""
    template = yaml_parse(MODULE.read_text())
    assert "ListenerRule" in names_in(template["Resources"]["Service"]["Properties"]["LoadBalancers"])


def test_a_host_may_lead_to_it() -> None:
    *_, host = web(Hosts="api.example.com").one("AWS::ElasticLoadBalancingV2::ListenerRule")["Conditions"]
    assert host == {"Field": "host-header", "HostHeaderConfig": {"Values": ["api.example.com"]}}


def test_the_load_balancer_asks_for_its_health() -> None:
    group = web(
        HealthCheckPath="/api/v1/health",
        HealthCheckMatcher="200-299",
        HealthCheckIntervalSeconds="20",
        HealthCheckTimeoutSeconds="4",
        HealthyThreshold="4",
        UnhealthyThreshold="5",
        DeregistrationDelaySeconds="45",
    ).one("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert (group["HealthCheckPath"], group["Matcher"]) == ("/api/v1/health", {"HttpCode": "200-299"})
    assert (group["HealthCheckIntervalSeconds"], group["HealthCheckTimeoutSeconds"]) == ("20", "4")
    assert (group["HealthyThresholdCount"], group["UnhealthyThresholdCount"]) == ("4", "5")
    assert group["TargetGroupAttributes"] == [{"Key": "deregistration_delay.timeout_seconds", "Value": "45"}]
    assert (group["TargetType"], group["Protocol"], group["Port"]) == ("ip", "HTTP", "8000")
    assert (group["HealthCheckProtocol"], group["HealthCheckPort"]) == ("HTTP", "traffic-port")


def test_a_grace_period_is_for_what_the_load_balancer_asks() -> None:
    assert ecs(web(GracePeriodSeconds="120"))["HealthCheckGracePeriodSeconds"] == "120"
    assert "HealthCheckGracePeriodSeconds" not in ecs(service())


def test_a_worker_listens_to_nobody() -> None:
    rendered = service()
    assert {"LoadBalancers"} & ecs(rendered).keys() == set()
    assert {"PortMappings"} & container(rendered).keys() == set()
    kinds = {resource["Type"] for resource in rendered.resources.values()}
    assert not {kind for kind in kinds if "ElasticLoadBalancing" in kind}
    assert rendered.of("AWS::EC2::SecurityGroupIngress") == {}
    assert "SecurityGroupIngress" not in rendered.one("AWS::EC2::SecurityGroup")
    assert rendered.outputs["TargetGroupArn"] == rendered.outputs["TargetGroupFullName"] == ""


def test_the_load_balancer_and_its_tasks_let_each_other_through_on_the_port() -> None:
    rendered = web()
    into = rendered.one("AWS::EC2::SecurityGroupIngress")
    out = rendered.one("AWS::EC2::SecurityGroupEgress")
    assert (into["FromPort"], into["ToPort"], out["FromPort"], out["ToPort"]) == ("8000",) * 4
    assert (into["GroupId"], into["SourceSecurityGroupId"]) == ("<SecurityGroup.GroupId>", "sg-0e0e0e0e")
    assert (out["GroupId"], out["DestinationSecurityGroupId"]) == ("sg-0e0e0e0e", "<SecurityGroup.GroupId>")


@pytest.mark.parametrize(
    ("egress", "wanted"),
    [
        ("all", {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "To anywhere"}),
        (
            "https",
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "CidrIp": "0.0.0.0/0",
                "Description": "HTTPS to anywhere",
            },
        ),
        ("none", {"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "Nowhere"}),
    ],
)
def test_tasks_connect_to_what_is_said(egress: str, wanted: dict[str, Any]) -> None:
    assert service(Egress=egress).one("AWS::EC2::SecurityGroup")["SecurityGroupEgress"] == [wanted]


def test_tasks_are_private_and_wear_the_clients_groups_beside_their_own() -> None:
    network = ecs(service(SecurityGroupIds="sg-0a0a0a0a,sg-0b0b0b0b"))["NetworkConfiguration"]
    assert network["AwsvpcConfiguration"] == {
        "AssignPublicIp": "DISABLED",
        "Subnets": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
        "SecurityGroups": ["<SecurityGroup.GroupId>", "sg-0a0a0a0a", "sg-0b0b0b0b"],
    }
    assert service().one("AWS::EC2::SecurityGroup")["VpcId"] == "vpc-0a1b2c3d"
    alone = ecs(service())["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert alone["SecurityGroups"] == ["<SecurityGroup.GroupId>"]


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("Port", "Port must say where the container listens"),
        ("LoadBalancerSecurityGroupId", "LoadBalancerSecurityGroupId must say whom"),
        ("ListenerArn", "LoadBalancerSecurityGroupId goes with ListenerArn"),
    ],
)
def test_half_of_a_load_balancer_is_refused(left_out: str, said: str) -> None:
    with pytest.raises(RenderError, match=said):
        service(**{key: value for key, value in BEHIND.items() if key != left_out})


# --- what it may do ---


def test_ecs_may_start_it_and_no_more() -> None:
    logs, pulls = "<Logs.Arn>", [REPOSITORY]
    assert grants(service(), "ExecutionRole") == {
        "logs:CreateLogStream": logs,
        "logs:PutLogEvents": logs,
        "ecr:GetAuthorizationToken": "*",
        "ecr:BatchCheckLayerAvailability": pulls,
        "ecr:BatchGetImage": pulls,
        "ecr:GetDownloadUrlForLayer": pulls,
    }


def test_ecs_reads_the_secrets_that_are_named() -> None:
    found = grants(service(SecretArns=SECRET, SecretKeyArns=KEY), "ExecutionRole")
    assert found["secretsmanager:GetSecretValue"] == [SECRET]
    assert found["kms:Decrypt"] == [KEY]


@pytest.mark.parametrize("role", ["ExecutionRole", "TaskRole"])
def test_only_tasks_take_the_roles(role: str) -> None:
    [trust] = service()[role]["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Action"]) == (
        {"Service": "ecs-tasks.amazonaws.com"},
        "sts:AssumeRole",
    )


def test_the_applications_role_is_for_tasks_of_this_account() -> None:
    """Amazon ECS developer guide, "Amazon ECS task IAM role"."""
    [trust] = service()["TaskRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:123456789012:*"},
    }


def test_the_application_may_do_what_its_policies_say() -> None:
    policy = "arn:aws:iam::123456789012:policy/uploads"
    assert service(TaskPolicyArns=policy)["TaskRole"]["ManagedPolicyArns"] == [policy]
    assert not {"ManagedPolicyArns", "Policies"} & service()["TaskRole"].keys()


def test_people_may_run_commands_where_asked_for() -> None:
    rendered = service(EnableExecute="true", ReadonlyRoot="false", ExecLogGroupName="/ecs/shop/exec")
    assert ecs(rendered)["EnableExecuteCommand"] is True
    assert container(rendered)["LinuxParameters"] == {"InitProcessEnabled": True}
    found = grants(rendered, "TaskRole")
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop/exec:*"
    assert found.pop("logs:PutLogEvents") == found.pop("logs:CreateLogStream") == group
    assert found.pop("logs:DescribeLogStreams") == group
    assert {action.partition(":")[0] for action in found} == {"ssmmessages", "logs"}


def test_and_otherwise_not() -> None:
    assert ecs(service())["EnableExecuteCommand"] is False


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"ExecLogGroupName": "/ecs/shop/exec"}, "EnableExecute needs ReadonlyRoot false"),
        ({"ReadonlyRoot": "false"}, "EnableExecute needs ExecLogGroupName"),
    ],
)
def test_commands_need_a_writable_container_and_a_log(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(RenderError, match=said):
        service(EnableExecute="true", **parameters)
