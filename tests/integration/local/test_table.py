"""DynamoDB as the ledger uses it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

TABLE = "ledger"


@pytest.fixture(scope="module")
def table(cloud: Cloud) -> Any:
    client = cloud.client("dynamodb")
    keys = ("pk", "sk", "list", "at")
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_time",
                "KeySchema": [
                    {"AttributeName": "list", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def item(pk: str, sk: str = "X", **more: str) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in {"pk": pk, "sk": sk, **more}.items()}


def test_a_transaction_is_refused_as_a_whole_and_says_why(table: Any) -> None:
    table.put_item(TableName=TABLE, Item=item("LOCK#a", owner="us"))
    check = {
        "TableName": TABLE,
        "Key": item("LOCK#a"),
        "ConditionExpression": "#o = :o",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":o": {"S": "them"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    put = {"TableName": TABLE, "Item": item("RELEASE#1"), "ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(ClientError) as refused:
        table.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons = refused.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed", "None"]
    assert reasons[0]["Item"] == item("LOCK#a", owner="us")
    assert "Item" not in table.get_item(TableName=TABLE, Key=item("RELEASE#1"), ConsistentRead=True)

    check["ExpressionAttributeValues"] = {":o": {"S": "us"}}
    table.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])
    assert "Item" in table.get_item(TableName=TABLE, Key=item("RELEASE#1"), ConsistentRead=True)


def test_a_condition_that_fails_shows_the_item(table: Any) -> None:
    table.put_item(TableName=TABLE, Item=item("LOCK#b", owner="them"))
    with pytest.raises(ClientError) as refused:
        table.put_item(
            TableName=TABLE,
            Item=item("LOCK#b"),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert refused.value.response["Item"]["owner"] == {"S": "them"}


def test_an_index_holds_only_items_that_have_its_keys(table: Any) -> None:
    table.put_item(TableName=TABLE, Item=item("D#1", list="deployments", at="2024-01-01"))
    table.put_item(TableName=TABLE, Item=item("D#2", list="deployments", at="2024-02-01"))
    table.put_item(TableName=TABLE, Item=item("D#3", list="deployments"))
    answer = table.query(
        TableName=TABLE,
        IndexName="by_time",
        KeyConditionExpression="#l = :l",
        ExpressionAttributeNames={"#l": "list"},
        ExpressionAttributeValues={":l": {"S": "deployments"}},
        ScanIndexForward=False,
    )
    assert [found["pk"]["S"] for found in answer["Items"]] == ["D#2", "D#1"]


def test_a_counter_only_rises(table: Any) -> None:
    def raise_fence() -> str:
        answer = table.update_item(
            TableName=TABLE,
            Key=item("LOCK#c"),
            UpdateExpression="ADD fence :one SET #o = :o",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":one": {"N": "1"}, ":o": {"S": "us"}},
            ReturnValues="ALL_NEW",
        )
        return str(answer["Attributes"]["fence"]["N"])

    assert [raise_fence(), raise_fence()] == ["1", "2"]
