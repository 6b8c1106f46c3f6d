"""The facts of portfolio's document against its rendered template. A test's docstring is the sentence it comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tidegate.domain.manifest import Manifest, from_json
from tidegate_cli.manifest_file import load_manifest_file

from tests.systems.rendering import SYSTEMS, Rendered, RenderError, environments, render, settings

SYSTEM = "portfolio"
ENVIRONMENTS = ("dev", "prod")
SERVICES = ("Backend", "Frontend")
DOMAINS = {"dev": "dev.therpiproject.com", "prod": "therpiproject.com"}
each = pytest.mark.parametrize("environment", ENVIRONMENTS)


def manifest() -> Manifest:
    return load_manifest_file(str(SYSTEMS / SYSTEM / "tidegate.yaml"))


def container(rendered: Rendered, service: str) -> dict[str, Any]:
    [only] = rendered[f"{service}/TaskDefinition"]["ContainerDefinitions"]
    return dict(only)


def ingress(rendered: Rendered, group: str) -> list[dict[str, Any]]:
    """Whom a security group lets in, wherever that is written."""
    apart = rendered.of("AWS::EC2::SecurityGroupIngress").values()
    return [
        *rendered[group].get("SecurityGroupIngress", []),
        *(own for own in apart if own["GroupId"] in {f"<{group}>", f"<{group}.GroupId>"}),
    ]


@each
def test_the_region_and_the_network(environment: str) -> None:
    """CIDR Block: 10.0.0.0/16. Availability Zones: 2 (us-east-1a, us-east-1b)"""
    rendered = render(SYSTEM, environment)
    region = manifest().environments[environment].region
    assert settings(SYSTEM, environment)["region"] == region == "us-east-1"
    assert rendered["Network/Vpc"]["CidrBlock"] == "10.0.0.0/16"
    zones = {own["AvailabilityZone"] for own in rendered.of("AWS::EC2::Subnet").values()}
    assert zones == {"us-east-1a", "us-east-1b"}
    assert tuple(environments(SYSTEM)) == tuple(manifest().environments) == ENVIRONMENTS


@each
def test_subnets(environment: str) -> None:
    """Public Subnets (10.0.1.0/24, 10.0.2.0/24), Private Subnets (10.0.10.0/24, 10.0.11.0/24)"""
    rendered = render(SYSTEM, environment)
    own = {path: subnet["CidrBlock"] for path, subnet in rendered.of("AWS::EC2::Subnet").items()}
    assert own == {
        "Network/PublicSubnetA": "10.0.1.0/24",
        "Network/PublicSubnetB": "10.0.2.0/24",
        "Network/PrivateSubnetA": "10.0.10.0/24",
        "Network/PrivateSubnetB": "10.0.11.0/24",
    }


@each
def test_what_is_in_the_private_subnets(environment: str) -> None:
    """ECS Fargate tasks (Frontend & Backend), RDS PostgreSQL database, ElastiCache Redis cluster"""
    rendered = render(SYSTEM, environment)
    private = ["<Network/PrivateSubnetA>", "<Network/PrivateSubnetB>"]
    for service in SERVICES:
        own = rendered[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert own["Subnets"] == private
        assert own["AssignPublicIp"] == "DISABLED"
    assert rendered["Database/Subnets"]["SubnetIds"] == private
    assert rendered["Cache/Subnets"]["SubnetIds"] == private


@each
def test_nat_gateways(environment: str) -> None:
    """NAT Gateways: 2 (one per AZ) for private subnet internet access"""
    found = render(SYSTEM, environment).of("AWS::EC2::NatGateway")
    assert {own["SubnetId"] for own in found.values()} == {
        "<Network/PublicSubnetA>",
        "<Network/PublicSubnetB>",
    }


# --- DNS and TLS


@each
def test_records(environment: str) -> None:
    """A record pointing to ALB. AAAA record for IPv6. CNAME for www subdomain"""
    rendered = render(SYSTEM, environment)
    domain = DOMAINS[environment]
    records = {(own["Name"], own["Type"]): own for own in rendered.of("AWS::Route53::RecordSet").values()}
    assert set(records) == {(domain, "A"), (domain, "AAAA"), (f"www.{domain}", "CNAME")}
    for kind in ("A", "AAAA"):
        assert records[domain, kind]["AliasTarget"]["DNSName"] == "<Edge/LoadBalancer.DNSName>"
    assert records[f"www.{domain}", "CNAME"]["ResourceRecords"] == [domain]
    # An AAAA record leads nowhere unless the load balancer and its subnets have such addresses.
    assert rendered["Edge/LoadBalancer"]["IpAddressType"] == "dualstack"
    assert len(rendered.of("AWS::EC2::SubnetCidrBlock")) == 2


@each
def test_hosted_zones(environment: str) -> None:
    """Hosted Zone: dev.therpiproject.com (dev) / therpiproject.com (prod)"""
    zone = settings(SYSTEM, environment)["parameter_overrides"]["HostedZoneId"]
    rendered = render(SYSTEM, environment)
    assert {own["HostedZoneId"] for own in rendered.of("AWS::Route53::RecordSet").values()} == {zone}
    other = settings(SYSTEM, "prod" if environment == "dev" else "dev")["parameter_overrides"]["HostedZoneId"]
    assert zone != other


@each
def test_the_certificate(environment: str) -> None:
    """SSL/TLS Certificate: Wildcard certificate (*.therpiproject.com). Validation: DNS validation via Route 53"""
    own = render(SYSTEM, environment)["Edge/Certificate"]
    assert own["DomainName"] == "*.therpiproject.com"
    assert own["ValidationMethod"] == "DNS"
    # The wildcard has room for one label and leaves the name itself out.
    domain = DOMAINS[environment]
    assert {domain, f"www.{domain}"} <= set(own["SubjectAlternativeNames"])
    zones = {option["DomainName"]: option["HostedZoneId"] for option in own["DomainValidationOptions"]}
    assert set(zones) == {own["DomainName"], *own["SubjectAlternativeNames"]}
    parent = settings(SYSTEM, "prod")["parameter_overrides"]["HostedZoneId"]
    assert zones["*.therpiproject.com"] == parent
    assert zones[domain] == settings(SYSTEM, environment)["parameter_overrides"]["HostedZoneId"]


@each
def test_tls(environment: str) -> None:
    """Protocol: TLS 1.3 with modern cipher suites"""
    assert "TLS13" in render(SYSTEM, environment)["Edge/HttpsListener"]["SslPolicy"]


# --- Compute


@each
def test_the_cluster(environment: str) -> None:
    """Type: Fargate (serverless). Container Insights: Enabled for detailed monitoring"""
    own = render(SYSTEM, environment).one("AWS::ECS::Cluster")
    assert own["ClusterName"] == manifest().environments[environment].cluster == f"portfolio-{environment}"
    assert own["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]
    [provider] = own["DefaultCapacityProviderStrategy"]
    assert provider["CapacityProvider"] == "FARGATE"


@each
@pytest.mark.parametrize(
    ("service", "port", "path"),
    [
        pytest.param("Frontend", 3000, "/", id="Frontend: Port: 3000. Health Check: HTTP GET on /"),
        pytest.param(
            "Backend",
            8000,
            "/api/v1/health",
            id="Backend: Port: 8000. Health Check: HTTP GET on /api/v1/health",
        ),
    ],
)
def test_services(environment: str, service: str, port: int, path: str) -> None:
    """Resources: 256 CPU units (0.25 vCPU), 512 MB memory"""
    rendered = render(SYSTEM, environment)
    definition = rendered[f"{service}/TaskDefinition"]
    assert (int(definition["Cpu"]), int(definition["Memory"])) == (256, 512)
    assert int(container(rendered, service)["PortMappings"][0]["ContainerPort"]) == port
    [balanced] = rendered[f"{service}/Service"]["LoadBalancers"]
    assert int(balanced["ContainerPort"]) == port
    group = rendered[f"{service}/TargetGroup"]
    assert (int(group["Port"]), group["HealthCheckPath"]) == (port, path)
    assert group["HealthCheckEnabled"] is True
    variables = {one["Name"]: one["Value"] for one in container(rendered, service)["Environment"]}
    assert (variables["PORT"], variables["HEALTH_PATH"]) == (str(port), path)


@pytest.mark.parametrize(
    ("environment", "fewest"),
    [
        pytest.param("dev", 1, id="Minimal task count (1 task per service)"),
        pytest.param("prod", 2, id="Multiple tasks per service"),
    ],
)
def test_scaling(environment: str, fewest: int) -> None:
    """Scaling: 1-4 tasks based on CPU utilization (target: 70%)"""
    rendered = render(SYSTEM, environment)
    for service in SERVICES:
        target = rendered[f"{service}/ScalableTarget"]
        assert (int(target["MinCapacity"]), int(target["MaxCapacity"])) == (fewest, 4)
        policy = rendered[f"{service}/CpuScaling"]["TargetTrackingScalingPolicyConfiguration"]
        assert policy["PredefinedMetricSpecification"] == {
            "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
        }
        assert int(policy["TargetValue"]) == 70
        assert f"{service}/MemoryScaling" not in rendered.resources
        assert "DesiredCount" not in rendered[f"{service}/Service"]


@each
def test_cooldowns(environment: str) -> None:
    """Scale Out: Add task when CPU > 70% for 2 minutes. Scale In: Remove task when CPU < 70% for 2 minutes"""
    rendered = render(SYSTEM, environment)
    for service in SERVICES:
        policy = rendered[f"{service}/CpuScaling"]["TargetTrackingScalingPolicyConfiguration"]
        assert (int(policy["ScaleOutCooldown"]), int(policy["ScaleInCooldown"])) == (120, 120)


@each
def test_rollouts(environment: str) -> None:
    """Circuit Breaker: Enabled with automatic rollback. Maximum Percent: 200%. Minimum Healthy Percent: 100%"""
    rendered = render(SYSTEM, environment)
    for service in SERVICES:
        own = rendered[f"{service}/Service"]
        assert own["DeploymentController"] == {"Type": "ECS"}
        assert own["DeploymentConfiguration"] == {
            "MaximumPercent": 200,
            "MinimumHealthyPercent": 100,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        }


# --- Load balancing


@each
def test_listeners(environment: str) -> None:
    """HTTP (80) → Redirects to HTTPS. HTTPS (443) → Routes to target groups"""
    rendered = render(SYSTEM, environment)
    assert rendered["Edge/LoadBalancer"]["Scheme"] == "internet-facing"
    [action] = rendered["Edge/HttpListener"]["DefaultActions"]
    assert action["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    assert (rendered["Edge/HttpsListener"]["Port"], rendered["Edge/HttpsListener"]["Protocol"]) == (
        443,
        "HTTPS",
    )


@each
def test_routing(environment: str) -> None:
    """/api/* → Backend target group. /* → Frontend target group"""
    rendered = render(SYSTEM, environment)
    rules = sorted(
        rendered.of("AWS::ElasticLoadBalancingV2::ListenerRule").values(),
        key=lambda one: int(one["Priority"]),
    )
    routes = []
    for rule in rules:
        [condition] = rule["Conditions"]
        [action] = rule["Actions"]
        routes.append((condition["PathPatternConfig"]["Values"], action["TargetGroupArn"]))
    assert routes == [(["/api/*"], "<Backend/TargetGroup>"), (["/*"], "<Frontend/TargetGroup>")]


# --- Data


@each
def test_the_database_engine(environment: str) -> None:
    """Engine: PostgreSQL 16.3"""
    own = render(SYSTEM, environment)["Database/Instance"]
    major, minor = own["EngineVersion"].split(".")
    assert (own["Engine"], major) == ("postgres", "16")
    assert int(minor) > 3  # RDS makes no new 16.3


@pytest.mark.parametrize(
    ("environment", "size", "storage", "standby"),
    [
        pytest.param(
            "dev", "db.t4g.micro", 20, "false", id="Dev: db.t4g.micro, 20 GB gp3, Multi-AZ disabled"
        ),
        pytest.param(
            "prod", "db.t4g.small", 50, "true", id="Prod: db.t4g.small, 50 GB gp3, Multi-AZ enabled"
        ),
    ],
)
def test_the_database_size(environment: str, size: str, storage: int, standby: str) -> None:
    """Instance Class, Storage, Multi-AZ: Disabled (dev), Enabled (prod)"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert (own["DBInstanceClass"], int(own["AllocatedStorage"]), own["StorageType"], own["MultiAZ"]) == (
        size,
        storage,
        "gp3",
        standby,
    )


def test_prod_cannot_be_without_its_standbys() -> None:
    """Multi-AZ database for high availability"""
    with pytest.raises(RenderError, match="prod has a standby database"):
        render(SYSTEM, "prod", DatabaseMultiAz="false")
    with pytest.raises(RenderError, match="prod has a Redis node that takes over"):
        render(SYSTEM, "prod", CacheReplicas="0")


@each
def test_the_database_is_protected(environment: str) -> None:
    """Deletion Protection: Enabled. Encryption: At-rest encryption enabled. Network: Private subnets only"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert own["DeletionProtection"] == "true"
    assert own["StorageEncrypted"] is True
    assert own["PubliclyAccessible"] is False


@each
def test_backups(environment: str) -> None:
    """Automated Backups: 7-day retention. Backup Window: 03:00-04:00 UTC. Maintenance Window: Mon 04:00-05:00 UTC"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert int(own["BackupRetentionPeriod"]) == 7
    assert own["PreferredBackupWindow"] == "03:00-04:00"
    assert own["PreferredMaintenanceWindow"].lower() == "mon:04:00-mon:05:00"


@each
def test_the_database_is_watched(environment: str) -> None:
    """Enhanced Monitoring: 60-second intervals. CloudWatch Logs: postgresql, upgrade logs"""
    own = render(SYSTEM, environment)["Database/Instance"]
    assert int(own["MonitoringInterval"]) == 60
    assert own["MonitoringRoleArn"] == "<Database/MonitoringRole.Arn>"
    assert own["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]


@pytest.mark.parametrize(
    ("environment", "node", "nodes", "failover"),
    [
        pytest.param("dev", "cache.t4g.micro", 1, False, id="Dev: cache.t4g.micro, 1 node"),
        pytest.param(
            "prod", "cache.t4g.small", 2, True, id="Prod: cache.t4g.small, 2+ with automatic failover"
        ),
    ],
)
def test_the_cache(environment: str, node: str, nodes: int, failover: bool) -> None:
    """Engine: Redis 7.1. Nodes: 1 (dev), 2+ (prod with automatic failover). Encryption: At-rest enabled"""
    own = render(SYSTEM, environment).one("AWS::ElastiCache::ReplicationGroup")
    assert (own["Engine"], own["EngineVersion"], own["CacheNodeType"]) == ("redis", "7.1", node)
    assert int(own["NumCacheClusters"]) == nodes
    assert own["AutomaticFailoverEnabled"] is failover
    assert own["AtRestEncryptionEnabled"] is True


@each
def test_the_cache_policy(environment: str) -> None:
    """Eviction Policy: allkeys-lru. Snapshot Retention: 5 days. Snapshot Window: 03:00-05:00 UTC"""
    rendered = render(SYSTEM, environment)
    own = rendered.one("AWS::ElastiCache::ReplicationGroup")
    assert rendered["Cache/Settings"]["Properties"] == {"maxmemory-policy": "allkeys-lru"}
    assert int(own["SnapshotRetentionLimit"]) == 5
    assert own["SnapshotWindow"] == "03:00-05:00"


# --- Container registry


def test_repositories() -> None:
    """Image Scanning: Enabled on push. Encryption: AES256. Remove untagged images after 7 days"""
    found = render(SYSTEM, "dev").of("AWS::ECR::Repository")
    assert {own["RepositoryName"] for own in found.values()} == {
        image.repository for image in manifest().images.values()
    }
    assert len(found) == 2
    for own in found.values():
        assert own["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert own["EncryptionConfiguration"] == {"EncryptionType": "AES256"}
        listed = json.loads(own["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        [untagged] = [rule["selection"] for rule in listed if rule["selection"]["tagStatus"] == "untagged"]
        assert (untagged["countNumber"], untagged["countUnit"]) == (7, "days")


def test_what_the_repositories_keep() -> None:
    """Keep last 10 tagged images (prefix: v)"""
    for own in render(SYSTEM, "dev").of("AWS::ECR::Repository").values():
        listed = json.loads(own["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        [tagged] = [rule["selection"] for rule in listed if rule["selection"]["tagStatus"] == "tagged"]
        assert (tagged["countType"], tagged["countNumber"]) == ("imageCountMoreThan", 10)
        assert tagged.get("tagPatternList", tagged.get("tagPrefixList")) in (["v*"], ["v"])
    # No image that Tidegate releases is among them: prod may run what is eleven builds old.
    assert {image.tag for image in manifest().images.values()} == {"{commit}"}


def test_one_environment_makes_what_both_share() -> None:
    """Backend repository: portfolio-{env}-backend (one for both: an image is built once and promoted)"""
    rendered = render(SYSTEM, "prod")
    assert not rendered.of("AWS::ECR::Repository")
    assert not rendered.of("AWS::CodeBuild::Project")


# --- Security


@each
def test_who_reaches_what(environment: str) -> None:
    """ALB: 80, 443 from 0.0.0.0/0. ECS: 3000, 8000 from ALB. RDS: 5432 from ECS. Redis: 6379 from ECS"""
    rendered = render(SYSTEM, environment)
    public = {
        (one["FromPort"], one.get("CidrIp", one.get("CidrIpv6")))
        for one in ingress(rendered, "Edge/SecurityGroup")
    }
    assert public == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0"), (80, "::/0"), (443, "::/0")}
    for service, port in (("Backend", 8000), ("Frontend", 3000)):
        [one] = ingress(rendered, f"{service}/SecurityGroup")
        assert (int(one["FromPort"]), int(one["ToPort"])) == (port, port)
        assert one["SourceSecurityGroupId"] == "<Edge/SecurityGroup.GroupId>"
    for store, port in (("Database", 5432), ("Cache", 6379)):
        [one] = ingress(rendered, f"{store}/ServerGroup")
        assert (int(one["FromPort"]), int(one["ToPort"])) == (port, port)
        assert one["SourceSecurityGroupId"] == f"<{store}/ClientGroup>"


@each
def test_who_wears_what(environment: str) -> None:
    """Access: Via security group (ECS tasks only)"""
    rendered = render(SYSTEM, environment)

    def worn(service: str) -> list[str]:
        own = rendered[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        return list(own["SecurityGroups"])

    assert worn("Backend") == [
        "<Backend/SecurityGroup.GroupId>",
        "<Database/ClientGroup>",
        "<Cache/ClientGroup>",
    ]
    # Only the backend connects to RDS and Redis.
    assert worn("Frontend") == ["<Frontend/SecurityGroup.GroupId>"]


@each
def test_where_tasks_may_connect_to(environment: str) -> None:
    """ECS Security Group: Outbound: All traffic"""
    rendered = render(SYSTEM, environment)
    for service in SERVICES:
        [out] = rendered[f"{service}/SecurityGroup"]["SecurityGroupEgress"]
        assert (out["IpProtocol"], out["CidrIp"]) == ("-1", "0.0.0.0/0")


@each
def test_encryption_in_transit(environment: str) -> None:
    """Encryption in transit (HTTPS/TLS)"""
    rendered = render(SYSTEM, environment)
    assert rendered["Database/Settings"]["Parameters"]["rds.force_ssl"] == "1"
    assert rendered.one("AWS::ElastiCache::ReplicationGroup")["TransitEncryptionEnabled"] == "true"
    variables = {one["Name"]: one["Value"] for one in container(rendered, "Backend")["Environment"]}
    assert variables["REDIS_URL"].startswith("rediss://")


@each
def test_credentials(environment: str) -> None:
    """No hardcoded credentials. AWS Secrets Manager for credential management"""
    rendered = render(SYSTEM, environment)
    assert rendered["Database/Instance"]["MasterUserPassword"].startswith("{{resolve:secretsmanager:")
    taken = {one["Name"]: one["ValueFrom"] for one in container(rendered, "Backend")["Secrets"]}
    assert set(taken) == {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "REDIS_PASSWORD"}
    assert not container(rendered, "Frontend")["Secrets"]
    [(name, secret)] = manifest().for_environment(environment).secrets.items()
    made = {own["Name"] for own in rendered.of("AWS::SecretsManager::Secret").values()}
    assert made == {name, secret.admin, f"portfolio/{environment}/redis"}
    assert secret.every is not None


# --- Monitoring


@each
def test_logs(environment: str) -> None:
    """Log Groups (30-day retention): /ecs/portfolio-{env}/backend, /ecs/portfolio-{env}/frontend, …/cluster"""
    groups = render(SYSTEM, environment).of("AWS::Logs::LogGroup").values()
    own = {group["LogGroupName"]: int(group["RetentionInDays"]) for group in groups}
    assert {f"/ecs/portfolio-{environment}/{name}" for name in ("backend", "frontend", "cluster")} <= set(own)
    assert set(own.values()) == {30}


@each
@pytest.mark.parametrize("metric", ["CPUUtilization", "MemoryUtilization"])
def test_alarms(environment: str, metric: str) -> None:
    """High CPU (>80% for 2 periods). High Memory (>80% for 2 periods)"""
    rendered = render(SYSTEM, environment)
    found = {
        dimension["Value"]: own
        for own in rendered.of("AWS::CloudWatch::Alarm").values()
        if (own.get("Namespace"), own.get("MetricName")) == ("AWS/ECS", metric)
        for dimension in own["Dimensions"]
        if dimension["Name"] == "ServiceName"
    }
    assert set(found) == {f"portfolio-{environment}-{name}" for name in ("backend", "frontend")}
    for own in found.values():
        assert own["ComparisonOperator"] == "GreaterThanThreshold"
        assert (int(own["Threshold"]), int(own["EvaluationPeriods"])) == (80, 2)
        assert own["AlarmActions"] == ["<Monitoring/WarningTopic>"]


@each
def test_the_dashboard(environment: str) -> None:
    """ECS cluster metrics visualization. Service health overview. Resource utilization trends"""
    own = render(SYSTEM, environment).one("AWS::CloudWatch::Dashboard")
    assert own["DashboardName"] == f"portfolio-{environment}"
    body = json.dumps(own["DashboardBody"])
    for metric in (
        "CPUUtilization",
        "MemoryUtilization",
        "RequestCount",
        "TargetResponseTime",
        "DatabaseConnections",
    ):
        assert metric in body


# --- Pipeline


def test_tests_come_before_the_build() -> None:
    """1. Run tests with coverage 2. Build Docker image; 1. Run linting 2. Build Docker image"""
    images = manifest().images
    assert images["backend"].build is not None
    assert images["frontend"].build is not None
    assert images["backend"].build.test == "make coverage"
    assert images["frontend"].build.test == "make lint"


def test_what_a_push_builds() -> None:
    """Trigger: Push to main (backend changes). Trigger: Push to main (frontend changes)"""
    images = manifest().images
    assert {name: image.watch for name, image in images.items()} == {
        "backend": ("backend/**",),
        "frontend": ("frontend/**",),
    }
    assert {place.branch for place in manifest().environments.values()} == {"main"}
    assert render(SYSTEM, "dev").one("AWS::CodeBuild::Project")["SourceVersion"] == "main"


def test_who_releases_to_production() -> None:
    """Environments: dev, prod (a push goes to dev by itself, and to prod when somebody has approved it)"""
    places = manifest().environments
    assert places["dev"].approval == "none"
    assert places["prod"].approval == "required"


@each
def test_the_stack_registers_its_environment(environment: str) -> None:
    """Infrastructure as Code: Full stack reproducible"""
    rendered = render(SYSTEM, environment)
    own = {one["Name"]: one["Value"] for one in rendered.of("AWS::SSM::Parameter").values()}
    prefix = f"/tidegate/portfolio/{environment}"
    assert from_json(own.pop(prefix)) == manifest()
    assert set(own) == {f"{prefix}/image/backend", f"{prefix}/image/frontend"}
    view = manifest().for_environment(environment)
    for service in SERVICES:
        key = service.lower()
        assert container(rendered, service)["Image"] == f"{{{{resolve:ssm:{prefix}/image/{key}}}}}"
        assert rendered[f"{service}/Service"]["ServiceName"] == view.services[key].service
        assert container(rendered, service)["Name"] == view.services[key].container
    assert view.settings.runner == f"tidegate-runner-portfolio-{environment}"
