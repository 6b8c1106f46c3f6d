"""infrastructure/service.yaml: what runs, how it is rolled out, how many of it. Who reaches it is in another file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

MODULE = ROOT / "infrastructure/service.yaml"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-AbCdEf"
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


def ecs(rendered: Rendered) -> dict[str, Any]:
    return rendered.one("AWS::ECS::Service")


def container(rendered: Rendered) -> dict[str, Any]:
    [found] = rendered.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


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


def test_the_task_is_for_fargate_and_has_both_roles() -> None:
    rendered = service(Architecture="X86_64")
    task = rendered.one("AWS::ECS::TaskDefinition")
    assert (task["RequiresCompatibilities"], task["NetworkMode"]) == (["FARGATE"], "awsvpc")
    assert task["RuntimePlatform"] == {"OperatingSystemFamily": "LINUX", "CpuArchitecture": "X86_64"}
    assert (task["ExecutionRoleArn"], task["TaskRoleArn"]) == ("<ExecutionRole.Arn>", "<TaskRole.Arn>")
    assert ecs(rendered)["TaskDefinition"] == "<TaskDefinition>"
    assert (ecs(rendered)["Cluster"], ecs(rendered)["ServiceName"]) == ("shop", "shop-api")


def test_the_container_has_time_to_stop() -> None:
    found = container(service(StopTimeoutSeconds="90"))
    assert (found["Name"], found["Essential"], found["StopTimeout"]) == ("api", True, "90")


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


def test_the_logs_may_have_a_key() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1a2b3c4d"
    assert service(LogKeyArn=key).one("AWS::Logs::LogGroup")["KmsKeyId"] == key
    assert "KmsKeyId" not in service().one("AWS::Logs::LogGroup")


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
    assert (target["ServiceNamespace"], target["ResourceId"]) == ("ecs", "service/shop/shop-api")
    assert target["ScalableDimension"] == "ecs:service:DesiredCount"


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


def test_it_scales_by_the_busiest_of_all() -> None:
    """Application Auto Scaling takes the policy that gives the largest number."""
    rendered = service(**SCALED, MemoryTargetPercent="80", QueueName="orders", MessagesPerTask="25")
    policies = rendered.of(POLICY)
    assert sorted(policies) == ["CpuScaling", "MemoryScaling", "QueueScaling"]
    for policy in policies.values():
        assert policy["PolicyType"] == "TargetTrackingScaling"
        assert policy["ScalingTargetId"] == "service/shop/shop-api"


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
