"""Attributes of resources that MiniStack has, but not all of them.

AWS: `Fn::GetAtt` of AWS::Cognito::UserPool gives ProviderURL, "the URL of the provider"; of AWS::EC2::VPC CidrBlock,
CidrBlockAssociations and Ipv6CidrBlocks, also those of an AWS::EC2::VPCCidrBlock that is made after it (CloudFormation
template reference). MiniStack: "Requested attribute ProviderURL does not exist".
Mended by adding them. IPv6 blocks are only recorded: `tidegate_local.resources.recorded`.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from tidegate_local.resources.kinds import Made, fresh
from tidegate_local.resources.recorded import ipv6_blocks
from tidegate_local.seam import expect, expect_attributes, graft

VPC = "AWS::EC2::VPC"
Json = dict[str, Any]


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def attributes(pool_id: str) -> Json:
        found: Json = original(pool_id)
        return {**found, "ProviderURL": f"https://{found['ProviderName']}"}

    original = graft(
        provisioners, "_cognito_user_pool_attributes", attributes, signature="(pid)", shows="ProviderName"
    )
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    made = expect(provisioners, "_ec2_vpc_create", signature="(logical_id, props, stack_name)")

    def make(logical_id: str, props: Json, stack_name: str) -> Made:
        own, given = made(logical_id, props, stack_name)
        more = {
            "CidrBlock": props.get("CidrBlock", ""),
            "CidrBlockAssociations": [fresh("vpc-cidr-assoc-")],
            "Ipv6CidrBlocks": ipv6_blocks(own),
        }
        return own, {**given, **more}

    provisioners._RESOURCE_HANDLERS[VPC]["create"] = make
    changed = provisioners._RESOURCE_HANDLERS[VPC]["update"]

    def change(own: str, old: Json, new: Json, *more: Any) -> Made:
        now, given = changed(own, old, new, *more)
        kept = {"CidrBlock": new.get("CidrBlock", ""), "Ipv6CidrBlocks": ipv6_blocks(now)}
        return now, {**given, **kept}

    provisioners._RESOURCE_HANDLERS[VPC]["update"] = change
