"""The facts of harvestry's document against its rendered template. A test's docstring is the line it comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.systems.rendering import Json, Rendered, RenderError, render
from tests.systems.test_manifests import manifest

SERVICES = ("identity", "genetics", "spatial", "tasks", "telemetry")
each = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture(scope="module")
def made() -> Rendered:
    return render("harvestry", "production")


def task(made: Rendered, service: str) -> Json:
    return made[f"{service.capitalize()}/TaskDefinition"]


def container(made: Rendered, service: str) -> Json:
    [only] = task(made, service)["ContainerDefinitions"]
    return dict(only)


def attributes(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["Key"]: one["Value"] for one in listed}


def variables(made: Rendered, service: str) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in container(made, service)["Environment"]}


class TestNetwork:
    """1. Architecture Diagram"""

    def test_vpc(self, made: Rendered) -> None:
        """VPC: harvestry-vpc, CIDR: 10.0.0.0/16, AWS Region (us-east-1)"""
        vpc = made.one("AWS::EC2::VPC")
        assert vpc["CidrBlock"] == "10.0.0.0/16"
        assert attributes(vpc["Tags"])["Name"] == "harvestry-vpc"
        assert manifest("harvestry").environments["production"].region == "us-east-1"

    @pytest.mark.parametrize(
        ("subnet", "cidr", "zone"),
        [
            ("PublicSubnetA", "10.0.1.0/24", "us-east-1a"),
            ("PublicSubnetB", "10.0.2.0/24", "us-east-1b"),
            ("PrivateSubnetA", "10.0.10.0/24", "us-east-1a"),
            ("PrivateSubnetB", "10.0.20.0/24", "us-east-1b"),
            ("DatabaseSubnetA", "10.0.100.0/24", "us-east-1a"),
            ("DatabaseSubnetB", "10.0.200.0/24", "us-east-1b"),
        ],
    )
    def test_subnets(self, made: Rendered, subnet: str, cidr: str, zone: str) -> None:
        """Public Subnet A 10.0.1.0/24, B 10.0.2.0/24; Private 10.0.10.0/24, 10.0.20.0/24; Database 10.0.100.0/24,
        10.0.200.0/24"""
        found = made[f"Network/{subnet}"]
        assert (found["CidrBlock"], found["AvailabilityZone"]) == (cidr, zone)

    def test_a_nat_gateway_in_each_public_subnet(self, made: Rendered) -> None:
        """Public Subnet A: NAT Gateway; Public Subnet B: NAT Gateway"""
        assert {nat["SubnetId"] for nat in made.of("AWS::EC2::NatGateway").values()} == {
            "<Network/PublicSubnetA>",
            "<Network/PublicSubnetB>",
        }

    def test_the_database_tier_has_no_way_out(self, made: Rendered) -> None:
        """Database Subnet A: RDS Primary, ElastiCache Redis; Database Subnet B: RDS Standby (Multi-AZ)"""
        tier = ["<Network/DatabaseSubnetA>", "<Network/DatabaseSubnetB>"]
        assert made.one("AWS::RDS::DBSubnetGroup")["SubnetIds"] == tier
        assert made.one("AWS::ElastiCache::SubnetGroup")["SubnetIds"] == tier
        routed = {
            one["RouteTableId"]
            for one in made.of("AWS::EC2::SubnetRouteTableAssociation").values()
            if one["SubnetId"] in tier
        }
        assert routed
        assert not routed & {one["RouteTableId"] for one in made.of("AWS::EC2::Route").values()}


class TestCompute:
    """2. Compute: ECS Fargate"""

    def test_cluster(self, made: Rendered) -> None:
        """name = "harvestry-cluster"; containerInsights = enabled; log group "/ecs/harvestry/exec" """
        cluster = made.one("AWS::ECS::Cluster")
        assert cluster["ClusterName"] == "harvestry-cluster"
        assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]
        executed = cluster["Configuration"]["ExecuteCommandConfiguration"]
        assert executed["Logging"] == "OVERRIDE"
        assert executed["LogConfiguration"]["CloudWatchLogGroupName"] == "/ecs/harvestry/exec"

    def test_capacity_providers(self, made: Rendered) -> None:
        """capacity_providers = ["FARGATE", "FARGATE_SPOT"]; default strategy FARGATE, weight = 1, base = 1"""
        cluster = made.one("AWS::ECS::Cluster")
        assert cluster["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
        assert cluster["DefaultCapacityProviderStrategy"] == [
            {"CapacityProvider": "FARGATE", "Base": "1", "Weight": "1"}
        ]

    def test_spot_takes_a_share_where_asked(self) -> None:
        """FARGATE + FARGATE_SPOT"""
        mixed = render("harvestry", "production", SpotWeight="3")
        strategy = mixed["Identity/Service"]["CapacityProviderStrategy"]
        assert {one["CapacityProvider"]: one["Weight"] for one in strategy} == {
            "FARGATE": "1",
            "FARGATE_SPOT": "3",
        }

    @each
    def test_task_size(self, made: Rendered, service: str) -> None:
        """family = "harvestry-identity"; network_mode = "awsvpc"; FARGATE; cpu = 256; memory = 512"""
        definition = task(made, service)
        assert definition["Family"] == f"harvestry-{service}"
        assert (definition["NetworkMode"], definition["RequiresCompatibilities"]) == ("awsvpc", ["FARGATE"])
        assert (definition["Cpu"], definition["Memory"]) == ("256", "512")

    @each
    def test_container(self, made: Rendered, service: str) -> None:
        """name = "identity-api"; containerPort = 8080; ASPNETCORE_ENVIRONMENT = "Production" """
        own = container(made, service)
        assert own["Name"] == f"{service}-api"
        assert own["PortMappings"] == [{"ContainerPort": "8080", "Protocol": "tcp"}]
        assert variables(made, service)["ASPNETCORE_ENVIRONMENT"] == "Production"

    @each
    def test_secrets(self, made: Rendered, service: str) -> None:
        """ConnectionStrings__PostgreSQL: …:connection_string::; Supabase__JwtSecret: …:jwt_secret::"""
        taken = {one["Name"]: one["ValueFrom"] for one in container(made, service)["Secrets"]}
        assert taken == {
            "ConnectionStrings__PostgreSQL": "<Database/ConnectionString>:connection_string::",
            "Supabase__JwtSecret": "<SupabaseSecret>:jwt_secret::",
        }

    @each
    def test_container_health_check(self, made: Rendered, service: str) -> None:
        """curl -f http://localhost:8080/health || exit 1; interval = 30; timeout = 5; retries = 3; startPeriod = 60"""
        check = container(made, service)["HealthCheck"]
        shell, command = check["Command"]
        assert shell == "CMD-SHELL"
        assert command.startswith("curl -f http://localhost:8080/health || ")
        assert command.endswith(" || exit 1")
        assert [int(check[key]) for key in ("Interval", "Timeout", "Retries", "StartPeriod")] == [
            30,
            5,
            3,
            60,
        ]

    @each
    def test_service(self, made: Rendered, service: str) -> None:
        """name = "identity-service"; desired_count = 2; assign_public_ip = false; subnets = var.private_subnet_ids"""
        own = made.named("AWS::ECS::Service", ServiceName=f"{service}-service")
        count = made.named(
            "AWS::SSM::Parameter", Name=own["DesiredCount"].removeprefix("{{resolve:ssm:").removesuffix("}}")
        )
        assert count["Value"] == "2"
        network = own["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"
        assert network["Subnets"] == ["<Network/PrivateSubnetA>", "<Network/PrivateSubnetB>"]

    @each
    def test_rollout(self, made: Rendered, service: str) -> None:
        """maximum_percent = 200; minimum_healthy_percent = 100; deployment_circuit_breaker enable, rollback = true"""
        assert made.named("AWS::ECS::Service", ServiceName=f"{service}-service")[
            "DeploymentConfiguration"
        ] == {
            "MaximumPercent": 200,
            "MinimumHealthyPercent": 100,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        }


class TestDatabase:
    """3. Database: RDS PostgreSQL"""

    def test_instance(self, made: Rendered) -> None:
        """identifier = "harvestry-db"; engine = "postgres"; instance_class = "db.t3.medium"; PostgreSQL 15"""
        own = made.one("AWS::RDS::DBInstance")
        assert (own["DBInstanceIdentifier"], own["Engine"]) == ("harvestry-db", "postgres")
        assert own["EngineVersion"].startswith("15.")
        assert own["DBInstanceClass"] == "db.t3.medium"

    def test_version(self) -> None:
        """engine_version = "15.4", which RDS does not offer any more: another 15 is, and no other major version"""
        assert render("harvestry", "production").one("AWS::RDS::DBInstance")["EngineVersion"] != "15.4"
        with pytest.raises(RenderError, match="a version of PostgreSQL 15"):
            render("harvestry", "production", DatabaseVersion="16.3")

    def test_storage(self, made: Rendered) -> None:
        """allocated_storage = 100; max_allocated_storage = 500; storage_type = "gp3"; storage_encrypted; kms_key_id"""
        own = made.one("AWS::RDS::DBInstance")
        assert [own[key] for key in ("AllocatedStorage", "MaxAllocatedStorage", "StorageType")] == [
            "100",
            "500",
            "gp3",
        ]
        assert (own["StorageEncrypted"], own["KmsKeyId"]) == (True, "<Database/Key.Arn>")

    def test_database_and_administrator(self, made: Rendered) -> None:
        """db_name = "harvestry"; username = "harvestry_admin"; password = random_password"""
        own = made.one("AWS::RDS::DBInstance")
        assert (own["DBName"], own["MasterUsername"]) == ("harvestry", "harvestry_admin")
        assert (
            own["MasterUserPassword"]
            == "{{resolve:secretsmanager:<Database/AdminSecret>:SecretString:password}}"
        )
        assert made["Database/AdminSecret"]["GenerateSecretString"]["PasswordLength"] == 40

    def test_availability_and_backups(self, made: Rendered) -> None:
        """multi_az; backup_retention_period = 30; 03:00-04:00; Mon:04:00-Mon:05:00; publicly_accessible = false"""
        own = made.one("AWS::RDS::DBInstance")
        assert own["MultiAZ"] == "true"
        assert own["BackupRetentionPeriod"] == "30"
        assert own["PreferredBackupWindow"] == "03:00-04:00"
        assert own["PreferredMaintenanceWindow"] == "Mon:04:00-Mon:05:00"
        assert own["PubliclyAccessible"] is False

    def test_it_is_kept(self, made: Rendered) -> None:
        """deletion_protection = true; skip_final_snapshot = false"""
        assert made.one("AWS::RDS::DBInstance")["DeletionProtection"] == "true"
        assert made.resources["Database/Instance"]["DeletionPolicy"] == "Snapshot"
        assert made.resources["Database/Instance"]["UpdateReplacePolicy"] == "Snapshot"

    def test_what_is_seen_of_it(self, made: Rendered) -> None:
        """performance_insights_enabled, retention 7; enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]"""
        own = made.one("AWS::RDS::DBInstance")
        assert own["EnablePerformanceInsights"] == "true"
        assert own["PerformanceInsightsRetentionPeriod"] == 7
        assert own["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]

    def test_parameters(self, made: Rendered) -> None:
        """family = "postgres15"; max_connections = "200"; log_statement = "ddl" """
        group = made.one("AWS::RDS::DBParameterGroup")
        assert group["Family"] == "postgres15"
        assert group["Parameters"]["max_connections"] == "200"
        assert group["Parameters"]["log_statement"] == "ddl"

    def test_timescaledb(self, made: Rendered) -> None:
        """shared_preload_libraries = "timescaledb", which RDS refuses; a parameter has it where a server does not"""
        preloaded = "shared_preload_libraries"
        assert made.one("AWS::RDS::DBParameterGroup")["Parameters"][preloaded] == "pg_stat_statements"
        asked = render("harvestry", "production", PreloadLibraries="timescaledb")
        assert asked.one("AWS::RDS::DBParameterGroup")["Parameters"][preloaded] == "timescaledb"

    @each
    def test_who_connects(self, made: Rendered, service: str) -> None:
        """PostgreSQL from ECS: from_port = 5432, security_groups = [ecs_tasks]"""
        [rule] = made["Database/ServerGroup"]["SecurityGroupIngress"]
        assert (rule["FromPort"], rule["ToPort"]) == (5432, 5432)
        network = made[f"{service.capitalize()}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert rule["SourceSecurityGroupId"] in network["SecurityGroups"]


class TestCache:
    """4. Caching: ElastiCache Redis"""

    def test_cache(self, made: Rendered) -> None:
        """cluster_id = "harvestry-cache"; redis 7.0; cache.t3.micro; num_cache_nodes = 1; port = 6379"""
        own = made.one("AWS::ElastiCache::ReplicationGroup")
        assert own["ReplicationGroupId"] == "harvestry-cache"
        assert (own["Engine"], own["EngineVersion"], own["CacheNodeType"]) == (
            "redis",
            "7.0",
            "cache.t3.micro",
        )
        assert (own["NumCacheClusters"], own["Port"]) == (1, 6379)

    def test_snapshots(self, made: Rendered) -> None:
        """snapshot_retention_limit = 7; snapshot_window = "05:00-06:00" """
        own = made.one("AWS::ElastiCache::ReplicationGroup")
        assert (own["SnapshotRetentionLimit"], own["SnapshotWindow"]) == ("7", "05:00-06:00")

    def test_who_connects(self, made: Rendered) -> None:
        """Redis from ECS: from_port = 6379"""
        [rule] = made["Cache/ServerGroup"]["SecurityGroupIngress"]
        assert (rule["FromPort"], rule["SourceSecurityGroupId"]) == (6379, "<Cache/ClientGroup>")


class TestLoadBalancer:
    """5. Load Balancer"""

    def test_load_balancer(self, made: Rendered) -> None:
        """name = "harvestry-alb"; internal = false; enable_deletion_protection = true; enable_http2 = true"""
        own = made.one("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert (own["Name"], own["Scheme"], own["Type"]) == (
            "harvestry-alb",
            "internet-facing",
            "application",
        )
        said = attributes(own["LoadBalancerAttributes"])
        assert said["deletion_protection.enabled"] == "true"
        assert said["routing.http2.enabled"] == "true"

    def test_https(self, made: Rendered) -> None:
        """port = "443", protocol = "HTTPS", ssl_policy = "ELBSecurityPolicy-TLS13-1-2-2021-06" """
        own = made.named("AWS::ElasticLoadBalancingV2::Listener", Port=443)
        assert (own["Protocol"], own["SslPolicy"]) == ("HTTPS", "ELBSecurityPolicy-TLS13-1-2-2021-06")
        assert own["Certificates"] == [{"CertificateArn": "<Edge/Certificate>"}]

    def test_http_is_redirected(self, made: Rendered) -> None:
        """port = "80": redirect to 443, HTTPS, HTTP_301"""
        own = made.named("AWS::ElasticLoadBalancingV2::Listener", Port=80)
        [action] = own["DefaultActions"]
        assert action["Type"] == "redirect"
        assert action["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}

    @each
    def test_target_group(self, made: Rendered, service: str) -> None:
        """port = 8080, HTTP, ip; health_check path /health, 200, healthy 2, unhealthy 3, interval 30, timeout 5"""
        own = made[f"{service.capitalize()}/TargetGroup"]
        assert (own["Port"], own["Protocol"], own["TargetType"]) == ("8080", "HTTP", "ip")
        assert (own["HealthCheckPath"], own["HealthCheckPort"]) == ("/health", "traffic-port")
        assert own["Matcher"] == {"HttpCode": "200"}
        numbers = ("HealthyThresholdCount", "UnhealthyThresholdCount", "HealthCheckIntervalSeconds")
        assert [own[key] for key in numbers] == ["2", "3", "30"]
        assert own["HealthCheckTimeoutSeconds"] == "5"

    @each
    def test_each_service_has_its_path(self, made: Rendered, service: str) -> None:
        """default_action forward to one target group "api": five services cannot share one, so each has a path"""
        own = made[f"{service.capitalize()}/ListenerRule"]
        assert own["Conditions"][0]["PathPatternConfig"]["Values"] == [f"/{service}/*"]
        priorities = [
            rule["Priority"] for rule in made.of("AWS::ElasticLoadBalancingV2::ListenerRule").values()
        ]
        assert len(set(priorities)) == len(SERVICES)


class TestFrontend:
    """6. Frontend: AWS Amplify"""

    def test_app(self, made: Rendered) -> None:
        """name = "harvestry-frontend"; npm ci; npm run build; baseDirectory: .next; /<*> to /index.html 404-200"""
        own = made.one("AWS::Amplify::App")
        assert own["Name"] == "harvestry-frontend"
        for said in ("- npm ci", "- npm run build", "baseDirectory: .next", "- node_modules/**/*"):
            assert said in own["BuildSpec"]
        assert own["CustomRules"] == [{"Source": "/<*>", "Target": "/index.html", "Status": "404-200"}]

    def test_repository(self) -> None:
        """repository = "https://github.com/your-org/harvestry-app": with a token that Amplify may read it with"""
        own = render("harvestry", "production", FrontendTokenSecret="harvestry/github").one(
            "AWS::Amplify::App"
        )
        assert own["Repository"] == "https://github.com/your-org/harvestry-app"
        assert own["AccessToken"] == "{{resolve:secretsmanager:harvestry/github:SecretString:token}}"

    def test_variables(self, made: Rendered) -> None:
        """NEXT_PUBLIC_SUPABASE_URL, NEXT_PUBLIC_SUPABASE_ANON_KEY, NEXT_PUBLIC_API_URL = "https://api.harvestry.io" """
        said = {one["Name"]: one["Value"] for one in made.one("AWS::Amplify::App")["EnvironmentVariables"]}
        assert {"NEXT_PUBLIC_SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_ANON_KEY"} <= set(said)
        assert said["NEXT_PUBLIC_API_URL"] == "https://api.harvestry.io"
        assert said["NEXT_PUBLIC_ENV"] == "production"

    def test_branch_and_domain(self, made: Rendered) -> None:
        """branch_name = "main"; stage = "PRODUCTION"; domain_name = "harvestry.io"; prefix = "app" """
        branch = made.one("AWS::Amplify::Branch")
        assert (branch["BranchName"], branch["Stage"]) == ("main", "PRODUCTION")
        domain = made.one("AWS::Amplify::Domain")
        assert domain["DomainName"] == "harvestry.io"
        assert [one["Prefix"] for one in domain["SubDomainSettings"]] == ["app"]


class TestSecrets:
    """7. Secrets Management"""

    def test_connection(self, made: Rendered) -> None:
        """harvestry/database/connection: connection_string = "Host=…;Database=harvestry;Username=…;Password=…" """
        secret = made.named("AWS::SecretsManager::Secret", Name="harvestry/database/connection")
        string = json.loads(secret["SecretString"])["connection_string"]
        said = dict(pair.split("=", 1) for pair in string.split(";"))
        assert said["Database"] == "harvestry"
        assert said["Password"] == "{{resolve:secretsmanager:<Database/Seed>:SecretString:password}}"
        # harvestry_admin in the document: the administrator is not who the services are, and two users take turns.
        assert said["Username"] == "harvestry_a"

    def test_supabase(self, made: Rendered) -> None:
        """name = "harvestry/supabase/credentials"; jwt_secret, webhook_secret"""
        secret = made.named("AWS::SecretsManager::Secret", Name="harvestry/supabase/credentials")
        generated = secret["GenerateSecretString"]
        assert generated["GenerateStringKey"] == "jwt_secret"
        assert json.loads(generated["SecretStringTemplate"]) == {"webhook_secret": ""}


class TestMonitoring:
    """8. Monitoring: CloudWatch"""

    @each
    def test_log_groups(self, made: Rendered, service: str) -> None:
        """["identity", "genetics", "spatial", "tasks", "telemetry"]: /ecs/harvestry/…, retention_in_days = 30"""
        group = made.named("AWS::Logs::LogGroup", LogGroupName=f"/ecs/harvestry/{service}")
        assert group["RetentionInDays"] == "30"
        options = container(made, service)["LogConfiguration"]["Options"]
        assert options == {
            "awslogs-group": f"/ecs/harvestry/{service}",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "ecs",
        }

    def test_dashboard(self, made: Rendered) -> None:
        """dashboard_name = "Harvestry-Operations": CPUUtilization by service, DatabaseConnections of harvestry-db"""
        dashboard = made.one("AWS::CloudWatch::Dashboard")
        assert dashboard["DashboardName"] == "Harvestry-Operations"
        shown = json.dumps(
            [one["properties"]["metrics"] for one in json.loads(dashboard["DashboardBody"])["widgets"]]
        )
        for said in ("CPUUtilization", "harvestry-cluster", "DatabaseConnections", "harvestry-db"):
            assert said in shown

    @each
    def test_high_cpu(self, made: Rendered, service: str) -> None:
        """harvestry-high-cpu: CPUUtilization, AWS/ECS, evaluation_periods = 2, period = 300, Average, threshold = 80"""
        alarm = made.named("AWS::CloudWatch::Alarm", AlarmName=f"harvestry-{service}-cpu")
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ECS", "CPUUtilization")
        assert (alarm["EvaluationPeriods"], alarm["Period"], alarm["Threshold"]) == ("2", "300", "80")
        assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Average", "GreaterThanThreshold")
        # ECS publishes no CPU of a cluster of Fargate tasks: each service has its own.
        assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]} == {
            "ClusterName": "harvestry-cluster",
            "ServiceName": f"{service}-service",
        }
        assert alarm["AlarmActions"] == ["<Monitoring/WarningTopic>"]


class TestPipeline:
    """10. Deployment Pipeline"""

    def test_a_push_to_main(self) -> None:
        """on: push: branches: [main]"""
        assert manifest("harvestry").environments["production"].branch == "main"

    @each
    def test_one_repository_with_a_tag_prefix_each(self, made: Rendered, service: str) -> None:
        """docker build ./src/backend/services/core-platform/identity; $ECR_REGISTRY/harvestry:identity-…"""
        image = manifest("harvestry").images[service]
        assert (image.repository, image.tag) == ("harvestry", f"{service}-{{commit}}")
        assert image.build is not None
        assert image.build.context == f"src/backend/services/core-platform/{service}"
        # A push under one service's folder rolls that one only.
        assert image.watch == (f"{image.build.context}/**",)
        repository = made.one("AWS::ECR::Repository")
        assert repository["RepositoryName"] == "harvestry"
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        assert f'"{service}-*"' in repository["LifecyclePolicy"]["LifecyclePolicyText"]
