"""A database of RDS is one: a server that listens, with the master user and the database that it was made with.

AWS: CreateDBInstance and CreateDBCluster make a server at the endpoint that they tell, the user `MasterUsername` with
its password and the database `DBName` or `DatabaseName`; deleting it removes them (RDS API reference,
"CreateDBInstance", "CreateDBCluster"). While it is made it is `creating`.
MiniStack: keeps a record, unless it finds Docker, which is hidden from it: it would leave its containers behind.
Mended around its handlers, of the API and of CloudFormation: PostgreSQL of the wheel whatever version was asked for,
and MariaDB for MySQL and MariaDB, where it is installed. The endpoint's port is not the one that was asked for.
Replicas and what is restored from snapshots stay records.

AWS::SecretsManager::SecretTargetAttachment writes `dbInstanceIdentifier` or `dbClusterIdentifier` too (Secrets Manager
user guide, "JSON structure of AWS Secrets Manager database secrets"); MiniStack does not. That is mended, and where the
database has a server, `ca` is written as well, the authority of its certificate: on AWS that is one of RDS's own.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from ministack.services import rds
from ministack.services.cloudformation import provisioners

from tidegate_local.databases.program import StartError
from tidegate_local.databases.servers import Database, Master, Servers
from tidegate_local.seam import Handler, expect, expect_attributes, graft

Json: TypeAlias = dict[str, Any]
Answer: TypeAlias = Any
"""Status, headers, body."""

CLUSTER, INSTANCE = "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"
IDENTIFIERS = {INSTANCE: "dbInstanceIdentifier", CLUSTER: "dbClusterIdentifier"}


def install(servers: Servers | None) -> None:
    """Without servers only the attachment is mended. Raises `MendDoesNotFitError`."""
    _attach(servers)
    if servers is None:
        return
    expect_attributes(rds, "_instances", "_clusters", "_ACTION_MAP")
    expect(rds, "_p", signature="(params, key, default='')")
    expect(rds, "_error", signature="(code, message, status)")
    expect(rds, "_single_instance_response", signature="(root_tag, result_tag, instance)")
    expect(rds, "_cluster_xml", signature="(c)")
    expect(provisioners, "_rds_db_cluster_attrs", signature="(cluster)")
    expect(provisioners, "_rds_db_instance_attrs", signature="(instance)")
    records = _Records(servers)
    _through_the_api(records)
    _through_stacks(records)

    def rotate(instance: Json, old: str, new: str) -> None:
        if not records.has(instance):
            rotated(instance, old, new)

    rotated = graft(rds, "_rotate_instance_password", rotate, signature="(instance, old_pass, new_pass)")


class _Records:
    """MiniStack's records of databases, and the servers that stand behind them."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def begin(self, record: Json, database: str) -> bool:
        """Start a server for a new record, which tells of it from now on; False where there is none for its engine.
        Raises `OSError`, `StartError`."""
        master = Master(record["MasterUsername"], record["_MasterUserPassword"], database)
        server = self._servers.start(_arn(record), record["Engine"], master)
        if server is None:
            return False
        name = "DatabaseName" if "DBClusterArn" in record else "DBName"
        record[name] = database
        self._become(record, server)
        return True

    def join(self, instance: Json) -> bool:
        """Let a member of a cluster be where its cluster is; False where that has no server."""
        cluster = rds._resolve_cluster_in_request_region(instance.get("DBClusterIdentifier") or "")
        server = self._servers.of(cluster["DBClusterArn"]) if cluster else None
        if cluster is None or server is None:
            return False
        instance["DBName"] = cluster["DatabaseName"]
        self._become(instance, server)
        return True

    def wait(self, record: Json) -> None:
        """Until it takes connections. Raises `ValueError`, which fails the stack's resource."""
        server = _server_of(self._servers, record)
        try:
            if server is not None:
                server.wait()
        except StartError as error:
            raise ValueError(f"{_arn(record)} cannot be made: {error}") from error
        _set_state(record, "available")

    def settle(self, record: Json | None) -> None:
        """After a change: it stays where it is, and its master user has the password that it is to have."""
        server = self._servers.of(_arn(record)) if record else None
        if record is None or server is None:
            return
        _place(record, server)
        # Of one that never came up nobody has to know a password.
        with contextlib.suppress(StartError):
            server.set_password(record["_MasterUserPassword"])

    def has(self, record: Json) -> bool:
        """Whether a server stands behind it, its own or its cluster's."""
        return _server_of(self._servers, record) is not None

    def end(self, record: Json | None) -> None:
        """It has been deleted."""
        if record is not None:
            self._servers.stop(_arn(record))

    def _become(self, record: Json, server: Database) -> None:
        _place(record, server)
        _set_state(record, "creating")

        def arrive() -> None:
            try:
                server.wait()
            except StartError:
                _set_state(record, "failed", before="creating")
            else:
                _set_state(record, "available", before="creating")

        threading.Thread(target=arrive, name="tidegate-rds", daemon=True).start()


def _through_the_api(records: _Records) -> None:
    def create_cluster(given: Json) -> Answer:
        answer = made_cluster(given)
        cluster = _cluster(given)
        if answer[0] != 200 or cluster is None or not records.begin(cluster, rds._p(given, "DatabaseName")):
            return answer
        inner = f"<DBCluster>{rds._cluster_xml(cluster)}</DBCluster>"
        told = f"<CreateDBClusterResult>{inner}</CreateDBClusterResult>"
        return rds._xml(200, "CreateDBClusterResponse", told)

    def create_instance(given: Json) -> Answer:
        answer = made_instance(given)
        instance = _instance(given)
        if answer[0] != 200 or instance is None:
            return answer
        if records.join(instance) or records.begin(instance, rds._p(given, "DBName")):
            return rds._single_instance_response(
                "CreateDBInstanceResponse", "CreateDBInstanceResult", instance
            )
        return answer

    made_cluster = _action("CreateDBCluster", "_create_db_cluster", create_cluster)
    made_instance = _action("CreateDBInstance", "_create_db_instance", create_instance)
    for kind, find in (("cluster", _cluster), ("instance", _instance)):
        _changing(kind, find, records)


def _changing(kind: str, find: Callable[[Json], Json | None], records: _Records) -> None:
    def modify(given: Json) -> Answer:
        answer = modified(given)
        if answer[0] == 200:
            records.settle(find(given))
        return answer

    def delete(given: Json) -> Answer:
        record = find(given)
        answer = deleted(given)
        if answer[0] == 200:
            records.end(record)
        return answer

    modified = _action(f"ModifyDB{kind.title()}", f"_modify_db_{kind}", modify)
    deleted = _action(f"DeleteDB{kind.title()}", f"_delete_db_{kind}", delete)


def _through_stacks(records: _Records) -> None:
    def create_cluster(logical_id: str, props: Json, stack_name: str) -> Any:
        physical_id, attributes = made_cluster(logical_id, props, stack_name)
        cluster = rds._clusters[physical_id]
        if not records.begin(cluster, props.get("DatabaseName") or ""):
            return physical_id, attributes
        records.wait(cluster)
        return physical_id, provisioners._rds_db_cluster_attrs(cluster)

    def create_instance(logical_id: str, props: Json, stack_name: str) -> Any:
        physical_id, attributes = made_instance(logical_id, props, stack_name)
        instance = rds._instances[physical_id]
        if not records.join(instance) and not records.begin(instance, props.get("DBName") or ""):
            return physical_id, attributes
        records.wait(instance)
        return physical_id, provisioners._rds_db_instance_attrs(instance)

    making = "(logical_id, props, stack_name)"
    made_cluster = _handler(CLUSTER, "create", create_cluster, making)
    made_instance = _handler(INSTANCE, "create", create_instance, making)
    _changing_by_stacks(CLUSTER, rds._clusters, provisioners._rds_db_cluster_attrs, records)
    _changing_by_stacks(INSTANCE, rds._instances, provisioners._rds_db_instance_attrs, records)


def _changing_by_stacks(resource: str, found: Any, attributes: Handler, records: _Records) -> None:
    def update(physical_id: str, *arguments: Any) -> Any:
        now, told = updated(physical_id, *arguments)
        record = found.get(now)
        records.settle(record)
        return now, attributes(record) if record else told

    def delete(physical_id: str, props: Json) -> None:
        record = found.get(physical_id)
        deleted(physical_id, props)
        records.end(record)

    updating = "(physical_id, old_props, new_props, stack_name, logical_id=None)"
    updated = _handler(resource, "update", update, updating)
    deleted = _handler(resource, "delete", delete, "(physical_id, props)")


def _attach(servers: Servers | None) -> None:
    def connection(target_type: str, target_id: str) -> Json:
        info: Json = original(target_type, target_id)
        key = IDENTIFIERS.get(target_type)
        if key is None:
            return info
        info[key] = target_id
        record = (rds._clusters if target_type == CLUSTER else rds._instances).get(target_id)
        if servers is not None and record is not None and _server_of(servers, record) is not None:
            info["ca"] = servers.fronts.authority.pem
        return info

    original = graft(
        provisioners,
        "_sm_target_connection",
        connection,
        signature="(target_type, target_id)",
        shows='info = {"engine": engine, "host": host, "port": int(port)}',
    )
    expect_attributes(provisioners, "_SM_TARGET_KEYS")
    provisioners._SM_TARGET_KEYS = (*provisioners._SM_TARGET_KEYS, *IDENTIFIERS.values(), "ca")


def _server_of(servers: Servers, record: Json) -> Database | None:
    """Its own, or that of the cluster that it is in."""
    own = servers.of(_arn(record))
    cluster = rds._clusters.get(record.get("DBClusterIdentifier") or "") if own is None else None
    return servers.of(cluster["DBClusterArn"]) if cluster else own


def _arn(record: Json) -> str:
    return str(record.get("DBClusterArn") or record["DBInstanceArn"])


def _cluster(given: Json) -> Json | None:
    found: Json | None = rds._resolve_cluster_in_request_region(rds._p(given, "DBClusterIdentifier"))
    return found


def _instance(given: Json) -> Json | None:
    found: Json | None = rds._resolve_instance(rds._p(given, "DBInstanceIdentifier"))
    return found


def _place(record: Json, server: Database) -> None:
    if "DBClusterArn" in record:
        record.update(Endpoint=server.host, ReaderEndpoint=server.host, Port=server.port)
        # What members that the API makes are given.
        record["_shared_endpoint"] = {"Address": server.host, "Port": server.port}
    else:
        record["Endpoint"] = {**record["Endpoint"], "Address": server.host, "Port": server.port}


def _set_state(record: Json, state: str, *, before: str = "") -> None:
    key = "Status" if "DBClusterArn" in record else "DBInstanceStatus"
    if not before or record.get(key) == before:
        record[key] = state


def _action(action: str, name: str, handler: Handler) -> Handler:
    """MiniStack finds an action's handler in a table, where another mend may have been before."""
    expect(rds, name, signature="(p)")
    original: Handler = rds._ACTION_MAP[action]
    rds._ACTION_MAP[action] = handler
    return original


def _handler(resource: str, what: str, handler: Handler, signature: str) -> Handler:
    """In the table, and under its own name, by which updates call it."""
    found: Handler = provisioners._RESOURCE_HANDLERS[resource][what]
    original = graft(provisioners, found.__name__, handler, signature=signature)
    provisioners._RESOURCE_HANDLERS[resource][what] = handler
    return original
