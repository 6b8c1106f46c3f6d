"""The table in memory: the conditions, the order and the refusals of DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.ports import Check, ConditionFailedError, Delete, Item, Key, Put, Write

from tests.support.scripted import Scripted, recorded


class FakeStore(Scripted):
    """`items` may be read by tests: by (pk, sk), each with its `pk` and `sk`."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    @recorded
    def get(self, key: Key) -> Item | None:
        found = self.items.get((key.pk, key.sk))
        return None if found is None else _stored(found)

    @recorded
    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        keys = sorted(key for key in self.items if key[0] == pk and key[1].startswith(prefix))
        if newest_first:
            keys.reverse()
        return iter([_stored(self.items[key]) for key in keys[:limit]])

    @recorded
    def query_kind(self, kind: str, *, since: str = "", newest_first: bool = False) -> Iterator[Item]:
        found = [
            item for item in self.items.values() if item.get("kind") == kind and item.get("at", "") >= since
        ]
        found = [item for item in found if "at" in item]
        found.sort(key=lambda item: (item["at"], item["pk"], item["sk"]), reverse=newest_first)
        return iter([_stored(item) for item in found])

    @recorded
    def transact(self, writes: Sequence[Write]) -> None:
        keys = {(write.key.pk, write.key.sk) for write in writes}
        if len(writes) > 100 or len(keys) != len(writes):
            raise ValueError("a transaction takes at most 100 writes, each of another item")
        planned: list[tuple[tuple[str, str], dict[str, Any] | None]] = []
        failed = None
        for index, write in enumerate(writes):
            if isinstance(write, Check) and not write.expect:
                raise ValueError("a Check without `expect` checks nothing")
            expect = _stored(write.expect)
            key = (write.key.pk, write.key.sk)
            if failed is None and not _holds(self.items.get(key, {}), expect):
                failed = index
            match write:
                case Put(item=item):
                    planned.append((key, _stored({**item, "pk": key[0], "sk": key[1]})))
                case Delete():
                    planned.append((key, None))
        if failed is not None:
            raise ConditionFailedError(failed)
        for key, new in planned:
            if new is None:
                self.items.pop(key, None)
            else:
                self.items[key] = new


def _holds(item: Mapping[str, Any], expect: Mapping[str, Any]) -> bool:
    return all(
        name not in item if value is None else name in item and _same(item[name], value)
        for name, value in expect.items()
    )


def _same(one: Any, other: Any) -> bool:
    """Equal as DynamoDB sees it: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _stored(value: Any) -> Any:
    """A copy as it comes back from the table; what is not JSON, and any float, is refused."""
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case Mapping() if all(isinstance(key, str) for key in value):
            return {str(key): _stored(item) for key, item in value.items()}
        case list() | tuple():
            return [_stored(item) for item in value]
    raise TypeError(f"the table does not take {type(value).__name__}")
