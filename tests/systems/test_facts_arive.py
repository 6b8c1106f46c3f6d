"""The facts of arive's document against its rendered template. A test's docstring is the line it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import Json, Rendered, RenderError, render
from tests.systems.test_manifests import manifest, view

BOTH = pytest.mark.parametrize("service", ["Api", "Worker"])


@pytest.fixture(scope="module")
def made() -> Rendered:
    return render("arive", "production")


def container(made: Rendered, service: str) -> Json:
    [only] = made[f"{service}/TaskDefinition"]["ContainerDefinitions"]
    return dict(only)


def variables(made: Rendered, service: str) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in container(made, service)["Environment"]}


def groups(made: Rendered, service: str) -> list[str]:
    network = made[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    return list(network["SecurityGroups"])


class TestServices:
    """ECS Service Configuration"""

    def test_names(self, made: Rendered) -> None:
        """name = "arive-api"; name = "arive-worker"; --cluster arive-cluster"""
        assert made.one("AWS::ECS::Cluster")["ClusterName"] == "arive-cluster"
        assert {own["ServiceName"] for own in made.of("AWS::ECS::Service").values()} == {
            "arive-api",
            "arive-worker",
        }

    @BOTH
    def test_one_task_each(self, made: Rendered, service: str) -> None:
        """desired_count = 1"""
        count = made[f"{service}/Service"]["DesiredCount"]
        name = count.removeprefix("{{resolve:ssm:").removesuffix("}}")
        assert name == f"/tidegate/arive/production/count/{service.lower()}"
        assert made.named("AWS::SSM::Parameter", Name=name)["Value"] == "1"

    @BOTH
    def test_size(self, made: Rendered, service: str) -> None:
        """Default: 256 CPU / 512 MB memory"""
        definition = made[f"{service}/TaskDefinition"]
        assert (definition["Cpu"], definition["Memory"]) == ("256", "512")

    def test_the_api_is_behind_the_load_balancer(self, made: Rendered) -> None:
        """container_name = "api"; container_port = 8000"""
        assert made["Api/Service"]["LoadBalancers"] == [
            {"ContainerName": "api", "ContainerPort": "8000", "TargetGroupArn": "<Api/TargetGroup>"}
        ]

    def test_the_worker_is_behind_none(self, made: Rendered) -> None:
        """No load balancer - internal only"""
        assert "LoadBalancers" not in made["Worker/Service"]
        assert "PortMappings" not in container(made, "Worker")
        assert [path for path in made.resources if path.startswith("Worker/") and "Load" in path] == []

    def test_one_image_rolls_the_api_and_then_the_worker(self, made: Rendered) -> None:
        """Both API and Worker use the same Docker image"""
        images = {container(made, service)["Image"] for service in ("Api", "Worker")}
        assert images == {"{{resolve:ssm:/tidegate/arive/production/image/app}}"}
        waves = view("arive", "production").waves()
        assert [[service.key for service in wave] for wave in waves] == [["api"], ["worker"]]

    def test_the_worker_s_command(self, made: Rendered) -> None:
        """Worker runs: `litestar workers run`"""
        assert container(made, "Worker")["Command"] == ["litestar", "workers", "run"]

    def test_the_api_s_command(self, made: Rendered) -> None:
        """API runs: `litestar run --host 0.0.0.0`"""
        assert " ".join(container(made, "Api")["Command"]) == "litestar run --host 0.0.0.0"

    @BOTH
    def test_both_share_database_and_secrets(self, made: Rendered, service: str) -> None:
        """Both share database, IAM roles, and secrets"""
        taken = {one["Name"]: one["ValueFrom"] for one in container(made, service)["Secrets"]}
        assert taken == {
            "PGUSER": "<Database/Secret>:username::",
            "PGPASSWORD": "<Database/Secret>:password::",
        }
        assert "<Database/ClientGroup>" in groups(made, service)

    @BOTH
    def test_variables(self, made: Rendered, service: str) -> None:
        """ENV - Environment name; DATABASE_URL - PostgreSQL connection string; AWS_REGION; S3_BUCKET"""
        said = variables(made, service)
        assert said["ENV"] == "production"
        assert said["AWS_REGION"] == "us-east-1"
        assert said["S3_BUCKET"] == "arive-uploads-production"
        url = "postgresql://<Database/Cluster.Endpoint.Address>:<Database/Cluster.Endpoint.Port>/arive"
        assert said["DATABASE_URL"] == f"{url}?sslmode=verify-full"

    @BOTH
    def test_subnets(self, made: Rendered, service: str) -> None:
        """subnets = aws_subnet.private[*].id"""
        network = made[f"{service}/Service"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["Subnets"] == ["<Network/PrivateSubnetA>", "<Network/PrivateSubnetB>"]
        assert network["AssignPublicIp"] == "DISABLED"

    @BOTH
    def test_a_rollout_comes_back_by_itself(self, made: Rendered, service: str) -> None:
        """Trigger Deployment: aws ecs update-service --force-new-deployment"""
        assert made[f"{service}/Service"]["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {
            "Enable": True,
            "Rollback": True,
        }


class TestDatabase:
    """Aurora Serverless v2"""

    def test_cluster(self, made: Rendered) -> None:
        """engine = "aurora-postgresql"; --db-cluster-identifier arive-cluster; PGDATABASE=arive; PGUSER=postgres"""
        own = made.one("AWS::RDS::DBCluster")
        assert (own["Engine"], own["DBClusterIdentifier"]) == ("aurora-postgresql", "arive-cluster")
        assert (own["DatabaseName"], own["MasterUsername"]) == ("arive", "postgres")
        assert made.one("AWS::RDS::DBInstance")["DBInstanceClass"] == "db.serverless"

    def test_version(self, made: Rendered) -> None:
        """engine_version = "15.4", which is not offered any more: another 15"""
        version = made.one("AWS::RDS::DBCluster")["EngineVersion"]
        assert version.startswith("15.")
        assert version != "15.4"

    def test_capacity(self, made: Rendered) -> None:
        """min_capacity = 0.5; max_capacity = 4.0"""
        scaling = made.one("AWS::RDS::DBCluster")["ServerlessV2ScalingConfiguration"]
        assert {key: float(value) for key, value in scaling.items()} == {
            "MinCapacity": 0.5,
            "MaxCapacity": 4.0,
        }

    def test_it_pauses_where_asked(self) -> None:
        """Aurora v2 can scale to 0 ACU when idle"""
        own = render("arive", "production", MinCapacity="0").one("AWS::RDS::DBCluster")
        scaling = own["ServerlessV2ScalingConfiguration"]
        assert scaling == {"MinCapacity": "0", "MaxCapacity": "4", "SecondsUntilAutoPause": "300"}

    def test_backups(self, made: Rendered) -> None:
        """Retention: 7 days"""
        assert made.one("AWS::RDS::DBCluster")["BackupRetentionPeriod"] == "7"

    def test_it_is_kept(self, made: Rendered) -> None:
        """This permanently deletes: All databases and data"""
        assert made.one("AWS::RDS::DBCluster")["DeletionProtection"] == "true"
        assert made.resources["Database/Cluster"]["DeletionPolicy"] == "Snapshot"

    def test_it_is_private(self, made: Rendered) -> None:
        """Database in private subnet (no internet access)"""
        assert made.one("AWS::RDS::DBInstance")["PubliclyAccessible"] is False
        subnets = made.one("AWS::RDS::DBSubnetGroup")["SubnetIds"]
        assert subnets == ["<Network/PrivateSubnetA>", "<Network/PrivateSubnetB>"]


class TestSecrets:
    """Secrets Management"""

    def test_password(self, made: Rendered) -> None:
        """name = "arive/${var.environment}/database-password" """
        secret = made.named("AWS::SecretsManager::Secret", Name="arive/production/database-password")
        assert secret["GenerateSecretString"]["GenerateStringKey"] == "password"

    def test_no_default_password(self, made: Rendered) -> None:
        """default = "postgres"  # Secured at network level: never in ours"""
        with pytest.raises(RenderError, match="there is no parameter DatabasePassword"):
            render("arive", "production", DatabasePassword="postgres")
        password = made.one("AWS::RDS::DBCluster")["MasterUserPassword"]
        assert password == "{{resolve:secretsmanager:<Database/AdminSecret>:SecretString:password}}"

    def test_rotation_is_one_command(self) -> None:
        """Rotate database password: Update secret; Update Aurora password; Restart ECS tasks to pick up new secret"""
        secret = view("arive", "production").secrets["arive/production/database-password"]
        assert (secret.kind, secret.strategy, secret.admin) == (
            "postgres",
            "alternating",
            "arive/production/database-admin",
        )
        assert secret.users == ("arive_a", "arive_b")


class TestStorage:
    """Storage Configuration"""

    def test_bucket(self, made: Rendered) -> None:
        """bucket = "arive-uploads-${var.environment}"; versioning enabled = true"""
        own = made.one("AWS::S3::Bucket")
        assert own["BucketName"] == "arive-uploads-production"
        assert own["VersioningConfiguration"] == {"Status": "Enabled"}

    def test_nothing_is_public(self, made: Rendered) -> None:
        """block_public_acls, block_public_policy, ignore_public_acls, restrict_public_buckets = true"""
        assert set(made.one("AWS::S3::Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(made.one("AWS::S3::Bucket")["PublicAccessBlockConfiguration"]) == 4

    def test_cors(self, made: Rendered) -> None:
        """["*"]; ["GET", "PUT", "POST"]; allowed_origins = ["https://tryarive.com"]; max_age_seconds = 3000"""
        [rule] = made.one("AWS::S3::Bucket")["CorsConfiguration"]["CorsRules"]
        assert rule["AllowedHeaders"] == ["*"]
        assert rule["AllowedMethods"] == ["GET", "PUT", "POST"]
        assert rule["AllowedOrigins"] == ["https://tryarive.com"]
        assert rule["MaxAge"] == "3000"


class TestNetwork:
    """Networking"""

    @pytest.mark.parametrize(
        ("subnet", "cidr", "zone"),
        [
            ("PublicSubnetA", "10.0.1.0/24", "us-east-1a"),
            ("PublicSubnetB", "10.0.2.0/24", "us-east-1b"),
            ("PrivateSubnetA", "10.0.11.0/24", "us-east-1a"),
            ("PrivateSubnetB", "10.0.12.0/24", "us-east-1b"),
        ],
    )
    def test_subnets(self, made: Rendered, subnet: str, cidr: str, zone: str) -> None:
        """10.0.1.0/24 (us-east-1a), 10.0.2.0/24 (us-east-1b), 10.0.11.0/24 (us-east-1a), 10.0.12.0/24 (us-east-1b)"""
        found = made[f"Network/{subnet}"]
        assert (found["CidrBlock"], found["AvailabilityZone"]) == (cidr, zone)
        assert made.one("AWS::EC2::VPC")["CidrBlock"] == "10.0.0.0/16"
        assert len(made.of("AWS::EC2::Subnet")) == 4

    def test_one_nat_gateway(self, made: Rendered) -> None:
        """Public Subnets: ALB, NAT Gateways; Use VPC endpoints - Avoid NAT Gateway ($45/month)"""
        assert len(made.of("AWS::EC2::NatGateway")) == 1
        assert len(render("arive", "production", Nat="per-zone").of("AWS::EC2::NatGateway")) == 2

    def test_s3_endpoint(self, made: Rendered) -> None:
        """service_name = "com.amazonaws.us-east-1.s3"; route_table_ids = [aws_route_table.private.id]"""
        own = made.one("AWS::EC2::VPCEndpoint")
        assert own["ServiceName"] == "com.amazonaws.us-east-1.s3"
        assert own["RouteTableIds"] == ["<Network/PrivateRoutesA>", "<Network/PrivateRoutesB>"]

    def test_who_reaches_the_api(self, made: Rendered) -> None:
        """API Security Group. Inbound: Port 8000 from ALB; Outbound: All traffic (database, S3, internet)"""
        inbound = made.named("AWS::EC2::SecurityGroupIngress", GroupId="<Api/SecurityGroup.GroupId>")
        assert (inbound["FromPort"], inbound["SourceSecurityGroupId"]) == (
            "8000",
            "<Edge/SecurityGroup.GroupId>",
        )
        [outbound] = made["Api/SecurityGroup"]["SecurityGroupEgress"]
        assert (outbound["IpProtocol"], outbound["CidrIp"]) == ("-1", "0.0.0.0/0")

    def test_who_reaches_the_database(self, made: Rendered) -> None:
        """Database Security Group. Inbound: Port 5432 from API/Worker; Outbound: None needed"""
        own = made["Database/ServerGroup"]
        [inbound] = own["SecurityGroupIngress"]
        assert (inbound["FromPort"], inbound["SourceSecurityGroupId"]) == (5432, "<Database/ClientGroup>")
        assert {rule["CidrIp"] for rule in own["SecurityGroupEgress"]} == {"127.0.0.1/32"}

    def test_what_the_load_balancer_reaches(self, made: Rendered) -> None:
        """ALB Security Group. Inbound: Port 443 (HTTPS) from internet; Outbound: Port 8000 to API"""
        own = made["Edge/SecurityGroup"]
        assert {(rule["FromPort"], rule["CidrIp"]) for rule in own["SecurityGroupIngress"]} == {
            (443, "0.0.0.0/0"),
            (80, "0.0.0.0/0"),  # sent on to 443
        }
        outbound = made.named("AWS::EC2::SecurityGroupEgress", GroupId="<Edge/SecurityGroup.GroupId>")
        assert outbound["DestinationSecurityGroupId"] == "<Api/SecurityGroup.GroupId>"
        assert outbound["FromPort"] == "8000"
        assert {rule["CidrIp"] for rule in own["SecurityGroupEgress"]} == {"127.0.0.1/32"}


class TestNames:
    """DNS and SSL"""

    def test_record(self, made: Rendered) -> None:
        """name = "api.tryarive.com"; type = "A"; alias to the load balancer; evaluate_target_health = true"""
        own = made.one("AWS::Route53::RecordSet")
        assert (own["Name"], own["Type"]) == ("api.tryarive.com", "A")
        assert own["AliasTarget"]["DNSName"] == "<Edge/LoadBalancer.DNSName>"
        assert own["AliasTarget"]["EvaluateTargetHealth"] is True

    def test_certificate(self, made: Rendered) -> None:
        """domain_name = "api.tryarive.com"; validation_method = "DNS"; validation records must be added to Route53"""
        own = made.one("AWS::CertificateManager::Certificate")
        assert (own["DomainName"], own["ValidationMethod"]) == ("api.tryarive.com", "DNS")
        assert [one["DomainName"] for one in own["DomainValidationOptions"]] == ["api.tryarive.com"]


class TestLogsAndDelivery:
    """Monitoring and Logs; Deployment Workflow"""

    @BOTH
    def test_logs(self, made: Rendered, service: str) -> None:
        """name = "/ecs/arive-api"; retention_in_days = 7; aws logs tail /ecs/arive-worker"""
        group = made.named("AWS::Logs::LogGroup", LogGroupName=f"/ecs/arive-{service.lower()}")
        assert group["RetentionInDays"] == "7"

    def test_a_push_to_main(self) -> None:
        """automatically deploys when changes are pushed to `main`; cd backend; docker build"""
        seen = view("arive", "production")
        assert (seen.settings.branch, seen.region) == ("main", "us-east-1")
        build = seen.images["app"].build
        assert build is not None
        assert build.context == "backend"

    def test_migrations_run_in_the_same_image(self) -> None:
        """migrations: same image, `litestar database upgrade` style command"""
        wanted = manifest("arive").migrations
        assert wanted is not None
        assert (wanted.runner, wanted.service) == ("task", "api")
        assert wanted.command[:3] == ("litestar", "database", "upgrade")

    @BOTH
    def test_commands_in_containers_where_asked(self, service: str) -> None:
        """No SSH access to tasks (use ECS Exec if needed)"""
        assert render("arive", "production")[f"{service}/Service"]["EnableExecuteCommand"] is False
        asked = render("arive", "production", EnableExecute="true")
        assert asked[f"{service}/Service"]["EnableExecuteCommand"] is True

    @BOTH
    def test_what_the_application_may_do(self, made: Rendered, service: str) -> None:
        """ECS task roles only access required resources; No wildcard permissions (`*`)"""
        role = made[f"{service}/TaskRole"]
        assert role["ManagedPolicyArns"] == ["<Uploads/ReadWritePolicy>"]
        assert not role.get("Policies")
