"""infrastructure/cluster.yaml: on what tasks run, and what is recorded."""

from __future__ import annotations

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

FARGATE = {"CapacityProvider": "FARGATE", "Base": "1", "Weight": "1"}


def cluster(**parameters: str) -> Rendered:
    given = {"ClusterName": "shop", "ExecLogGroupName": "/ecs/shop/exec", **parameters}
    return render_file(ROOT / "infrastructure/cluster.yaml", **given)


def test_tasks_are_on_fargate_unless_they_say_something_else() -> None:
    found = cluster().one("AWS::ECS::Cluster")
    assert found["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert found["DefaultCapacityProviderStrategy"] == [FARGATE]


def test_a_share_may_be_on_spot() -> None:
    found = cluster(SpotWeight="3").one("AWS::ECS::Cluster")
    assert found["DefaultCapacityProviderStrategy"] == [
        FARGATE,
        {"CapacityProvider": "FARGATE_SPOT", "Weight": "3"},
    ]


def test_something_must_have_weight() -> None:
    with pytest.raises(RenderError, match="One of FargateWeight and SpotWeight"):
        cluster(FargateWeight="0")
    assert cluster(FargateWeight="0", SpotWeight="1")


def test_commands_in_containers_are_recorded() -> None:
    rendered = cluster(LogRetentionDays="14")
    configuration = rendered.one("AWS::ECS::Cluster")["Configuration"]["ExecuteCommandConfiguration"]
    assert configuration["Logging"] == "OVERRIDE"
    assert configuration["LogConfiguration"] == {"CloudWatchLogGroupName": "/ecs/shop/exec"}
    assert rendered.one("AWS::Logs::LogGroup") == {
        "LogGroupName": "/ecs/shop/exec",
        "RetentionInDays": "14",
    }


def test_the_log_may_have_a_key() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1a2b3c4d"
    assert cluster(LogKeyArn=key).one("AWS::Logs::LogGroup")["KmsKeyId"] == key


@pytest.mark.parametrize("value", ["enabled", "enhanced", "disabled"])
def test_container_insights_are_as_said(value: str) -> None:
    found = cluster(ContainerInsights=value).one("AWS::ECS::Cluster")
    assert found["ClusterSettings"] == [{"Name": "containerInsights", "Value": value}]
