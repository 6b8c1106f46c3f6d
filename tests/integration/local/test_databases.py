"""The control plane of RDS: states, snapshots, and what is said of them on the bus."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

ARN = "arn:aws:rds:us-east-1:000000000000"


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def instance(cloud: Cloud, name: str) -> Iterator[str]:
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="shop",
        MasterUserPassword="a-password",
    )
    yield name
    cloud.control.clear_snapshot_fault(name)


@pytest.fixture
def cluster(cloud: Cloud, name: str) -> Iterator[str]:
    cloud.client("rds").create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="shop",
        MasterUserPassword="a-password",
    )
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{name}-1",
        DBInstanceClass="db.t4g.medium",
        Engine="aurora-postgresql",
        DBClusterIdentifier=name,
    )
    yield name
    cloud.control.clear_snapshot_fault(name)


@pytest.fixture
def events(cloud: Cloud, queue: tuple[str, str], name: str) -> str:
    """URL of a queue that gets the events of the test's snapshots."""
    url, arn = queue
    cloud.rule({"source": ["aws.rds"], "detail": {"SourceIdentifier": [{"prefix": name}]}}, arn)
    return url


def snapshot(cloud: Cloud, database: str, **request: Any) -> dict[str, Any]:
    created: dict[str, Any] = cloud.client("rds").create_db_snapshot(
        DBSnapshotIdentifier=f"{database}-before", DBInstanceIdentifier=database, **request
    )["DBSnapshot"]
    return created


def cluster_snapshot(cloud: Cloud, database: str) -> dict[str, Any]:
    created: dict[str, Any] = cloud.client("rds").create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=f"{database}-before", DBClusterIdentifier=database
    )["DBClusterSnapshot"]
    return created


def described(cloud: Cloud, database: str) -> dict[str, Any]:
    [found] = cloud.client("rds").describe_db_snapshots(DBSnapshotIdentifier=f"{database}-before")[
        "DBSnapshots"
    ]
    return dict(found)


def described_of_cluster(cloud: Cloud, database: str) -> dict[str, Any]:
    [found] = cloud.client("rds").describe_db_cluster_snapshots(
        DBClusterSnapshotIdentifier=f"{database}-before"
    )["DBClusterSnapshots"]
    return dict(found)


def test_a_snapshot_of_an_instance(cloud: Cloud, instance: str, events: str) -> None:
    created = snapshot(cloud, instance, Tags=[{"Key": "tidegate", "Value": "r1"}])
    assert (created["Status"], created["PercentProgress"]) == ("creating", 0)
    arn = f"{ARN}:snapshot:{instance}-before"
    assert created["DBSnapshotArn"] == arn

    begun, made = (cloud.message(events)["body"] for _ in range(2))
    assert {begun["detail-type"], made["detail-type"]} == {"RDS DB Snapshot Event"}
    assert begun["resources"] == made["resources"] == [arn]
    dates = [event["detail"].pop("Date") for event in (begun, made)]
    assert dates == sorted(dates)
    assert [begun["detail"], made["detail"]] == [
        {
            "EventCategories": ["creation"],
            "SourceType": "SNAPSHOT",
            "SourceArn": arn,
            "Message": message,
            "SourceIdentifier": f"{instance}-before",
            "EventID": number,
        }
        for number, message in [
            ("RDS-EVENT-0040", "Creating manual snapshot"),
            ("RDS-EVENT-0042", "Manual snapshot created"),
        ]
    ]
    found = described(cloud, instance)
    assert (found["Status"], found["PercentProgress"]) == ("available", 100)
    assert {"Key": "tidegate", "Value": "r1"} in found["TagList"]
    listed = cloud.client("rds").describe_db_snapshots(DBInstanceIdentifier=instance)["DBSnapshots"]
    assert [entry["DBSnapshotArn"] for entry in listed] == [arn]


def test_a_snapshot_of_a_cluster(cloud: Cloud, cluster: str, events: str) -> None:
    assert cluster_snapshot(cloud, cluster)["Status"] == "creating"
    begun, made = (cloud.message(events)["body"] for _ in range(2))
    arn = f"{ARN}:cluster-snapshot:{cluster}-before"
    for event, number, message in [
        (begun, "RDS-EVENT-0074", "Creating manual cluster snapshot"),
        (made, "RDS-EVENT-0075", "Manual cluster snapshot created"),
    ]:
        assert event["detail-type"] == "RDS DB Cluster Snapshot Event"
        assert event["resources"] == [arn]
        detail = event["detail"]
        assert (detail["EventID"], detail["Message"]) == (number, message)
        assert (detail["SourceType"], detail["EventCategories"]) == ("CLUSTER_SNAPSHOT", ["backup"])
    assert described_of_cluster(cloud, cluster)["Status"] == "available"


def test_a_name_is_taken_once(cloud: Cloud, instance: str) -> None:
    snapshot(cloud, instance)
    with pytest.raises(ClientError) as refused:
        snapshot(cloud, instance)
    assert refused.value.response["Error"]["Code"] == "DBSnapshotAlreadyExists"


def test_a_name_of_a_cluster_s_is_taken_once(cloud: Cloud, cluster: str) -> None:
    cluster_snapshot(cloud, cluster)
    with pytest.raises(ClientError) as refused:
        cluster_snapshot(cloud, cluster)
    assert refused.value.response["Error"]["Code"] == "DBClusterSnapshotAlreadyExistsFault"


def test_one_that_hangs_is_there_when_it_may_be(cloud: Cloud, instance: str, events: str) -> None:
    cloud.control.set_snapshot_fault(instance, "hang")
    snapshot(cloud, instance)
    assert cloud.message(events)["body"]["detail"]["EventID"] == "RDS-EVENT-0040"
    assert described(cloud, instance)["Status"] == "creating"
    assert cloud.control.clear_snapshot_fault(instance)
    assert cloud.message(events)["body"]["detail"]["EventID"] == "RDS-EVENT-0042"
    assert not cloud.control.clear_snapshot_fault(instance)


def test_one_that_fails(cloud: Cloud, cluster: str) -> None:
    cloud.control.set_snapshot_fault(cluster, "fail")
    cluster_snapshot(cloud, cluster)
    wait_until(lambda: described_of_cluster(cloud, cluster)["Status"] == "failed", what="the failure")


def test_its_events_can_be_lost(cloud: Cloud, instance: str) -> None:
    cloud.control.silence("aws.rds")
    try:
        snapshot(cloud, instance)
        swallowed = wait_until(
            lambda: [
                event["detail"]["EventID"]
                for event in cloud.control.swallowed("aws.rds")
                if event["detail"]["SourceIdentifier"] == f"{instance}-before"
            ][1:],
            what="what would have been said",
        )
    finally:
        cloud.control.end_silence("aws.rds")
    assert swallowed == ["RDS-EVENT-0042"]
    assert described(cloud, instance)["Status"] == "available"


def test_an_instance_stops_and_starts(cloud: Cloud, instance: str) -> None:
    rds = cloud.client("rds")

    def is_(status: str) -> bool:
        [found] = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
        return bool(found["DBInstanceStatus"] == status)

    stopping = rds.stop_db_instance(DBInstanceIdentifier=instance)["DBInstance"]
    assert stopping["DBInstanceStatus"] == "stopping"
    wait_until(lambda: is_("stopped"), what="the stop")
    with pytest.raises(ClientError) as refused:
        snapshot(cloud, instance)
    assert refused.value.response["Error"]["Code"] == "InvalidDBInstanceState"
    starting = rds.start_db_instance(DBInstanceIdentifier=instance)["DBInstance"]
    assert starting["DBInstanceStatus"] == "starting"
    with pytest.raises(ClientError) as refused:
        rds.start_db_instance(DBInstanceIdentifier=instance)
    assert refused.value.response["Error"]["Code"] == "InvalidDBInstanceState"
    wait_until(lambda: is_("available"), what="the start")


def test_a_cluster_stops_and_starts_with_its_instances(cloud: Cloud, cluster: str) -> None:
    rds = cloud.client("rds")

    def are(status: str) -> bool:
        [found] = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
        [member] = rds.describe_db_instances(DBInstanceIdentifier=f"{cluster}-1")["DBInstances"]
        return {found["Status"], member["DBInstanceStatus"]} == {status}

    assert rds.stop_db_cluster(DBClusterIdentifier=cluster)["DBCluster"]["Status"] == "stopping"
    wait_until(lambda: are("stopped"), what="the stop")
    with pytest.raises(ClientError) as refused:
        cluster_snapshot(cloud, cluster)
    assert refused.value.response["Error"]["Code"] == "InvalidDBClusterStateFault"
    assert rds.start_db_cluster(DBClusterIdentifier=cluster)["DBCluster"]["Status"] == "starting"
    wait_until(lambda: are("available"), what="the start")
