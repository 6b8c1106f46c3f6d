"""ECS tasks are containers where a Docker engine is."""

import time
from typing import Any

import pytest
from tidegate_local import engine

from tests.docker.shop import CLUSTER, CRASH, SECONDS, SERVE, Images, Shop, ask, primary
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]


def test_a_service_answers_with_its_version_and_rolls(shop: Shop, first: str, second: str) -> None:
    before, after = shop.define(first), shop.define(second)
    shop.create(before, desired=2)
    shop.rolled(before)
    assert [ask(task) for task in shop.tasks("RUNNING")] == ["one", "one"]

    shop.update(taskDefinition=after)
    shop.rolled(after)
    running = shop.tasks("RUNNING")
    assert [ask(task) for task in running] == ["two", "two"]
    containers = wait_until(lambda: [c for c in [shop.containers()] if len(c) == 2], what="the old to go")[0]
    assert {c["Id"] for c in containers} == {task["containers"][0]["runtimeId"] for task in running}
    assert {task["containers"][0]["imageDigest"] for task in running} == {second.rpartition("@")[2]}


def test_a_container_that_exits_opens_the_breaker_and_can_be_explained(
    shop: Shop, first: str, second: str
) -> None:
    good = shop.define(first)
    shop.create(good)
    shop.rolled(good)
    failed = shop.update(taskDefinition=shop.define(second, CRASH))
    shop.rolled(good)

    stopped = shop.tasks("STOPPED", startedBy=failed)
    assert len(stopped) == 3
    for task in stopped:
        assert (task["stopCode"], task["stoppedReason"]) == (
            "EssentialContainerExited",
            "Essential container in task exited",
        )
        assert task["containers"][0]["exitCode"] == 3
        # The order of two streams is nobody's promise.
        assert {*shop.lines(task)} == {"reading settings", "no DATABASE_URL"}
    assert [ask(task) for task in shop.tasks("RUNNING")] == ["one"]
    wait_until(lambda: len(shop.containers()) == 1, what="the crashed ones to be removed", seconds=SECONDS)


def test_an_image_that_is_not_there(shop: Shop, first: str) -> None:
    good = shop.define(first)
    shop.create(good)
    shop.rolled(good)
    missing = first.rpartition(":")[0] + ":" + "0" * 64
    failed = shop.update(taskDefinition=shop.define(missing))
    shop.rolled(good)
    task = shop.tasks("STOPPED", startedBy=failed)[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert missing in task["stoppedReason"]
    assert task["containers"][0]["reason"] == task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]


def test_a_command_that_is_not_there(shop: Shop, first: str) -> None:
    task = shop.run(shop.define(first, command=["/bin/nothing"]))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotStartContainerError: ")


def test_a_name_of_ecr_stands_for_the_registry(shop: Shop, first: str) -> None:
    image = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{first.partition('/')[2]}"
    task = shop.run(shop.define(image, "echo $VERSION"))
    assert (task["containers"][0]["exitCode"], shop.lines(task)) == (0, ["one"])


@pytest.mark.parametrize("code", [0, 7])
def test_a_task_of_its_own_ends_with_the_code_of_its_container(shop: Shop, first: str, code: int) -> None:
    overrides = {
        "containerOverrides": [
            {"name": "web", "command": ["sh", "-c", 'printf "%s" "$WHAT"; exit $CODE'],
             "environment": [{"name": "CODE", "value": str(code)}]}
        ]
    }  # fmt: skip
    definition = shop.define(first, environment=[{"name": "WHAT", "value": "migrated"}])
    task = shop.run(definition, overrides=overrides)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", code)
    assert shop.lines(task) == ["migrated"], "a last line without a newline is one"


def test_many_last_lines_are_there_when_the_task_has_stopped(shop: Shop, first: str) -> None:
    task = shop.run(shop.define(first, "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"))
    assert shop.lines(task)[-1] == "line 499"


def test_a_container_gets_what_its_definition_says(shop: Shop, first: str) -> None:
    shop.cloud.client("secretsmanager").create_secret(Name=shop.name, SecretString='{"password": "geheim"}')
    secret = shop.cloud.client("secretsmanager").describe_secret(SecretId=shop.name)["ARN"]
    shop.cloud.client("ssm").put_parameter(Name=f"/{shop.name}", Value="parameter", Type="SecureString")
    definition = shop.define_all(
        {
            "name": "web",
            "image": first,
            "entryPoint": ["sh", "-c"],
            "command": ["echo $PLAIN $SECRET $PARAMETER; pwd; id -u"],
            "environment": [{"name": "PLAIN", "value": "plain"}],
            "secrets": [
                {"name": "SECRET", "valueFrom": f"{secret}:password::"},
                {"name": "PARAMETER", "valueFrom": f"/{shop.name}"},
            ],
            "workingDirectory": "/tmp",
            "user": "nobody",
        }
    )
    assert shop.lines(shop.run(definition)) == ["plain geheim parameter", "/tmp", "65534"]


def test_a_limit_that_the_engine_may_not_set_is_lowered(shop: Shop, first: str) -> None:
    """As where it runs in a container itself and may not raise a limit to its own default."""
    most = 2_000_000_000
    limits = [{"name": "nofile", "softLimit": most, "hardLimit": most}]
    assert shop.lines(shop.run(shop.define(first, "ulimit -n", ulimits=limits))) == ["10000"]


def test_a_secret_that_is_not_there(shop: Shop, first: str) -> None:
    missing = "arn:aws:secretsmanager:us-east-1:000000000000:secret:nothing-AbCdEf"
    task = shop.run(shop.define(first, secrets=[{"name": "X", "valueFrom": missing}]))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: ")


def test_containers_of_a_task_share_loopback_and_an_essential_one_ends_all(shop: Shop, first: str) -> None:
    definition = shop.define_all(
        {"name": "web", "image": first, "command": ["sh", "-c", SERVE], "essential": False},
        {"name": "client", "image": first, "essential": True,
         "command": ["sh", "-c", "until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done; exit 5"]},
    )  # fmt: skip
    task = shop.run(definition)
    codes = {container["name"]: container["exitCode"] for container in task["containers"]}
    assert codes == {"web": 137, "client": 5}  # the shell's httpd does not obey SIGTERM as process 1
    assert shop.lines(task, "client")[-1] == "one"
    assert shop.containers() == []


def test_an_unhealthy_container_never_completes_a_deployment(shop: Shop, first: str) -> None:
    good = shop.define(first, healthCheck=check("wget -qO- http://127.0.0.1:8080/"))
    shop.create(good)
    assert primary(shop.rolled(good))["failedTasks"] == 0
    assert [task["healthStatus"] for task in shop.tasks("RUNNING")] == ["HEALTHY"]

    failed = shop.update(taskDefinition=shop.define(first, healthCheck=check("exit 1")))
    shop.rolled(good)
    task = shop.tasks("STOPPED", startedBy=failed)[0]
    assert (task["stopCode"], task["stoppedReason"], task["healthStatus"]) == (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
        "UNHEALTHY",
    )


def test_a_task_that_is_stopped_gets_a_signal_and_a_moment(shop: Shop, first: str) -> None:
    obeys = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    definition = shop.define(first, obeys)
    arn = shop.begin(definition)
    started = {"taskArn": arn}
    wait_until(lambda: shop.tasks("RUNNING")[0]["lastStatus"] == "RUNNING", what="it to run", seconds=SECONDS)
    wait_until(lambda: shop.lines(started) == ["up"], what="its first line", seconds=SECONDS)
    stopping = shop.ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    task = shop.stopped(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert (task["containers"][0]["exitCode"], shop.lines(task)) == (0, ["up", "bye"])


def test_a_healthy_service_gets_a_new_task_for_one_that_died(shop: Shop, first: str) -> None:
    definition = shop.define(first)
    shop.create(definition)
    shop.rolled(definition)
    [container] = shop.containers()
    kill(shop, container["Id"])
    task = wait_until(lambda: shop.tasks("STOPPED"), what="the task to stop", seconds=SECONDS)[0]
    assert shop.stopped(task["taskArn"])["containers"][0]["exitCode"] == 137

    def replaced() -> bool:
        now: list[dict[str, Any]] = shop.containers()
        return [c["State"] for c in now] == ["running"] and now[0]["Id"] != container["Id"]

    wait_until(replaced, what="another container", seconds=SECONDS)
    assert primary(shop.describe())["rolloutState"] == "COMPLETED"


def test_scaling_in_and_deleting_remove_containers(shop: Shop, first: str) -> None:
    definition = shop.define(first)
    shop.create(definition, desired=2)
    shop.rolled(definition)
    shop.update(desiredCount=1)
    wait_until(lambda: len(shop.containers()) == 1, what="one container", seconds=SECONDS)
    shop.ecs.delete_service(cluster=CLUSTER, service=shop.name, force=True)
    wait_until(lambda: shop.containers() == [], what="no container", seconds=SECONDS)
    wait_until(
        lambda: {task["lastStatus"] for task in shop.tasks("STOPPED")} == {"STOPPED"},
        what="its tasks to be stopped",
        seconds=SECONDS,
    )


def test_an_injected_crash_kills_the_container(shop: Shop, first: str, second: str) -> None:
    good = shop.define(first)
    shop.create(good)
    shop.rolled(good)
    shop.cloud.control.set_fault(shop.name, "crash", exit_code=9)
    failed = shop.update(taskDefinition=shop.define(second))
    shop.rolled(good)
    task = shop.stopped(shop.tasks("STOPPED", startedBy=failed)[0]["taskArn"])
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 9)
    assert shop.lines(task)[-1] == "process exited with code 9"
    wait_until(lambda: len(shop.containers()) == 1, what="only the good one", seconds=SECONDS)


def test_an_injected_hang_never_becomes_healthy(shop: Shop, first: str, second: str) -> None:
    good = shop.define(first)
    shop.create(good)
    shop.rolled(good)
    shop.cloud.control.set_fault(shop.name, "hang")
    hanging = shop.define(second)
    shop.update(taskDefinition=hanging)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1.5, what="longer than a healthy one takes")
    assert primary(shop.describe())["pendingCount"] == 1
    assert [ask(task) for task in shop.tasks("RUNNING") if task["lastStatus"] == "RUNNING"] == ["one"]
    shop.cloud.control.clear_fault(shop.name)
    shop.rolled(hanging)


def test_a_repository_is_where_docker_finds_it(images: Images, first: str) -> None:
    ecr = images.cloud.client("ecr")
    [repository] = ecr.describe_repositories(repositoryNames=["web"])["repositories"]
    assert repository["repositoryUri"] == f"{images.registry}/web" == first.partition("@")[0]
    [token] = ecr.get_authorization_token()["authorizationData"]
    assert token["proxyEndpoint"] == f"http://{images.registry}"


def check(command: str) -> dict[str, Any]:
    return {"command": ["CMD-SHELL", command], "interval": 5, "retries": 1, "timeout": 2}


def kill(shop: Shop, container: str) -> None:
    with engine.connected(shop.host) as docker:
        docker.api.kill(container)
