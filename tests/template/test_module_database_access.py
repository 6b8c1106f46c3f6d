"""infrastructure/database.yaml: who logs in, with what, and who may connect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse
from tidegate.domain.credentials import MYSQL, POSTGRES, read

from tests.systems.rendering import ROOT, RenderError
from tests.template.rendered_database import ENGINES, PASSWORD, database, secret, server, settings

MODULES = sorted((ROOT / "infrastructure").glob("*.yaml"))


# --- who logs in


@pytest.mark.parametrize("engine", ENGINES)
def test_the_master_password_is_generated_and_nobody_types_it(engine: str) -> None:
    rendered = database(engine)
    generated = secret(rendered, "orders/admin")["GenerateSecretString"]
    assert server(rendered)["MasterUserPassword"] == PASSWORD
    assert json.loads(generated["SecretStringTemplate"])["username"] == server(rendered)["MasterUsername"]
    assert generated["GenerateStringKey"] == "password"
    # RDS refuses / @ " and the space, MySQL more than 41 characters.
    assert (generated["ExcludePunctuation"], generated["PasswordLength"]) == (True, 40)
    assert generated.get("IncludeSpace") is None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_takes_a_password(path: Path) -> None:
    """One that is a parameter has a default, or is in a shell's history and in samconfig.toml."""
    template = yaml_parse(path.read_text())
    taken = [name for name in template.get("Parameters", {}) if re.search("(?i)password$|token$", name)]
    written = [
        own[key]
        for resource in template["Resources"].values()
        for own in [resource.get("Properties", {})]
        for key in ("MasterUserPassword", "AuthToken", "AccessToken", "OauthToken")
        if key in own and "{{resolve:secretsmanager:" not in json.dumps(own[key])
    ]
    assert (taken, written) == ([], [])


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_connects_without_tls(engine: str) -> None:
    key = "require_secure_transport" if engine == "mysql" else "rds.force_ssl"
    rendered = database(engine)
    assert settings(rendered)[key] == "1"
    group = server(rendered).get("DBParameterGroupName") or server(rendered)["DBClusterParameterGroupName"]
    assert group == ("<ClusterSettings>" if engine == "aurora-postgresql" else "<Settings>")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_secret_of_the_services_is_the_usual_json_with_a_user_of_its_own(engine: str) -> None:
    rendered = database(engine)
    generated = secret(rendered, "orders/database")["GenerateSecretString"]
    assert json.loads(generated["SecretStringTemplate"]) == {"username": "orders_a", "dbname": "orders"}
    generates = (generated["GenerateStringKey"], generated["PasswordLength"], generated["ExcludePunctuation"])
    assert generates == ("password", 40, True)
    kind = "Cluster" if engine == "aurora-postgresql" else "Instance"
    attached = {
        (one["SecretId"], one["TargetId"], one["TargetType"])
        for one in rendered.of("AWS::SecretsManager::SecretTargetAttachment").values()
    }
    assert attached == {(id_, "orders", f"AWS::RDS::DB{kind}") for id_ in ("<AdminSecret>", "<Secret>")}
    assert rendered.outputs["SecretArn"] == "<Secret>"
    # What SecretTargetAttachment adds is what a rotation reads.
    merged = json.loads(generated["SecretStringTemplate"]) | {
        "password": "x" * 40,
        "engine": engine,
        "host": "db.example.com",
        "port": 5432,
    }
    credential = read(json.dumps(merged), "json")
    assert (credential.engine, credential.database) == (MYSQL if engine == "mysql" else POSTGRES, "orders")


@pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
def test_a_connection_string_of_npgsql_can_be_rotated(engine: str) -> None:
    rendered = database(engine, SecretKey="connection_string", ConnectionOptions=";SSL Mode=VerifyFull")
    text = secret(rendered, "orders/database")["SecretString"]
    assert "Password={{resolve:secretsmanager:<Seed>:SecretString:password}}" in text
    where = "Cluster" if engine == "aurora-postgresql" else "Instance"
    text = text.replace(f"<{where}.Endpoint.Address>", "db.example.com").replace(
        f"<{where}.Endpoint.Port>", "5432"
    )
    text = text.replace("{{resolve:secretsmanager:<Seed>:SecretString:password}}", "x" * 40)
    credential = read(text, {"key": "connection_string", "style": "npgsql"})
    assert (
        credential.host,
        credential.port,
        credential.database,
        credential.username,
        credential.password,
    ) == (
        "db.example.com",
        5432,
        "orders",
        "orders_a",
        "x" * 40,
    )
    assert text.endswith(';SSL Mode=VerifyFull"}')
    assert rendered.outputs["SecretArn"] == "<ConnectionString>"


@pytest.mark.parametrize(
    ("engine", "scheme"), [("postgres", "postgresql+asyncpg"), ("mysql", "mysql+pymysql")]
)
def test_a_connection_string_of_the_style_url_can_be_rotated(engine: str, scheme: str) -> None:
    rendered = database(engine, SecretKey="url", SecretStyle="url", UrlScheme=scheme)
    text = secret(rendered, "orders/database")["SecretString"]
    text = text.replace("<Instance.Endpoint.Address>", "db.example.com").replace(
        "<Instance.Endpoint.Port>", "4000"
    )
    text = text.replace("{{resolve:secretsmanager:<Seed>:SecretString:password}}", "x" * 40)
    assert json.loads(text) == {"url": f"{scheme}://orders_a:{'x' * 40}@db.example.com:4000/orders"}
    assert read(text, {"key": "url", "style": "url"}).engine == engine


def test_a_connection_string_has_a_seed_that_no_punctuation_can_break() -> None:
    seed = secret(database(SecretKey="url", SecretStyle="url"), "orders/database-seed")[
        "GenerateSecretString"
    ]
    assert (seed["ExcludePunctuation"], seed["PasswordLength"]) == (True, 40)
    assert (seed["GenerateStringKey"], seed["SecretStringTemplate"]) == ("password", "{}")


def test_a_database_without_services_has_the_admins_secret_alone() -> None:
    rendered = database(SecretName="", UserName="")
    assert [one["Name"] for one in rendered.of("AWS::SecretsManager::Secret").values()] == ["orders/admin"]
    assert rendered.outputs["SecretArn"] == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"UserName": "orders_admin"}, "do not log in as the master user"),
        ({"UserName": ""}, "needs UserName"),
        ({"SecretName": "orders/admin"}, "two secrets"),
        ({"Proxy": "true", "SecretName": "", "UserName": ""}, "name one"),
        ({"Proxy": "true", "SecretKey": "url"}, "not a connection string"),
        (ENGINES["mysql"] | {"PreloadLibraries": "pg_cron"}, "for PostgreSQL"),
        (ENGINES["mysql"] | {"SecretKey": "url"}, "SecretStyle is url"),
        (ENGINES["mysql"] | {"PerformanceInsights": "true"}, "no Performance Insights"),
        ({"Identifier": "Orders"}, "small letters"),
        ({"Identifier": "orders--db"}, "single hyphens"),
        ({"SubnetIds": ""}, "ids of subnets"),
        ({"BackupRetentionDays": "0"}, "out of its bounds"),
        ({"ConnectionOptions": 'SSL Mode="x"'}, "beginning with"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(RenderError, match=said):
        database(**wrong)


# --- who connects


@pytest.mark.parametrize(
    ("engine", "port"), [("postgres", 5432), ("mysql", 3306), ("aurora-postgresql", 5432)]
)
def test_only_the_wearers_of_the_clients_group_reach_it(engine: str, port: int) -> None:
    rendered = database(engine)
    assert rendered.outputs["ClientSecurityGroupId"] == "<ClientGroup>"
    [rule] = rendered["ServerGroup"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["SourceSecurityGroupId"]) == (port, port, "<ClientGroup>")
    assert rendered.of("AWS::EC2::SecurityGroupIngress") == {}
    out = rendered["ClientToServer"]
    assert (out["IpProtocol"], out["ToPort"]) == ("tcp", port)
    assert (out["GroupId"], out["FromPort"], out["DestinationSecurityGroupId"]) == (
        "<ClientGroup>",
        port,
        "<ServerGroup>",
    )
    groups = server(rendered).get("VPCSecurityGroups") or server(rendered)["VpcSecurityGroupIds"]
    assert groups == ["<ServerGroup>"]


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_in_the_subnets_of_its_vpc(engine: str) -> None:
    rendered = database(engine, Proxy="true")
    assert rendered.one("AWS::RDS::DBSubnetGroup")["SubnetIds"] == ["subnet-1", "subnet-2"]
    assert server(rendered)["DBSubnetGroupName"] == "orders"
    assert {one["VpcId"] for one in rendered.of("AWS::EC2::SecurityGroup").values()} == {"vpc-1"}
    proxy = rendered.one("AWS::RDS::DBProxy")
    assert (proxy["VpcSubnetIds"], proxy["VpcSecurityGroupIds"]) == (
        ["subnet-1", "subnet-2"],
        ["<ProxyGroup>"],
    )


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_an_instance_is_of_the_size_and_engine_that_are_given(engine: str) -> None:
    given = {"InstanceClass": "db.m7g.large", "StorageType": "gp2", "MultiAz": "true"}
    own = server(database(engine, **given))
    assert (own["DBInstanceIdentifier"], own["Engine"]) == ("orders", engine)
    assert own["EngineVersion"] == ENGINES[engine]["EngineVersion"]
    assert (own["DBInstanceClass"], own["StorageType"], own["MultiAZ"]) == ("db.m7g.large", "gp2", "true")
    assert (own["DBName"], own["MasterUsername"]) == ("orders", "orders_admin")
    assert own["AutoMinorVersionUpgrade"] is True


def test_a_cluster_is_of_the_engine_that_is_given_and_its_instances_are_of_it() -> None:
    rendered = database("aurora-postgresql", MultiAz="true", MaintenanceWindow="Sun:02:00-Sun:03:00")
    own = server(rendered)
    assert (own["DBClusterIdentifier"], own["Engine"], own["EngineVersion"]) == (
        "orders",
        "aurora-postgresql",
        "15.8",
    )
    assert (own["DatabaseName"], own["MasterUsername"]) == ("orders", "orders_admin")
    instances = rendered.of("AWS::RDS::DBInstance").values()
    assert [one["DBInstanceIdentifier"] for one in instances] == ["orders-1", "orders-2"]
    assert {(one["DBClusterIdentifier"], one["Engine"]) for one in instances} == {
        ("orders", "aurora-postgresql")
    }
    assert {one["PreferredMaintenanceWindow"] for one in instances} == {"Sun:02:00-Sun:03:00"}
    assert rendered.resources["Reader"]["DependsOn"] == "Writer"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_settings_are_of_the_family_that_is_given(engine: str) -> None:
    rendered = database(engine)
    groups = {**rendered.of("AWS::RDS::DBParameterGroup"), **rendered.of("AWS::RDS::DBClusterParameterGroup")}
    assert [one["Family"] for one in groups.values()] == [ENGINES[engine]["ParameterFamily"]]


@pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
def test_performance_insights_are_kept_for_the_week_that_costs_nothing(engine: str) -> None:
    for one in database(engine).of("AWS::RDS::DBInstance").values():
        assert (one["EnablePerformanceInsights"], one["PerformanceInsightsRetentionPeriod"]) == ("true", 7)
    for one in database(engine, PerformanceInsights="false").of("AWS::RDS::DBInstance").values():
        assert one["EnablePerformanceInsights"] == "false"
        assert not {"PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId"} & one.keys()


@pytest.mark.parametrize("proxy", ["true", "false"])
def test_no_group_lets_anything_else_out(proxy: str) -> None:
    """A group without a rule of its own has EC2's: everything, everywhere."""
    groups = database(Proxy=proxy).of("AWS::EC2::SecurityGroup")
    assert len(groups) == (3 if proxy == "true" else 2)
    assert {one["CidrIp"] for own in groups.values() for one in own["SecurityGroupEgress"]} == {
        "127.0.0.1/32"
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_no_address_of_it_is_public(engine: str) -> None:
    instances = database(engine, MultiAz="true").of("AWS::RDS::DBInstance").values()
    assert {one["PubliclyAccessible"] for one in instances} == {False}
    assert {one["CACertificateIdentifier"] for one in instances} == {"rds-ca-rsa2048-g1"}


@pytest.mark.parametrize(
    ("engine", "family"),
    [("postgres", "POSTGRESQL"), ("mysql", "MYSQL"), ("aurora-postgresql", "POSTGRESQL")],
)
def test_the_proxy_reads_the_secret_of_the_services_alone_and_asks_for_tls(engine: str, family: str) -> None:
    rendered = database(engine, Proxy="true")
    proxy = rendered.one("AWS::RDS::DBProxy")
    assert (proxy["RequireTLS"], proxy["EngineFamily"]) == (True, family)
    assert [one["SecretArn"] for one in proxy["Auth"]] == ["<Secret>"]
    [policy] = rendered["ProxyRole"]["Policies"]
    reads, decrypts = policy["PolicyDocument"]["Statement"]
    assert reads["Resource"] == "<Secret>"
    assert (decrypts["Action"], decrypts["Resource"]) == ("kms:Decrypt", "<Key.Arn>")
    assert decrypts["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    }
    target = rendered.one("AWS::RDS::DBProxyTargetGroup")
    assert target.get("DBInstanceIdentifiers", target.get("DBClusterIdentifiers")) == ["orders"]
    assert rendered.outputs["ProxyEndpoint"] == "<ConnectionProxy.Endpoint>"
    assert (target["DBProxyName"], target["TargetGroupName"]) == ("<ConnectionProxy>", "default")
    assert proxy["RoleArn"] == "<ProxyRole.Arn>"
    assert set(reads["Action"]) == {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}
    [trust] = rendered["ProxyRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "rds.amazonaws.com"}
    port = 3306 if engine == "mysql" else 5432
    ways = [rendered[way] for way in ("ServerFromProxy", "ProxyToServer", "ClientToProxy")]
    assert {(way["IpProtocol"], way["FromPort"], way["ToPort"]) for way in ways} == {("tcp", port, port)}
    assert [way["GroupId"] for way in ways] == ["<ServerGroup>", "<ProxyGroup>", "<ClientGroup>"]
    # From the clients to it, from it to the server.
    assert [one["SourceSecurityGroupId"] for one in rendered["ProxyGroup"]["SecurityGroupIngress"]] == [
        "<ClientGroup>"
    ]
    assert rendered["ServerFromProxy"]["SourceSecurityGroupId"] == "<ProxyGroup>"
    assert rendered["ProxyToServer"]["DestinationSecurityGroupId"] == "<ServerGroup>"
    assert rendered["ClientToProxy"]["DestinationSecurityGroupId"] == "<ProxyGroup>"


def test_without_a_proxy_there_is_nothing_of_it() -> None:
    rendered = database()
    assert not [path for path in rendered.resources if "Proxy" in path]
    assert rendered.outputs["ProxyEndpoint"] == ""
