"""The facts of paperwurks' document against its rendered template. A test's docstring is the sentence it comes from."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import Any

import pytest
from tidegate.domain.manifest import Manifest, from_json
from tidegate_cli.manifest_file import load_manifest_file

from tests.systems.rendering import SYSTEMS, Rendered, RenderError, Stack, environments, render, settings

SYSTEM = "paperwurks"
ENVIRONMENTS = ("dev", "staging", "prod")
TEMPLATE = SYSTEMS / SYSTEM / "template.yaml"
each = pytest.mark.parametrize("environment", ENVIRONMENTS)


def manifest() -> Manifest:
    return load_manifest_file(str(SYSTEMS / SYSTEM / "tidegate.yaml"))


def task(rendered: Rendered, service: str) -> dict[str, Any]:
    return rendered[f"{service}/TaskDefinition"]


def container(rendered: Rendered, service: str) -> dict[str, Any]:
    [only] = task(rendered, service)["ContainerDefinitions"]
    return dict(only)


def bounds(rendered: Rendered, service: str) -> tuple[int, int]:
    target = rendered[f"{service}/ScalableTarget"]
    return int(target["MinCapacity"]), int(target["MaxCapacity"])


def alarm(rendered: Rendered, metric: str, prefix: str = "") -> dict[str, Any]:
    """The only one on this metric whose name begins so."""
    [found] = [
        own
        for own in rendered.of("AWS::CloudWatch::Alarm").values()
        if own.get("MetricName") == metric and own["AlarmName"].startswith(prefix)
    ]
    return found


def ingress(rendered: Rendered, group: str) -> list[dict[str, Any]]:
    """Whom a security group lets in, wherever that is written."""
    apart = rendered.of("AWS::EC2::SecurityGroupIngress").values()
    return [
        *rendered[group].get("SecurityGroupIngress", []),
        *(own for own in apart if own["GroupId"] in {f"<{group}>", f"<{group}.GroupId>"}),
    ]


def rules(rendered: Rendered, bucket: str) -> dict[str, dict[str, Any]]:
    listed = rendered[f"{bucket}/Bucket"]["LifecycleConfiguration"]["Rules"]
    return {rule["Id"]: rule for rule in listed}


def test_the_environments_are_those_of_the_document() -> None:
    """| Dev | Staging | Prod |"""
    assert tuple(environments(SYSTEM)) == ENVIRONMENTS
    assert tuple(manifest().environments) == ENVIRONMENTS


# --- GDPR compliance


@each
def test_data_residency(environment: str) -> None:
    """GDPR compliance with UK data residency (eu-west-2)"""
    table = settings(SYSTEM, environment)
    assert table["region"] == manifest().environments[environment].region == "eu-west-2"
    for elsewhere in ("us-east-1", "eu-west-1", "eu-central-1"):
        with pytest.raises(RenderError, match="rule Residency: Paperwurks' data stay in the United Kingdom"):
            Stack.read(TEMPLATE, table["parameter_overrides"], region=elsewhere, name="paperwurks")


def test_the_manifest_and_the_template_have_one_residency() -> None:
    """Data residency in UK/EU (eu-west-2)"""
    given = settings(SYSTEM, "dev")["parameter_overrides"]
    rule = Stack.read(TEMPLATE, given, region="eu-west-2", name="x").template["Rules"]["Residency"]
    assert rule == {
        "Assertions": [
            {
                "Assert": {"Fn::Equals": [{"Ref": "AWS::Region"}, *manifest().residency]},
                "AssertDescription": rule["Assertions"][0]["AssertDescription"],
            }
        ]
    }


# --- Compute resources (Fargate)


@pytest.mark.parametrize(
    ("environment", "service", "cpu", "memory", "count"),
    [
        pytest.param("dev", "Backend", 512, 1024, (1, 2), id="Backend API | 512 | 1024 MB | 1-2 | Dev"),
        pytest.param("staging", "Backend", 512, 1024, (2, 2), id="Backend API | 512 | 1024 MB | 2 | Staging"),
        pytest.param("prod", "Backend", 1024, 2048, (2, 4), id="Backend API | 1024 | 2048 MB | 2-4 | Prod"),
        pytest.param("dev", "Worker", 256, 512, (1, 2), id="Worker | 256 | 512 MB | 1 | Queue-based | Dev"),
        pytest.param("staging", "Worker", 256, 512, (1, 2), id="Worker | 256 | 512 MB | 1 | Staging"),
        pytest.param("prod", "Worker", 512, 1024, (2, 4), id="Worker | 512 | 1024 MB | 2 | Prod"),
    ],
)
def test_sizes_of_tasks(
    environment: str, service: str, cpu: int, memory: int, count: tuple[int, int]
) -> None:
    """| Component | CPU | Memory | Count | Scaling | Environment |"""
    rendered = render(SYSTEM, environment)
    own = task(rendered, service)
    assert (int(own["Cpu"]), int(own["Memory"])) == (cpu, memory)
    assert bounds(rendered, service) == count
    # What auto scaling counts the stack does not: docs/decisions/0035.
    assert "DesiredCount" not in rendered[f"{service}/Service"]


@each
def test_the_backend_scales_by_itself(environment: str) -> None:
    """CPUUtilization (target: < 70%), MemoryUtilization (target: < 70%)"""
    rendered = render(SYSTEM, environment)
    for name in ("CpuScaling", "MemoryScaling"):
        policy = rendered[f"Backend/{name}"]["TargetTrackingScalingPolicyConfiguration"]
        assert int(policy["TargetValue"]) == 70


@each
def test_the_worker_scales_by_its_queue(environment: str) -> None:
    """| Worker | … | Queue-based |"""
    rendered = render(SYSTEM, environment)
    policy = rendered["Worker/QueueScaling"]["TargetTrackingScalingPolicyConfiguration"]
    assert f"paperwurks-{environment}-jobs" in json.dumps(policy)
    assert "Worker/CpuScaling" not in rendered.resources
    # The policy divides by the running tasks, which only Container Insights counts.
    [insights] = rendered["Cluster/Cluster"]["ClusterSettings"]
    assert insights["Value"] in {"enabled", "enhanced"}
    variables = {one["Name"]: one["Value"] for one in container(rendered, "Worker")["Environment"]}
    assert variables["QUEUE_URL"] == "<Jobs/Queue>"


@each
def test_fargate(environment: str) -> None:
    """Network Mode: awsvpc (each task gets dedicated ENI). Launch Type: FARGATE (serverless)"""
    rendered = render(SYSTEM, environment)
    for service in ("Backend", "Worker"):
        assert task(rendered, service)["NetworkMode"] == "awsvpc"
        assert task(rendered, service)["RequiresCompatibilities"] == ["FARGATE"]
        [provider] = rendered[f"{service}/Service"]["CapacityProviderStrategy"]
        assert provider["CapacityProvider"] == "FARGATE"
    [provider] = rendered["Cluster/Cluster"]["DefaultCapacityProviderStrategy"]
    assert provider["CapacityProvider"] == "FARGATE"


PAIRS = {
    256: [512, 1024, 2048],
    512: [1024, 2048, 3072, 4096],
    1024: [2048, 3072, 4096, 5120, 6144, 7168, 8192],
    2048: list(range(4096, 16385, 1024)),
    4096: list(range(8192, 30721, 1024)),
}


@pytest.mark.parametrize("cpu", PAIRS)
def test_valid_pairs_of_cpu_and_memory(cpu: int) -> None:
    """Valid Fargate CPU/Memory Combinations"""
    for memory in sorted({512, *(size for sizes in PAIRS.values() for size in sizes)}):
        given = {"WorkerCpu": str(cpu), "WorkerMemory": str(memory)}
        if memory in PAIRS[cpu]:
            assert task(render(SYSTEM, "dev", **given), "Worker")["Memory"] == str(memory)
        else:
            with pytest.raises(RenderError, match=f"Memory with Cpu {cpu} is"):
                render(SYSTEM, "dev", **given)


# --- Database configuration


@pytest.mark.parametrize(
    ("environment", "size", "storage", "standby", "days"),
    [
        pytest.param("dev", "db.t3.small", 20, False, 7, id="Dev | db.t3.small | 20 GB | No | 7 days"),
        pytest.param(
            "staging", "db.t3.small", 20, False, 7, id="Staging | db.t3.small | 20 GB | No | 7 days"
        ),
        pytest.param(
            "prod", "db.t3.medium", 100, True, 30, id="Prod | db.t3.medium | 100 GB | Yes | 30 days"
        ),
    ],
)
def test_sizes_of_databases(environment: str, size: str, storage: int, standby: bool, days: int) -> None:
    """| Environment | Instance Class | Storage | Multi-AZ | Backup Retention |"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert own["DBInstanceClass"] == size
    assert int(own["AllocatedStorage"]) == storage
    assert own["MultiAZ"] == str(standby).lower()
    assert int(own["BackupRetentionPeriod"]) == days


def test_prod_cannot_be_without_its_standby() -> None:
    """Multi-AZ Support - Production high availability"""
    with pytest.raises(RenderError, match="prod has a standby database"):
        render(SYSTEM, "prod", DatabaseMultiAz="false")
    with pytest.raises(RenderError, match="prod has a NAT gateway in each zone"):
        render(SYSTEM, "prod", Nat="single")


@each
def test_the_engine(environment: str) -> None:
    """Engine: PostgreSQL 15.8. Storage Type: gp3 (General Purpose SSD)"""
    own = render(SYSTEM, environment)["Database/Instance"]
    major, minor = own["EngineVersion"].split(".")
    assert (own["Engine"], major) == ("postgres", "15")
    assert int(minor) > 8  # RDS makes no new 15.8
    assert own["StorageType"] == "gp3"


@each
def test_encryption_of_the_database(environment: str) -> None:
    """Encryption: AES-256 at rest, TLS in transit. At Rest: KMS encryption for RDS"""
    rendered = render(SYSTEM, environment)
    own = rendered["Database/Instance"]
    assert own["StorageEncrypted"] is True
    assert own["KmsKeyId"] == "<Database/Key.Arn>"
    assert rendered["Database/Settings"]["Parameters"]["rds.force_ssl"] == "1"
    assert not own["PubliclyAccessible"]


# --- Storage configuration


@each
def test_documents(environment: str) -> None:
    """paperwurks-{env}-documents | Enabled (Staging/Prod) | 90d → IA, 365d → Glacier (Prod only)"""
    rendered = render(SYSTEM, environment)
    own = rendered["Documents/Bucket"]
    assert own["BucketName"] == f"paperwurks-{environment}-documents"
    assert own["VersioningConfiguration"]["Status"] == ("Suspended" if environment == "dev" else "Enabled")
    moves = [
        (one["StorageClass"], int(one["TransitionInDays"]))
        for one in rules(rendered, "Documents")["move"]["Transitions"]
    ]
    assert moves == [("STANDARD_IA", 90), *([("GLACIER", 365)] if environment == "prod" else [])]
    assert "expire" not in rules(rendered, "Documents")


@each
def test_uploads(environment: str) -> None:
    """paperwurks-{env}-uploads | Temporary uploads | Disabled | 7d expiration"""
    rendered = render(SYSTEM, environment)
    own = rendered["Uploads/Bucket"]
    assert own["BucketName"] == f"paperwurks-{environment}-uploads"
    assert own["VersioningConfiguration"]["Status"] == "Suspended"
    assert int(rules(rendered, "Uploads")["expire"]["ExpirationInDays"]) == 7


@each
def test_buckets_are_private(environment: str) -> None:
    """Access: Private, pre-signed URLs. Encryption: SSE-S3 (AES-256)"""
    found = render(SYSTEM, environment).of("AWS::S3::Bucket")
    assert len(found) == 2
    for own in found.values():
        assert set(own["PublicAccessBlockConfiguration"].values()) == {True}
        [rule] = own["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


# --- Networking architecture


@each
def test_three_tiers(environment: str) -> None:
    """VPC 10.0.0.0/16: Public Subnets /24, Private Subnets /24, Database Subnets /24"""
    rendered = render(SYSTEM, environment)
    assert rendered["Network/Vpc"]["CidrBlock"] == "10.0.0.0/16"
    subnets = rendered.of("AWS::EC2::Subnet")
    assert len(subnets) == 6
    addresses = {IPv4Network(own["CidrBlock"]) for own in subnets.values()}
    assert len(addresses) == 6
    assert all(one.prefixlen == 24 and one.subnet_of(IPv4Network("10.0.0.0/16")) for one in addresses)
    assert len({own["AvailabilityZone"] for own in subnets.values()}) == 2
    assert rendered["Database/Subnets"]["SubnetIds"] == [
        "<Network/DatabaseSubnetA>",
        "<Network/DatabaseSubnetB>",
    ]


@each
def test_s3_is_reached_past_the_nat_gateway(environment: str) -> None:
    """VPC Gateway Endpoint for S3: Eliminates NAT data transfer costs for S3 access"""
    own = render(SYSTEM, environment).one("AWS::EC2::VPCEndpoint")
    assert (own["VpcEndpointType"], own["ServiceName"]) == ("Gateway", "com.amazonaws.eu-west-2.s3")
    assert own["RouteTableIds"] == ["<Network/PrivateRoutesA>", "<Network/PrivateRoutesB>"]


@each
def test_tasks_are_in_the_private_subnets(environment: str) -> None:
    """Private Subnets: Fargate tasks have no direct internet access"""
    rendered = render(SYSTEM, environment)
    for service in ("Backend", "Worker"):
        own = rendered[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert own["AssignPublicIp"] == "DISABLED"
        assert own["Subnets"] == ["<Network/PrivateSubnetA>", "<Network/PrivateSubnetB>"]


@each
def test_nat_gateways(environment: str) -> None:
    """NAT Gateway: Single NAT for dev/staging, dual NAT for prod HA"""
    found = render(SYSTEM, environment).of("AWS::EC2::NatGateway")
    assert len(found) == (2 if environment == "prod" else 1)


# --- Fargate service configuration


@each
def test_names(environment: str) -> None:
    """name = "{env}-paperwurks-backend"; aws ecs list-tasks --cluster paperwurks-dev-cluster"""
    rendered = render(SYSTEM, environment)
    view = manifest().for_environment(environment)
    assert (
        rendered.one("AWS::ECS::Cluster")["ClusterName"]
        == view.cluster
        == f"paperwurks-{environment}-cluster"
    )
    for service in ("Backend", "Worker"):
        name = f"{environment}-paperwurks-{service.lower()}"
        assert rendered[f"{service}/Service"]["ServiceName"] == view.services[service.lower()].service == name
    assert rendered["Database/Instance"]["DBInstanceIdentifier"] == f"paperwurks-{environment}-db"


@each
def test_the_backend_listens(environment: str) -> None:
    """container_name = "paperwurks-backend", container_port = 8000"""
    rendered = render(SYSTEM, environment)
    [balanced] = rendered["Backend/Service"]["LoadBalancers"]
    assert balanced["ContainerName"] == container(rendered, "Backend")["Name"] == "paperwurks-backend"
    assert manifest().services["backend"].container == "paperwurks-backend"
    assert int(balanced["ContainerPort"]) == 8000
    assert container(rendered, "Backend")["PortMappings"][0]["ContainerPort"] == "8000"
    variables = {one["Name"]: one["Value"] for one in container(rendered, "Backend")["Environment"]}
    assert variables["PORT"] == "8000"
    assert "LoadBalancers" not in rendered["Worker/Service"]


@each
def test_rollouts(environment: str) -> None:
    """Rolling deployments with circuit breaker"""
    rendered = render(SYSTEM, environment)
    for service in ("Backend", "Worker"):
        own = rendered[f"{service}/Service"]
        assert own["DeploymentController"] == {"Type": "ECS"}
        breaker = own["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
        assert breaker == {"Enable": True, "Rollback": True}


@each
def test_grace_and_deregistration(environment: str) -> None:
    """Health check grace period: 60 seconds. Deregistration delay: 30 seconds. Target type: ip"""
    rendered = render(SYSTEM, environment)
    assert int(rendered["Backend/Service"]["HealthCheckGracePeriodSeconds"]) == 60
    own = rendered.one("AWS::ElasticLoadBalancingV2::TargetGroup")
    attributes = {one["Key"]: one["Value"] for one in own["TargetGroupAttributes"]}
    assert int(attributes["deregistration_delay.timeout_seconds"]) == 30
    assert own["TargetType"] == "ip"
    assert own["HealthCheckPath"] == "/health"  # the document has none


@each
def test_a_sick_task_is_found_in_time(environment: str) -> None:
    """Health checks detect issues within 30 seconds"""
    own = render(SYSTEM, environment).one("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert int(own["HealthCheckIntervalSeconds"]) * int(own["UnhealthyThresholdCount"]) <= 30


# --- Security architecture


@each
def test_who_reaches_the_load_balancer(environment: str) -> None:
    """ALB SG: Allow 80/443 from 0.0.0.0/0"""
    allowed = ingress(render(SYSTEM, environment), "Edge/SecurityGroup")
    assert {(one["FromPort"], one["ToPort"], one["CidrIp"]) for one in allowed} == {
        (80, 80, "0.0.0.0/0"),
        (443, 443, "0.0.0.0/0"),
    }


@each
def test_who_reaches_the_tasks(environment: str) -> None:
    """ECS SG: Allow 8000 from ALB SG only"""
    rendered = render(SYSTEM, environment)
    [one] = ingress(rendered, "Backend/SecurityGroup")
    assert (int(one["FromPort"]), int(one["ToPort"])) == (8000, 8000)
    assert one["SourceSecurityGroupId"] == "<Edge/SecurityGroup.GroupId>"
    assert not ingress(rendered, "Worker/SecurityGroup")


@each
def test_who_reaches_the_database(environment: str) -> None:
    """RDS SG: Allow 5432 from ECS SG only"""
    rendered = render(SYSTEM, environment)
    [one] = ingress(rendered, "Database/ServerGroup")
    assert (one["FromPort"], one["ToPort"]) == (5432, 5432)
    assert one["SourceSecurityGroupId"] == "<Database/ClientGroup>"
    assert rendered["Database/Instance"]["VPCSecurityGroups"] == ["<Database/ServerGroup>"]
    for service in ("Backend", "Worker"):
        own = rendered[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert own["SecurityGroups"] == [f"<{service}/SecurityGroup.GroupId>", "<Database/ClientGroup>"]


@each
def test_where_tasks_may_connect_to(environment: str) -> None:
    """Security Groups: Least-privilege network access"""
    rendered = render(SYSTEM, environment)
    for service in ("Backend", "Worker"):
        [out] = rendered[f"{service}/SecurityGroup"]["SecurityGroupEgress"]
        assert (out["FromPort"], out["ToPort"]) == (443, 443)
    [out] = rendered["Database/ServerGroup"]["SecurityGroupEgress"]
    assert out["CidrIp"] == "127.0.0.1/32"


@each
def test_everything_leads_to_the_backend(environment: str) -> None:
    """Internet --> ALB, ALB --> BACKEND"""
    own = render(SYSTEM, environment).one("AWS::ElasticLoadBalancingV2::ListenerRule")
    assert [one["PathPatternConfig"]["Values"] for one in own["Conditions"]] == [["/*"]]
    assert own["Actions"] == [{"Type": "forward", "TargetGroupArn": "<Backend/TargetGroup>"}]


@each
def test_tls(environment: str) -> None:
    """In Transit: TLS 1.2+ for all connections"""
    rendered = render(SYSTEM, environment)
    assert rendered["Edge/HttpsListener"]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    [action] = rendered["Edge/HttpListener"]["DefaultActions"]
    assert (action["Type"], action["RedirectConfig"]["Protocol"]) == ("redirect", "HTTPS")


@each
def test_secrets_rotate(environment: str) -> None:
    """Secrets: AWS Secrets Manager with rotation"""
    rendered = render(SYSTEM, environment)
    [(name, secret)] = manifest().for_environment(environment).secrets.items()
    assert secret.every is not None
    assert secret.tls == "verify-full"
    names = {own["Name"]: own for own in rendered.of("AWS::SecretsManager::Secret").values()}
    assert set(names) == {name, secret.admin}
    template = json.loads(names[name]["GenerateSecretString"]["SecretStringTemplate"])
    assert template["username"] == secret.users[0]
    # From the secret, key by key: a rotation changes the user as well.
    taken = {one["Name"]: one["ValueFrom"] for one in container(rendered, "Backend")["Secrets"]}
    assert taken["PGUSER"].endswith(":username::")
    assert taken["PGPASSWORD"].endswith(":password::")
    assert container(rendered, "Worker")["Secrets"] == container(rendered, "Backend")["Secrets"]


@each
def test_no_credential_is_written_anywhere(environment: str) -> None:
    """Secrets Manager (no hardcoded credentials)"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert own["MasterUserPassword"].startswith("{{resolve:secretsmanager:")


# --- Monitoring and observability


@each
def test_alarms_of_the_load_balancer(environment: str) -> None:
    """HTTPCode_Target_5XX_Count (alarm: > 10/min), HealthyHostCount (alarm: < 1)"""
    rendered = render(SYSTEM, environment)
    errors = alarm(rendered, "HTTPCode_Target_5XX_Count")
    assert (errors["ComparisonOperator"], int(errors["Threshold"])) == ("GreaterThanThreshold", 10)
    assert (int(errors["Period"]), errors["Statistic"]) == (60, "Sum")
    hosts = alarm(rendered, "HealthyHostCount")
    assert (hosts["ComparisonOperator"], int(hosts["Threshold"])) == ("LessThanThreshold", 1)


@each
def test_the_alarm_on_slow_answers(environment: str) -> None:
    """TargetResponseTime (target: < 500ms)"""
    own = render(SYSTEM, environment).named(
        "AWS::CloudWatch::Alarm", AlarmName=f"paperwurks-{environment}-backend-response"
    )
    assert (own["ComparisonOperator"], int(own["Threshold"])) == ("GreaterThanThreshold", 500)
    assert "TargetResponseTime" in json.dumps(own["Metrics"])


@each
def test_alarms_of_the_services(environment: str) -> None:
    """ECS Metrics: CPUUtilization, MemoryUtilization"""
    rendered = render(SYSTEM, environment)
    for service in ("backend", "worker"):
        for metric in ("CPUUtilization", "MemoryUtilization"):
            own = alarm(rendered, metric, f"paperwurks-{environment}-{service}-")
            assert (own["ComparisonOperator"], int(own["Threshold"])) == ("GreaterThanThreshold", 80)


@pytest.mark.parametrize(
    ("metric", "comparison", "threshold"),
    [
        pytest.param("CPUUtilization", "GreaterThanThreshold", 80, id="CPUUtilization (alarm: > 80%)"),
        pytest.param(
            "FreeStorageSpace", "LessThanThreshold", 5 * 1024**3, id="FreeStorageSpace (alarm: < 5GB)"
        ),
        pytest.param(
            "FreeableMemory", "LessThanThreshold", 256 * 1024**2, id="FreeableMemory (alarm: < 256MB)"
        ),
    ],
)
@each
def test_alarms_of_the_database(environment: str, metric: str, comparison: str, threshold: int) -> None:
    """RDS Metrics"""
    own = alarm(render(SYSTEM, environment), metric, f"paperwurks-{environment}-database-")
    assert (own["ComparisonOperator"], int(own["Threshold"])) == (comparison, threshold)
    assert own["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": f"paperwurks-{environment}-db"}]


@each
def test_the_alarm_on_connections(environment: str) -> None:
    """DatabaseConnections (alarm: > 80% max)"""
    rendered = render(SYSTEM, environment)
    most = int(rendered["Database/Settings"]["Parameters"]["max_connections"])
    own = alarm(rendered, "DatabaseConnections")
    assert (own["ComparisonOperator"], int(own["Threshold"])) == ("GreaterThanThreshold", most * 80 // 100)


@each
def test_severities(environment: str) -> None:
    """| Critical | Email + PagerDuty |, | Warning | Email + Slack |, | Info | Slack only |"""
    rendered = render(
        SYSTEM,
        environment,
        CriticalEmail="critical@example.com",
        WarningEmail="warning@example.com",
        PagerDutyUrl="https://events.pagerduty.com/integration/0/enqueue",
        SlackWorkspaceId="T0123ABCD",
        SlackChannelId="C0123ABCD",
    )
    topics = {
        severity: rendered.resources[f"Monitoring/{severity}Topic"]
        for severity in ("Critical", "Warning", "Info")
    }
    assert len(topics) == 3
    told = {
        (own["TopicArn"], own["Protocol"], own["Endpoint"])
        for own in rendered.of("AWS::SNS::Subscription").values()
    }
    assert told == {
        ("<Monitoring/CriticalTopic>", "email", "critical@example.com"),
        ("<Monitoring/CriticalTopic>", "https", "https://events.pagerduty.com/integration/0/enqueue"),
        ("<Monitoring/WarningTopic>", "email", "warning@example.com"),
    }
    assert rendered.one("AWS::Chatbot::SlackChannelConfiguration")["SnsTopicArns"] == [
        "<Monitoring/WarningTopic>",
        "<Monitoring/InfoTopic>",
    ]


@each
def test_every_alarm_tells_somebody(environment: str) -> None:
    """| Severity | Channel | Response Time |"""
    rendered = render(SYSTEM, environment)
    for path, own in rendered.of("AWS::CloudWatch::Alarm").items():
        assert own.get("AlarmActions"), path


def test_a_channel_needs_its_workspace() -> None:
    """| Info | Slack only | Best effort |"""
    with pytest.raises(RenderError, match="SlackChannelId needs SlackWorkspaceId"):
        render(SYSTEM, "dev", SlackChannelId="C0123ABCD")


@pytest.mark.parametrize(("environment", "days"), [("dev", 7), ("staging", 14), ("prod", 30)])
def test_logs(environment: str, days: int) -> None:
    """Retention: 7 days (dev), 14 days (staging), 30 days (prod)"""
    groups = render(SYSTEM, environment).of("AWS::Logs::LogGroup")
    own = {
        group["LogGroupName"]: int(group["RetentionInDays"])
        for path, group in groups.items()
        if not path.startswith("Build/")
    }
    assert {
        f"/ecs/{environment}-paperwurks-backend",
        f"/ecs/{environment}-paperwurks-worker",
        f"/aws/rds/instance/paperwurks-{environment}-db/postgresql",
    } <= set(own)
    assert set(own.values()) == {days}


# --- Known issues, future enhancements


@each
def test_the_log_group_of_the_database_is_there_first(environment: str) -> None:
    """RDS automatically creates CloudWatch log groups […]. Terraform tries to manage this, causing conflicts."""
    resources = render(SYSTEM, environment).resources
    made = {
        path.removeprefix("Database/"): own["Properties"]["LogGroupName"].rpartition("/")[2]
        for path, own in resources.items()
        if path.startswith("Database/") and own["Type"] == "AWS::Logs::LogGroup"
    }
    instance = resources["Database/Instance"]
    assert set(made.values()) == set(instance["Properties"]["EnableCloudwatchLogsExports"])
    assert set(made) <= set(instance["DependsOn"])


def test_a_firewall_waits_for_its_review() -> None:
    """No WAF: Web Application Firewall pending security review. AWS WAF with managed rule sets"""
    assert not render(SYSTEM, "prod").of("AWS::WAFv2::WebACL")
    rendered = render(SYSTEM, "prod", Waf="true")
    managed = [
        rule["Statement"]["ManagedRuleGroupStatement"]["VendorName"]
        for rule in rendered.one("AWS::WAFv2::WebACL")["Rules"]
    ]
    assert set(managed) == {"AWS"}
    assert rendered.one("AWS::WAFv2::WebACLAssociation")


# --- Releases


def test_the_way_to_production() -> None:
    """Deploy to staging - done. Deploy to production."""
    places = manifest().environments
    assert [places[name].branch for name in ENVIRONMENTS] == ["develop", "main", None]
    assert [places[name].after for name in ENVIRONMENTS] == [None, None, "staging"]


def test_one_environment_makes_what_all_share() -> None:
    """setup/ # Shared resources (IAM, ECR, S3 backend)"""
    names = {image.repository for image in manifest().images.values()}
    for environment in ENVIRONMENTS:
        rendered = render(SYSTEM, environment)
        made = {own["RepositoryName"] for own in rendered.of("AWS::ECR::Repository").values()}
        projects = {own["Name"] for own in rendered.of("AWS::CodeBuild::Project").values()}
        assert made == (names if environment == "dev" else set())
        assert projects == ({"paperwurks-build"} if environment == "dev" else set())
    for image in manifest().images.values():
        assert image.build is not None
        assert image.build.project == "paperwurks-build"


def test_what_prod_runs_is_not_expired_by_what_dev_builds() -> None:
    """Vulnerability scanning (pending CI/CD integration); images go from dev by staging to prod"""
    for own in render(SYSTEM, "dev").of("AWS::ECR::Repository").values():
        assert own["ImageScanningConfiguration"] == {"ScanOnPush": True}
        listed = json.loads(own["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        [tagged] = [rule["selection"] for rule in listed if rule["selection"]["tagStatus"] == "tagged"]
        assert tagged["countNumber"] == 1000  # what a lagging environment runs is among them


@each
def test_the_stack_registers_its_environment(environment: str) -> None:
    """Infrastructure as Code (audit trail)"""
    rendered = render(SYSTEM, environment)
    own = {one["Name"]: one["Value"] for one in rendered.of("AWS::SSM::Parameter").values()}
    prefix = f"/tidegate/paperwurks/{environment}"
    assert from_json(own.pop(prefix)) == manifest()
    assert set(own) == {f"{prefix}/image/backend", f"{prefix}/image/worker"}
    for service in ("Backend", "Worker"):
        image = container(rendered, service)["Image"]
        assert image == f"{{{{resolve:ssm:{prefix}/image/{service.lower()}}}}}"


@each
def test_the_runner_reaches_the_database(environment: str) -> None:
    """VPC isolation (private subnets): what Tidegate asks in there its runner asks"""
    outputs = render(SYSTEM, environment).outputs
    assert manifest().environments[environment].runner == f"tidegate-runner-paperwurks-{environment}"
    assert outputs["RunnerSecurityGroupIds"] == "<RunnerSecurityGroup>,<Database/ClientGroup>"
    assert outputs["RunnerSubnetIds"] == "<Network/PrivateSubnetA>,<Network/PrivateSubnetB>"
