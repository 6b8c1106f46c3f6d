"""Deployments, their timelines and rollouts, releases, what runs, and what is waited for.

A write of a run that holds the lock is conditioned on its fence; a write that ends a deployment is conditioned
on the deployment still being open, so each ends exactly once. A condition that does not hold is a LostLockError
or, where the same thing has been written before, no error at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tidegate.domain.deployment import Current, Deployment, FailureReport, Line, Machine, Phase, Rollout
from tidegate.domain.errors import AbortedError, ConflictError, LostLockError
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Watch
from tidegate.domain.release import Release, Standing, Verdict, release_hash
from tidegate.domain.rollout import Direction
from tidegate.ledger import keys
from tidegate.ledger.lines import line_write, present
from tidegate.ledger.locks import fenced
from tidegate.ledger.time import iso, parse_iso
from tidegate.ports import Check, Clock, ConditionFailedError, Delete, Item, Put, Store, Write

_SEEN_FOR = timedelta(days=90)
# A token is worth nothing without the execution that waits with it, which lives a year at most (Step Functions quotas).
_TOKEN_FOR = timedelta(days=366)
# A timeline line's sort key begins with its year; this tells lines from rollouts and reports.
_LINE_PREFIX = "2"
_ATTEMPTS = 8


class Ledger:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> str:
        return iso(self._clock.now())

    # --- deployments

    def deployment(self, system: str, environment: str, deployment_id: str) -> Deployment | None:
        item = self._store.get(keys.deployment(system, environment, deployment_id))
        return None if item is None else Deployment.from_json(item)

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id alone."""
        item = self._store.get(keys.whereabouts(deployment_id))
        return None if item is None else self.deployment(item["system"], item["environment"], deployment_id)

    def history(self, system: str, environment: str, limit: int | None = None) -> Iterator[Deployment]:
        """Newest first."""
        items = self._store.query(
            keys.place(system, environment), "DEPLOYMENT#", newest_first=True, limit=limit
        )
        return (Deployment.from_json(item) for item in items)

    def open_items(self) -> list[Item]:
        """Everything that is under way or waited for, oldest first: what the sweep looks after.

        Each has a `type`: deployment, build, lock, waiter, token or abort.
        """
        return list(self._store.query_kind(keys.OPEN))

    def open(self, deployment: Deployment, what: str, detail: str | None = None) -> Deployment:
        """Record a new deployment; if it is there already (a retried step), that one is the answer."""
        writes: list[Write] = [
            self._put_deployment(deployment, {"pk": None}),
            Put(
                keys.whereabouts(deployment.id),
                {"system": deployment.system, "environment": deployment.environment},
            ),
            line_write(deployment.id, Line(self.now(), what, detail=detail)),
        ]
        try:
            self._store.transact(writes)
        except ConditionFailedError:
            known = self.deployment(deployment.system, deployment.environment, deployment.id)
            if known is None:
                raise ConflictError(f"deployment {deployment.id} cannot be read yet") from None
            return known
        return deployment

    def save(
        self, deployment: Deployment, *lines: Line, fence: int | None = None, read: Deployment | None = None
    ) -> None:
        """Write an open deployment and what happened to it; under a fence, where it holds the lock, or else only if it
        still is as it was `read`."""
        expect: dict[str, Any] = {"outcome": None}
        if read is not None:
            names = ("execution", "fence", "phase", "recoveries")
            expect |= {name: read.to_json()[name] for name in names}
        writes: list[Write] = [self._put_deployment(deployment, expect)]
        writes += [line_write(deployment.id, line, number) for number, line in enumerate(lines)]
        self.write(deployment, writes, fence)

    def end(
        self,
        deployment: Deployment,
        outcome: Outcome,
        explanation: str,
        *,
        fence: int | None = None,
        services: Mapping[str, Mapping[str, Any]] | None = None,
        also: Sequence[Write] = (),
        lines: Sequence[Line] = (),
    ) -> Deployment:
        """End a deployment, once: whoever comes second gets the outcome that was recorded first.

        Raises AbortedError where it would not end as failed and a person has asked to take it back.
        """
        ended = replace(
            deployment,
            phase=Phase.ENDED,
            outcome=outcome,
            explanation=explanation,
            finished_at=self.now(),
            services=deployment.services if services is None else services,
            fence=deployment.fence if fence is None else fence,
        )
        last = Line(self.now(), outcome.value, detail=explanation or None)
        writes: list[Write] = [
            self._put_deployment(ended, {"outcome": None}),
            *also,
            *(line_write(deployment.id, line, number) for number, line in enumerate(lines)),
            line_write(deployment.id, last, len(lines)),
        ]
        abortable = deployment.machine is Machine.DEPLOY and not outcome.failed
        if abortable:
            # The last write: whether an abort came before the end is decided here, once.
            writes.append(Check(keys.abort(deployment.id), {"pk": None}))
        try:
            self.write(deployment, writes, fence)
        except LostLockError:
            known = self.deployment(deployment.system, deployment.environment, deployment.id)
            if known is not None and known.outcome is not None:
                return known
            if abortable and self._store.get(keys.abort(deployment.id)) is not None:
                raise AbortedError(f"deployment {deployment.id} is to be taken back") from None
            raise
        return ended

    def tell(
        self, deployment_id: str, what: str, service: str | None = None, detail: str | None = None
    ) -> None:
        """Add a line to a timeline: an observation, which needs no fence."""
        self._store.transact([line_write(deployment_id, Line(self.now(), what, service, detail))])

    def tell_once(self, deployment_id: str, mark: str, line: Line) -> bool:
        """Add a line unless one with this mark and time is there; False when it was. The time may be written as
        whoever observed it does: EventBridge leaves the milliseconds out."""
        line = replace(line, at=self._moment(line.at))
        try:
            self._store.transact([Put(keys.line(deployment_id, line.at, mark), line.to_json(), {"pk": None})])
        except ConditionFailedError:
            return False
        return True

    def was_told(self, deployment_id: str, mark: str, at: str) -> bool:
        """Whether a line with this mark and time is there (`tell_once`)."""
        return self._store.get(keys.line(deployment_id, self._moment(at), mark)) is not None

    def timeline(self, deployment_id: str) -> list[Line]:
        items = self._store.query(f"DEPLOYMENT#{deployment_id}", _LINE_PREFIX)
        return [Line.from_json(item) for item in items]

    # --- rollouts and their failures

    def rollout(self, deployment_id: str, service: str, direction: Direction) -> Rollout | None:
        item = self._store.get(keys.rollout(deployment_id, service, direction.value))
        return None if item is None else Rollout.from_json(item)

    def rollouts(self, deployment_id: str) -> list[Rollout]:
        items = self._store.query(f"DEPLOYMENT#{deployment_id}", "ROLLOUT#")
        return [Rollout.from_json(item) for item in items]

    def save_rollout(self, deployment: Deployment, rollout: Rollout, *lines: Line, fence: int) -> None:
        key = keys.rollout(deployment.id, rollout.service, rollout.direction.value)
        writes: list[Write] = [Put(key, present(rollout.to_json()))]
        writes += [line_write(deployment.id, line, number) for number, line in enumerate(lines)]
        self.write(deployment, writes, fence)

    def save_report(self, deployment_id: str, report: FailureReport) -> None:
        key = keys.report(deployment_id, report.service, report.direction.value)
        self._store.transact([Put(key, report.to_json())])

    def reports(self, deployment_id: str) -> list[FailureReport]:
        """Why it failed: what did not roll first, then what did not come back."""
        items = self._store.query(f"DEPLOYMENT#{deployment_id}", "REPORT#")
        return sorted(
            map(FailureReport.from_json, items), key=lambda report: report.direction is Direction.REVERT
        )

    # --- releases

    def release(self, system: str, number: int) -> Release | None:
        item = self._store.get(keys.release(system, number))
        return None if item is None else _release(item)

    def release_of(self, system: str, commit: str | None, digests: Mapping[str, str]) -> Release | None:
        """The release with this content, if there is one."""
        known = self._store.get(keys.release_hash(system, release_hash(commit, digests)))
        return None if known is None else self.release(system, known["number"])

    def ensure_release(
        self, system: str, commit: str | None, digests: Mapping[str, str], order: str = ""
    ) -> Release:
        """The release with this content, recorded now if it is new; numbers rise by one."""
        for _ in range(_ATTEMPTS):
            known = self.release_of(system, commit, digests)
            if known is not None:
                return known
            newest = next(self._store.query(f"SYSTEM#{system}", "RELEASE#", newest_first=True, limit=1), None)
            number = 1 if newest is None else newest["number"] + 1
            release = Release(system, number, dict(digests), commit, self.now(), order)
            item = {
                "number": number,
                "commit": commit,
                "digests": release.digests,
                "created_at": release.created_at,
                "hash": release.hash,
                "system": system,
                "order": order,
            }
            try:
                self._store.transact(
                    [
                        Put(keys.release(system, number), present(item), {"pk": None}),
                        Put(keys.release_hash(system, release.hash), {"number": number}, {"pk": None}),
                    ]
                )
            except ConditionFailedError:
                continue
            return release
        raise ConflictError(f"releases of {system} are recorded faster than they can be numbered")

    def adopt_release(self, system: str) -> None:
        """`r0`: what a system ran, image by image unknown, before Tidegate released anything."""
        content = {"number": 0, "digests": {}, "created_at": self.now(), "system": system}
        try:
            self._store.transact([Put(keys.release(system, 0), content, {"pk": None})])
        except ConditionFailedError:
            return

    # --- what runs

    def current(self, system: str, environment: str) -> Current | None:
        item = self._store.get(keys.current(system, environment))
        return None if item is None else Current.from_json(item)

    def standings(self, system: str, environment: str) -> list[Standing]:
        items = self._store.query(keys.place(system, environment), "RELEASE#")
        return [_standing(item) for item in items]

    def standing(self, system: str, environment: str, number: int) -> Standing | None:
        item = self._store.get(keys.standing(system, environment, number))
        return None if item is None else _standing(item)

    def current_write(self, system: str, environment: str, current: Current) -> Write:
        return Put(keys.current(system, environment), current.to_json())

    def standing_write(self, system: str, environment: str, standing: Standing) -> Write:
        return Put(keys.standing(system, environment, standing.release), standing.to_json())

    def guard_writes(self, system: str, environment: str, deployment_id: str, watch: Watch) -> list[Write]:
        """The alarms that may take back, once, what has just succeeded."""
        until = iso(self._clock.now() + watch.duration)
        item = {
            "system": system,
            "environment": environment,
            "deployment": deployment_id,
            "alarms": list(watch.alarms),
            "until": until,
            "ttl": self._epoch(watch.duration),
            "kind": keys.OPEN,
            "at": self.now(),
            "type": "guard",
        }
        return [Put(keys.guard(name, system, environment), item) for name in watch.alarms]

    def guards(self, alarm: str) -> list[Item]:
        """The environments whose release an alarm takes back."""
        return list(self._store.query(f"GUARD#{alarm}"))

    def end_guard(self, guard: Item) -> None:
        """Of one deployment; another's, which took its place, stays."""
        for name in guard["alarms"]:
            key = keys.guard(name, guard["system"], guard["environment"])
            try:
                self._store.transact([Delete(key, {"deployment": guard["deployment"]})])
            except ConditionFailedError:
                continue

    def adopt(self, system: str, environment: str, standing: Standing) -> None:
        """Remember what ran before the first release (`r0`), once."""
        key = keys.standing(system, environment, standing.release)
        try:
            self._store.transact([Put(key, standing.to_json(), {"pk": None})])
        except ConditionFailedError:
            return

    # --- waiting tasks

    def keep_token(self, awaited: str, execution: str, waiting: Item) -> None:
        """Store a task token under what it waits for (`steps.resuming`), and under the deployment that waits; a retried
        task replaces its own."""
        item = {**waiting, "awaited": awaited, "execution": execution, "type": "token"}
        item |= {"at": self.now(), "ttl": self._epoch(_TOKEN_FOR)}
        writes: list[Write] = [Put(keys.token(awaited, execution), {**item, "kind": keys.OPEN})]
        if "deployment" in item:
            writes.append(Put(keys.token_of(item["deployment"], awaited, execution), item))
        self._store.transact(writes)

    def waiting_for(self, awaited: str) -> list[Item]:
        return list(self._store.query(f"TOKEN#{awaited}"))

    def tokens_of(self, deployment_id: str) -> list[Item]:
        """Everything that a deployment waits for by a task token, but its turn for the lock."""
        return list(self._store.query(f"DEPLOYMENT#{deployment_id}", "TOKEN#"))

    def answered(self, awaited: str, execution: str, token: str, deployment: str | None = None) -> None:
        """Forget a token (of a deployment), unless a newer one took its place."""
        writes: list[Write] = [Delete(keys.token(awaited, execution), {"token": token})]
        if deployment is not None:
            writes.append(Delete(keys.token_of(deployment, awaited, execution)))
        try:
            self._store.transact(writes)
        except ConditionFailedError:
            return

    # --- events that were seen

    def seen(self, hash_: str) -> Item | None:
        return self._store.get(keys.seen(hash_))

    def mark_seen(self, hash_: str, content: Item) -> None:
        self._store.transact([self._seen(hash_, content, {})])

    def mark_unseen(self, hash_: str, content: Item) -> Item:
        """Mark it unless somebody has; gives the mark that is there."""
        try:
            self._store.transact([self._seen(hash_, content, {"pk": None})])
        except ConditionFailedError:
            return self.seen(hash_) or content
        return content

    def keep_duplicate(self, execution: str, event_id: str, at: str) -> None:
        """Of an event that asked at `at` (ISO 8601) for what an execution does already."""
        item = {"event": event_id, "asked_at": at, "ttl": self._epoch(_SEEN_FOR)}
        self._store.transact([Put(keys.duplicate(execution, event_id), item)])

    def duplicates_of(self, execution: str) -> list[tuple[str, str]]:
        """Id and time of each."""
        items = self._store.query(keys.duplicate(execution, "").pk)
        return [(item["event"], item["asked_at"]) for item in items]

    # --- how it is written

    def _seen(self, hash_: str, content: Item, expect: Mapping[str, Any]) -> Put:
        item = {**content, "at_first": self.now(), "ttl": self._epoch(_SEEN_FOR)}
        return Put(keys.seen(hash_), item, expect)

    def _epoch(self, later: timedelta) -> int:
        """The form that DynamoDB's TTL takes: seconds since 1970."""
        return int((self._clock.now() + later).timestamp())

    def _moment(self, text: str) -> str:
        try:
            return iso(parse_iso(text))
        except ValueError:
            return self.now()

    def deployment_write(self, deployment: Deployment) -> Write:
        """An open deployment, for a transaction with more in it."""
        return self._put_deployment(deployment, {"outcome": None})

    def _put_deployment(self, deployment: Deployment, expect: Mapping[str, Any]) -> Put:
        item = present(deployment.to_json())
        item |= {
            "kind": keys.OPEN if deployment.outcome is None else keys.DEPLOYMENTS,
            "at": deployment.started_at,
            "type": "deployment",
        }
        return Put(keys.deployment(deployment.system, deployment.environment, deployment.id), item, expect)

    def write(self, deployment: Deployment, writes: list[Write], fence: int | None) -> None:
        """All of it, under the fence where there is one."""
        checks: list[Check] = []
        if fence is not None:
            checks = [fenced(deployment.system, deployment.environment, deployment.id, fence)]
        try:
            self._store.transact([*checks, *writes])
        except ConditionFailedError as lost:
            if checks and lost.index == 0:
                raise LostLockError(
                    f"fence {fence} of {deployment.system}/{deployment.environment} is void: "
                    "another run owns the environment now"
                ) from None
            raise LostLockError(f"deployment {deployment.id} has ended already") from None


def _release(item: Item) -> Release:
    return Release(
        item["system"],
        item["number"],
        item["digests"],
        item.get("commit"),
        item.get("created_at", ""),
        item.get("order", ""),
    )


def _standing(item: Item) -> Standing:
    return Standing(
        item["release"],
        Verdict(item["verdict"]),
        item["deployment"],
        item["at"],
        item.get("task_definitions", {}),
    )
