"""The facts of core-business-unit's document against its template. A test's docstring is the line it comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.systems.rendering import Json, Rendered, RenderError, render, settings
from tests.systems.test_manifests import view

IMAGES = "core-business-unit-images-dev-123456789012"


@pytest.fixture(scope="module")
def made() -> Rendered:
    return render("core-business-unit", "dev")


@pytest.fixture(scope="module")
def container(made: Rendered) -> Json:
    [only] = made.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return dict(only)


def policy(made: Rendered, metric: str) -> Json:
    """The scaling by this metric."""
    [found] = [
        own["TargetTrackingScalingPolicyConfiguration"]
        for own in made.of("AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if metric in json.dumps(own)
    ]
    return dict(found)


class TestAccount:
    """User Answers Summary"""

    def test_region(self) -> None:
        """Region: us-east-2 (Ohio)"""
        assert view("core-business-unit", "dev").region == "us-east-2"
        assert settings("core-business-unit", "dev")["region"] == "us-east-2"

    def test_tags(self) -> None:
        """Account: Shared development AWS account with resource tagging"""
        assert (
            settings("core-business-unit", "dev")["tags"] == "application=core-business-unit environment=dev"
        )

    def test_no_waf(self, made: Rendered) -> None:
        """WAF: No WAF for cost optimization and simplicity"""
        assert not made.of("AWS::WAFv2::WebACL")


class TestService:
    """ECS Fargate Configuration"""

    def test_size(self, made: Rendered) -> None:
        """CPU: 512 (0.5 vCPU); Memory: 1024 MB (1 GB)"""
        own = made.one("AWS::ECS::TaskDefinition")
        assert (own["Cpu"], own["Memory"], own["RequiresCompatibilities"]) == ("512", "1024", ["FARGATE"])

    def test_bounds(self, made: Rendered) -> None:
        """Desired Count: 2; Min Capacity: 2; Max Capacity: 10"""
        own = made.one("AWS::ApplicationAutoScaling::ScalableTarget")
        assert (own["MinCapacity"], own["MaxCapacity"]) == ("2", "10")
        assert own["ResourceId"] == "service/core-business-unit/core-business-unit"
        # Auto scaling owns the count: a stack that is deployed again does not set it back.
        assert "DesiredCount" not in made.one("AWS::ECS::Service")

    def test_cpu(self, made: Rendered) -> None:
        """Target CPU Utilization: 70%"""
        assert policy(made, "ECSServiceAverageCPUUtilization")["TargetValue"] == "70"

    def test_memory(self, made: Rendered) -> None:
        """Target Memory Utilization: 80%"""
        assert policy(made, "ECSServiceAverageMemoryUtilization")["TargetValue"] == "80"

    @pytest.mark.parametrize(
        "metric", ["ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization"]
    )
    def test_cooldown(self, made: Rendered, metric: str) -> None:
        """Cooldown: 300 seconds between scaling actions"""
        own = policy(made, metric)
        assert (own["ScaleOutCooldown"], own["ScaleInCooldown"]) == ("300", "300")

    def test_health(self, made: Rendered) -> None:
        """ALB Health Checks: Application endpoint health validation"""
        own = made.one("AWS::ElasticLoadBalancingV2::TargetGroup")
        assert (own["Port"], own["HealthCheckPath"], own["Matcher"]) == (
            "8000",
            "/health",
            {"HttpCode": "200"},
        )

    def test_rollback(self, made: Rendered) -> None:
        """Rollback if health checks fail"""
        assert made.one("AWS::ECS::Service")["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {
            "Enable": True,
            "Rollback": True,
        }
        guard = view("core-business-unit", "dev").settings.guard
        assert guard is not None
        assert guard.alarms == ("core-business-unit-errors",)

    def test_image(self, made: Rendered) -> None:
        """Amazon ECR: Private repository for FastAPI container images"""
        own = made.one("AWS::ECR::Repository")
        assert own["RepositoryName"] == "core-business-unit"
        assert own["ImageScanningConfiguration"] == {"ScanOnPush": True}


class TestDatabase:
    """RDS MySQL Configuration"""

    def test_engine(self, made: Rendered) -> None:
        """Instance Class: db.t3.micro; Engine: MySQL 8.0"""
        own = made.one("AWS::RDS::DBInstance")
        assert (own["DBInstanceClass"], own["Engine"]) == ("db.t3.micro", "mysql")
        assert own["EngineVersion"].startswith("8.0.")
        assert made.one("AWS::RDS::DBParameterGroup")["Family"] == "mysql8.0"

    def test_storage(self, made: Rendered) -> None:
        """Storage: 20 GB gp2; Multi-AZ: false"""
        own = made.one("AWS::RDS::DBInstance")
        assert (own["AllocatedStorage"], own["StorageType"], own["MultiAZ"]) == ("20", "gp2", "false")

    def test_backups(self, made: Rendered) -> None:
        """Backup Retention: 30 days; Backup Window: 03:00-04:00 UTC; Maintenance Window: Sun:04:00-Sun:05:00 UTC"""
        own = made.one("AWS::RDS::DBInstance")
        assert own["BackupRetentionPeriod"] == "30"
        assert own["PreferredBackupWindow"] == "03:00-04:00"
        assert own["PreferredMaintenanceWindow"] == "Sun:04:00-Sun:05:00"

    def test_encryption(self, made: Rendered) -> None:
        """RDS Encryption: Encryption at rest for database storage; Encrypted automated backups"""
        own = made.one("AWS::RDS::DBInstance")
        assert (own["StorageEncrypted"], own["KmsKeyId"]) == (True, "<Database/Key.Arn>")
        assert own["PubliclyAccessible"] is False

    def test_proxy(self, made: Rendered) -> None:
        """RDS Proxy: Connection pooling and management"""
        own = made.one("AWS::RDS::DBProxy")
        assert (own["EngineFamily"], own["RequireTLS"]) == ("MYSQL", True)
        assert [one["SecretArn"] for one in own["Auth"]] == ["<Database/Secret>"]
        assert made.one("AWS::RDS::DBProxyTargetGroup")["DBInstanceIdentifiers"] == ["core-business-unit"]
        assert not render("core-business-unit", "dev", Proxy="false").of("AWS::RDS::DBProxy")

    def test_who_goes_through_it(self) -> None:
        """ECS → RDS: Database connections through RDS Proxy: where asked, since logins fail in a rotation then"""

        def url(**asked: str) -> Any:
            [only] = render("core-business-unit", "dev", **asked).one("AWS::ECS::TaskDefinition")[
                "ContainerDefinitions"
            ]
            return next(one["Value"] for one in only["Environment"] if one["Name"] == "DATABASE_URL")

        assert url().startswith("mysql://<Database/Instance.Endpoint.Address>:")
        assert url(ThroughProxy="true").startswith("mysql://<Database/ConnectionProxy.Endpoint>:")
        with pytest.raises(RenderError, match="ThroughProxy needs Proxy"):
            url(ThroughProxy="true", Proxy="false")

    def test_slow_queries(self, made: Rendered) -> None:
        """Database Monitoring: RDS performance insights and slow query logs"""
        assert "slowquery" in made.one("AWS::RDS::DBInstance")["EnableCloudwatchLogsExports"]
        assert made.one("AWS::RDS::DBParameterGroup")["Parameters"]["slow_query_log"] == "1"
        # RDS has no Performance Insights for MySQL on a db.t3.micro.
        assert made.one("AWS::RDS::DBInstance")["EnablePerformanceInsights"] == "false"


class TestNetwork:
    """VPC Network Configuration"""

    @pytest.mark.parametrize(
        ("subnet", "cidr"), [("PublicSubnetA", "10.0.1.0/24"), ("PrivateSubnetA", "10.0.2.0/24")]
    )
    def test_subnets(self, made: Rendered, subnet: str, cidr: str) -> None:
        """Public Subnet: 10.0.1.0/24 (us-east-2a); Private Subnet: 10.0.2.0/24 (us-east-2a)"""
        own = made[f"Network/{subnet}"]
        assert (own["CidrBlock"], own["AvailabilityZone"]) == (cidr, "us-east-2a")
        assert made.one("AWS::EC2::VPC")["CidrBlock"] == "10.0.0.0/16"

    def test_tasks_are_in_one_zone(self, made: Rendered) -> None:
        """Network: Single AZ deployment with public/private subnets"""
        network = made.one("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["Subnets"] == ["<Network/PrivateSubnetA>"]
        assert network["AssignPublicIp"] == "DISABLED"

    def test_a_second_zone_where_aws_wants_one(self, made: Rendered) -> None:
        """A load balancer and the subnets of a database have to be in two zones"""
        assert len(made.one("AWS::ElasticLoadBalancingV2::LoadBalancer")["Subnets"]) == 2
        assert len(made.one("AWS::RDS::DBSubnetGroup")["SubnetIds"]) == 2
        zones = {own["AvailabilityZone"] for own in made.of("AWS::EC2::Subnet").values()}
        assert zones == {"us-east-2a", "us-east-2b"}

    def test_one_nat_gateway(self, made: Rendered) -> None:
        """NAT: Single NAT Gateway in public subnet for cost optimization"""
        assert made.one("AWS::EC2::NatGateway")["SubnetId"] == "<Network/PublicSubnetA>"

    def test_load_balancer_group(self, made: Rendered) -> None:
        """ALB Security Group: 443 and 80 from 0.0.0.0/0; Outbound: All traffic to ECS Security Group"""
        own = made["Edge/SecurityGroup"]
        assert {(one["FromPort"], one["CidrIp"]) for one in own["SecurityGroupIngress"]} == {
            (443, "0.0.0.0/0"),
            (80, "0.0.0.0/0"),
        }
        outbound = made.named("AWS::EC2::SecurityGroupEgress", GroupId="<Edge/SecurityGroup.GroupId>")
        assert outbound["DestinationSecurityGroupId"] == "<App/SecurityGroup.GroupId>"

    def test_ecs_group(self, made: Rendered) -> None:
        """ECS Security Group: 8000 from ALB; Outbound: 443 to 0.0.0.0/0; Outbound: 3306 to RDS Security Group"""
        inbound = made.named("AWS::EC2::SecurityGroupIngress", GroupId="<App/SecurityGroup.GroupId>")
        assert (inbound["FromPort"], inbound["SourceSecurityGroupId"]) == (
            "8000",
            "<Edge/SecurityGroup.GroupId>",
        )
        [https] = made["App/SecurityGroup"]["SecurityGroupEgress"]
        assert (https["FromPort"], https["ToPort"], https["CidrIp"]) == (443, 443, "0.0.0.0/0")
        worn = made.one("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
        assert sorted(worn) == ["<App/SecurityGroup.GroupId>", "<Database/ClientGroup>"]
        to_database = made["Database/ClientToServer"]
        assert (to_database["FromPort"], to_database["ToPort"]) == (3306, 3306)
        assert to_database["DestinationSecurityGroupId"] == "<Database/ServerGroup>"

    def test_rds_group(self, made: Rendered) -> None:
        """RDS Security Group: 3306 from ECS Security Group; Outbound: None"""
        own = made["Database/ServerGroup"]
        allowed = {(one["FromPort"], one["SourceSecurityGroupId"]) for one in own["SecurityGroupIngress"]}
        assert (3306, "<Database/ClientGroup>") in allowed
        assert allowed <= {(3306, "<Database/ClientGroup>"), (3306, "<Database/ProxyGroup>")}
        assert {one["CidrIp"] for one in own["SecurityGroupEgress"]} == {"127.0.0.1/32"}


class TestEdge:
    """Security and Network Layer"""

    def test_redirect(self, made: Rendered) -> None:
        """Inbound: 80 (HTTP) from 0.0.0.0/0 (redirect to HTTPS)"""
        [action] = made.named("AWS::ElasticLoadBalancingV2::Listener", Port=80)["DefaultActions"]
        assert action["RedirectConfig"]["Protocol"] == "HTTPS"

    def test_certificate(self, made: Rendered) -> None:
        """SSL: AWS Certificate Manager (ACM) certificate with automatic renewal"""
        # ACM renews what is validated by records that stay.
        assert made.one("AWS::CertificateManager::Certificate")["ValidationMethod"] == "DNS"

    def test_domain(self, made: Rendered) -> None:
        """Route 53: Domain name resolution for ALB"""
        assert made.one("AWS::Route53::RecordSet")["AliasTarget"]["DNSName"] == "<Edge/LoadBalancer.DNSName>"

    def test_users(self, made: Rendered) -> None:
        """Amazon Cognito User Pool: JWT token validation"""
        assert made.one("AWS::Cognito::UserPool")["UserPoolName"] == "core-business-unit-dev"
        assert made.one("AWS::Cognito::UserPoolClient")["GenerateSecret"] is True


class TestTasks:
    """ECS Task Environment Variables; Secrets Management"""

    def test_variables(self, container: Json) -> None:
        """DATABASE_URL, COGNITO_USER_POOL_ID, COGNITO_CLIENT_ID, AWS_REGION: us-east-2, LOG_LEVEL: INFO, S3_BUCKET_…"""
        said = {one["Name"]: one["Value"] for one in container["Environment"]}
        assert said["DATABASE_URL"].endswith("/core_business_unit")
        assert said["COGNITO_USER_POOL_ID"] == "<Identity/UserPool>"
        assert said["COGNITO_CLIENT_ID"] == "<Identity/Client>"
        assert (said["AWS_REGION"], said["LOG_LEVEL"], said["S3_BUCKET_NAME"]) == (
            "us-east-2",
            "INFO",
            IMAGES,
        )

    def test_secrets(self, container: Json) -> None:
        """Database credentials (username/password); Cognito client secret; Application JWT secret key"""
        assert {one["Name"]: one["ValueFrom"] for one in container["Secrets"]} == {
            "DATABASE_USER": "<Database/Secret>:username::",
            "DATABASE_PASSWORD": "<Database/Secret>:password::",
            "COGNITO_CLIENT_SECRET": "<Identity/ClientSecret>:client_secret::",
            "JWT_SECRET": "<JwtSecret>",
        }

    def test_key_of_the_application(self, made: Rendered) -> None:
        """AWS Secrets Manager: Secure credential storage and rotation"""
        secret = made.named("AWS::SecretsManager::Secret", Name="core-business-unit/dev/jwt")
        # A list, so that what the old key has signed is good while the new one comes.
        assert json.loads(secret["SecretString"]) == {
            "keys": ["{{resolve:secretsmanager:<JwtSeed>:SecretString:key}}"]
        }
        rotated = view("core-business-unit", "dev").secrets
        assert rotated["core-business-unit/dev/jwt"].kind == "token"
        assert rotated["core-business-unit/dev/database"].strategy == "alternating"


class TestStorage:
    """File Storage"""

    def test_bucket(self, made: Rendered) -> None:
        """Versioning: No versioning, no lifecycle policies for simplicity"""
        own = made.one("AWS::S3::Bucket")
        assert own["BucketName"] == IMAGES
        assert own.get("VersioningConfiguration", {"Status": "Suspended"}) == {"Status": "Suspended"}
        kept = [rule for rule in own["LifecycleConfiguration"]["Rules"] if set(rule) - {"Id", "Status"}]
        # Parts of an upload that was never finished go; nothing that is there moves or expires.
        assert [set(rule) - {"Id", "Status"} for rule in kept] == [{"AbortIncompleteMultipartUpload"}]

    def test_encryption(self, made: Rendered) -> None:
        """S3 Encryption: Server-side encryption for product images"""
        [rule] = made.one("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"

    def test_the_service_reads_and_writes_it(self, made: Rendered) -> None:
        """ECS → S3: Direct API calls for image upload/download; IAM Roles: Minimal permissions"""
        role = made["App/TaskRole"]
        assert role["ManagedPolicyArns"] == ["<ProductImages/ReadWritePolicy>"]
        assert not role.get("Policies")


class TestMonitoring:
    """Monitoring Layer"""

    def test_logs(self, made: Rendered) -> None:
        """CloudWatch Logs: 30-day retention"""
        groups = made.of("AWS::Logs::LogGroup").values()
        assert {own["RetentionInDays"] for own in groups} == {"30"}
        assert "/ecs/core-business-unit" in {own["LogGroupName"] for own in groups}

    @pytest.mark.parametrize(
        ("name", "metric"),
        [
            ("core-business-unit-cpu", "CPUUtilization"),
            ("core-business-unit-memory", "MemoryUtilization"),
            ("core-business-unit-errors", "HTTPCode_Target_5XX_Count"),
        ],
    )
    def test_alarms(self, made: Rendered, name: str, metric: str) -> None:
        """CloudWatch Alarms: Basic CPU, memory, and error rate alerts"""
        own = made.named("AWS::CloudWatch::Alarm", AlarmName=name)
        assert metric in json.dumps(own)
        assert own["AlarmActions"]

    def test_budget(self, made: Rendered) -> None:
        """Cost Alerts: Set up billing alerts for unexpected usage"""
        own = made.one("AWS::Budgets::Budget")["Budget"]
        assert own["BudgetLimit"] == {"Amount": "300", "Unit": "USD"}
        assert own["CostFilters"] == {"TagKeyValue": ["user:application$core-business-unit"]}

    def test_container_insights(self, made: Rendered) -> None:
        """Future Enhancement: Container Insights"""
        assert made.one("AWS::ECS::Cluster")["ClusterSettings"] == [
            {"Name": "containerInsights", "Value": "disabled"}
        ]
