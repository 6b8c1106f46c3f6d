"""infrastructure/network.yaml: what can reach what, and by which way."""

from __future__ import annotations

import re

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

GIVEN = {
    "Name": "shop",
    "PublicCidrs": "10.0.1.0/24,10.0.2.0/24",
    "PrivateCidrs": "10.0.10.0/24,10.0.20.0/24",
    "DatabaseCidrs": "10.0.100.0/24,10.0.200.0/24",
}


def network(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/network.yaml", **{**GIVEN, **parameters})


def routes(rendered: Rendered) -> dict[str, dict[str, str]]:
    """By subnet: where each destination outside of the VPC goes."""
    found = {}
    for one in rendered.of("AWS::EC2::SubnetRouteTableAssociation").values():
        found[one["SubnetId"].strip("<>")] = {
            route.get("DestinationCidrBlock") or route["DestinationIpv6CidrBlock"]: str(
                route.get("GatewayId") or route["NatGatewayId"]
            ).strip("<>")
            for route in rendered.of("AWS::EC2::Route").values()
            if route["RouteTableId"] == one["RouteTableId"]
        }
    return found


@pytest.mark.parametrize("tier", ["Public", "Private", "Database"])
def test_each_tier_is_in_two_zones(tier: str) -> None:
    rendered = network()
    first, second = rendered[f"{tier}SubnetA"], rendered[f"{tier}SubnetB"]
    assert [first["CidrBlock"], second["CidrBlock"]] == GIVEN[f"{tier}Cidrs"].split(",")
    assert [first["AvailabilityZone"], second["AvailabilityZone"]] == ["us-east-1a", "us-east-1b"]


def test_every_subnet_has_one_table() -> None:
    rendered = network()
    joined = [one["SubnetId"] for one in rendered.of("AWS::EC2::SubnetRouteTableAssociation").values()]
    assert sorted(joined) == sorted(f"<{name}>" for name in rendered.of("AWS::EC2::Subnet"))


@pytest.mark.parametrize(
    ("nat", "first", "second", "gateways"),
    [
        ("per-zone", {"0.0.0.0/0": "NatA"}, {"0.0.0.0/0": "NatB"}, 2),
        ("single", {"0.0.0.0/0": "NatA"}, {"0.0.0.0/0": "NatA"}, 1),
        ("none", {}, {}, 0),
    ],
)
def test_the_private_subnets_leave_by_nat(
    nat: str, first: dict[str, str], second: dict[str, str], gateways: int
) -> None:
    rendered = network(Nat=nat)
    assert (routes(rendered)["PrivateSubnetA"], routes(rendered)["PrivateSubnetB"]) == (first, second)
    assert len(rendered.of("AWS::EC2::NatGateway")) == len(rendered.of("AWS::EC2::EIP")) == gateways


@pytest.mark.parametrize("name", ["PublicRoute", "PublicRoute6", "NatAddressA", "NatAddressB"])
def test_what_needs_the_internet_waits_for_it(name: str) -> None:
    rendered = network(Nat="per-zone", Ipv6="true")
    assert rendered.resources[name]["DependsOn"] == "InternetAttachment"
    assert rendered["InternetAttachment"] == {"VpcId": "<Vpc>", "InternetGatewayId": "<InternetGateway>"}


def test_names_are_resolved() -> None:
    found = network(Cidr="10.1.0.0/16")["Vpc"]
    assert (found["CidrBlock"], found["EnableDnsSupport"], found["EnableDnsHostnames"]) == (
        "10.1.0.0/16",
        True,
        True,
    )


def test_each_nat_gateway_has_an_address_of_its_own() -> None:
    rendered = network(Nat="per-zone")
    assert rendered["NatA"]["AllocationId"] == "<NatAddressA.AllocationId>"
    assert rendered["NatB"]["AllocationId"] == "<NatAddressB.AllocationId>"
    assert [one["Domain"] for one in rendered.of("AWS::EC2::EIP").values()] == ["vpc", "vpc"]


def test_each_nat_gateway_is_in_a_public_subnet_of_its_zone() -> None:
    rendered = network(Nat="per-zone")
    assert rendered["NatA"]["SubnetId"] == "<PublicSubnetA>"
    assert rendered["NatB"]["SubnetId"] == "<PublicSubnetB>"


def test_public_subnets_are_on_the_internet() -> None:
    assert routes(network())["PublicSubnetA"] == {"0.0.0.0/0": "InternetGateway"}
    assert routes(network())["PublicSubnetB"] == {"0.0.0.0/0": "InternetGateway"}


@pytest.mark.parametrize("nat", ["per-zone", "single", "none"])
def test_the_database_subnets_have_no_way_out(nat: str) -> None:
    found = routes(network(Nat=nat))
    assert found["DatabaseSubnetA"] == found["DatabaseSubnetB"] == {}


def test_nothing_gets_a_public_address_by_itself() -> None:
    subnets = network().of("AWS::EC2::Subnet").values()
    assert [one["MapPublicIpOnLaunch"] for one in subnets] == [False] * 6


def test_s3_is_reached_past_the_nat_gateways() -> None:
    endpoint = network().one("AWS::EC2::VPCEndpoint")
    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"
    assert (endpoint["VpcEndpointType"], endpoint["RouteTableIds"]) == (
        "Gateway",
        ["<PrivateRoutesA>", "<PrivateRoutesB>"],
    )
    assert network(S3Endpoint="false").of("AWS::EC2::VPCEndpoint") == {}


def test_who_talks_to_whom_is_recorded() -> None:
    rendered = network(FlowLogRetentionDays="7")
    assert rendered.one("AWS::Logs::LogGroup")["RetentionInDays"] == "7"
    assert rendered.one("AWS::EC2::FlowLog")["TrafficType"] == "ALL"
    assert rendered.one("AWS::EC2::FlowLog")["LogGroupName"] == "/aws/vpc/shop"


def test_under_a_key_if_there_is_one() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1a2b3c4d"
    assert network(LogKeyArn=key).one("AWS::Logs::LogGroup")["KmsKeyId"] == key
    assert "KmsKeyId" not in network().one("AWS::Logs::LogGroup")


def test_the_log_is_written_by_flow_logs_of_this_account_and_nobody_else() -> None:
    role = network().one("AWS::IAM::Role")
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:ec2:us-east-1:123456789012:vpc-flow-log/*"},
    }
    [statement] = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == "<FlowLogs.Arn>"
    assert set(statement["Action"]) == {
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    }
    assert network().one("AWS::EC2::FlowLog")["DeliverLogsPermissionArn"] == "<FlowLogRole.Arn>"


def test_or_not_at_all() -> None:
    rendered = network(FlowLogRetentionDays="0")
    of = ("AWS::EC2::FlowLog", "AWS::Logs::LogGroup", "AWS::IAM::Role")
    assert [rendered.of(type_) for type_ in of] == [{}, {}, {}]


def test_without_a_database_tier_databases_are_in_the_private_one() -> None:
    assert network().outputs["DatabaseSubnetIds"] == "<DatabaseSubnetA>,<DatabaseSubnetB>"
    rendered = network(DatabaseCidrs="")
    assert rendered.outputs["DatabaseSubnetIds"] == "<PrivateSubnetA>,<PrivateSubnetB>"
    assert len(rendered.of("AWS::EC2::Subnet")) == 4


def test_ipv6_is_for_the_public_subnets() -> None:
    rendered = network(Ipv6="true")
    assert rendered["Ipv6Block"] == {"VpcId": "<Vpc>", "AmazonProvidedIpv6CidrBlock": True}
    assert {rendered.resources[name]["DependsOn"] for name in ("Ipv6OfA", "Ipv6OfB")} == {"Ipv6Block"}
    given = rendered.of("AWS::EC2::SubnetCidrBlock").values()
    assert [one["SubnetId"] for one in given] == ["<PublicSubnetA>", "<PublicSubnetB>"]
    assert len({one["Ipv6CidrBlock"] for one in given}) == 2
    assert routes(rendered)["PublicSubnetA"]["::/0"] == "InternetGateway"
    assert "::/0" not in routes(rendered)["PrivateSubnetA"]


def test_without_ipv6_there_is_none() -> None:
    assert not [path for path in network().resources if "Ipv6" in path or "Route6" in path]


@pytest.mark.parametrize("tier", ["PublicCidrs", "PrivateCidrs", "DatabaseCidrs"])
@pytest.mark.parametrize("given", ["10.0.1.0/24", "10.0.1.0/24,10.0.2.0/24,10.0.3.0/24", "10.0.1.0,10.0.2.0"])
def test_a_tier_is_two_ranges(tier: str, given: str) -> None:
    with pytest.raises(RenderError, match=re.escape(f"{tier} is '{given}'; two ranges")):
        network(**{tier: given})
