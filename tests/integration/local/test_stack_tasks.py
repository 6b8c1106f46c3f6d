"""Task definitions, services and clusters that a stack makes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.local.stacks import Stack, Template, name, uploaded
from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator


@pytest.fixture
def system(cloud: Cloud) -> Iterator["System"]:
    made = System(cloud)
    yield made
    cloud.control.clear_fault(made.service)


class System:
    """A cluster with one service, whose image and count are parameters that somebody else writes."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.cluster, self.service = name("cluster"), name("api")
        self.image, self.count = name("/image"), name("/count")
        self.stack = Stack(cloud)
        for at, first in ((self.image, "shop:1"), (self.count, "2")):
            self.put(at, first)

    def put(self, at: str, new: str) -> None:
        self.cloud.client("ssm").put_parameter(Name=at, Value=new, Type="String", Overwrite=True)

    def module(self, **of_the_service: Any) -> Template:
        """As a nested stack has it: every number is text."""
        container = {
            "Name": "api",
            "Image": {"Fn::Sub": "{{resolve:ssm:${ImageParameter}}}"},
            "PortMappings": [{"ContainerPort": {"Ref": "Port"}}],
            "StopTimeout": "20",
            "ReadonlyRootFilesystem": "true",
            "LinuxParameters": {"InitProcessEnabled": "false"},
            "DockerLabels": {"Team": "Shop"},
        }
        definition = {
            "Family": self.service,
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": "256",
            "Memory": "512",
            "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
            "ContainerDefinitions": [container],
        }
        service = {
            "ServiceName": self.service,
            "Cluster": {"Ref": "Cluster"},
            "TaskDefinition": {"Ref": "TaskDefinition"},
            "DesiredCount": {"Fn::Sub": "{{resolve:ssm:${CountParameter}}}"},
            "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Base": "1", "Weight": "1"}],
            "DeploymentConfiguration": {
                "MaximumPercent": "200",
                "MinimumHealthyPercent": "100",
                "DeploymentCircuitBreaker": {"Enable": "true", "Rollback": "true"},
            },
            "HealthCheckGracePeriodSeconds": {"Ref": "Grace"},
            "EnableExecuteCommand": "true",
            "EnableECSManagedTags": "true",
            "PropagateTags": "SERVICE",
            **of_the_service,
        }
        return {
            "Parameters": {
                "Cluster": {"Type": "String"},
                "ImageParameter": {"Type": "String"},
                "CountParameter": {"Type": "String"},
                "Port": {"Type": "Number", "Default": 8000},
                "Grace": {"Type": "Number", "Default": 60},
            },
            "Resources": {
                "TaskDefinition": {"Type": "AWS::ECS::TaskDefinition", "Properties": definition},
                "Service": {
                    "Type": "AWS::ECS::Service",
                    "Properties": {key: value for key, value in service.items() if value is not None},
                },
            },
            "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Service", "Name"]}}},
        }

    def template(self, url: str, **given: str) -> Template:
        strategy = [{"CapacityProvider": "FARGATE", "Base": "1", "Weight": "2"}]
        return {
            "Resources": {
                "Cluster": {
                    "Type": "AWS::ECS::Cluster",
                    "Properties": {
                        "ClusterName": self.cluster,
                        "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
                        "DefaultCapacityProviderStrategy": strategy,
                    },
                },
                "Api": {
                    "Type": "AWS::CloudFormation::Stack",
                    "Properties": {
                        "TemplateURL": url,
                        "Parameters": {
                            "Cluster": {"Ref": "Cluster"},
                            "ImageParameter": self.image,
                            "CountParameter": self.count,
                            **given,
                        },
                    },
                },
            }
        }

    def create(self, **of_the_service: Any) -> str:
        return self.stack.create(self.template(uploaded(self.cloud, self.module(**of_the_service))))

    def update(self, of_the_service: dict[str, Any] | None = None, /, **given: str) -> str:
        url = uploaded(self.cloud, self.module(**(of_the_service or {})))
        return self.stack.update(self.template(url, **given))

    @property
    def described(self) -> dict[str, Any]:
        ecs = self.cloud.client("ecs")
        return dict(ecs.describe_services(cluster=self.cluster, services=[self.service])["services"][0])

    @property
    def definition(self) -> dict[str, Any]:
        ecs = self.cloud.client("ecs")
        found = ecs.describe_task_definition(taskDefinition=self.described["taskDefinition"])
        return dict(found["taskDefinition"])

    @property
    def runs(self) -> str:
        return str(self.definition["containerDefinitions"][0]["image"])


def test_every_setting_arrives_with_its_type(system: System) -> None:
    """Guards `shapes.request`: MiniStack drops some of them and leaves text where ECS has numbers."""
    assert system.create() == "CREATE_COMPLETE"
    service = system.described
    assert service["desiredCount"] == 2
    assert service["runningCount"] == 2
    assert service["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}]
    assert service["deploymentConfiguration"]["maximumPercent"] == 200
    assert service["deploymentConfiguration"]["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
    }
    assert service["healthCheckGracePeriodSeconds"] == 60
    assert service["enableExecuteCommand"] is True
    assert service["enableECSManagedTags"] is True
    assert service["propagateTags"] == "SERVICE"
    definition = system.definition
    assert definition["runtimePlatform"] == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    container = definition["containerDefinitions"][0]
    assert container["portMappings"] == [{"containerPort": 8000}]
    assert container["stopTimeout"] == 20
    assert container["readonlyRootFilesystem"] is True
    assert container["linuxParameters"] == {"initProcessEnabled": False}
    assert container["dockerLabels"] == {"Team": "Shop"}
    clusters = system.cloud.client("ecs").describe_clusters(clusters=[system.cluster])["clusters"]
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 2}]
    assert clusters[0]["defaultCapacityProviderStrategy"] == strategy


def test_an_unknown_property_is_named(system: System) -> None:
    assert system.create(Memori="512") == "ROLLBACK_COMPLETE"
    assert "extraneous key [Memori] is not permitted" in system.stack.failures["Api"]


def test_an_update_of_the_task_definition_rolls_what_runs_now(system: System) -> None:
    """The image that somebody else wrote since stays: CloudFormation resolves it again."""
    system.create()
    first = system.described["taskDefinition"]
    system.put(system.image, "shop:2")
    assert system.update(Port="9000") == "UPDATE_COMPLETE"
    assert system.runs == "shop:2"
    assert system.definition["containerDefinitions"][0]["portMappings"] == [{"containerPort": 9000}]
    assert system.described["taskDefinition"] != first
    # The update waited for the rollout that it began.
    assert [each["rolloutState"] for each in system.described["deployments"]] == ["COMPLETED"]


def test_an_update_of_something_else_leaves_the_service_alone(system: System) -> None:
    system.create()
    ecs = system.cloud.client("ecs")
    ecs.update_service(cluster=system.cluster, service=system.service, desiredCount=3)
    before = system.described
    template = system.template(uploaded(system.cloud, system.module()))
    template["Resources"]["Api"] = _as_deployed(system, "Api")
    template["Resources"]["Topic"] = {"Type": "AWS::SNS::Topic"}
    assert system.stack.update(template) == "UPDATE_COMPLETE"
    assert system.described["desiredCount"] == 3
    assert system.described["taskDefinition"] == before["taskDefinition"]


def _as_deployed(system: System, logical_id: str) -> Any:
    body = system.cloud.client("cloudformation").get_template(StackName=system.stack.name)["TemplateBody"]
    return body["Resources"][logical_id]


def test_a_count_that_somebody_else_wrote_is_taken_again(system: System) -> None:
    system.create()
    system.put(system.count, "3")
    assert system.update(Grace="30") == "UPDATE_COMPLETE"
    assert system.described["desiredCount"] == 3
    assert system.described["healthCheckGracePeriodSeconds"] == 30


def test_without_a_count_an_update_keeps_the_one_that_is(system: System) -> None:
    """ "For existing services, if a desired count is not specified, it is omitted from the operation." """
    assert system.create(DesiredCount=None) == "CREATE_COMPLETE"
    assert system.described["desiredCount"] == 1
    ecs = system.cloud.client("ecs")
    ecs.update_service(cluster=system.cluster, service=system.service, desiredCount=4)
    assert system.update({"DesiredCount": None}, Port="9000") == "UPDATE_COMPLETE"
    assert system.described["desiredCount"] == 4


def test_a_service_that_does_not_come_up_fails_the_stack(system: System) -> None:
    """Guards `_become_steady`: MiniStack's services are complete at once."""
    system.cloud.control.set_fault(system.service, mode="crash", all=True)
    assert system.create() == "ROLLBACK_COMPLETE"
    assert "ECS Deployment Circuit Breaker was triggered" in system.stack.failures["Api"]


def test_an_update_that_does_not_come_up_goes_back(system: System) -> None:
    system.create()
    before = system.described["taskDefinition"]
    system.cloud.control.set_fault(system.service, mode="crash")
    assert system.update(Port="9000") == "UPDATE_ROLLBACK_COMPLETE"
    assert "ECS Deployment Circuit Breaker was triggered" in system.stack.failures["Api"]
    assert system.described["taskDefinition"] == before


def test_deleting_the_stack_ends_its_tasks(system: System) -> None:
    system.create()
    assert system.stack.delete() == "DELETE_COMPLETE"
    ecs = system.cloud.client("ecs")
    wait_until(
        lambda: (
            not ecs.list_tasks(cluster=system.cluster, desiredStatus="RUNNING")["taskArns"]
            if _is_there(system)
            else True
        ),
        what="no task",
    )


def _is_there(system: System) -> bool:
    return bool(system.cloud.client("ecs").describe_clusters(clusters=[system.cluster])["clusters"])
