"""The modules of infrastructure/ that keep and show something, each deployed by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.integration.local.stacks import Stack, name
from tests.support.embedded import Cloud
from tests.systems.rendering import ROOT

pytestmark = pytest.mark.emulator


def deployed(cloud: Cloud, module: str, **parameters: str) -> Stack:
    stack = Stack(cloud, name(module))
    template = yaml_parse((ROOT / f"infrastructure/{module}.yaml").read_text())
    status = stack.create(json.loads(json.dumps(template, default=str)), **parameters)
    assert status == "CREATE_COMPLETE", stack.failures
    return stack


@pytest.fixture(scope="module")
def place(cloud: Cloud) -> dict[str, str]:
    """A VPC with subnets in two zones."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.77.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]
        for n, zone in enumerate("ab")
    ]
    return {"VpcId": vpc, "SubnetIds": ",".join(one["SubnetId"] for one in subnets)}


def secret(cloud: Cloud, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    )
    return found


def test_a_cache_says_where_it_is(cloud: Cloud, place: dict[str, str]) -> None:
    own = name("cache")
    outputs = deployed(cloud, "cache", Name=own, AuthSecretName=f"{own}/auth", Replicas="1", **place).outputs
    assert outputs["Url"] == f"rediss://{outputs['Endpoint']}:{outputs['Port']}/0"
    assert len(secret(cloud, outputs["AuthSecretArn"])["password"]) == 64


def test_a_bucket_lets_the_pages_of_an_origin_in_and_nobody_without_tls(cloud: Cloud) -> None:
    """Lifecycle, encryption and logging are not looked at: MiniStack leaves them out of what a stack makes."""
    own = name("bucket")
    outputs = deployed(cloud, "storage", BucketName=own, CorsOrigins="https://example.com").outputs
    s3 = cloud.client("s3")
    assert outputs["BucketName"] == own
    assert s3.get_bucket_versioning(Bucket=own)["Status"] == "Enabled"
    [cors] = s3.get_bucket_cors(Bucket=own)["CORSRules"]
    assert cors["AllowedOrigins"] == ["https://example.com"]
    assert all(s3.get_public_access_block(Bucket=own)["PublicAccessBlockConfiguration"].values())
    policy = json.loads(s3.get_bucket_policy(Bucket=own)["Policy"])
    assert [one["Resource"][1] for one in policy["Statement"]] == [f"{outputs['BucketArn']}/*"] * 2


def test_a_repository_keeps_its_tags(cloud: Cloud) -> None:
    own = name("repository")
    outputs = deployed(cloud, "registry", RepositoryName=own, TagPrefixes="api-,worker-").outputs
    [found] = cloud.client("ecr").describe_repositories(repositoryNames=[own])["repositories"]
    assert (found["imageTagMutability"], found["repositoryUri"]) == ("IMMUTABLE", outputs["RepositoryUri"])
    policy = cloud.client("ecr").get_lifecycle_policy(repositoryName=own)["lifecyclePolicyText"]
    assert [one["rulePriority"] for one in json.loads(policy)["rules"]] == [1, 2, 10]


def test_a_client_of_a_user_pool_has_its_secret_in_secrets_manager(cloud: Cloud) -> None:
    own = name("people")
    outputs = deployed(
        cloud,
        "identity",
        Name=own,
        CallbackUrls="https://example.com/callback",
        ClientSecretName=f"{own}/client",
        DeletionProtection="false",
    ).outputs
    assert secret(cloud, outputs["ClientSecretArn"]).keys() == {"client_id", "client_secret"}
    assert secret(cloud, outputs["ClientSecretArn"])["client_id"] == outputs["ClientId"]


def test_a_frontend_is_an_application_with_a_branch(cloud: Cloud) -> None:
    outputs = deployed(
        cloud,
        "frontend",
        Name=name("pages"),
        Repository="https://github.com/acme/shop",
        DomainName="example.com",
    ).outputs
    assert outputs["AppId"]


def test_a_system_has_its_topics_dashboard_and_budget(cloud: Cloud) -> None:
    own = name("shop")
    outputs = deployed(
        cloud,
        "monitoring",
        Name=own,
        DashboardName=own,
        ClusterName="shop",
        DatabaseIdentifier="shop",
        LoadBalancerFullName="app/shop/50dc6c495c0c9188",
        CacheName="shop",
        MonthlyBudget="100",
        CriticalEmail="ops@example.com",
    ).outputs
    body = cloud.client("cloudwatch").get_dashboard(DashboardName=own)["DashboardBody"]
    assert len(json.loads(body)["widgets"]) == 8
    [subscription] = cloud.client("sns").list_subscriptions_by_topic(TopicArn=outputs["CriticalTopicArn"])[
        "Subscriptions"
    ]
    assert subscription["Endpoint"] == "ops@example.com"


@pytest.mark.parametrize(
    ("engine", "version", "family"),
    [
        ("postgres", "15.8", "postgres15"),
        ("mysql", "8.0.42", "mysql8.0"),
        ("aurora-postgresql", "15.8", "aurora-postgresql15"),
    ],
)
@pytest.mark.parametrize("key", ["", "connection_string"])
def test_the_secret_of_the_services_says_where_the_database_is(
    cloud: Cloud, place: dict[str, str], engine: str, version: str, family: str, key: str
) -> None:
    own = name("db")
    outputs = deployed(
        cloud,
        "database",
        Identifier=own,
        Engine=engine,
        EngineVersion=version,
        ParameterFamily=family,
        PerformanceInsights="false",
        MonitoringIntervalSeconds="60",
        DatabaseName="orders",
        MasterUsername="orders_admin",
        AdminSecretName=f"{own}/admin",
        SecretName=f"{own}/database",
        UserName="orders_a",
        SecretKey=key,
        SecretStyle="url",
        UrlScheme="mysql" if engine == "mysql" else "postgresql",
        Proxy="false" if key else "true",
        DeletionProtection="false",
        **place,
    ).outputs
    found = secret(cloud, outputs["SecretArn"])
    if key:
        password = secret(cloud, f"{own}/database-seed")["password"]
        scheme = "mysql" if engine == "mysql" else "postgresql"
        where = f"{outputs['Endpoint']}:{outputs['Port']}"
        assert found == {key: f"{scheme}://orders_a:{password}@{where}/orders"}
    else:
        assert (found["host"], str(found["port"])) == (outputs["Endpoint"], outputs["Port"])
        assert (found["username"], found["dbname"], len(found["password"])) == ("orders_a", "orders", 40)
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/aws/rds/")["logGroups"]
    assert set(outputs["LogGroupNames"].split(",")) <= {one["logGroupName"] for one in groups}
    assert secret(cloud, outputs["AdminSecretArn"])["username"] == "orders_admin"
