"""A database snapshot takes a moment, can fail, and says so on the default bus.

AWS: CreateDBSnapshot and CreateDBClusterSnapshot answer with a snapshot that is `creating`, of a database that must be
`available` (RDS API reference); EventBridge gets `RDS DB Snapshot Event` and `RDS DB Cluster Snapshot Event` when a
manual one is begun (RDS-EVENT-0040, 0074) and when it is there (0042, 0075) ("Amazon RDS event categories and event
messages"). No event tells that one has failed.
MiniStack: has it `available` at once, of a database in any state, and sends nothing.
Mended where it makes the record. That of a deleted database's last snapshot is made there as well. Other events of RDS
are not sent.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import rds

from tidegate_local.events import service_event
from tidegate_local.seam import expect, graft
from tidegate_local.silence import Deliver

Json = dict[str, Any]
SnapshotFault: TypeAlias = Literal["fail", "hang"]

CREATING_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Kind:
    """What is said of snapshots of instances, or of clusters."""

    event: str
    source_type: str
    category: str
    database: str
    name: str
    arn: str
    begun: tuple[str, str]
    made: tuple[str, str]


INSTANCES = Kind(
    event="RDS DB Snapshot Event",
    source_type="SNAPSHOT",
    category="creation",
    database="DBInstanceIdentifier",
    name="DBSnapshotIdentifier",
    arn="DBSnapshotArn",
    begun=("RDS-EVENT-0040", "Creating manual snapshot"),
    made=("RDS-EVENT-0042", "Manual snapshot created"),
)
CLUSTERS = Kind(
    event="RDS DB Cluster Snapshot Event",
    source_type="CLUSTER_SNAPSHOT",
    category="backup",
    database="DBClusterIdentifier",
    name="DBClusterSnapshotIdentifier",
    arn="DBClusterSnapshotArn",
    begun=("RDS-EVENT-0074", "Creating manual cluster snapshot"),
    made=("RDS-EVENT-0075", "Manual cluster snapshot created"),
)


class SnapshotFaults:
    """The databases, instances or clusters, whose snapshots fail or never end."""

    def __init__(self) -> None:
        self._faults: dict[str, SnapshotFault] = {}
        self._changed = threading.Condition()

    def set(self, database: str, fault: SnapshotFault) -> None:
        """Snapshots that are not there yet fail, or hang until that is cleared."""
        with self._changed:
            self._faults[database] = fault
            self._changed.notify_all()

    def clear(self, database: str) -> bool:
        """They succeed again, those that hang as well; False if nothing was set."""
        with self._changed:
            found = self._faults.pop(database, None) is not None
            self._changed.notify_all()
        return found

    def document(self) -> dict[str, SnapshotFault]:
        """Every fault by the database's name."""
        with self._changed:
            return dict(sorted(self._faults.items()))

    def fails(self, database: str) -> bool:
        """Returns when a snapshot of it has an outcome."""
        with self._changed:
            self._changed.wait_for(lambda: self._faults.get(database) != "hang")
            return self._faults.get(database) == "fail"


FAULTS = SnapshotFaults()


def install(deliver: Deliver) -> None:
    """Raises `MendDoesNotFitError`."""
    expect(rds, "_error", signature="(code, message, status)")
    expect(rds, "_resolve_instance", signature="(db_id)")
    expect(rds, "_resolve_cluster_in_request_region", signature="(cluster_id)")
    _take_time(deliver, INSTANCES, "_create_snapshot_internal", "(snap_id, instance)")
    _take_time(deliver, CLUSTERS, "_create_cluster_snapshot_internal", "(snap_id, cluster)")
    _require_available("CreateDBSnapshot", "_create_db_snapshot", _refuse_instance)
    _require_available("CreateDBClusterSnapshot", "_create_db_cluster_snapshot", _refuse_cluster)


def _take_time(deliver: Deliver, kind: Kind, name: str, signature: str) -> None:
    def create(snapshot_id: str, database: Json) -> Json:
        snapshot: Json = original(snapshot_id, database)
        snapshot.update(Status="creating", PercentProgress=0)
        place = (get_account_id(), get_region())
        threading.Thread(target=_become, args=(deliver, kind, snapshot, place), daemon=True).start()
        return snapshot

    original = graft(rds, name, create, signature=signature, shows='"Status": "available"')


def _become(deliver: Deliver, kind: Kind, snapshot: Json, place: tuple[str, str]) -> None:
    _say(deliver, kind, kind.begun, snapshot, place)
    threading.Event().wait(CREATING_SECONDS)
    failed = FAULTS.fails(snapshot[kind.database])
    if snapshot["Status"] != "creating":
        return  # deleted meanwhile
    if failed:
        snapshot.update(Status="failed")
        return
    snapshot.update(Status="available", PercentProgress=100)
    _say(deliver, kind, kind.made, snapshot, place)


def _say(deliver: Deliver, kind: Kind, what: tuple[str, str], snapshot: Json, place: tuple[str, str]) -> None:
    number, message = what
    arn = snapshot[kind.arn]
    detail = {
        "EventCategories": [kind.category],
        "SourceType": kind.source_type,
        "SourceArn": arn,
        "Date": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Message": message,
        "SourceIdentifier": snapshot[kind.name],
        "EventID": number,
    }
    account, region = place
    with request_scope(account, region):
        deliver(service_event("aws.rds", kind.event, detail, [arn]), account=account, region=region)


def _require_available(action: str, name: str, refuse: Any) -> None:
    def create(given: Json) -> Any:
        return refuse(given) or original(given)

    original = graft(rds, name, create, signature="(p)")
    rds._ACTION_MAP[action] = create


def _refuse_instance(given: Json) -> Any:
    instance = rds._resolve_instance(rds._p(given, "DBInstanceIdentifier"))
    state = instance["DBInstanceStatus"] if instance else "available"
    taken = rds._p(given, "DBSnapshotIdentifier") in rds._snapshots
    if taken or state in ("available", "storage-optimization"):
        return None
    return rds._error(
        "InvalidDBInstanceState", f"Cannot create a snapshot because the database instance is {state}.", 400
    )


def _refuse_cluster(given: Json) -> Any:
    cluster = rds._resolve_cluster_in_request_region(rds._p(given, "DBClusterIdentifier"))
    state = cluster["Status"] if cluster else "available"
    if rds._p(given, "DBClusterSnapshotIdentifier") in rds._db_cluster_snapshots or state == "available":
        return None
    return rds._error("InvalidDBClusterStateFault", f"The DB cluster is in {state} state.", 400)
