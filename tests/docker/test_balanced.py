"""Containers behind a load balancer: it reaches them, looks after them, and a deployment waits for its verdict."""

import http.client
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.docker.shop import BREAKER, CLUSTER, SECONDS, SERVE, Shop, address, new_name
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]

EMPTY = "mkdir -p /tmp/www && exec httpd -f -p 8080 -h /tmp/www"
"""Runs, and has nothing to answer."""


@dataclass(frozen=True)
class Balancer:
    """One that sends all to one target group."""

    shop: Shop
    host: str
    group: str

    @classmethod
    def of(cls, shop: Shop) -> "Balancer":
        elb = shop.cloud.client("elbv2")
        made = elb.create_load_balancer(Name=new_name(), Subnets=["subnet-1", "subnet-2"])["LoadBalancers"][0]
        group = elb.create_target_group(
            Name=new_name(), Protocol="HTTP", Port=8080, VpcId="vpc-1", TargetType="ip", HealthCheckPath="/"
        )["TargetGroups"][0]["TargetGroupArn"]
        elb.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"],
            Port=80,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return cls(shop, made["DNSName"], group)

    def serve(self, definition: str) -> None:
        self.shop.ecs.create_service(
            cluster=CLUSTER,
            serviceName=self.shop.name,
            taskDefinition=definition,
            launchType="FARGATE",
            desiredCount=2,
            deploymentConfiguration=BREAKER,
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            loadBalancers=[{"targetGroupArn": self.group, "containerName": "web", "containerPort": 8080}],
        )

    def get(self) -> tuple[int, str]:
        """Status and text of an answer."""
        connection = http.client.HTTPConnection(urlsplit(self.shop.cloud.endpoint_url).netloc, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": self.host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        finally:
            connection.close()

    @property
    def health(self) -> dict[str, Any]:
        """States by address."""
        elb = self.shop.cloud.client("elbv2")
        described = elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in described}


def test_it_answers_all_the_while_a_service_rolls(shop: Shop, first: str, second: str) -> None:
    balancer = Balancer.of(shop)
    assert balancer.get()[0] == 503
    before, after = shop.define(first), shop.define(second)
    balancer.serve(before)
    shop.rolled(before)
    assert balancer.health == {address(task): "healthy" for task in shop.tasks("RUNNING")}
    assert balancer.get() == (200, "one")

    shop.update(taskDefinition=after)
    seen = set()

    def over() -> bool:
        seen.add(balancer.get())
        return [d["rolloutState"] for d in shop.describe()["deployments"]] == ["COMPLETED"]

    wait_until(over, what="the release", seconds=SECONDS)
    assert seen <= {(200, "one"), (200, "two")}
    wait_until(lambda: balancer.get() == (200, "two"), what="the new release alone")
    wait_until(lambda: len(balancer.health) == 2, what="the old targets to go", seconds=SECONDS)


def test_a_release_that_runs_but_answers_badly_comes_back(shop: Shop, first: str) -> None:
    """Guards `Watch`: its containers run and exit with nothing; the load balancer finds them unhealthy."""
    balancer, good = Balancer.of(shop), shop.define(first, SERVE)
    balancer.serve(good)
    shop.rolled(good)
    failed = shop.update(taskDefinition=shop.define(first, EMPTY))
    shop.rolled(good)
    reasons = [task["stoppedReason"] for task in shop.tasks("STOPPED", startedBy=failed)]
    # The threshold at least; what was started meanwhile goes with the deployment.
    assert reasons.count("Task failed ELB health checks") >= 3
    assert balancer.get() == (200, "one")
