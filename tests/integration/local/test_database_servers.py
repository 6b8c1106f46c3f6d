"""Databases of RDS that listen."""

import json
import os
import signal
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from tidegate_local.databases import servers
from tidegate_local.databases.fronts import Fronts
from tidegate_local.databases.mariadb import MariaDB
from tidegate_local.databases.postgresql import PostgreSQL
from tidegate_local.databases.program import Program
from tidegate_local.databases.servers import FOLDER
from tidegate_local.settings import Settings

from tests.support.embedded import Cloud, running_cloud
from tests.support.leftovers import free_port, listens, processes_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

PASSWORD = "a-password's \\ %s"
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {"SecretString": json.dumps({"kept": 1})},
        },
        "Attachment": {
            "Type": "AWS::SecretsManager::SecretTargetAttachment",
            "Properties": {"SecretId": {"Ref": "Secret"}, "TargetId": {"Ref": "Shop"}},
        },
    },
    "Outputs": {
        "Host": {"Value": {"Fn::GetAtt": ["Shop", "Endpoint.Address"]}},
        "Port": {"Value": {"Fn::GetAtt": ["Shop", "Endpoint.Port"]}},
        "Secret": {"Value": {"Ref": "Secret"}},
        "Shop": {"Value": {"Ref": "Shop"}},
    },
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), ["--postgres"]) as cloud:
        yield cloud


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


def instance(cloud: Cloud, name: str, engine: str = "postgres", **more: Any) -> dict[str, Any]:
    """Made by the API, and awaited."""
    request = {"DBName": "shop", "MasterUsername": "postgres", "MasterUserPassword": PASSWORD} | more
    made = cloud.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        Engine=engine,
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        **request,
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "creating"
    return wait_until(lambda: available(cloud, name), what=f"{name} to be made", seconds=60)


def available(cloud: Cloud, name: str) -> dict[str, Any] | None:
    [found] = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return dict(found) if found["DBInstanceStatus"] == "available" else None


def connect(host: str, port: int, dbname: str = "shop", **other: Any) -> psycopg.Connection[Any]:
    given = {"user": "postgres", "password": PASSWORD, "sslmode": "disable", "autocommit": True}
    return psycopg.connect(host=host, port=port, dbname=dbname, **given | other)


def connect_mysql(host: str, port: int, **other: Any) -> pymysql.connections.Connection:
    given: dict[str, Any] = {"user": "postgres", "password": PASSWORD, "database": "shop"}
    return pymysql.connect(host=host, port=port, **given | other)


def stack(cloud: Cloud, name: str, **resources: Any) -> dict[str, str]:
    """The outputs of a new one with these resources."""
    template = TEMPLATE | {"Resources": TEMPLATE["Resources"] | resources}
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    [made] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}


def of_instance(engine: str = "postgres", **properties: Any) -> dict[str, Any]:
    given = {"DBName": "shop", "MasterUsername": "postgres", "MasterUserPassword": PASSWORD, "Engine": engine}
    given |= {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20"} | properties
    return {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Delete", "Properties": given}


def attachment(kind: str) -> dict[str, Any]:
    made = TEMPLATE["Resources"]["Attachment"]
    return made | {"Properties": made["Properties"] | {"TargetType": kind}}


def secret(cloud: Cloud, outputs: dict[str, str]) -> dict[str, Any]:
    said = cloud.client("secretsmanager").get_secret_value(SecretId=outputs["Secret"])["SecretString"]
    return dict(json.loads(said))


def test_an_instance_is_a_server_of_its_own(running: Cloud, name: str) -> None:
    """Guards that two of them may have the same names, among them that of the embedded PostgreSQL's own user."""
    first, second = (instance(running, f"{name}-{number}") for number in (1, 2))
    assert first["Endpoint"]["Port"] != second["Endpoint"]["Port"]
    for found in (first, second):
        with connect(found["Endpoint"]["Address"], found["Endpoint"]["Port"]) as connection:
            said = connection.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, pg_get_userbyid(datdba) FROM pg_roles, pg_database"
                " WHERE rolname = current_user AND datname = current_database()"
            ).fetchone()
            connection.execute("CREATE TABLE mine (id int)")
        assert said == (False, True, True, "postgres")
        assert found["DBName"] == "shop"


def test_without_a_name_there_is_no_database_but_the_user_s(running: Cloud, name: str) -> None:
    found = instance(running, name, DBName="", MasterUsername="shop")
    assert not found.get("DBName")
    host, port = found["Endpoint"]["Address"], found["Endpoint"]["Port"]
    with connect(host, port, "postgres", user="shop") as connection:
        connection.execute("CREATE DATABASE another")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(host, port, user="shop")


def test_a_new_master_password(running: Cloud, name: str) -> None:
    place = instance(running, name)["Endpoint"]
    running.client("rds").modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-one")
    connect(place["Address"], place["Port"], password="another-one").close()
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(place["Address"], place["Port"])


def test_a_cluster_and_its_member_are_one_server(running: Cloud, name: str) -> None:
    rds = running.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="postgres",
        MasterUserPassword=PASSWORD,
        DatabaseName="shop",
    )
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1",
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        DBInstanceClass="db.serverless",
    )
    member = wait_until(lambda: available(running, f"{name}-1"), what="the member", seconds=60)
    [cluster] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    assert (cluster["Status"], cluster["DatabaseName"], member["DBName"]) == ("available", "shop", "shop")
    assert (cluster["Endpoint"], cluster["Port"]) == tuple(member["Endpoint"][k] for k in ("Address", "Port"))
    connect(cluster["Endpoint"], cluster["Port"]).close()

    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1", SkipFinalSnapshot=True)
    connect(cluster["Endpoint"], cluster["Port"]).close()
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    assert not listens(cluster["Port"])


def test_deleting_one_leaves_nothing(running: Cloud, name: str) -> None:
    place = instance(running, name)["Endpoint"]
    running.client("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    assert not listens(place["Port"])
    assert [found for found in processes_of(running.state_dir) if name in found] == []
    assert not [*running.state_dir.glob(f"databases/*{name}*")]


def test_a_stack_s_instance_and_what_its_secret_is_told(running: Cloud, name: str) -> None:
    outputs = stack(running, name, Shop=of_instance(), Attachment=attachment("AWS::RDS::DBInstance"))
    said = secret(running, outputs)
    authority = said.pop("ca")
    assert said == {
        "kept": 1,
        "engine": "postgres",
        "host": outputs["Host"],
        "port": int(outputs["Port"]),
        "dbname": "shop",
        "dbInstanceIdentifier": outputs["Shop"],
    }
    connect(said["host"], said["port"]).close()
    ssl.create_default_context(cadata=authority)

    running.client("cloudformation").delete_stack(StackName=name)
    wait_until(lambda: not listens(said["port"]), what="the server to end")


def test_a_stack_s_cluster(running: Cloud, name: str) -> None:
    of_cluster = {"Engine": "aurora-postgresql", "MasterUsername": "postgres", "MasterUserPassword": PASSWORD}
    member = {"DBClusterIdentifier": {"Ref": "Shop"}, "Engine": "aurora-postgresql"}
    outputs = stack(
        running,
        name,
        Shop={
            "Type": "AWS::RDS::DBCluster",
            "DeletionPolicy": "Delete",
            "Properties": of_cluster | {"DatabaseName": "shop"},
        },
        Member={"Type": "AWS::RDS::DBInstance", "Properties": member | {"DBInstanceClass": "db.serverless"}},
        Attachment=attachment("AWS::RDS::DBCluster"),
    )
    said = secret(running, outputs)
    assert said["dbClusterIdentifier"] == outputs["Shop"]
    assert (said["host"], said["port"], said["dbname"]) == (outputs["Host"], int(outputs["Port"]), "shop")
    connect(said["host"], said["port"]).close()


def test_a_stack_s_new_master_password(running: Cloud, name: str) -> None:
    shop = of_instance()
    outputs = stack(running, name, Shop=shop, Attachment=attachment("AWS::RDS::DBInstance"))
    changed = of_instance(MasterUserPassword="another-one", AllocatedStorage="30")
    resources = {"Shop": changed, "Attachment": attachment("AWS::RDS::DBInstance")}
    template = TEMPLATE | {"Resources": TEMPLATE["Resources"] | resources}
    cloudformation = running.client("cloudformation")
    cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_update_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    connect(outputs["Host"], int(outputs["Port"]), password="another-one").close()


def test_a_server_that_cannot_be_made_fails_its_stack(running: Cloud, name: str) -> None:
    cloudformation = running.client("cloudformation")
    resources = {"Shop": of_instance(MasterUsername="pg_reserved")}
    template = {"Resources": resources}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template), OnFailure="DO_NOTHING")

    def failed() -> bool:
        [made] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return bool(made["StackStatus"].endswith("FAILED"))

    wait_until(failed, what="the stack to fail", seconds=60)
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    assert any("pg_reserved" in event.get("ResourceStatusReason", "") for event in events)


def test_one_that_died_is_started_again_where_it_was(running: Cloud, name: str) -> None:
    place = instance(running, name)["Endpoint"]
    with connect(place["Address"], place["Port"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    [data] = running.state_dir.glob(f"databases/*{name}/data")
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def value() -> Any:
        try:
            with connect(place["Address"], place["Port"]) as connection:
                return connection.execute("SELECT value FROM kept").fetchone()
        except psycopg.OperationalError:
            return None

    assert wait_until(value, what="PostgreSQL", seconds=30) == (7,)


def test_an_engine_without_a_server_here_is_a_record(running: Cloud, name: str) -> None:
    made = running.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        Engine="oracle-se2",
        DBInstanceClass="db.t3.small",
        AllocatedStorage=20,
        MasterUsername="shop",
        MasterUserPassword=PASSWORD,
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "available"


@pytest.fixture
def mariadb() -> None:
    """Tests that ask for it are left out where there is none."""


@pytest.mark.usefixtures("mariadb")
def test_an_instance_of_mysql_is_a_mariadb(running: Cloud, name: str) -> None:
    found = instance(running, name, "mysql", MasterUsername="admin")
    place = found["Endpoint"]
    context = ssl.create_default_context(cafile=str(running.state_dir / "tls" / "authority.pem"))
    connection = connect_mysql(place["Address"], place["Port"], user="admin", ssl=context)
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchone() == ("Ssl_version", "TLSv1.3")
        cursor.execute("CREATE USER other IDENTIFIED BY 'x'")
        cursor.execute("GRANT ALL ON shop.* TO other")
        cursor.execute("SELECT user FROM mysql.user WHERE user = 'root'")
        assert cursor.fetchall() == ()
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect_mysql(place["Address"], place["Port"], user="root", password="")

    rds = running.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-one")
    connect_mysql(place["Address"], place["Port"], user="admin", password="another-one").close()
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    assert not listens(place["Port"])
    assert [said for said in processes_of(running.state_dir) if name in said] == []


@pytest.mark.usefixtures("mariadb")
def test_a_stack_s_mysql(running: Cloud, name: str) -> None:
    shop = of_instance("mysql", MasterUsername="admin")
    outputs = stack(running, name, Shop=shop, Attachment=attachment("AWS::RDS::DBInstance"))
    said = secret(running, outputs)
    assert (said["engine"], said["dbname"]) == ("mysql", "shop")
    connect_mysql(said["host"], said["port"], user="admin").close()


@pytest.mark.usefixtures("mariadb")
def test_a_mariadb_that_died_is_started_again(running: Cloud, name: str) -> None:
    place = instance(running, name, "mysql", MasterUsername="admin")["Endpoint"]
    running.client("rds").modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-one")
    [data] = running.state_dir.glob(f"databases/*{name}/data")
    os.kill(int((data / "mariadb.pid").read_text()), signal.SIGKILL)

    def answers() -> bool:
        try:
            connect_mysql(place["Address"], place["Port"], user="admin", password="another-one").close()
        except pymysql.err.OperationalError:
            return False
        return True

    wait_until(answers, what="MariaDB", seconds=60)


@pytest.mark.usefixtures("mariadb")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_no_server_outlives_its_cloud(tmp_path: Path, name: str, how: signal.Signals) -> None:
    with running_cloud(tmp_path, ["--postgres"]) as cloud:
        instance(cloud, f"{name}-1")
        instance(cloud, f"{name}-2", "mysql")
        cloud.process.send_signal(how)
        cloud.process.wait(timeout=20)
        wait_until(lambda: not processes_of(tmp_path), what="the servers to end", seconds=20)
    if how == signal.SIGTERM:
        assert [path.name for path in tmp_path.iterdir()] == ["server.log"]


@pytest.mark.usefixtures("mariadb")
def test_a_sweep_ends_what_a_killed_cloud_has_left(tmp_path: Path) -> None:
    """Guards the sweep of `local down`: where no parent's death is told, nothing else ends the servers."""
    fronts = Fronts(Settings(4566, "us-east-1", tmp_path))
    folder = tmp_path / FOLDER
    programs: list[Program] = [
        PostgreSQL(folder / "one", "rdsadmin", "x"),
        MariaDB(folder / "two", fronts.hosts, free_port(), fronts.authority, []),
    ]
    children = []
    try:
        for program in programs:
            program.prepare()
            children.append(program.launch())
            wait_until(program.is_up, what=program.name, seconds=60)
        servers.sweep(tmp_path)
        for child in children:
            child.wait(20)
        assert not [*folder.iterdir()]
    finally:
        fronts.stop()
        for child in children:
            child.kill()
            child.wait()
