"""infrastructure/monitoring.yaml: who may publish, who hears of it, what is shown, what a month may cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

NEEDED = {"Name": "shop-prod", "DashboardName": "Shop-Operations", "ClusterName": "shop"}
SEVERITIES = ("Critical", "Warning", "Info")
SHOWN = {
    "DatabaseIdentifier": "shop-db",
    "LoadBalancerFullName": "app/shop/50dc6c495c0c9188",
    "CacheName": "shop-cache",
}


def monitoring(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/monitoring.yaml", **(NEEDED | parameters))


def widgets(**parameters: str) -> dict[str, dict[str, Any]]:
    """Properties by title."""
    body = monitoring(**parameters).one("AWS::CloudWatch::Dashboard")["DashboardBody"]
    return {one["properties"]["title"]: one["properties"] for one in json.loads(body)["widgets"]}


# --- topics


@pytest.mark.parametrize("severity", SEVERITIES)
def test_alarms_rules_and_budgets_of_this_account_publish_by_tls_and_nobody_else(severity: str) -> None:
    policy = monitoring()[f"{severity}TopicPolicy"]
    assert policy["Topics"] == [f"<{severity}Topic>"]
    allowed: dict[str, Any] = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        assert (statement["Action"], statement["Resource"]) == ("sns:Publish", f"<{severity}Topic>")
        if statement["Effect"] == "Allow":
            service = statement["Principal"]["Service"]
            allowed[service] = statement["Condition"]["ArnLike"]["aws:SourceArn"]
            if service == "budgets.amazonaws.com":
                assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
        else:
            assert statement["Principal"] == "*"
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed == {
        "cloudwatch.amazonaws.com": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*",
        "events.amazonaws.com": "arn:aws:events:us-east-1:123456789012:rule/*",
        "budgets.amazonaws.com": "arn:aws:budgets::123456789012:*",
    }
    assert len(policy["PolicyDocument"]["Statement"]) == len(allowed) + 1


def test_each_topic_is_encrypted_with_a_key_that_its_publishers_may_use() -> None:
    rendered = monitoring()
    topics = rendered.of("AWS::SNS::Topic").values()
    assert {one["TopicName"] for one in topics} == {
        "shop-prod-critical",
        "shop-prod-warning",
        "shop-prod-info",
    }
    assert {one["KmsMasterKeyId"] for one in topics} == {"<TopicsKey>"}
    key = rendered.one("AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    account, rules, others = key["KeyPolicy"]["Statement"]
    # Without it nobody could ever change the policy of the key again.
    assert (account["Principal"], account["Action"]) == ({"AWS": "arn:aws:iam::123456789012:root"}, "kms:*")
    for statement in (rules, others):
        assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    # EventBridge sends no account and no ARN to KMS: a condition on either would stop every delivery.
    assert "aws:Source" not in json.dumps(rules)
    assert rules["Condition"]["ArnLike"]["kms:EncryptionContext:aws:sns:topicArn"].endswith(":shop-prod-*")
    assert others["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}
    assert others["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_an_address_hears_of_its_own_severity(severity: str) -> None:
    own = monitoring(**{f"{severity}Email": "ops@example.com"}).one("AWS::SNS::Subscription")
    assert own == {"TopicArn": f"<{severity}Topic>", "Protocol": "email", "Endpoint": "ops@example.com"}


def test_without_addresses_nobody_is_mailed() -> None:
    assert monitoring().of("AWS::SNS::Subscription") == {}


# --- the dashboard


@pytest.mark.parametrize("shown", [{}, SHOWN, *({key: value} for key, value in SHOWN.items())])
def test_the_dashboard_has_the_services_and_what_else_there_is(shown: dict[str, str]) -> None:
    wanted = {"CPU of the services (%)", "Memory of the services (%)", "Running tasks"}
    if "LoadBalancerFullName" in shown:
        wanted |= {"Requests and errors", "Response time (s)"}
    if "DatabaseIdentifier" in shown:
        wanted |= {"Database connections", "Database CPU and memory"}
    if "CacheName" in shown:
        wanted |= {"Cache"}
    assert set(widgets(**shown)) == wanted


@pytest.mark.parametrize(
    ("title", "metric"),
    [("CPU of the services (%)", "CPUUtilization"), ("Memory of the services (%)", "MemoryUtilization")],
)
def test_a_service_that_comes_later_is_shown(title: str, metric: str) -> None:
    """A query over the cluster, no list of services."""
    [[one]] = widgets()[title]["metrics"]
    query = one["expression"]
    shown, _, source = query.partition(" FROM ")
    assert shown == f"SELECT AVG({metric})"
    assert source == (
        'SCHEMA("AWS/ECS", ClusterName, ServiceName)'
        " WHERE ClusterName = 'shop' GROUP BY ServiceName ORDER BY AVG() DESC"
    )


@pytest.mark.parametrize(
    ("cluster", "dimension"), [("false", "DBInstanceIdentifier"), ("true", "DBClusterIdentifier")]
)
def test_the_database_is_shown_by_its_own_dimension(cluster: str, dimension: str) -> None:
    found = widgets(DatabaseIdentifier="shop-db", DatabaseIsCluster=cluster)
    assert found["Database connections"]["metrics"] == [
        ["AWS/RDS", "DatabaseConnections", dimension, "shop-db"]
    ]


def test_the_dashboard_has_the_name_that_people_look_for() -> None:
    assert monitoring().one("AWS::CloudWatch::Dashboard")["DashboardName"] == "Shop-Operations"
    assert monitoring().outputs["DashboardName"] == "Shop-Operations"


def test_every_widget_shows_the_stacks_region() -> None:
    assert {one["region"] for one in widgets(**SHOWN).values()} == {"us-east-1"}


def test_all_nodes_of_the_cache_are_shown() -> None:
    metrics = widgets(CacheName="shop-cache")["Cache"]["metrics"]
    assert all('"shop-cache"' in one["expression"] for [one] in metrics)


# --- the budget


def test_the_budget_tells_at_80_and_at_100_per_cent() -> None:
    rendered = monitoring(MonthlyBudget="410", BudgetCurrency="GBP")
    own = rendered.one("AWS::Budgets::Budget")
    assert own["Budget"]["BudgetName"] == "shop-prod-monthly"
    assert own["Budget"]["BudgetLimit"] == {"Amount": "410", "Unit": "GBP"}
    assert (own["Budget"]["TimeUnit"], own["Budget"]["BudgetType"]) == ("MONTHLY", "COST")
    told = own["NotificationsWithSubscribers"]
    assert [one["Notification"]["Threshold"] for one in told] == [80, 100]
    assert {one["Notification"]["ThresholdType"] for one in told} == {"PERCENTAGE"}
    subscribers = [one for notification in told for one in notification["Subscribers"]]
    assert subscribers == [{"SubscriptionType": "SNS", "Address": "<WarningTopic>"}] * 2
    assert rendered.resources["Budget"]["DependsOn"] == "WarningTopicPolicy"


def test_the_budget_counts_what_has_the_tag() -> None:
    given = {"MonthlyBudget": "50", "BudgetTagKey": "Environment", "BudgetTagValue": "dev"}
    assert monitoring(**given)["Budget"]["Budget"]["CostFilters"] == {"TagKeyValue": ["user:Environment$dev"]}
    assert "CostFilters" not in monitoring(MonthlyBudget="50")["Budget"]["Budget"]


def test_zero_is_no_budget() -> None:
    assert monitoring().of("AWS::Budgets::Budget") == {}


def test_a_tag_without_a_value_is_refused() -> None:
    with pytest.raises(RenderError, match="BudgetTagValue"):
        monitoring(MonthlyBudget="50", BudgetTagKey="Environment")
