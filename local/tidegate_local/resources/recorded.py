"""Resource types that are only recorded: they have an id, `Ref` and attributes, and nothing comes of them.

The services behind them are none of MiniStack's, and Tidegate asks nothing of them. `RECORDED` is the list that
docs/limits.md has to name.
"""

import secrets
from collections.abc import Callable

from tidegate_local.resources.kinds import Attributes, Given, Kind, Made, arn, fresh


class LiveList(list[str]):
    """What `Fn::GetAtt` gives although it comes to be later: MiniStack copies what it was first."""

    def __deepcopy__(self, _memo: object) -> "LiveList":
        return self


_ipv6: dict[str, LiveList] = {}


def ipv6_blocks(vpc: str) -> list[str]:
    """Those of a VPC, now and later."""
    return _ipv6.setdefault(vpc, LiveList())


def _recorded(
    create: Callable[[Given, str], Made], *replaced_by: str, again: Callable[[str, Given], Attributes]
) -> Kind:
    return Kind(create, again, lambda _id, _props: None, replaced_by)


def _app(props: Given, _name: str) -> Made:
    own = arn("amplify", f"apps/{fresh('d', 13)}")
    return own, _app_attributes(own, props)


def _app_attributes(own: str, props: Given) -> Attributes:
    identifier = own.rpartition("/")[2]
    return {
        "AppId": identifier,
        "AppName": props.get("Name", ""),
        "Arn": own,
        "DefaultDomain": f"{identifier}.amplifyapp.com",
    }


def _branch(props: Given, _name: str) -> Made:
    own = arn("amplify", f"apps/{props.get('AppId', '')}/branches/{props.get('BranchName', '')}")
    return own, _branch_attributes(own, props)


def _branch_attributes(own: str, props: Given) -> Attributes:
    return {"Arn": own, "BranchName": props.get("BranchName", "")}


def _domain(props: Given, _name: str) -> Made:
    own = arn("amplify", f"apps/{props.get('AppId', '')}/domains/{props.get('DomainName', '')}")
    return own, _domain_attributes(own, props)


def _domain_attributes(own: str, props: Given) -> Attributes:
    return {
        "Arn": own,
        "CertificateRecord": f"_{fresh('', 32)}.{props.get('DomainName', '')}. CNAME _x.acm-validations.aws.",
        "DomainName": props.get("DomainName", ""),
        "DomainStatus": "AVAILABLE",
        "StatusReason": "",
    }


def _slack_channel(props: Given, name: str) -> Made:
    own = arn(
        "chatbot", f"chat-configuration/slack-channel/{props.get('ConfigurationName') or name}", region=""
    )
    return own, {"Arn": own}


def _log_settings(props: Given, _name: str) -> Made:
    return str(props.get("ResourceArn", "")), {"ManagedByFirewallManager": False}


def _subscription(props: Given, name: str) -> Made:
    return str(props.get("SubscriptionName") or name), {}


def _more_addresses(props: Given, _name: str) -> Made:
    own = fresh("vpc-cidr-assoc-")
    if str(props.get("AmazonProvidedIpv6CidrBlock", "")).lower() == "true":
        ipv6_blocks(str(props["VpcId"])).append(
            f"2600:1f18:{secrets.token_hex(2)}:{secrets.token_hex(1)}00::/56"
        )
    return f"{own}|{props['VpcId']}", {"Id": own}


def _fewer_addresses(_own: str, props: Given) -> None:
    ipv6_blocks(str(props["VpcId"])).clear()


def _addresses_of_subnet(_props: Given, _name: str) -> Made:
    own = fresh("subnet-cidr-assoc-")
    return own, {"Id": own}


RECORDED: dict[str, Kind] = {
    "AWS::Amplify::App": _recorded(_app, again=_app_attributes),
    "AWS::Amplify::Branch": _recorded(_branch, "AppId", "BranchName", again=_branch_attributes),
    "AWS::Amplify::Domain": _recorded(_domain, "AppId", "DomainName", again=_domain_attributes),
    "AWS::Chatbot::SlackChannelConfiguration": _recorded(
        _slack_channel, "ConfigurationName", again=lambda own, _props: {"Arn": own}
    ),
    "AWS::EC2::SubnetCidrBlock": _recorded(
        _addresses_of_subnet, "SubnetId", "Ipv6CidrBlock", again=lambda own, _props: {"Id": own}
    ),
    "AWS::EC2::VPCCidrBlock": Kind(
        _more_addresses,
        lambda own, _props: {"Id": own.partition("|")[0]},
        _fewer_addresses,
        ("VpcId", "AmazonProvidedIpv6CidrBlock", "CidrBlock"),
    ),
    "AWS::RDS::EventSubscription": _recorded(
        _subscription, "SubscriptionName", "SnsTopicArn", again=lambda _id, _props: {}
    ),
    "AWS::WAFv2::LoggingConfiguration": _recorded(
        _log_settings, "ResourceArn", again=lambda _id, _props: {"ManagedByFirewallManager": False}
    ),
}
