"""Resource types that MiniStack's CloudFormation lacks."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
from tidegate_local.resources.recorded import RECORDED

from tests.integration.local.stacks import Stack, Template, name, resources
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

LIMITS = Path(__file__).parents[3] / "docs/limits.md"
Properties = dict[str, Any]


def made(
    cloud: Cloud, template: Template, outputs: dict[str, Any] | None = None
) -> tuple[Stack, dict[str, str]]:
    """The stack and its outputs."""
    shown = {key: {"Value": value} for key, value in (outputs or {}).items()}
    stack = Stack(cloud)
    assert stack.create({**template, "Outputs": shown}) == "CREATE_COMPLETE", stack.failures
    return stack, stack.outputs


def att(resource: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [resource, attribute]}


NETWORK: dict[str, tuple[str, Properties]] = {
    "Vpc": ("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16"}),
    "Subnet": ("AWS::EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}),
    "Other": ("AWS::EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"}),
}


def test_a_nat_gateway_with_its_address(cloud: Cloud) -> None:
    template = resources(
        **NETWORK,
        Address=("AWS::EC2::EIP", {"Domain": "vpc", "Tags": [{"Key": "Name", "Value": "nat"}]}),
        Nat=(
            "AWS::EC2::NatGateway",
            {"SubnetId": {"Ref": "Subnet"}, "AllocationId": att("Address", "AllocationId")},
        ),
    )
    stack, told = made(
        cloud,
        template,
        {"Ip": {"Ref": "Address"}, "Allocation": att("Address", "AllocationId"), "Nat": {"Ref": "Nat"}},
    )
    ec2 = cloud.client("ec2")
    address = ec2.describe_addresses(AllocationIds=[told["Allocation"]])["Addresses"][0]
    assert address["PublicIp"] == told["Ip"]
    assert address["Tags"] == [{"Key": "Name", "Value": "nat"}]
    nat = ec2.describe_nat_gateways(NatGatewayIds=[told["Nat"]])["NatGateways"][0]
    assert (nat["State"], nat["SubnetId"]) == ("available", stack.physical_id("Subnet"))
    assert stack.delete() == "DELETE_COMPLETE"
    assert not [each for each in ec2.describe_addresses()["Addresses"] if each["PublicIp"] == told["Ip"]]


def test_rules_of_security_groups_of_their_own(cloud: Cloud) -> None:
    def group(described: str) -> tuple[str, Properties]:
        nowhere = [{"IpProtocol": "-1", "CidrIp": "127.0.0.1/32"}]
        own = {"GroupDescription": described, "VpcId": {"Ref": "Vpc"}, "SecurityGroupEgress": nowhere}
        return "AWS::EC2::SecurityGroup", own

    rule = {"IpProtocol": "tcp", "FromPort": "5432", "ToPort": "5432"}
    ingress = {"GroupId": att("Server", "GroupId"), "SourceSecurityGroupId": att("Client", "GroupId"), **rule}
    egress = {
        "GroupId": att("Client", "GroupId"),
        "DestinationSecurityGroupId": att("Server", "GroupId"),
        **rule,
    }
    template = resources(
        Vpc=NETWORK["Vpc"],
        Server=group("server"),
        Client=group("client"),
        In=("AWS::EC2::SecurityGroupIngress", ingress),
        Out=("AWS::EC2::SecurityGroupEgress", egress),
    )
    stack, _ = made(cloud, template)
    server, client = stack.physical_id("Server"), stack.physical_id("Client")
    ec2 = cloud.client("ec2")

    def groups() -> tuple[Any, Any]:
        found = ec2.describe_security_groups(GroupIds=[server, client])["SecurityGroups"]
        by_id = {each["GroupId"]: each for each in found}
        return by_id[server]["IpPermissions"], by_id[client]["IpPermissionsEgress"]

    into, out_of = groups()
    assert [(each["FromPort"], each["UserIdGroupPairs"][0]["GroupId"]) for each in into] == [(5432, client)]
    assert [each["UserIdGroupPairs"][0]["GroupId"] for each in out_of if each["IpProtocol"] == "tcp"] == [
        server
    ]
    template["Resources"]["In"]["Properties"].update(FromPort="3306", ToPort="3306")
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert [each["FromPort"] for each in groups()[0]] == [3306]
    del template["Resources"]["Out"]
    stack.update(template)
    assert [each["IpProtocol"] for each in groups()[1]] == ["-1"]


def test_a_flow_log(cloud: Cloud) -> None:
    flow = {
        "ResourceId": {"Ref": "Vpc"},
        "ResourceType": "VPC",
        "TrafficType": "REJECT",
        "LogGroupName": "/vpc",
    }
    stack, _ = made(cloud, resources(Vpc=NETWORK["Vpc"], Flow=("AWS::EC2::FlowLog", flow)))
    found = cloud.client("ec2").describe_flow_logs(FlowLogIds=[stack.physical_id("Flow")])["FlowLogs"]
    assert found[0]["ResourceId"] == stack.physical_id("Vpc")


def test_addresses_of_ipv6_come_to_a_network_that_is_there(cloud: Cloud) -> None:
    """Guards `LiveList`: the attribute of the VPC is that of a resource made after it, also in a later update."""
    stack, _ = made(cloud, resources(Vpc=NETWORK["Vpc"]))
    blocks = {"Fn::Cidr": [{"Fn::Select": [0, att("Vpc", "Ipv6CidrBlocks")]}, 2, 64]}
    template = resources(
        **NETWORK,
        Block=("AWS::EC2::VPCCidrBlock", {"VpcId": {"Ref": "Vpc"}, "AmazonProvidedIpv6CidrBlock": "true"}),
        OfSubnet=(
            "AWS::EC2::SubnetCidrBlock",
            {"SubnetId": {"Ref": "Subnet"}, "Ipv6CidrBlock": {"Fn::Select": [1, blocks]}},
        ),
    )
    template["Resources"]["OfSubnet"]["DependsOn"] = ["Block"]
    template["Outputs"] = {
        "Block": {"Value": {"Fn::Select": [0, att("Vpc", "Ipv6CidrBlocks")]}},
        "Cidr": {"Value": att("Vpc", "CidrBlock")},
    }
    assert stack.update(template) == "UPDATE_COMPLETE", stack.failures
    assert stack.outputs["Block"].endswith("00::/56")
    assert stack.outputs["Cidr"] == "10.0.0.0/16"


def test_a_proxy_of_a_database_and_its_targets(cloud: Cloud) -> None:
    own = name()
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier=own, DBInstanceClass="db.t4g.micro", Engine="postgres", MasterUsername="a",
        MasterUserPassword="secretsecret", AllocatedStorage=20,
    )  # fmt: skip
    proxy = {
        "DBProxyName": own,
        "EngineFamily": "POSTGRESQL",
        "RoleArn": "arn:aws:iam::000000000000:role/proxy",
        "VpcSubnetIds": [{"Ref": "Subnet"}, {"Ref": "Other"}],
        "RequireTLS": "true",
        "Auth": [{"AuthScheme": "SECRETS", "SecretArn": "arn:aws:secretsmanager:x", "IAMAuth": "DISABLED"}],
    }
    targets = {
        "DBProxyName": {"Ref": "Proxy"},
        "TargetGroupName": "default",
        "DBInstanceIdentifiers": [own],
        "ConnectionPoolConfigurationInfo": {"MaxConnectionsPercent": "80"},
    }
    template = resources(
        **NETWORK,
        Proxy=("AWS::RDS::DBProxy", proxy),
        Targets=("AWS::RDS::DBProxyTargetGroup", targets),
    )
    stack, told = made(
        cloud, template, {"Endpoint": att("Proxy", "Endpoint"), "Arn": att("Proxy", "DBProxyArn")}
    )
    rds = cloud.client("rds")
    described = rds.describe_db_proxies(DBProxyName=own)["DBProxies"][0]
    assert (described["Endpoint"], described["DBProxyArn"]) == (told["Endpoint"], told["Arn"])
    assert described["RequireTLS"] is True
    assert [each["RdsResourceId"] for each in rds.describe_db_proxy_targets(DBProxyName=own)["Targets"]] == [
        own
    ]
    pools = rds.describe_db_proxy_target_groups(DBProxyName=own)["TargetGroups"]
    assert pools[0]["ConnectionPoolConfig"]["MaxConnectionsPercent"] == 80
    template["Resources"]["Proxy"]["Properties"]["IdleClientTimeout"] = "600"
    assert stack.update(template) == "UPDATE_COMPLETE", stack.failures
    assert rds.describe_db_proxies(DBProxyName=own)["DBProxies"][0]["IdleClientTimeout"] == 600
    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(rds.exceptions.DBProxyNotFoundFault):
        rds.describe_db_proxies(DBProxyName=own)


def test_capacity_providers_of_a_cluster(cloud: Cloud) -> None:
    own = name()
    associated = {
        "Cluster": {"Ref": "Cluster"},
        "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Base": "1", "Weight": "1"}],
    }
    made(
        cloud,
        resources(
            Cluster=("AWS::ECS::Cluster", {"ClusterName": own}),
            Providers=("AWS::ECS::ClusterCapacityProviderAssociations", associated),
        ),
    )
    described = cloud.client("ecs").describe_clusters(clusters=[own])["clusters"][0]
    assert described["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}]
    assert described["defaultCapacityProviderStrategy"] == strategy


def test_a_budget(cloud: Cloud) -> None:
    own = name()
    limit = {"Amount": 100, "Unit": "USD"}
    budget = {"BudgetName": own, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
    subscriber = {"SubscriptionType": "EMAIL", "Address": "a@shop.example"}
    told = [{"Notification": notification, "Subscribers": [subscriber]}]
    template = resources(
        Budget=("AWS::Budgets::Budget", {"Budget": budget, "NotificationsWithSubscribers": told})
    )
    stack, _ = made(cloud, template)

    def amount() -> str:
        found = cloud.client("budgets").describe_budget(AccountId="000000000000", BudgetName=own)
        return str(found["Budget"]["BudgetLimit"]["Amount"])

    assert float(amount()) == 100
    limit["Amount"] = 150
    assert stack.update(template) == "UPDATE_COMPLETE", stack.failures
    assert float(amount()) == 150
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_web_acl_before_a_load_balancer(cloud: Cloud) -> None:
    metrics = {"CloudWatchMetricsEnabled": True, "MetricName": "acl", "SampledRequestsEnabled": True}
    acl = {"Name": name(), "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": metrics}
    template = resources(
        Balancer=("AWS::ElasticLoadBalancingV2::LoadBalancer", {}),
        Acl=("AWS::WAFv2::WebACL", acl),
        Both=(
            "AWS::WAFv2::WebACLAssociation",
            {"ResourceArn": {"Ref": "Balancer"}, "WebACLArn": att("Acl", "Arn")},
        ),
        Logged=(
            "AWS::WAFv2::LoggingConfiguration",
            {"ResourceArn": att("Acl", "Arn"), "LogDestinationConfigs": ["arn:aws:logs:x"]},
        ),
    )
    stack, _ = made(cloud, template)
    found = cloud.client("wafv2").get_web_acl_for_resource(ResourceArn=stack.physical_id("Balancer"))
    assert found["WebACL"]["Name"] == acl["Name"]


def test_further_certificates_of_a_listener(cloud: Cloud) -> None:
    listener = {
        "LoadBalancerArn": {"Ref": "Balancer"},
        "Port": 443,
        "Protocol": "HTTPS",
        "Certificates": [{"CertificateArn": "arn:aws:acm:first"}],
        "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    }
    more = {"ListenerArn": {"Ref": "Listener"}, "Certificates": [{"CertificateArn": "arn:aws:acm:second"}]}
    template = resources(
        Balancer=("AWS::ElasticLoadBalancingV2::LoadBalancer", {}),
        Listener=("AWS::ElasticLoadBalancingV2::Listener", listener),
        More=("AWS::ElasticLoadBalancingV2::ListenerCertificate", more),
    )
    stack, _ = made(cloud, template)
    arn = stack.physical_id("Listener")

    def held() -> list[str]:
        found = cloud.client("elbv2").describe_listeners(ListenerArns=[arn])["Listeners"][0]
        return [each["CertificateArn"] for each in found["Certificates"]]

    assert held() == ["arn:aws:acm:first", "arn:aws:acm:second"]
    del template["Resources"]["More"]
    stack.update(template)
    assert held() == ["arn:aws:acm:first"]


def test_a_policy_of_a_secret(cloud: Cloud) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    template = resources(
        Secret=("AWS::SecretsManager::Secret", {"SecretString": "x"}),
        Policy=(
            "AWS::SecretsManager::ResourcePolicy",
            {"SecretId": {"Ref": "Secret"}, "ResourcePolicy": policy},
        ),
    )
    stack, _ = made(cloud, template)
    found = cloud.client("secretsmanager").get_resource_policy(SecretId=stack.physical_id("Secret"))
    assert "Deny" in found["ResourcePolicy"]


def test_alarms_on_alarms_and_on_expressions(cloud: Cloud) -> None:
    own = name()
    stat = {"Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": "TargetResponseTime"}, "Stat": "p95"}
    metrics = [
        {"Id": "milliseconds", "Expression": "1000 * seconds"},
        {"Id": "seconds", "ReturnData": "false", "MetricStat": {**stat, "Period": "300"}},
    ]
    slow = {
        "AlarmName": f"{own}-slow",
        "Metrics": metrics,
        "EvaluationPeriods": "2",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": "500",
    }
    either = {"AlarmName": f"{own}-either", "AlarmRule": {"Fn::Sub": 'ALARM("${Slow}")'}}
    template = resources(
        Slow=("AWS::CloudWatch::Alarm", slow),
        Either=("AWS::CloudWatch::CompositeAlarm", either),
    )
    stack, _ = made(cloud, template, {"Arn": att("Either", "Arn")})
    found = cloud.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=own, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    alarm = found["MetricAlarms"][0]
    assert [each["Id"] for each in alarm["Metrics"]] == ["milliseconds", "seconds"]
    assert alarm["Metrics"][1]["MetricStat"]["Period"] == 300
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (500.0, 2)
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    assert found["CompositeAlarms"][0]["AlarmRule"] == f'ALARM("{own}-slow")'
    cloud.client("cloudwatch").set_alarm_state(
        AlarmName=f"{own}-slow", StateValue="ALARM", StateReason="test"
    )
    assert stack.delete() == "DELETE_COMPLETE"


def test_what_is_only_recorded_has_what_a_template_asks_it(cloud: Cloud) -> None:
    app = {"Name": "shop", "Repository": "https://example.com/shop"}
    domain = {"AppId": att("App", "AppId"), "DomainName": "shop.example", "SubDomainSettings": []}
    template = resources(
        App=("AWS::Amplify::App", app),
        Branch=("AWS::Amplify::Branch", {"AppId": att("App", "AppId"), "BranchName": "main"}),
        Domain=("AWS::Amplify::Domain", domain),
        Slack=(
            "AWS::Chatbot::SlackChannelConfiguration",
            {
                "ConfigurationName": "shop",
                "SlackChannelId": "C1",
                "SlackWorkspaceId": "T1",
                "IamRoleArn": "x",
            },
        ),
        Events=("AWS::RDS::EventSubscription", {"SnsTopicArn": "arn:aws:sns:x"}),
    )
    stack, told = made(
        cloud,
        template,
        {
            "Id": att("App", "AppId"),
            "Arn": {"Ref": "App"},
            "Default": att("App", "DefaultDomain"),
            "Branch": att("Branch", "Arn"),
            "Status": att("Domain", "DomainStatus"),
            "Slack": {"Ref": "Slack"},
        },
    )
    assert told["Arn"].endswith(f":apps/{told['Id']}")
    assert told["Default"] == f"{told['Id']}.amplifyapp.com"
    assert told["Branch"] == f"{told['Arn']}/branches/main"
    assert told["Status"] == "AVAILABLE"
    app["Name"] = "store"
    assert stack.update({**template, "Outputs": {"Id": {"Value": att("App", "AppId")}}}) == "UPDATE_COMPLETE"
    assert stack.outputs["Id"] == told["Id"]
    assert stack.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize("kind", RECORDED)
def test_what_is_only_recorded_is_told(kind: str) -> None:
    assert f"`{kind}`" in LIMITS.read_text()


def test_the_provider_of_a_user_pool_has_an_address(cloud: Cloud) -> None:
    _, told = made(cloud, resources(Pool=("AWS::Cognito::UserPool", {})), {"Url": att("Pool", "ProviderURL")})
    assert told["Url"].startswith("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_")


def test_any_other_type_fails_by_its_name(cloud: Cloud) -> None:
    client = cloud.client("cloudformation")
    with pytest.raises(
        client.exceptions.ClientError, match=r"Unrecognized resource types: \[AWS::Nothing::Known\]"
    ):
        Stack(cloud).create(resources(Thing=("AWS::Nothing::Known", {})))


def test_rules_have_short_forms(cloud: Cloud) -> None:
    """Guards the mend of rules: MiniStack cannot read `!Contains`."""
    body = textwrap.dedent("""
    Parameters: {Size: {Type: String}, Names: {Type: CommaDelimitedList}}
    Rules:
      Sizes:
        Assertions:
          - {Assert: !Contains [[small, large], !Ref Size], AssertDescription: small or large}
          - {Assert: !EachMemberIn [!Ref Names, [a, b]], AssertDescription: only a and b}
    Resources: {Topic: {Type: AWS::SNS::Topic}}
    """)
    client = cloud.client("cloudformation")

    def ask(size: str, names: str) -> None:
        given = [
            {"ParameterKey": "Size", "ParameterValue": size},
            {"ParameterKey": "Names", "ParameterValue": names},
        ]
        client.create_stack(StackName=name(), TemplateBody=body, Parameters=given)

    ask("small", "a,b")
    with pytest.raises(client.exceptions.ClientError, match="small or large"):
        ask("huge", "a")
    with pytest.raises(client.exceptions.ClientError, match="only a and b"):
        ask("small", "a,c")
