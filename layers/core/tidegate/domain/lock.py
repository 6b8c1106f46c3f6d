"""The right to change one environment of one system: leased, fenced, with an owner and a reason.

Pure transitions; the ledger writes each one with a condition on the version that was read, so that two
writers never both believe. The fence rises at every change of owner and the item is never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Lock:
    """`owner` is a deployment id or None when the lock is free; times are ISO 8601 in UTC.

    `token` is the task token of an owner that got the lock by hand-over and may not have been told yet.
    `version` counts writes, `next_seq` numbers the queue.
    """

    system: str
    environment: str
    owner: str | None = None
    execution: str | None = None
    fence: int = 0
    reason: str = ""
    since: str | None = None
    token: str | None = None
    next_seq: int = 1
    version: int = 0

    @property
    def free(self) -> bool:
        return self.owner is None

    def held_by(self, deployment: str) -> bool:
        return self.owner == deployment

    def acquired(self, owner: str, execution: str, reason: str, at: str) -> Lock:
        return replace(
            self,
            owner=owner,
            execution=execution,
            reason=reason,
            since=at,
            fence=self.fence + 1,
            token=None,
            version=self.version + 1,
        )

    def joined(self) -> Lock:
        """Another waiter takes the next place in the queue."""
        return replace(self, next_seq=self.next_seq + 1, version=self.version + 1)

    def handed_to(self, waiter: Waiter, at: str) -> Lock:
        return replace(
            self.acquired(waiter.deployment, waiter.execution, waiter.reason, at), token=waiter.token
        )

    def told(self) -> Lock:
        """The owner's task token was answered."""
        return replace(self, token=None, version=self.version + 1)

    def taken_over(self, execution: str) -> Lock:
        """Another execution carries on the owner's deployment: the old one's fence is void."""
        return replace(self, execution=execution, fence=self.fence + 1, token=None, version=self.version + 1)

    def released(self) -> Lock:
        return replace(
            self, owner=None, execution=None, reason="", since=None, token=None, version=self.version + 1
        )

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Lock:
        return cls(**{name: item[name] for name in cls.__slots__ if name in item})


@dataclass(frozen=True, slots=True)
class Rank:
    """How a deployment stands among those that wait.

    `order` is a ULID: of the build that a push started, else of the deployment itself, so that text compares as time;
    empty for what takes part in no order (a rollback, a restart). `by_event` tells what nobody asked for by hand.
    `urgent` goes before all that is not. `attempt` tells the attempts of one task apart, a later one is greater.
    """

    order: str = ""
    by_event: bool = False
    urgent: bool = False
    attempt: str = ""

    def beats(self, other: Rank) -> bool:
        """Whether the other, older, is not released any more. What a person asked for gives way to a person only."""
        return bool(other.order) and self.order > other.order and (other.by_event or not self.by_event)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A deployment in the queue; the smallest `seq` is next, urgent ones before all others."""

    seq: int
    deployment: str
    execution: str
    token: str
    reason: str
    since: str
    rank: Rank = field(default_factory=Rank)

    def to_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__ if name != "rank"}
        return own | {name: getattr(self.rank, name) for name in self.rank.__slots__}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Waiter:
        own = {name: item[name] for name in cls.__slots__ if name != "rank"}
        return cls(**own, rank=rank_of(item))


def rank_of(item: Mapping[str, Any]) -> Rank:
    """The rank in an item of the table; what an older version wrote has none."""
    return Rank(**{name: item[name] for name in Rank.__slots__ if name in item})


def outranked(newcomer: Rank, others: Iterable[tuple[str, Rank]]) -> tuple[list[str], str | None]:
    """Of (deployment, rank) that wait for one environment: those whose place `newcomer` takes, and the latest of those
    that take its own."""
    known = list(others)
    beaten = [deployment for deployment, rank in known if newcomer.beats(rank)]
    by = max(((rank.order, deployment) for deployment, rank in known if rank.beats(newcomer)), default=None)
    return beaten, None if by is None else by[1]
