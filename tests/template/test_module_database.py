"""infrastructure/database.yaml and database-alarms.yaml: who logs in, what is encrypted, what is kept, what rings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse
from tidegate.domain.credentials import MYSQL, POSTGRES, read

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

DATABASE = ROOT / "infrastructure/database.yaml"
ALARMS = ROOT / "infrastructure/database-alarms.yaml"
MODULES = sorted((ROOT / "infrastructure").glob("*.yaml"))
ENGINES = {
    "postgres": {"Engine": "postgres", "EngineVersion": "15.8", "ParameterFamily": "postgres15"},
    "mysql": {
        "Engine": "mysql",
        "EngineVersion": "8.0.42",
        "ParameterFamily": "mysql8.0",
        "PerformanceInsights": "false",
    },
    "aurora-postgresql": {
        "Engine": "aurora-postgresql",
        "EngineVersion": "15.8",
        "ParameterFamily": "aurora-postgresql15",
    },
}
NEEDED = {
    "Identifier": "orders",
    "DatabaseName": "orders",
    "MasterUsername": "orders_admin",
    "AdminSecretName": "orders/admin",
    "SecretName": "orders/database",
    "UserName": "orders_a",
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2",
}
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
PASSWORD = "{{resolve:secretsmanager:<AdminSecret>:SecretString:password}}"
DATABASES = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")


def database(engine: str = "postgres", **parameters: str) -> Rendered:
    return render_file(DATABASE, **(NEEDED | ENGINES[engine] | parameters))


def server(rendered: Rendered) -> dict[str, Any]:
    """The properties of what holds the data."""
    [found] = [
        own
        for type_ in DATABASES
        for own in rendered.of(type_).values()
        if own.get("DBClusterIdentifier") in {None, "orders"} and "StorageEncrypted" in own
    ]
    return found


def settings(rendered: Rendered) -> dict[str, Any]:
    [found] = [
        *rendered.of("AWS::RDS::DBParameterGroup").values(),
        *rendered.of("AWS::RDS::DBClusterParameterGroup").values(),
    ]
    parameters: dict[str, Any] = found["Parameters"]
    return parameters


def secret(rendered: Rendered, name: str) -> dict[str, Any]:
    return rendered.named("AWS::SecretsManager::Secret", Name=name)


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
    attached = {
        one["SecretId"] for one in rendered.of("AWS::SecretsManager::SecretTargetAttachment").values()
    }
    assert attached == {"<AdminSecret>", "<Secret>"}
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
    assert (out["GroupId"], out["FromPort"], out["DestinationSecurityGroupId"]) == (
        "<ClientGroup>",
        port,
        "<ServerGroup>",
    )
    groups = server(rendered).get("VPCSecurityGroups") or server(rendered)["VpcSecurityGroupIds"]
    assert groups == ["<ServerGroup>"]


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


# --- what is encrypted and kept


@pytest.mark.parametrize(("given", "key"), [("", "<Key.Arn>"), (ARN, ARN)])
@pytest.mark.parametrize("engine", ENGINES)
def test_storage_insights_and_secrets_have_one_key(engine: str, given: str, key: str) -> None:
    rendered = database(engine, KeyArn=given, InstanceClass="db.m7g.large", PerformanceInsights="true")
    assert (server(rendered)["StorageEncrypted"], server(rendered)["KmsKeyId"]) == (True, key)
    assert {one["KmsKeyId"] for one in rendered.of("AWS::SecretsManager::Secret").values()} == {key}
    instances = rendered.of("AWS::RDS::DBInstance").values()
    assert {one["PerformanceInsightsKMSKeyId"] for one in instances} == {key}
    assert rendered.outputs["KeyArn"] == key
    assert len(rendered.of("AWS::KMS::Key")) == (0 if given else 1)


def test_its_own_key_rotates_and_outlives_the_snapshots_it_is_for() -> None:
    key = database().resources["Key"]
    assert key["Properties"]["EnableKeyRotation"] is True
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    [_, logs] = key["Properties"]["KeyPolicy"]["Statement"]
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    [pattern] = logs["Condition"]["ArnLike"].values()
    assert pattern.endswith(":log-group:/aws/rds/*/orders/*")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_deleted_or_replaced_leaves_a_snapshot(engine: str) -> None:
    """And no name with a time in it, which would change with every plan."""
    rendered = database(engine, MultiAz="true")
    for path, resource in rendered.resources.items():
        if resource["Type"] in DATABASES:
            # Those of a cluster have no storage of their own, and CloudFormation takes no Snapshot for them.
            wanted = "Delete" if path in {"Writer", "Reader"} else "Snapshot"
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (wanted, wanted), path
    assert server(rendered)["DeletionProtection"] == "true"
    assert server(rendered)["CopyTagsToSnapshot"] is True


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_brings_its_own_database_and_users(engine: str) -> None:
    restored = server(database(engine, SnapshotIdentifier="orders-2026"))
    assert not {"MasterUsername", "MasterUserPassword", "DBName", "DatabaseName"} & restored.keys()
    taken = restored.get("DBSnapshotIdentifier", restored.get("SnapshotIdentifier"))
    assert taken == "orders-2026"


def test_backups_and_windows_are_as_given() -> None:
    given = {
        "BackupRetentionDays": "30",
        "BackupWindow": "01:00-02:00",
        "MaintenanceWindow": "Sun:02:00-Sun:03:00",
    }
    for engine in ENGINES:
        own = server(database(engine, **given))
        assert own["BackupRetentionPeriod"] == "30"
        assert own["PreferredBackupWindow"] == "01:00-02:00"
        assert own["PreferredMaintenanceWindow"] == "Sun:02:00-Sun:03:00"


# --- logs, which RDS would make itself, for ever


@pytest.mark.parametrize(
    ("engine", "kind"), [("postgres", "instance"), ("mysql", "instance"), ("aurora-postgresql", "cluster")]
)
def test_each_log_that_rds_exports_has_its_group_before(engine: str, kind: str) -> None:
    rendered = database(engine, LogRetentionDays="14")
    groups = rendered.of("AWS::Logs::LogGroup")
    exported = {f"/aws/rds/{kind}/orders/{one}" for one in server(rendered)["EnableCloudwatchLogsExports"]}
    assert {one["LogGroupName"] for one in groups.values()} == exported
    assert {(one["RetentionInDays"], one["KmsKeyId"]) for one in groups.values()} == {("14", "<Key.Arn>")}
    assert set(rendered.outputs["LogGroupNames"].split(",")) == exported
    [resource] = [one for path, one in rendered.resources.items() if path in {"Instance", "Cluster"}]
    before = resource["DependsOn"]
    assert set(groups) <= set([before] if isinstance(before, str) else before)


def test_a_key_that_is_given_need_not_let_the_logs_use_it() -> None:
    assert not any("KmsKeyId" in one for one in database(KeyArn=ARN).of("AWS::Logs::LogGroup").values())


# --- how it is set up


@pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
def test_libraries_and_connections_are_set_where_they_are_given(engine: str) -> None:
    given = settings(database(engine, PreloadLibraries="pg_stat_statements,pg_cron", MaxConnections="200"))
    assert given["shared_preload_libraries"] == "pg_stat_statements,pg_cron"
    assert (given["max_connections"], given["log_statement"]) == ("200", "ddl")
    left = settings(database(engine))
    assert not {"shared_preload_libraries", "max_connections"} & left.keys()


def test_mysql_writes_its_slow_queries_where_the_export_reads_them() -> None:
    own = settings(database("mysql", MaxConnections="60"))
    assert own == {
        "require_secure_transport": "1",
        "slow_query_log": "1",
        "log_output": "FILE",
        "max_connections": "60",
    }


def test_storage_grows_only_where_it_may() -> None:
    assert "MaxAllocatedStorage" not in server(database())
    own = server(database(AllocatedStorage="100", MaxAllocatedStorage="500"))
    assert (own["AllocatedStorage"], own["MaxAllocatedStorage"]) == ("100", "500")


@pytest.mark.parametrize(("least", "pause"), [("0", "600"), ("0.5", None)])
def test_aurora_pauses_only_from_zero(least: str, pause: str | None) -> None:
    own = server(database("aurora-postgresql", MinCapacity=least, AutoPauseSeconds="600"))
    capacity = own["ServerlessV2ScalingConfiguration"]
    assert (capacity["MinCapacity"], capacity["MaxCapacity"]) == (least, "4")
    assert capacity.get("SecondsUntilAutoPause") == pause


@pytest.mark.parametrize(("multi", "tiers"), [("false", [0]), ("true", [0, 1])])
def test_aurora_in_two_zones_has_a_reader_that_takes_over(multi: str, tiers: list[int]) -> None:
    instances = database("aurora-postgresql", MultiAz=multi).of("AWS::RDS::DBInstance").values()
    assert [one["PromotionTier"] for one in instances] == tiers
    assert {one["DBInstanceClass"] for one in instances} == {"db.serverless"}


@pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
def test_enhanced_monitoring_has_a_role_that_only_it_may_take(engine: str) -> None:
    rendered = database(engine, MonitoringIntervalSeconds="60")
    [role] = rendered.of("AWS::IAM::Role").values()
    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":db:orders*")
    instances = rendered.of("AWS::RDS::DBInstance").values()
    assert {(one["MonitoringInterval"], one["MonitoringRoleArn"]) for one in instances} == {
        ("60", "<MonitoringRole.Arn>")
    }
    assert database(engine).of("AWS::IAM::Role") == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_outputs_are_those_of_what_there_is(engine: str) -> None:
    where = "Cluster" if engine == "aurora-postgresql" else "Instance"
    outputs = database(engine).outputs
    assert outputs["Identifier"] == "orders"
    assert outputs["Endpoint"] == f"<{where}.Endpoint.Address>"
    assert outputs["Port"] == f"<{where}.Endpoint.Port>"
    assert outputs["AdminSecretArn"] == "<AdminSecret>"


# --- alarms


def alarms(**parameters: str) -> dict[str, dict[str, Any]]:
    rendered = render_file(
        ALARMS,
        **(
            {
                "Prefix": "orders-prod",
                "Identifier": "orders",
                "WarningTopicArn": "arn:aws:sns:eu-west-1:123456789012:warning",
                "CriticalTopicArn": "arn:aws:sns:eu-west-1:123456789012:critical",
            }
            | parameters
        ),
    )
    return {one["AlarmName"]: one for one in rendered.of("AWS::CloudWatch::Alarm").values()}


@pytest.mark.parametrize(
    ("name", "metric", "comparison", "threshold", "topic"),
    [
        ("cpu", "CPUUtilization", "GreaterThanThreshold", "80", "warning"),
        ("connections", "DatabaseConnections", "GreaterThanThreshold", "160", "warning"),
        ("storage", "FreeStorageSpace", "LessThanThreshold", str(5 * 2**30), "critical"),
        ("memory", "FreeableMemory", "LessThanThreshold", str(256 * 2**20), "critical"),
    ],
)
def test_an_alarm_rings_at_its_threshold_at_the_right_door(
    name: str, metric: str, comparison: str, threshold: str, topic: str
) -> None:
    alarm = alarms(Connections="160")[f"orders-prod-database-{name}"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/RDS", metric)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == (comparison, threshold)
    assert (alarm["EvaluationPeriods"], alarm["Period"]) == ("2", "300")
    # The worst of a period, but for the CPU, where one peak is nothing. Nothing rings while the database is stopped.
    worst = {"cpu": "Average", "connections": "Maximum", "storage": "Minimum", "memory": "Minimum"}
    assert (alarm["Statistic"], alarm["TreatMissingData"]) == (worst[name], "missing")
    assert alarm["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": "orders"}]
    arns = [f"arn:aws:sns:eu-west-1:123456789012:{topic}"]
    assert (alarm["AlarmActions"], alarm["OKActions"]) == (arns, arns)


def test_a_cluster_is_watched_as_one_and_its_storage_is_not() -> None:
    found = alarms(Cluster="true", Connections="100")
    assert {name.rpartition("-")[2] for name in found} == {"cpu", "connections", "memory"}
    assert {own["Dimensions"][0]["Name"] for own in found.values()} == {"DBClusterIdentifier"}


def test_zero_is_no_alarm() -> None:
    assert alarms(CpuPercent="0", FreeStorageBytes="0", FreeMemoryBytes="0") == {}


def test_without_topics_nobody_is_told() -> None:
    found = alarms(WarningTopicArn="", CriticalTopicArn="")
    assert found
    assert not any("AlarmActions" in own for own in found.values())
