"""Resource types that MiniStack's CloudFormation lacks although it has their service: they call its API."""

import json
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import alb, budgets, cloudwatch, ec2, ecs, rds, secretsmanager, waf
from ministack.services.cloudformation import provisioners

from tidegate_local.resources.kinds import Attributes, Given, Kind, Made, arn, call, element, flat, fresh
from tidegate_local.seam import expect, expect_attributes


def check() -> None:
    """What is leaned on below is there. Raises `MendDoesNotFitError`."""
    for name in ("_allocate_address", "_release_address"):
        expect(ec2, name, signature="(p)")
    for name in ("_create_nat_gateway", "_delete_nat_gateway", "_create_flow_logs"):
        expect(ec2, name, signature="(params)")
    expect(ec2, "_sg_rule_id", signature="(sg_id, is_egress, rule)")
    expect_attributes(ec2, "_addresses", "_security_groups", "_flow_logs")
    for name in ("_create_db_proxy", "_delete_db_proxy", "_modify_db_proxy", "_modify_db_proxy_target_group"):
        expect(rds, name, signature="(p)")
    for name in ("_register_db_proxy_targets", "_deregister_db_proxy_targets"):
        expect(rds, name, signature="(p)")
    expect_attributes(rds, "_db_proxies")
    expect(ecs, "_put_cluster_capacity_providers", signature="(data)")
    for name in ("_create_budget", "_update_budget", "_delete_budget"):
        expect(budgets, name, signature="(data)")
    for name in ("_associate_web_acl", "_disassociate_web_acl"):
        expect(waf, name, signature="(data)")
    expect(secretsmanager, "_put_resource_policy", signature="(data)")
    expect(secretsmanager, "_delete_resource_policy", signature="(data)")
    expect(cloudwatch, "_put_composite_alarm", signature="(params, cbor_data, is_cbor, is_json=False)")
    expect(cloudwatch, "_delete_alarms", signature="(params, cbor_data, is_cbor, is_json=False)")
    expect_attributes(alb, "_listeners")
    expect(provisioners, "_ec2_sg_permissions", signature="(rules)")
    expect(provisioners, "_pascal_to_camel", signature="(obj)")
    expect_attributes(provisioners, "_ec2_apply_tags", "_physical_name")


# -- EC2 -------------------------------------------------------------------------------------------


def _make_address(props: Given, _name: str) -> Made:
    allocation = element(call(ec2._allocate_address, flat({"Domain": "vpc"})), "allocationId")
    provisioners._ec2_apply_tags(allocation, props)
    address = str(ec2._addresses[allocation]["PublicIp"])
    return address, {"AllocationId": allocation, "PublicIp": address}


def _address_attributes(address: str, _props: Given) -> Attributes:
    found = next(each for each in ec2._addresses.values() if each["PublicIp"] == address)
    return {"AllocationId": found["AllocationId"], "PublicIp": address}


def _release_address(address: str, _props: Given) -> None:
    for each in [each for each in ec2._addresses.values() if each["PublicIp"] == address]:
        call(ec2._release_address, flat({"AllocationId": each["AllocationId"]}))


def _make_nat_gateway(props: Given, _name: str) -> Made:
    wanted = {name: props[name] for name in ("SubnetId", "AllocationId", "ConnectivityType") if name in props}
    identifier = element(call(ec2._create_nat_gateway, flat(wanted)), "natGatewayId")
    provisioners._ec2_apply_tags(identifier, props)
    return identifier, {"NatGatewayId": identifier, "EniId": fresh("eni-")}


def _delete_nat_gateway(identifier: str, _props: Given) -> None:
    call(ec2._delete_nat_gateway, flat({"NatGatewayId": identifier}))


def _make_flow_log(props: Given, _name: str) -> Made:
    wanted = {
        name: props[name]
        for name in ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
        if name in props
    }
    request = {**flat(wanted), "ResourceId.1": [str(props.get("ResourceId", ""))]}
    identifier = element(call(ec2._create_flow_logs, request), "item")
    provisioners._ec2_apply_tags(identifier, props)
    return identifier, {"Id": identifier}


def _delete_flow_log(identifier: str, _props: Given) -> None:
    ec2._flow_logs.pop(identifier, None)


def _rule_kind(store: str, *, egress: bool) -> Kind:
    """AWS::EC2::SecurityGroupIngress or ...Egress: one rule of a group that is there."""

    def rules(props: Given) -> list[Any]:
        group = ec2._security_groups.get(props.get("GroupId", ""))
        if group is None:
            raise ValueError(f"The security group '{props.get('GroupId', '')}' does not exist")
        found: list[Any] = group.setdefault(store, [])
        return found

    def rule_of(props: Given) -> tuple[str, Any]:
        rule = provisioners._ec2_sg_permissions([props])[0]
        return str(ec2._sg_rule_id(props.get("GroupId", ""), egress, rule)), rule

    def create(props: Given, _name: str) -> Made:
        identifier, rule = rule_of(props)
        if any(ec2._strip_descriptions(rule) == ec2._strip_descriptions(each) for each in rules(props)):
            raise ValueError("the specified rule already exists")  # InvalidPermission.Duplicate
        rules(props).append({**rule, "SecurityGroupRuleId": identifier})
        return identifier, {"Id": identifier}

    def delete(identifier: str, props: Given) -> None:
        group = ec2._security_groups.get(props.get("GroupId", ""))
        if group is not None:
            kept = [each for each in group.get(store, []) if each.get("SecurityGroupRuleId") != identifier]
            group[store] = kept

    def update(identifier: str, props: Given) -> Attributes:
        # Only its description can change in place.
        delete(identifier, props)
        rules(props).append({**rule_of(props)[1], "SecurityGroupRuleId": identifier})
        return {"Id": identifier}

    side = "Destination" if egress else "Source"
    return Kind(
        create,
        update,
        delete,
        ("GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6", f"{side}SecurityGroupId",
         f"{side}PrefixListId"),
    )  # fmt: skip


# -- RDS Proxy -------------------------------------------------------------------------------------


def _make_proxy(props: Given, _name: str) -> Made:
    call(rds._create_db_proxy, flat(props))
    return str(props["DBProxyName"]), _proxy_attributes(str(props["DBProxyName"]), props)


def _change_proxy(name: str, props: Given) -> Attributes:
    kept = ("EngineFamily", "VpcSubnetIds", "Tags", "VpcSecurityGroupIds")
    wanted = {key: value for key, value in props.items() if key not in kept}
    call(rds._modify_db_proxy, flat({**wanted, "SecurityGroups": props.get("VpcSecurityGroupIds", [])}))
    return _proxy_attributes(name, props)


def _proxy_attributes(name: str, _props: Given) -> Attributes:
    proxy = rds._db_proxies[name]
    return {"DBProxyArn": proxy["DBProxyArn"], "Endpoint": proxy["Endpoint"], "VpcId": proxy["VpcId"]}


def _delete_proxy(name: str, _props: Given) -> None:
    if rds._db_proxies.get(name):
        call(rds._delete_db_proxy, flat({"DBProxyName": name}))


def _make_proxy_targets(props: Given, _name: str) -> Made:
    name = str(props["DBProxyName"])
    targets = {key: props[key] for key in ("DBInstanceIdentifiers", "DBClusterIdentifiers") if props.get(key)}
    call(rds._register_db_proxy_targets, flat({"DBProxyName": name, **targets}))
    pool = {
        # What the template reference calls ConnectionPoolConfigurationInfo is ConnectionPoolConfig in the API.
        "DBProxyName": name,
        "TargetGroupName": "default",
        "ConnectionPoolConfig": props.get("ConnectionPoolConfigurationInfo") or {},
    }
    call(rds._modify_db_proxy_target_group, flat(pool))
    own = str(rds._db_proxies[name]["TargetGroup"]["TargetGroupArn"])
    return own, {"TargetGroupArn": own}


def _change_proxy_targets(own: str, props: Given) -> Attributes:
    _delete_proxy_targets(own, props)
    return _make_proxy_targets(props, "")[1]


def _delete_proxy_targets(_own: str, props: Given) -> None:
    proxy = rds._db_proxies.get(props.get("DBProxyName", ""))
    if proxy is not None:
        proxy["Targets"] = []


# -- the rest --------------------------------------------------------------------------------------


def _make_capacity(props: Given, _name: str) -> Made:
    return str(props.get("Cluster", "")), _change_capacity("", props)


def _change_capacity(_cluster: str, props: Given) -> Attributes:
    given = {
        "cluster": props.get("Cluster", ""),
        "capacityProviders": props.get("CapacityProviders", []),
        "defaultCapacityProviderStrategy": provisioners._pascal_to_camel(
            props.get("DefaultCapacityProviderStrategy", [])
        ),
    }
    for item in given["defaultCapacityProviderStrategy"]:
        item.update({name: int(item[name]) for name in ("base", "weight") if name in item})
    call(ecs._put_cluster_capacity_providers, given)
    return {}


def _forget_capacity(_cluster: str, props: Given) -> None:
    if props.get("Cluster", "").rpartition("/")[2] in ecs._clusters:
        _change_capacity("", {"Cluster": props["Cluster"]})


def _make_budget(props: Given, name: str) -> Made:
    budget = {**props["Budget"]}
    budget.setdefault("BudgetName", name)
    request = {
        "AccountId": get_account_id(),
        "Budget": _numbers_as_text(budget),
        "NotificationsWithSubscribers": props.get("NotificationsWithSubscribers") or [],
    }
    call(budgets._create_budget, request)
    return str(budget["BudgetName"]), {"Id": budget["BudgetName"]}


def _change_budget(name: str, props: Given) -> Attributes:
    budget = _numbers_as_text({**props["Budget"], "BudgetName": name})
    call(budgets._update_budget, {"AccountId": get_account_id(), "NewBudget": budget})
    return {"Id": name}


def _numbers_as_text(budget: Given) -> Attributes:
    """BudgetLimit.Amount is a number in a template and text in the API."""
    limit = budget.get("BudgetLimit")
    return {**budget, **({"BudgetLimit": {**limit, "Amount": str(limit["Amount"])}} if limit else {})}


def _delete_budget(name: str, _props: Given) -> None:
    call(budgets._delete_budget, {"AccountId": get_account_id(), "BudgetName": name})


def _associate(props: Given, _name: str) -> Made:
    call(waf._associate_web_acl, {"WebACLArn": props["WebACLArn"], "ResourceArn": props["ResourceArn"]})
    return f"{props['ResourceArn']}|{props['WebACLArn']}", {}


def _dissociate(identifier: str, _props: Given) -> None:
    call(waf._disassociate_web_acl, {"ResourceArn": identifier.partition("|")[0]})


def _make_composite(props: Given, name: str) -> Made:
    named = str(props.get("AlarmName") or name)
    return named, _change_composite(named, props)


def _change_composite(name: str, props: Given) -> Attributes:
    given = {**props, "AlarmName": name}
    status, _, body = cloudwatch._put_composite_alarm({}, given, False, True)
    if status >= 400:
        raise ValueError(str(body))
    return {"Arn": arn("cloudwatch", f"alarm:{name}")}


def _delete_composite(name: str, _props: Given) -> None:
    cloudwatch._delete_alarms({}, {"AlarmNames": [name]}, False, True)


def _add_certificates(props: Given, _name: str) -> Made:
    listener = _listener(props)
    wanted = [each["CertificateArn"] for each in props.get("Certificates", [])]
    # The default one is first; the others are chosen by the name that the client asks for.
    listener.setdefault("Certificates", []).extend(
        each for each in wanted if each not in listener["Certificates"]
    )
    identifier = f"{props['ListenerArn']}|{'|'.join(wanted)}"
    return identifier, {"Id": identifier}


def _remove_certificates(_identifier: str, props: Given) -> None:
    listener = alb._listeners.get(props.get("ListenerArn", ""))
    if listener is not None:
        gone = [each["CertificateArn"] for each in props.get("Certificates", [])]
        listener["Certificates"] = [each for each in listener.get("Certificates", []) if each not in gone]


def _listener(props: Given) -> Any:
    listener = alb._listeners.get(props.get("ListenerArn", ""))
    if listener is None:
        raise ValueError(f"Listener '{props.get('ListenerArn', '')}' not found")
    return listener


def _put_policy(props: Given, _name: str) -> Made:
    return str(props["SecretId"]), _change_policy(str(props["SecretId"]), props)


def _change_policy(secret: str, props: Given) -> Attributes:
    policy = json.dumps(props.get("ResourcePolicy", {}))
    call(secretsmanager._put_resource_policy, {"SecretId": secret, "ResourcePolicy": policy})
    return {"Id": secret}


def _delete_policy(secret: str, _props: Given) -> None:
    secretsmanager._delete_resource_policy({"SecretId": secret})


CALLED: dict[str, Kind] = {
    "AWS::Budgets::Budget": Kind(
        _make_budget, _change_budget, _delete_budget, ("NotificationsWithSubscribers",)
    ),
    "AWS::CloudWatch::CompositeAlarm": Kind(
        _make_composite,
        _change_composite,
        _delete_composite,
        ("AlarmName",),
    ),
    "AWS::EC2::EIP": Kind(_make_address, _address_attributes, _release_address),
    "AWS::EC2::FlowLog": Kind(
        _make_flow_log,
        lambda identifier, _props: {"Id": identifier},
        _delete_flow_log,
        ("ResourceId", "ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName",
         "LogFormat", "MaxAggregationInterval", "DeliverLogsPermissionArn"),
    ),
    "AWS::EC2::NatGateway": Kind(
        _make_nat_gateway,
        lambda identifier, _props: {"NatGatewayId": identifier, "EniId": fresh("eni-")},
        _delete_nat_gateway,
        ("SubnetId", "AllocationId", "ConnectivityType"),
    ),
    "AWS::EC2::SecurityGroupEgress": _rule_kind("IpPermissionsEgress", egress=True),
    "AWS::EC2::SecurityGroupIngress": _rule_kind("IpPermissions", egress=False),
    "AWS::ECS::ClusterCapacityProviderAssociations": Kind(
        _make_capacity, _change_capacity, _forget_capacity, ("Cluster",)
    ),
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": Kind(
        _add_certificates, lambda identifier, _props: {"Id": identifier}, _remove_certificates,
        ("ListenerArn", "Certificates"),
    ),
    "AWS::RDS::DBProxy": Kind(
        _make_proxy, _change_proxy, _delete_proxy, ("DBProxyName", "EngineFamily", "VpcSubnetIds")
    ),
    "AWS::RDS::DBProxyTargetGroup": Kind(
        _make_proxy_targets, _change_proxy_targets, _delete_proxy_targets, ("DBProxyName", "TargetGroupName")
    ),
    "AWS::SecretsManager::ResourcePolicy": Kind(
        _put_policy,
        _change_policy,
        _delete_policy,
        ("SecretId",),
    ),
    "AWS::WAFv2::WebACLAssociation": Kind(
        _associate,
        lambda _identifier, _props: {},
        _dissociate,
        ("ResourceArn", "WebACLArn"),
    ),
}  # fmt: skip
