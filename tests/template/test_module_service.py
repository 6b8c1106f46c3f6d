"""infrastructure/service.yaml: what runs, how many of it, who reaches it, what it may do, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file
from tests.template.policies import as_list
from tests.template.test_modules import names_in

MODULE = ROOT / "infrastructure/service.yaml"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-AbCdEf"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1a2b3c4d"
WORKER = {
    "ServiceName": "shop-api",
    "ClusterName": "shop",
    "ContainerName": "api",
    "ImageParameter": "/tidegate/shop/production/image/api",
    "RepositoryArns": REPOSITORY,
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d",
    "LogGroupName": "/ecs/shop/api",
}
BEHIND = {
    "Port": "8000",
    "ListenerArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/shop/50dc/f2f7",
    "LoadBalancerSecurityGroupId": "sg-0e0e0e0e",
}
SCALED = {"MinCount": "2", "MaxCount": "10", "CpuTargetPercent": "70"}
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"

# Amazon ECS developer guide, "Troubleshoot Amazon ECS task definition invalid CPU or memory errors", in MiB.
PAIRS = {
    256: [512, 1024, 2048],
    512: [1024, 2048, 3072, 4096],
    1024: [2048, 3072, 4096, 5120, 6144, 7168, 8192],
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
MEMORIES = sorted({memory for memories in PAIRS.values() for memory in memories} | {768, 1536, 4608})


def service(**parameters: str) -> Rendered:
    return render_file(MODULE, **{**WORKER, **parameters})


def web(**parameters: str) -> Rendered:
    return service(**{**BEHIND, **parameters})


def ecs(rendered: Rendered) -> dict[str, Any]:
    return rendered.one("AWS::ECS::Service")


def container(rendered: Rendered) -> dict[str, Any]:
    [found] = rendered.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


def grants(rendered: Rendered, role: str) -> dict[str, Any]:
    """Resources by action, of the role's own policies."""
    return {
        action: statement["Resource"]
        for policy in rendered[role].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
    }


# --- what runs ---


def takes(cpu: int, memory: int) -> bool:
    try:
        task = service(Cpu=str(cpu), Memory=str(memory)).one("AWS::ECS::TaskDefinition")
    except RenderError:
        return False
    return (task["Cpu"], task["Memory"]) == (str(cpu), str(memory))


@pytest.mark.parametrize("cpu", PAIRS)
def test_fargate_has_this_memory_for_this_cpu_and_no_other(cpu: int) -> None:
    assert [memory for memory in MEMORIES if takes(cpu, memory)] == list(PAIRS[cpu])


@pytest.mark.parametrize(
    ("cpu", "named"),
    [
        ("256", "512, 1024 or 2048"),
        ("512", "1024, 2048, 3072 or 4096"),
        ("1024", "2048, 3072, 4096, 5120, 6144, 7168 or 8192"),
        ("2048", "4096 to 16384 in steps of 1024"),
        ("4096", "8192 to 30720 in steps of 1024"),
        ("8192", "16384 to 61440 in steps of 4096"),
        ("16384", "32768 to 122880 in steps of 8192"),
    ],
)
def test_a_wrong_memory_is_answered_with_the_right_ones(cpu: str, named: str) -> None:
    with pytest.raises(RenderError, match=f"Memory with Cpu {cpu} is {named}$"):
        service(Cpu=cpu, Memory="768")


def test_the_image_is_what_parameter_store_has() -> None:
    assert container(service())["Image"] == "{{resolve:ssm:/tidegate/shop/production/image/api}}"


def test_one_image_may_run_with_two_commands() -> None:
    assert container(service(Command="litestar,workers,run"))["Command"] == ["litestar", "workers", "run"]
    assert "Command" not in container(service())


def test_the_family_is_the_services_name_unless_said() -> None:
    assert service().outputs["TaskFamily"] == "shop-api"
    assert service(Family="shop").one("AWS::ECS::TaskDefinition")["Family"] == "shop"


def test_variables_are_passed_in_their_order_and_gaps_are_left_out() -> None:
    given = {"EnvironmentName1": "A", "EnvironmentValue1": "1", "EnvironmentName10": "J"}
    assert container(service(**given))["Environment"] == [
        {"Name": "A", "Value": "1"},
        {"Name": "J", "Value": ""},
    ]


@pytest.mark.parametrize("number", range(1, 11))
def test_each_variable_has_its_own_value(number: int) -> None:
    given = {f"EnvironmentName{number}": "NAME", f"EnvironmentValue{number}": "value"}
    assert container(service(**given))["Environment"] == [{"Name": "NAME", "Value": "value"}]


@pytest.mark.parametrize("number", range(1, 7))
def test_each_secret_has_its_own_origin(number: int) -> None:
    given = {f"SecretName{number}": "PASSWORD", f"SecretFrom{number}": f"{SECRET}:password::"}
    found = container(service(**given, SecretArns=SECRET))["Secrets"]
    assert found == [{"Name": "PASSWORD", "ValueFrom": f"{SECRET}:password::"}]


def test_the_container_logs_where_it_is_said() -> None:
    rendered = service(LogRetentionDays="7")
    assert container(rendered)["LogConfiguration"]["Options"] == {
        "awslogs-group": "/ecs/shop/api",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "ecs",
    }
    assert rendered.one("AWS::Logs::LogGroup")["RetentionInDays"] == "7"


def test_the_container_changes_none_of_its_own_files() -> None:
    assert container(service())["ReadonlyRootFilesystem"] is True
    assert container(service(ReadonlyRoot="false"))["ReadonlyRootFilesystem"] is False


def test_but_for_a_folder_of_each_task() -> None:
    rendered = service(WritablePath="/tmp")
    volumes = rendered.one("AWS::ECS::TaskDefinition")["Volumes"]
    [mount] = container(rendered)["MountPoints"]
    assert [{"Name": mount["SourceVolume"]}] == volumes
    assert (mount["ContainerPath"], mount["ReadOnly"]) == ("/tmp", False)
    assert "Volumes" not in service().one("AWS::ECS::TaskDefinition")


def test_the_container_may_be_asked_for_its_health() -> None:
    command = "curl -f http://localhost:8080/health || exit 1"
    check = container(service(ContainerHealthCommand=command, ContainerStartPeriodSeconds="90"))[
        "HealthCheck"
    ]
    assert (check["Command"], check["StartPeriod"]) == (["CMD-SHELL", command], "90")
    assert "HealthCheck" not in container(service())


# --- how it is rolled out ---


def test_a_rollout_that_fails_is_taken_back() -> None:
    configuration = ecs(service())["DeploymentConfiguration"]
    assert configuration == {
        "MaximumPercent": 200,
        "MinimumHealthyPercent": 100,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }


def test_tasks_are_spread_over_the_zones_and_found_by_their_tags() -> None:
    found = ecs(service())
    assert found["AvailabilityZoneRebalancing"] == "ENABLED"
    assert (found["EnableECSManagedTags"], found["PropagateTags"]) == (True, "SERVICE")


def test_tasks_are_on_fargate_and_a_share_on_spot() -> None:
    fargate = {"CapacityProvider": "FARGATE", "Base": "1", "Weight": "1"}
    assert ecs(service())["CapacityProviderStrategy"] == [fargate]
    assert ecs(service(SpotWeight="3"))["CapacityProviderStrategy"] == [
        fargate,
        {"CapacityProvider": "FARGATE_SPOT", "Weight": "3"},
    ]
    with pytest.raises(RenderError, match="One of FargateWeight and SpotWeight"):
        service(FargateWeight="0")


# --- how many of it ---


def test_the_number_of_tasks_is_the_stacks() -> None:
    assert ecs(service(DesiredCount="3"))["DesiredCount"] == "3"


def test_or_parameter_stores() -> None:
    name = "/tidegate/shop/production/count/worker"
    assert ecs(service(CountParameter=name))["DesiredCount"] == f"{{{{resolve:ssm:{name}}}}}"


def test_or_auto_scalings() -> None:
    rendered = service(**SCALED)
    assert "DesiredCount" not in ecs(rendered)
    target = rendered.one("AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("2", "10")
    assert target["ResourceId"] == "service/shop/shop-api"


def test_but_not_two_of_them() -> None:
    with pytest.raises(RenderError, match="CountParameter is for a service without auto scaling"):
        service(**SCALED, CountParameter="/tidegate/shop/production/count/worker")


def test_the_minimum_is_kept() -> None:
    [action] = service(**SCALED).one("AWS::ApplicationAutoScaling::ScalableTarget")["ScheduledActions"]
    assert action["ScalableTargetAction"] == {"MinCapacity": "2"}
    assert re.fullmatch(r"rate\(\d+ minutes\)", action["Schedule"])


@pytest.mark.parametrize(
    ("parameter", "metric"),
    [
        ("CpuTargetPercent", "ECSServiceAverageCPUUtilization"),
        ("MemoryTargetPercent", "ECSServiceAverageMemoryUtilization"),
    ],
)
def test_it_scales_by_what_it_uses(parameter: str, metric: str) -> None:
    cooldowns = {"ScaleInCooldownSeconds": "200", "ScaleOutCooldownSeconds": "100"}
    rendered = service(MinCount="1", MaxCount="4", **{parameter: "60"}, **cooldowns)
    assert rendered.one(POLICY)["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        "TargetValue": "60",
        "ScaleInCooldown": "200",
        "ScaleOutCooldown": "100",
    }


def test_it_scales_by_the_messages_that_wait_for_each_task() -> None:
    rendered = service(MinCount="1", MaxCount="4", QueueName="orders", MessagesPerTask="25")
    tracked = rendered.one(POLICY)["TargetTrackingScalingPolicyConfiguration"]
    waiting, running, backlog = tracked["CustomizedMetricSpecification"]["Metrics"]
    assert waiting["MetricStat"]["Metric"] == {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
    }
    assert running["MetricStat"]["Metric"] == {
        "Namespace": "ECS/ContainerInsights",
        "MetricName": "RunningTaskCount",
        "Dimensions": [
            {"Name": "ClusterName", "Value": "shop"},
            {"Name": "ServiceName", "Value": "shop-api"},
        ],
    }
    assert backlog["Expression"] == f"{waiting['Id']} / {running['Id']}"
    assert [one["ReturnData"] for one in (waiting, running, backlog)] == [False, False, True]
    assert tracked["TargetValue"] == "25"


def test_without_auto_scaling_there_is_none() -> None:
    assert service().of("AWS::ApplicationAutoScaling::ScalableTarget") == service().of(POLICY) == {}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"MaxCount": "4", "CpuTargetPercent": "70"}, "MinCount must be 1 at least"),
        (
            {"MinCount": "1", "MaxCount": "4"},
            "needs one of CpuTargetPercent, MemoryTargetPercent and QueueName",
        ),
        ({"CpuTargetPercent": "70"}, "need MaxCount"),
        ({"MemoryTargetPercent": "70"}, "need MaxCount"),
        ({"QueueName": "orders", "MessagesPerTask": "9"}, "need MaxCount"),
        ({"MinCount": "1"}, "need MaxCount"),
        ({"MinCount": "1", "MaxCount": "4", "QueueName": "orders"}, "MessagesPerTask must say"),
    ],
)
def test_half_of_auto_scaling_is_refused(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(RenderError, match=said):
        service(**parameters)


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
    assert (group["TargetType"], group["Port"]) == ("ip", "8000")


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
