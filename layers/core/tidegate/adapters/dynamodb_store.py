"""The one table: items by `pk` and `sk`, an index `by_time` on `kind` and `at`, TTL on `ttl` (epoch seconds).

Limits (DynamoDB API reference): 400 KB an item, 100 actions and 4 MB a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.attributes import attribute, attributes, item_of
from tidegate.adapters.errors import asking, code_of, retried
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Check, ConditionFailedError, Delete, Item, Key, Put, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "by_time"
MOST_WRITES = 100
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class DynamoDbStore:
    def __init__(self, client: Callable[[], DynamoDBClient], table: str) -> None:
        self._client = client
        self._table = table

    def get(self, key: Key) -> Item | None:
        with asking("dynamodb:GetItem"):
            answer = self._client().get_item(TableName=self._table, Key=_key(key), ConsistentRead=True)
        return item_of(answer["Item"]) if "Item" in answer else None

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        question: dict[str, Any] = {
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": {"#pk": "pk"},
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ScanIndexForward": not newest_first,
            "ConsistentRead": True,
        }
        if prefix:
            question["KeyConditionExpression"] += " AND begins_with(#sk, :prefix)"
            question["ExpressionAttributeNames"]["#sk"] = "sk"
            question["ExpressionAttributeValues"][":prefix"] = {"S": prefix}
        return self._pages(question, limit)

    def query_kind(self, kind: str, *, since: str = "", newest_first: bool = False) -> Iterator[Item]:
        question: dict[str, Any] = {
            "IndexName": INDEX,
            "KeyConditionExpression": "#kind = :kind",
            "ExpressionAttributeNames": {"#kind": "kind"},
            "ExpressionAttributeValues": {":kind": {"S": kind}},
            "ScanIndexForward": not newest_first,
        }
        if since:
            question["KeyConditionExpression"] += " AND #at >= :since"
            question["ExpressionAttributeNames"]["#at"] = "at"
            question["ExpressionAttributeValues"][":since"] = {"S": since}
        return self._pages(question, None)

    def transact(self, writes: Sequence[Write]) -> None:
        if len(writes) > MOST_WRITES or len({write.key for write in writes}) != len(writes):
            raise ValueError("a transaction takes at most 100 writes, each of another item")
        requests = [_request(self._table, write) for write in writes]
        match requests:
            case []:
                return
            case [{"Put": put}]:
                self._write_one("dynamodb:PutItem", lambda: self._client().put_item(**put))
            case [{"Delete": delete}]:
                self._write_one("dynamodb:DeleteItem", lambda: self._client().delete_item(**delete))
            case _:
                self._write_all(requests)

    def _pages(self, question: dict[str, Any], limit: int | None) -> Iterator[Item]:
        left = limit
        while left is None or left > 0:
            if left is not None:
                question["Limit"] = left
            with asking("dynamodb:Query"):
                answer = self._client().query(TableName=self._table, **question)
            for item in answer["Items"]:
                yield item_of(item)
            if "LastEvaluatedKey" not in answer:
                return
            question["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            left = None if left is None else left - len(answer["Items"])

    def _write_one(self, action: str, write: Callable[[], object]) -> None:
        """Half the price of a transaction, but without its token: when the SDK sent the write again, the condition
        may have failed because the first one was carried out, and nobody can tell."""
        with asking(action):
            try:
                write()
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                if retried(error):
                    raise TransientError(f"{action}: sent again, so its condition is undecided") from error
                raise ConditionFailedError(0) from error

    def _write_all(self, requests: Sequence[Any]) -> None:
        """botocore adds a ClientRequestToken, so that what it sends again is carried out once."""
        action = "dynamodb:TransactWriteItems"
        with asking(action):
            try:
                self._client().transact_write_items(TransactItems=requests)
            except ClientError as error:
                if code_of(error) != "TransactionCanceledException":
                    raise
                reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
                codes = [str(reason.get("Code", "None")) for reason in reasons]
                if "ConditionalCheckFailed" in codes:
                    raise ConditionFailedError(codes.index("ConditionalCheckFailed")) from error
                said = f"{action}: cancelled: {', '.join(sorted(set(codes) - {'None'}))}"
                if not _PASSING.isdisjoint(codes):
                    raise TransientError(said) from error
                raise OutsideError(said) from error


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _request(table: str, write: Write) -> dict[str, dict[str, Any]]:
    condition = _condition(write.expect)
    match write:
        case Put():
            item = attributes({**write.item, "pk": write.key.pk, "sk": write.key.sk})
            return {"Put": {"TableName": table, "Item": item, **condition}}
        case Delete():
            return {"Delete": {"TableName": table, "Key": _key(write.key), **condition}}
        case Check():
            if not condition:
                raise ValueError("a Check without `expect` checks nothing")
            return {"ConditionCheck": {"TableName": table, "Key": _key(write.key), **condition}}


def _condition(expect: Mapping[str, Any]) -> dict[str, Any]:
    """`expect` as a ConditionExpression; every name and value is a placeholder, for any name may be reserved."""
    if not expect:
        return {}
    parts, names, values = [], {}, {}
    for number, (name, value) in enumerate(expect.items()):
        names[f"#e{number}"] = name
        if value is None:
            parts.append(f"attribute_not_exists(#e{number})")
        else:
            parts.append(f"#e{number} = :e{number}")
            values[f":e{number}"] = attribute(value)
    condition: dict[str, Any] = {
        "ConditionExpression": " AND ".join(parts),
        "ExpressionAttributeNames": names,
    }
    return {**condition, "ExpressionAttributeValues": values} if values else condition
