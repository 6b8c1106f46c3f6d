"""Application Auto Scaling: it tells what it was told."""

from typing import Any

import pytest

from tests.integration.local.stacks import Stack, name, resources
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

DIMENSION = "ecs:service:DesiredCount"


def scaling(cloud: Cloud) -> Any:
    return cloud.client("application-autoscaling")


def targets(cloud: Cloud, resource: str) -> list[dict[str, Any]]:
    found = scaling(cloud).describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[resource])
    return list(found["ScalableTargets"])


def registered(cloud: Cloud) -> dict[str, str]:
    key = {"ServiceNamespace": "ecs", "ResourceId": f"service/{name()}/api", "ScalableDimension": DIMENSION}
    scaling(cloud).register_scalable_target(**key, MinCapacity=1, MaxCapacity=4)
    return key


def test_bounds_are_kept_and_changed(cloud: Cloud) -> None:
    key = registered(cloud)
    target = targets(cloud, key["ResourceId"])[0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert target["SuspendedState"]["DynamicScalingInSuspended"] is False
    scaling(cloud).register_scalable_target(**key, MinCapacity=2)
    changed = targets(cloud, key["ResourceId"])[0]
    assert (changed["MinCapacity"], changed["MaxCapacity"]) == (2, 4)
    assert changed["ScalableTargetARN"] == target["ScalableTargetARN"]
    scaling(cloud).deregister_scalable_target(**key)
    assert targets(cloud, key["ResourceId"]) == []


def test_bounds_that_cross_are_refused(cloud: Cloud) -> None:
    key = registered(cloud)
    with pytest.raises(scaling(cloud).exceptions.ValidationException):
        scaling(cloud).register_scalable_target(**key, MinCapacity=5)
    assert targets(cloud, key["ResourceId"])[0]["MinCapacity"] == 1


def test_a_policy_needs_its_target(cloud: Cloud) -> None:
    key = {"ServiceNamespace": "ecs", "ResourceId": f"service/{name()}/api", "ScalableDimension": DIMENSION}
    with pytest.raises(scaling(cloud).exceptions.ObjectNotFoundException):
        scaling(cloud).put_scaling_policy(PolicyName="cpu", PolicyType="TargetTrackingScaling", **key)


def test_others_are_not_told(cloud: Cloud) -> None:
    key = registered(cloud)
    assert targets(cloud, key["ResourceId"].replace("/api", "/worker")) == []
    found = scaling(cloud).describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert found == []


def test_what_a_stack_says_with_text_for_numbers(cloud: Cloud) -> None:
    resource = f"service/{name()}/api"
    action = {
        "ScheduledActionName": "keep-minimum",
        "Schedule": "rate(10 minutes)",
        "ScalableTargetAction": {"MinCapacity": "2"},
    }
    target = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": DIMENSION,
        "ResourceId": resource,
        "MinCapacity": "2",
        "MaxCapacity": "6",
        "ScheduledActions": [action],
    }
    tracking = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        "TargetValue": "70",
        "ScaleInCooldown": "300",
    }
    policy = {
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    template = resources(
        Target=("AWS::ApplicationAutoScaling::ScalableTarget", target),
        Policy=("AWS::ApplicationAutoScaling::ScalingPolicy", policy),
    )
    stack = Stack(cloud)
    assert stack.create(template) == "CREATE_COMPLETE", stack.failures
    found = targets(cloud, resource)[0]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (2, 6)
    told = scaling(cloud).describe_scaling_policies(ServiceNamespace="ecs", ResourceId=resource)[
        "ScalingPolicies"
    ]
    assert told[0]["PolicyARN"] == stack.physical_id("Policy")
    assert told[0]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70.0
    assert told[0]["TargetTrackingScalingPolicyConfiguration"]["ScaleInCooldown"] == 300
    actions = scaling(cloud).describe_scheduled_actions(ServiceNamespace="ecs", ResourceId=resource)
    assert actions["ScheduledActions"][0]["ScalableTargetAction"] == {"MinCapacity": 2}
    target["MaxCapacity"] = "8"
    assert stack.update(template) == "UPDATE_COMPLETE", stack.failures
    assert targets(cloud, resource)[0]["MaxCapacity"] == 8
    assert stack.delete() == "DELETE_COMPLETE"
    assert targets(cloud, resource) == []


def test_a_service_is_brought_between_its_bounds(cloud: Cloud) -> None:
    """Guards `_bring_inside`."""
    cluster, ecs = name(), cloud.client("ecs")
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(family=cluster, containerDefinitions=[{"name": "api", "image": "shop"}])
    ecs.create_service(cluster=cluster, serviceName="api", taskDefinition=cluster, desiredCount=1)
    key = {"ServiceNamespace": "ecs", "ResourceId": f"service/{cluster}/api", "ScalableDimension": DIMENSION}

    def count() -> int:
        return int(ecs.describe_services(cluster=cluster, services=["api"])["services"][0]["desiredCount"])

    scaling(cloud).register_scalable_target(**key, MinCapacity=2, MaxCapacity=3)
    assert count() == 2
    ecs.update_service(cluster=cluster, service="api", desiredCount=5)
    assert count() == 5
    scaling(cloud).register_scalable_target(**key, MaxCapacity=4)
    assert count() == 4
    ecs.update_service(cluster=cluster, service="api", desiredCount=0)
    bounds = {"MinCapacity": 2}
    scaling(cloud).put_scheduled_action(
        **key, ScheduledActionName="keep", Schedule="rate(10 minutes)", ScalableTargetAction=bounds
    )
    assert count() == 2
