"""infrastructure/edge.yaml: what is answered, under which names, and by which certificate."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

ZONE, OTHER_ZONE = "Z1D633PJN98FT9", "Z2ABCDEFGHIJKL"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d"
GIVEN = {
    "Name": "shop",
    "VpcId": "vpc-0a1b2c3d",
    "PublicSubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d",
    "DomainName": "dev.example.com",
    "HostedZoneId": ZONE,
}


def edge(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/edge.yaml", **{**GIVEN, **parameters})


def names(certificate: dict[str, Any]) -> list[str]:
    return [certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])]


def attributes(rendered: Rendered) -> dict[str, str]:
    listed = rendered.one("AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
    return {one["Key"]: one["Value"] for one in listed}


def test_http_is_sent_to_https() -> None:
    listener = edge()["HttpListener"]
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    assert listener["DefaultActions"] == [
        {
            "Type": "redirect",
            "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
        }
    ]


def test_what_no_service_answers_is_not_found() -> None:
    [action] = edge()["HttpsListener"]["DefaultActions"]
    assert (action["Type"], action["FixedResponseConfig"]["StatusCode"]) == ("fixed-response", "404")


def test_https_speaks_tls_1_3() -> None:
    listener = edge()["HttpsListener"]
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"


@pytest.mark.parametrize("policy", ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS-1-1-2017-01"])
def test_older_versions_are_not_offered(policy: str) -> None:
    with pytest.raises(RenderError, match="SslPolicy"):
        edge(SslPolicy=policy)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({}, ["dev.example.com"]),
        ({"Www": "true"}, ["dev.example.com", "www.dev.example.com"]),
        ({"CertificateDomain": "dev.example.com"}, ["dev.example.com"]),
        ({"CertificateDomain": "*.example.com"}, ["*.example.com", "dev.example.com"]),
        (
            {"AlternativeNames": "a.example.com,b.example.com,c.example.com", "Www": "true"},
            [
                "dev.example.com",
                "www.dev.example.com",
                "a.example.com",
                "b.example.com",
                "c.example.com",
            ],
        ),
        ({"AlternativeNames": "a.example.com"}, ["dev.example.com", "a.example.com"]),
    ],
)
def test_the_certificate_has_each_name_and_each_is_validated(
    parameters: dict[str, str], wanted: list[str]
) -> None:
    certificate = edge(**parameters).one("AWS::CertificateManager::Certificate")
    assert names(certificate) == wanted
    assert certificate["ValidationMethod"] == "DNS"
    assert certificate["DomainValidationOptions"] == [
        {"DomainName": name, "HostedZoneId": ZONE} for name in wanted
    ]


def test_a_wildcard_may_be_of_another_zone() -> None:
    rendered = edge(CertificateDomain="*.example.com", CertificateZoneId=OTHER_ZONE, Www="true")
    options = rendered.one("AWS::CertificateManager::Certificate")["DomainValidationOptions"]
    assert [one["HostedZoneId"] for one in options] == [OTHER_ZONE, ZONE, ZONE]


def test_a_certificate_that_is_there_is_taken() -> None:
    rendered = edge(CertificateArn=CERTIFICATE)
    assert rendered.of("AWS::CertificateManager::Certificate") == {}
    assert rendered["HttpsListener"]["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert rendered.outputs["CertificateArn"] == CERTIFICATE


@pytest.mark.parametrize(
    "parameters", [{"CertificateDomain": "*.example.com"}, {"CertificateZoneId": OTHER_ZONE}]
)
def test_and_nothing_is_said_of_one_that_is_made(parameters: dict[str, str]) -> None:
    with pytest.raises(RenderError, match=next(iter(parameters))):
        edge(CertificateArn=CERTIFICATE, **parameters)


def test_the_name_leads_to_the_load_balancer() -> None:
    record = edge().one("AWS::Route53::RecordSet")
    assert (record["Name"], record["Type"], record["HostedZoneId"]) == ("dev.example.com", "A", ZONE)
    assert record["AliasTarget"]["DNSName"] == "<LoadBalancer.DNSName>"
    assert edge().outputs["Url"] == "https://dev.example.com"


def test_www_leads_to_the_name() -> None:
    record = edge(Www="true")["WwwRecord"]
    assert (record["Name"], record["Type"]) == ("www.dev.example.com", "CNAME")
    assert record["ResourceRecords"] == ["dev.example.com"]


def test_ipv6_is_answered_where_it_is_announced() -> None:
    rendered = edge(Ipv6="true")
    assert rendered.one("AWS::ElasticLoadBalancingV2::LoadBalancer")["IpAddressType"] == "dualstack"
    record = {key: value for key, value in rendered["Ipv6Record"].items() if key != "Type"}
    assert rendered["Ipv6Record"]["Type"] == "AAAA"
    assert record == {key: value for key, value in rendered["Record"].items() if key != "Type"}
    let_in = rendered.of("AWS::EC2::SecurityGroupIngress").values()
    assert [(one["CidrIpv6"], one["FromPort"], one["ToPort"]) for one in let_in] == [
        ("::/0", 443, 443),
        ("::/0", 80, 80),
    ]


def test_without_ipv6_nothing_speaks_of_it() -> None:
    rendered = edge()
    assert rendered.one("AWS::ElasticLoadBalancingV2::LoadBalancer")["IpAddressType"] == "ipv4"
    assert not [path for path in rendered.resources if "Ipv6" in path]


def test_it_lets_in_the_two_ports_and_out_to_nowhere() -> None:
    group = edge().one("AWS::EC2::SecurityGroup")
    let_in = [(one["CidrIp"], one["FromPort"], one["ToPort"]) for one in group["SecurityGroupIngress"]]
    assert let_in == [("0.0.0.0/0", 443, 443), ("0.0.0.0/0", 80, 80)]
    assert [one["CidrIp"] for one in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]


def test_unless_asked_to() -> None:
    group = edge(Egress="all").one("AWS::EC2::SecurityGroup")
    assert [(one["IpProtocol"], one["CidrIp"]) for one in group["SecurityGroupEgress"]] == [
        ("-1", "0.0.0.0/0")
    ]


@pytest.mark.parametrize("value", ["true", "false"])
def test_it_is_protected_from_deletion_or_not(value: str) -> None:
    assert attributes(edge(DeletionProtection=value))["deletion_protection.enabled"] == value


def test_it_speaks_http_2_and_drops_headers_that_are_none() -> None:
    found = attributes(edge(IdleTimeoutSeconds="120"))
    assert found["routing.http2.enabled"] == "true"
    assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert found["idle_timeout.timeout_seconds"] == "120"


def test_it_is_a_public_load_balancer_for_http() -> None:
    found = edge().one("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert (found["Name"], found["Type"], found["Scheme"]) == ("shop", "application", "internet-facing")
    assert found["Subnets"] == ["subnet-0a1b2c3d", "subnet-1a2b3c4d"]
    assert found["SecurityGroups"] == ["<SecurityGroup.GroupId>"]
    assert edge().one("AWS::EC2::SecurityGroup")["VpcId"] == "vpc-0a1b2c3d"


def test_access_logs_are_written_where_there_is_a_bucket() -> None:
    found = attributes(edge(AccessLogBucket="logs-of-acme"))
    assert (found["access_logs.s3.enabled"], found["access_logs.s3.bucket"]) == ("true", "logs-of-acme")
    assert not [key for key in attributes(edge()) if key.startswith("access_logs")]


def test_requests_go_through_the_firewall_where_asked_for() -> None:
    rendered = edge(Waf="true")
    assert rendered.one("AWS::WAFv2::WebACLAssociation") == {
        "ResourceArn": "<LoadBalancer>",
        "WebACLArn": "<WebAcl.Arn>",
    }
    acl = rendered.one("AWS::WAFv2::WebACL")
    assert (acl["DefaultAction"], acl["Scope"]) == ({"Allow": {}}, "REGIONAL")
    rules = acl["Rules"]
    seen = [one["VisibilityConfig"] for one in (acl, *rules)]
    assert len({one["MetricName"] for one in seen if one["CloudWatchMetricsEnabled"]}) == 4
    assert all(one["SampledRequestsEnabled"] for one in seen)
    assert [rule["OverrideAction"] for rule in rules] == [{"None": {}}] * 3  # they block
    assert len({rule["Priority"] for rule in rules}) == 3
    assert rendered.outputs["WebAclArn"] == "<WebAcl.Arn>"


def test_an_upload_passes_the_firewall() -> None:
    *_, common = edge(Waf="true").one("AWS::WAFv2::WebACL")["Rules"]
    [override] = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert override == {"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}


def test_without_it_there_is_none() -> None:
    assert not [path for path in edge().resources if "WebAcl" in path]
    assert edge().outputs["WebAclArn"] == ""
