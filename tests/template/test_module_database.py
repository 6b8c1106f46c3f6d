"""infrastructure/database.yaml: what is encrypted and kept, its logs, its settings, its size."""

from __future__ import annotations

import pytest

from tests.template.rendered_database import ARN, DATABASES, ENGINES, database, server, settings

# --- what is encrypted and kept


@pytest.mark.parametrize(("given", "key"), [("", "<Key.Arn>"), (ARN, ARN)])
@pytest.mark.parametrize("engine", ENGINES)
def test_storage_insights_and_secrets_have_one_key(engine: str, given: str, key: str) -> None:
    rendered = database(engine, KeyArn=given, InstanceClass="db.m7g.large", PerformanceInsights="true")
    assert (server(rendered)["StorageEncrypted"], server(rendered)["KmsKeyId"]) == (True, key)
    assert {one["KmsKeyId"] for one in rendered.of("AWS::SecretsManager::Secret").values()} == {key}
    instances = rendered.of("AWS::RDS::DBInstance").values()
    assert {one["PerformanceInsightsKMSKeyId"] for one in instances} == {key}
    strings = database(engine, KeyArn=given, SecretKey="url", SecretStyle="url")
    assert {one["KmsKeyId"] for one in strings.of("AWS::SecretsManager::Secret").values()} == {key}
    assert rendered.outputs["KeyArn"] == key
    assert len(rendered.of("AWS::KMS::Key")) == (0 if given else 1)


def test_its_own_key_rotates_and_outlives_the_snapshots_it_is_for() -> None:
    key = database().resources["Key"]
    assert key["Properties"]["EnableKeyRotation"] is True
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    account, logs = key["Properties"]["KeyPolicy"]["Statement"]
    # Without it nobody could ever change the policy of the key again.
    assert (account["Principal"], account["Action"]) == ({"AWS": "arn:aws:iam::123456789012:root"}, "kms:*")
    assert {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"} <= set(logs["Action"])
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
    assert role["ManagedPolicyArns"] == [
        "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
    ]
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
