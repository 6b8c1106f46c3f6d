"""PostgreSQL beside an embedded cloud whose tasks are containers."""

import ssl
from collections.abc import Iterator

import psycopg
import pymysql
import pytest
from tidegate_local import engine

from tests.docker.shop import CLUSTER, Images, Shop, new_name
from tests.support.embedded import Cloud, running_cloud

pytestmark = [pytest.mark.emulator, pytest.mark.docker]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), ["--docker", "--postgres"]) as running:
        running.client("ecs").create_cluster(clusterName=CLUSTER)
        yield running


def test_a_container_and_this_machine_reach_it_at_one_address(cloud: Cloud, host: str) -> None:
    given = cloud.postgres
    with psycopg.connect(
        host=given.host, port=given.port, user=given.user, password=given.password, dbname="postgres"
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=given.host, port=given.port, user=given.user, password="wrong")

    shop = Shop(cloud, host, new_name())
    script = f"nc -w 5 {given.host} {given.port} </dev/null && echo reached"
    assert shop.lines(shop.run(shop.define(Images(cloud, host).push("one"), script))) == ["reached"]


@pytest.fixture
def mariadb() -> None:
    """Tests that ask for it are left out where there is none."""


@pytest.mark.usefixtures("mariadb")
@pytest.mark.parametrize("asked", ["postgres", "mysql"])
def test_a_container_and_this_machine_reach_a_database_of_rds(cloud: Cloud, host: str, asked: str) -> None:
    """By one endpoint, whose certificate has its name."""
    name = f"reached-{asked}"
    rds = cloud.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine=asked,
        AllocatedStorage=20,
        DBName="shop",
        MasterUsername="shop",
        MasterUserPassword="a-password",
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    [made] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    address, port = made["Endpoint"]["Address"], made["Endpoint"]["Port"]
    assert address != "127.0.0.1"
    authority = str(cloud.state_dir / "tls" / "authority.pem")
    if asked == "postgres":
        psycopg.connect(
            host=address,
            port=port,
            user="shop",
            password="a-password",
            dbname="shop",
            sslmode="verify-full",
            sslrootcert=authority,
        ).close()
    else:
        pymysql.connect(
            host=address,
            port=port,
            user="shop",
            password="a-password",
            database="shop",
            ssl=ssl.create_default_context(cafile=authority),
        ).close()

    shop = Shop(cloud, host, new_name())
    script = f"nc -w 5 {address} {port} </dev/null && echo reached"
    lines = shop.lines(shop.run(shop.define(Images(cloud, host).push("one"), script)))
    assert lines[-1].endswith("reached")


def test_a_container_trusts_them(cloud: Cloud, host: str) -> None:
    shop = Shop(cloud, host, new_name())
    lines = shop.lines(shop.run(shop.define(Images(cloud, host).push("one"), "tail -n 3 $SSL_CERT_FILE")))
    assert lines == (cloud.state_dir / "tls" / "authority.pem").read_text().splitlines()[-3:]


def test_a_database_of_rds_starts_no_container(cloud: Cloud, host: str) -> None:
    """The engine is hidden from the emulator, which would run one for each database and leave it behind."""
    with engine.connected(host) as docker:
        before = {container["Id"] for container in docker.api.containers(all=True)}
        cloud.client("rds").create_db_instance(
            DBInstanceIdentifier="shop",
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="shop",
            MasterUserPassword="a-password",
        )
        found = [c["Names"] for c in docker.api.containers(all=True) if c["Id"] not in before]
    assert found == []
