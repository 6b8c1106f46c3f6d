"""Amazon RDS (https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/, the page of each action)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import TagTypeDef

CLUSTER = "cluster"
# The codes on the wire; the classes that boto3 makes of them have other names.
_NO_DATABASE = frozenset({"DBClusterNotFoundFault", "DBInstanceNotFound", "DBInstanceNotFoundFault"})
_NO_SNAPSHOT = frozenset(
    {
        "DBClusterSnapshotNotFoundFault",
        "DBClusterSnapshotNotFound",
        "DBSnapshotNotFound",
        "DBSnapshotNotFoundFault",
    }
)
_SNAPSHOT_IS_THERE = frozenset(
    {"DBClusterSnapshotAlreadyExistsFault", "DBSnapshotAlreadyExists", "DBSnapshotAlreadyExistsFault"}
)
TAG = "tidegate:snapshot"


class RdsBackups:
    def __init__(self, client: Callable[[], RDSClient]) -> None:
        self._client = client

    def status(self, kind: str, name: str) -> str | None:
        action = "rds:DescribeDBClusters" if kind == CLUSTER else "rds:DescribeDBInstances"
        with asking(action):
            try:
                if kind == CLUSTER:
                    clusters = self._client().describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
                    return clusters[0].get("Status") if clusters else None
                found = self._client().describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
                return found[0].get("DBInstanceStatus") if found else None
            except ClientError as error:
                if code_of(error) in _NO_DATABASE:
                    return None
                raise

    def snapshot(self, kind: str, name: str, snapshot: str) -> None:
        tags: list[TagTypeDef] = [{"Key": TAG, "Value": name}]
        with asking("rds:CreateDBClusterSnapshot" if kind == CLUSTER else "rds:CreateDBSnapshot"):
            try:
                if kind == CLUSTER:
                    self._client().create_db_cluster_snapshot(
                        DBClusterIdentifier=name, DBClusterSnapshotIdentifier=snapshot, Tags=tags
                    )
                else:
                    self._client().create_db_snapshot(
                        DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, Tags=tags
                    )
            except ClientError as error:
                if code_of(error) not in _SNAPSHOT_IS_THERE:
                    raise

    def snapshot_status(self, kind: str, snapshot: str) -> str | None:
        with asking("rds:DescribeDBClusterSnapshots" if kind == CLUSTER else "rds:DescribeDBSnapshots"):
            try:
                if kind == CLUSTER:
                    answer = self._client().describe_db_cluster_snapshots(
                        DBClusterSnapshotIdentifier=snapshot
                    )
                    clusters = answer["DBClusterSnapshots"]
                    return clusters[0].get("Status") if clusters else None
                found = self._client().describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"]
                return found[0].get("Status") if found else None
            except ClientError as error:
                if code_of(error) in _NO_SNAPSHOT:
                    return None
                raise
