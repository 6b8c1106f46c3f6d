"""infrastructure/cache.yaml: encryption, who connects, failover, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

NEEDED = {"Name": "sessions", "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2"}


def cache(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/cache.yaml", **(NEEDED | parameters))


def group(**parameters: str) -> dict[str, Any]:
    return cache(**parameters).one("AWS::ElastiCache::ReplicationGroup")


def test_it_is_encrypted_on_disk_and_on_the_way() -> None:
    own = group()
    assert (own["AtRestEncryptionEnabled"], own["TransitEncryptionEnabled"]) == (True, "true")


@pytest.mark.parametrize(("tls", "scheme"), [("true", "rediss"), ("false", "redis")])
def test_the_address_says_whether_it_is_by_tls(tls: str, scheme: str) -> None:
    where = "<Group.PrimaryEndPoint.Address>:<Group.PrimaryEndPoint.Port>"
    assert cache(TransitEncryption=tls).outputs["Url"] == f"{scheme}://{where}/0"


@pytest.mark.parametrize(("replicas", "nodes", "failover"), [("0", 1, False), ("1", 2, True), ("5", 6, True)])
def test_a_replica_takes_over_from_another_zone(replicas: str, nodes: int, failover: bool) -> None:
    own = group(Replicas=replicas)
    assert own["NumCacheClusters"] == nodes
    assert (own["AutomaticFailoverEnabled"], own["MultiAZEnabled"]) == (failover, failover)


def test_what_goes_when_it_is_full_is_as_given() -> None:
    rendered = cache(EvictionPolicy="allkeys-lru")
    settings = rendered.one("AWS::ElastiCache::ParameterGroup")
    assert settings["Properties"] == {"maxmemory-policy": "allkeys-lru"}
    assert settings["CacheParameterGroupFamily"] == "redis7"
    assert rendered["Group"]["CacheParameterGroupName"] == "<Settings>"


def test_snapshots_are_kept_and_the_last_one_is_made_when_it_goes() -> None:
    rendered = cache(SnapshotRetentionDays="5", SnapshotWindow="03:00-05:00")
    own = rendered["Group"]
    assert (own["SnapshotRetentionLimit"], own["SnapshotWindow"]) == ("5", "03:00-05:00")
    assert rendered.resources["Group"]["DeletionPolicy"] == "Snapshot"
    assert rendered.resources["Group"]["UpdateReplacePolicy"] == "Snapshot"


def test_only_the_wearers_of_the_clients_group_reach_it() -> None:
    rendered = cache()
    [rule] = rendered["ServerGroup"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["SourceSecurityGroupId"]) == (6379, 6379, "<ClientGroup>")
    assert rendered["Group"]["SecurityGroupIds"] == ["<ServerGroup>"]
    out = {key: value for key, value in rendered["ClientToServer"].items() if key != "Description"}
    assert out == {
        "GroupId": "<ClientGroup>",
        "IpProtocol": "tcp",
        "FromPort": 6379,
        "ToPort": 6379,
        "DestinationSecurityGroupId": "<ServerGroup>",
    }
    assert rendered.outputs["ClientSecurityGroupId"] == "<ClientGroup>"


def test_it_is_in_the_subnets_of_its_vpc() -> None:
    rendered = cache()
    assert rendered["Subnets"]["SubnetIds"] == ["subnet-1", "subnet-2"]
    assert rendered["Group"]["CacheSubnetGroupName"] == "<Subnets>"
    assert {one["VpcId"] for one in rendered.of("AWS::EC2::SecurityGroup").values()} == {"vpc-1"}


def test_its_name_version_size_and_window_are_as_given() -> None:
    own = group(EngineVersion="7.0", NodeType="cache.t3.micro", MaintenanceWindow="sun:06:00-sun:07:00")
    assert (own["ReplicationGroupId"], own["Engine"], own["Port"]) == ("sessions", "redis", 6379)
    assert (own["EngineVersion"], own["CacheNodeType"]) == ("7.0", "cache.t3.micro")
    assert own["PreferredMaintenanceWindow"] == "sun:06:00-sun:07:00"


def test_no_group_lets_anything_else_out() -> None:
    groups = cache().of("AWS::EC2::SecurityGroup").values()
    assert {one["CidrIp"] for own in groups for one in own["SecurityGroupEgress"]} == {"127.0.0.1/32"}


def test_the_password_is_generated_as_elasticache_takes_it() -> None:
    rendered = cache(AuthSecretName="sessions/auth")
    assert rendered["AuthSecret"]["Name"] == "sessions/auth"
    generated = rendered.one("AWS::SecretsManager::Secret")["GenerateSecretString"]
    assert 16 <= generated["PasswordLength"] <= 128
    assert (generated["ExcludePunctuation"], generated["GenerateStringKey"]) == (True, "password")
    assert rendered["Group"]["AuthToken"] == "{{resolve:secretsmanager:<AuthSecret>:SecretString:password}}"
    assert rendered.outputs["AuthSecretArn"] == "<AuthSecret>"


def test_without_a_password_there_is_no_secret() -> None:
    rendered = cache()
    assert rendered.of("AWS::SecretsManager::Secret") == {}
    assert "AuthToken" not in rendered["Group"]
    assert rendered.outputs["AuthSecretArn"] == ""


def test_a_password_in_the_clear_is_refused() -> None:
    with pytest.raises(RenderError, match="TransitEncryption is true"):
        cache(AuthSecretName="sessions/auth", TransitEncryption="false")


def test_a_key_that_is_given_is_for_the_disk_and_the_secret() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
    rendered = cache(KeyArn=key, AuthSecretName="sessions/auth")
    assert rendered["Group"]["KmsKeyId"] == rendered["AuthSecret"]["KmsKeyId"] == key
    assert "KmsKeyId" not in group()
