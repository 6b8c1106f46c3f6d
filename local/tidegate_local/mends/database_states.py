"""A database takes a moment to stop and to start.

AWS: StopDBInstance and StartDBInstance, and those of a cluster, answer with `stopping` and `starting` and refuse a
database in another state than `available` or `stopped` (RDS API reference, "Viewing DB instance status").
MiniStack: is there at once, and stops and starts an instance in any state.
Mended around its handlers. The events of a database's states are not sent.
"""

import threading
from typing import Any

from ministack.services import rds

from tidegate_local.seam import Handler, expect, graft

Json = dict[str, Any]

SECONDS = 0.4
_BEFORE = {"available": "stopped", "stopped": "available"}
_MEANWHILE = {"available": "starting", "stopped": "stopping"}


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect(rds, "_cluster_member_instances", signature="(cluster)")

    def set_instance(given: Json, status: str, response_name: str, result_name: str) -> Any:
        name = rds._p(given, "DBInstanceIdentifier")
        instance = rds._resolve_instance(name)
        state = instance["DBInstanceStatus"] if instance else _BEFORE[status]
        if state != _BEFORE[status]:
            return rds._error(
                "InvalidDBInstanceState", f"Instance {name} is not in {_BEFORE[status]} state.", 400
            )
        answer = original(given, _MEANWHILE[status], response_name, result_name)
        if instance and answer[0] == 200:
            _later(instance, "DBInstanceStatus", status)
        return answer

    original = graft(
        rds, "_set_db_instance_status", set_instance,
        signature="(p, status, response_name, result_name)", shows='instance["DBInstanceStatus"] = status',
    )  # fmt: skip
    _cluster("StartDBCluster", "_start_db_cluster", "available")
    _cluster("StopDBCluster", "_stop_db_cluster", "stopped")


def _cluster(action: str, name: str, status: str) -> None:
    def set_cluster(given: Json) -> Any:
        code, headers, body = original(given)
        cluster = rds._resolve_cluster_in_request_region(rds._p(given, "DBClusterIdentifier"))
        if code != 200 or cluster is None or cluster["Status"] != status:
            return code, headers, body
        told = body.replace(f"<Status>{status}<".encode(), f"<Status>{_MEANWHILE[status]}<".encode(), 1)
        for record, key in [
            (cluster, "Status"),
            *((member, "DBInstanceStatus") for member in rds._cluster_member_instances(cluster)),
        ]:
            record[key] = _MEANWHILE[status]
            _later(record, key, status)
        return code, headers, told

    original: Handler = graft(rds, name, set_cluster, signature="(p)")
    rds._ACTION_MAP[action] = set_cluster


def _later(record: Json, key: str, status: str) -> None:
    def arrive() -> None:
        if record.get(key) == _MEANWHILE[status]:
            record[key] = status

    timer = threading.Timer(SECONDS, arrive)
    timer.daemon = True
    timer.start()
