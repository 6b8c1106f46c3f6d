"""Resource types that are only recorded: they have an id, `Ref` and attributes, and nothing comes of them.

The services behind them are none of MiniStack's, and Tidegate asks nothing of them. `RECORDED` is the list that
docs/limits.md has to name.
"""

from collections.abc import Callable

from tidegate_local.resources.kinds import Attributes, Given, Kind, Made, arn, fresh


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


def _log_settings(props: Given, _name: str) -> Made:
    return str(props.get("ResourceArn", "")), {"ManagedByFirewallManager": False}


def _subscription(props: Given, name: str) -> Made:
    return str(props.get("SubscriptionName") or name), {}


RECORDED: dict[str, Kind] = {
    "AWS::Amplify::App": _recorded(_app, again=_app_attributes),
    "AWS::Amplify::Branch": _recorded(_branch, "AppId", "BranchName", again=_branch_attributes),
    "AWS::Amplify::Domain": _recorded(_domain, "AppId", "DomainName", again=_domain_attributes),
    "AWS::RDS::EventSubscription": _recorded(
        _subscription, "SubscriptionName", "SnsTopicArn", again=lambda _id, _props: {}
    ),
    "AWS::WAFv2::LoggingConfiguration": _recorded(
        _log_settings, "ResourceArn", again=lambda _id, _props: {"ManagedByFirewallManager": False}
    ),
}
