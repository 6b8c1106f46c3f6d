"""Load balancers: rules by path, real servers behind them, reached by name."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.local.stacks import Stack, Template, name
from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

FULL_NAME = r"(app|targetgroup)/[A-Za-z0-9-]+/[0-9a-f]{16}"


@contextmanager
def application(told: str) -> Iterator[int]:
    """A server that tells its name and what it was asked for; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {"by": told, "path": self.path, "proto": self.headers["X-Forwarded-Proto"]}
            body = json.dumps(asked).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def group(path: str) -> dict[str, Any]:
    properties = {
        "TargetType": "ip",
        "Protocol": "HTTP",
        "Port": "8000",
        "VpcId": "vpc-1",
        "HealthCheckPath": path,
    }
    return {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": properties}


def rule(priority: int, path: str, target: str) -> dict[str, Any]:
    properties = {
        "ListenerArn": {"Ref": "Https"},
        "Priority": priority,
        "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}],
        "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": target}}],
    }
    return {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": properties}


def listener(port: int, protocol: str, action: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "LoadBalancerArn": {"Ref": "Balancer"},
        "Port": port,
        "Protocol": protocol,
        "DefaultActions": [action],
        **({"Certificates": [{"CertificateArn": "arn:aws:acm:x"}]} if protocol == "HTTPS" else {}),
    }
    return {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": properties}


def template(zone: str, domain: str) -> Template:
    """As edge.yaml and service.yaml make them: one listener sends on to the other, which has rules."""
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    alias = {
        "DNSName": {"Fn::GetAtt": ["Balancer", "DNSName"]},
        "HostedZoneId": {"Fn::GetAtt": ["Balancer", "CanonicalHostedZoneID"]},
    }
    return {
        "Resources": {
            "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {}},
            "Http": listener(80, "HTTP", {"Type": "redirect", "RedirectConfig": redirect}),
            "Https": listener(
                443, "HTTPS", {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
            ),
            "Api": group("/api/health"),
            "Web": group("/"),
            "ApiRule": rule(10, "/api/*", "Api"),
            "WebRule": rule(20, "/*", "Web"),
            "Record": {
                "Type": "AWS::Route53::RecordSet",
                "Properties": {"HostedZoneId": zone, "Name": domain, "Type": "A", "AliasTarget": alias},
            },
            "Www": {
                "Type": "AWS::Route53::RecordSet",
                "Properties": {
                    "HostedZoneId": zone,
                    "Name": f"www.{domain}",
                    "Type": "CNAME",
                    "TTL": "60",
                    "ResourceRecords": [{"Fn::GetAtt": ["Balancer", "DNSName"]}],
                },
            },
        },
        "Outputs": {
            "Name": {"Value": {"Fn::GetAtt": ["Balancer", "DNSName"]}},
            "Balancer": {"Value": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}},
            "Group": {"Value": {"Fn::GetAtt": ["Api", "TargetGroupFullName"]}},
            "Api": {"Value": {"Ref": "Api"}},
            "Web": {"Value": {"Ref": "Web"}},
        },
    }


class Site:
    """The stack, and what its load balancer answers."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.domain = f"{name('shop')}.example"
        made = cloud.client("route53").create_hosted_zone(Name=self.domain, CallerReference=self.domain)
        self.zone = str(made["HostedZone"]["Id"]).rpartition("/")[2]
        self.stack = Stack(cloud)
        status = self.stack.create(template(self.zone, self.domain))
        assert status == "CREATE_COMPLETE", self.stack.failures
        self.outputs = self.stack.outputs

    def register(self, target: str, port: int) -> None:
        self.cloud.client("elbv2").register_targets(
            TargetGroupArn=self.outputs[target], Targets=[{"Id": "127.0.0.1", "Port": port}]
        )

    def get(self, path: str, host: str = "") -> tuple[int, dict[str, str], bytes]:
        """An answer of the HTTPS listener, unless `host` says otherwise."""
        connection = http.client.HTTPConnection(urlsplit(self.cloud.endpoint_url).netloc, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host or f"{self.domain}:443"})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    made = Site(cloud)
    with application("api") as api, application("web") as web:
        made.register("Api", api)
        made.register("Web", web)
        yield made


@pytest.mark.parametrize(
    ("path", "by"),
    [("/api/orders?page=2", "api"), ("/", "web"), ("/about", "web"), ("/health", "web"), ("/v2/", "web")],
)
def test_the_path_chooses_the_target(site: Site, path: str, by: str) -> None:
    """Guards `data_plane`: /health and /v2/ are MiniStack's own otherwise."""
    status, _, body = site.get(path)
    assert status == 200
    assert json.loads(body) == {"by": by, "path": path, "proto": "https"}


@pytest.mark.parametrize("prefix", ["", "www."])
def test_a_record_leads_to_it(site: Site, prefix: str) -> None:
    """Guards `_aliased`: MiniStack knows the load balancer's own name only."""
    status, _, body = site.get("/api/", f"{prefix}{site.domain}:443")
    assert (status, json.loads(body)["by"]) == (200, "api")


def test_its_own_name_does_too(site: Site) -> None:
    status, _, body = site.get("/api/", f"{site.outputs['Name']}:443")
    assert (status, json.loads(body)["by"]) == (200, "api")


def test_the_plain_listener_sends_to_the_other(site: Site) -> None:
    status, headers, _ = site.get("/api/orders", site.domain)
    assert status == 301
    assert headers["Location"] == f"https://{site.domain}:443/api/orders"


def test_a_group_without_targets_is_unavailable(site: Site) -> None:
    other = Site(site.cloud)
    assert other.get("/api/")[0] == 503


def test_the_cloud_itself_is_not_in_the_way(site: Site) -> None:
    status, _, body = site.get("/_ministack/health", urlsplit(site.cloud.endpoint_url).netloc)
    assert (status, b"services" in body) == (200, True)


def test_ids_are_hexadecimal(site: Site) -> None:
    """Guards `_mend_ids`: templates check that, and alarms have them as dimensions."""
    for output in ("Balancer", "Group"):
        assert re.fullmatch(FULL_NAME, site.outputs[output])
    described = site.cloud.client("elbv2").describe_target_groups(TargetGroupArns=[site.outputs["Api"]])
    assert described["TargetGroups"][0]["HealthCheckPath"] == "/api/health"
    changed = template(site.zone, site.domain)
    changed["Resources"]["Api"]["Properties"]["HealthCheckPath"] = "/api/ready"
    assert site.stack.update(changed) == "UPDATE_COMPLETE", site.stack.failures
    assert site.stack.outputs == site.outputs
    tags = site.cloud.client("elbv2").describe_tags(ResourceArns=[site.outputs["Api"]])["TagDescriptions"]
    assert tags[0]["ResourceArn"] == site.outputs["Api"]


class Balanced:
    """A service behind a target group."""

    def __init__(self, site: Site) -> None:
        self.ecs, self.elb = site.cloud.client("ecs"), site.cloud.client("elbv2")
        self.control, self.group = site.cloud.control, site.outputs["Api"]
        self.cluster, self.name = name("cluster"), name("api")
        self.ecs.create_cluster(clusterName=self.cluster)
        self.define()
        self.ecs.create_service(
            cluster=self.cluster,
            serviceName=self.name,
            taskDefinition=self.name,
            desiredCount=2,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
            loadBalancers=[{"targetGroupArn": self.group, "containerName": "api", "containerPort": 8000}],
        )

    def define(self) -> str:
        made = self.ecs.register_task_definition(
            family=self.name,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[
                {"name": "api", "image": "shop", "portMappings": [{"containerPort": 8000}]}
            ],
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    @property
    def health(self) -> dict[str, str]:
        """States by address and port."""
        described = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {
            f"{each['Target']['Id']}:{each['Target']['Port']}": each["TargetHealth"]["State"]
            for each in described
        }

    def addresses(self, definition: str = "", status: str = "RUNNING") -> set[str]:
        """Of its tasks, of one task definition or of all."""
        given = {"cluster": self.cluster, "serviceName": self.name, "desiredStatus": status}
        arns = self.ecs.list_tasks(**given)["taskArns"]
        tasks = self.ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"] if arns else []
        chosen = [task for task in tasks if definition in ("", task["taskDefinitionArn"])]
        details = [detail for task in chosen for each in task["attachments"] for detail in each["details"]]
        return {f"{each['value']}:8000" for each in details if each["name"] == "privateIPv4Address"}

    def steady(self, count: int) -> set[str]:
        """The addresses once that many are healthy and nothing else is there."""

        def healthy() -> set[str] | None:
            health = self.health
            return {*health} if [*health.values()] == ["healthy"] * count else None

        return wait_until(healthy, what=f"{count} healthy targets") if count else set()

    def is_going(self) -> bool:
        described = self.ecs.describe_services(cluster=self.cluster, services=[self.name])["services"][0]
        return any(each["rolloutState"] == "IN_PROGRESS" for each in described["deployments"])


@pytest.fixture
def balanced(cloud: Cloud) -> Iterator[Balanced]:
    made = Balanced(Site(cloud))
    yield made
    made.control.clear_fault(made.name)


def test_tasks_of_a_service_are_targets(balanced: Balanced) -> None:
    """Guards `publish`: our tasks are not those that MiniStack would register."""
    assert balanced.steady(2) == balanced.addresses()
    balanced.ecs.update_service(cluster=balanced.cluster, service=balanced.name, desiredCount=3)
    assert balanced.steady(3) == balanced.addresses()
    balanced.ecs.update_service(cluster=balanced.cluster, service=balanced.name, desiredCount=1)
    assert balanced.steady(1) == balanced.addresses()


def test_a_release_replaces_them(balanced: Balanced) -> None:
    before = balanced.steady(2)
    balanced.ecs.update_service(
        cluster=balanced.cluster, service=balanced.name, taskDefinition=balanced.define()
    )
    wait_until(lambda: not balanced.is_going(), what="the release")
    assert not before & balanced.steady(2)


def test_one_that_does_not_come_up_is_never_healthy(balanced: Balanced) -> None:
    balanced.steady(2)
    balanced.control.set_fault(balanced.name, mode="crash")
    broken = balanced.define()
    balanced.ecs.update_service(cluster=balanced.cluster, service=balanced.name, taskDefinition=broken)
    seen: dict[str, set[str]] = {}

    def over() -> bool:
        for address, state in balanced.health.items():
            seen.setdefault(address, set()).add(state)
        return not balanced.is_going()

    wait_until(over, what="the way back", pause=0.01)
    crashed = balanced.addresses(broken, "STOPPED")
    assert crashed
    assert all("healthy" not in seen.get(address, set()) for address in crashed)
    assert balanced.steady(2) == balanced.addresses()


def test_a_service_that_is_deleted_leaves_none(balanced: Balanced) -> None:
    balanced.steady(2)
    balanced.ecs.delete_service(cluster=balanced.cluster, service=balanced.name, force=True)
    wait_until(lambda: not balanced.health, what="no targets")


def test_what_others_registered_stays(balanced: Balanced) -> None:
    balanced.elb.register_targets(TargetGroupArn=balanced.group, Targets=[{"Id": "127.0.0.1", "Port": 1}])
    wait_until(lambda: len(balanced.health) == 3, what="all three")
    balanced.ecs.delete_service(cluster=balanced.cluster, service=balanced.name, force=True)
    wait_until(lambda: balanced.health == {"127.0.0.1:1": "healthy"}, what="the other")
