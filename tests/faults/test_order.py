"""Row 4: commits that come out of order, in front of an environment, in its queue, and before its approval."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome

from tests.e2e.support import SampleCloud
from tests.faults.people import Person
from tests.faults.releases import Releases, fresh_ulid

pytestmark = pytest.mark.emulator

# What a deployment does that gives way while it waits for the lock: it never comes to a roll.
_GIVES_WAY = ["StillPlanned?", "Conclude", "Clean?", "Unchanged"]


def test_row_04_an_older_build_that_finishes_last_is_superseded(cloud: SampleCloud) -> None:
    """Commits out of order (older build finishes last): the older one is Superseded unless a person asks.

    Red without the gate `order` (steps/gates.py, `_late`): the older push rolls over the newer one.
    """
    shop = Releases.of(cloud, "late")
    old, new = cloud.push("pushed first, ready last"), cloud.push("pushed last, ready first")
    earlier, later = fresh_ulid(), fresh_ulid()
    assert shop.ended(shop.by_push(new, later)).outcome is Outcome.SUCCEEDED
    before = shop.ecs_deployments()

    late = shop.ended(shop.by_push(old, earlier))
    assert late.outcome is Outcome.SUPERSEDED, late.explanation
    assert "a person may still release it" in late.explanation
    assert shop.path(late.id) == ["PlanRelease", "Planned?", "Conclude", "Clean?", "Unchanged"]
    assert shop.ecs_deployments() == before
    shop.at_rest(new.digest)

    asked = cloud.command.run(
        *("--local", "deploy", shop.name, "production", "--commit", old.commit, "--wait", "--json")
    )
    assert asked.document["outcome"] == "Succeeded", asked.output + asked.progress
    shop.at_rest(old.digest)
    # What a person put there does not let an older push in: the order never falls.
    again = shop.ended(shop.by_push(cloud.push("older than both"), earlier))
    assert again.outcome is Outcome.SUPERSEDED, again.explanation


def test_row_04_the_newest_takes_the_place_of_those_that_wait(cloud: SampleCloud) -> None:
    """Commits out of order, in a queue that is `latest`: the running one goes on, older waiting ones are Superseded,
    one that arrives later than a newer one gives way, a person's request gives way to a person's only.

    Red where `give_way` (steps/queueing.py) does nothing.
    """
    shop = Releases.of(cloud, "newest")
    pushes = ("running", "older", "late", "newer")
    builds = {name: cloud.push(name) for name in (*pushes, "asked", "asked again", "next")}
    order = {name: fresh_ulid() for name in pushes}
    gave_way: dict[str, tuple[Deployment, str]] = {}
    with shop.hanging():
        running = shop.by_push(builds["running"], order["running"])
        rolled = shop.rolling(running)
        older = shop.by_push(builds["older"], order["older"])
        shop.queued(older)
        newer = shop.by_push(builds["newer"], order["newer"])
        gave_way["older"] = shop.ended(older), newer
        shop.queued(newer)
        gave_way["late"] = shop.ended(shop.by_push(builds["late"], order["late"])), newer
        asked = shop.by_person(builds["asked"])
        gave_way["newer"] = shop.ended(newer), asked
        shop.queued(asked)
        again = shop.by_person(builds["asked again"], actor="grace")
        gave_way["asked"] = shop.ended(asked), again
        shop.queued(again)
        following = shop.by_push(builds["next"], fresh_ulid())
        shop.queued(following)
        assert "waiting for the lock" in shop.timeline(following)
        assert [waiter.deployment for waiter in shop.waiters()] == [again, following]
        assert shop.lock().owner == running, "the one that runs is left alone"
        assert shop.ecs_deployments()["api"][0][0] == rolled
    for name, (done, by) in gave_way.items():
        assert done.outcome is Outcome.SUPERSEDED, f"{name}: {done.explanation}"
        assert f"(deployment {by})" in done.explanation, name
        assert shop.path(done.id)[-4:] == _GIVES_WAY, name
        assert "RollWave" not in shop.path(done.id)
        assert cloud.ledger.rollouts(done.id) == []
    ended = [shop.ended(identity) for identity in (running, again, following)]
    assert [one.outcome for one in ended] == [Outcome.SUCCEEDED] * 3, [one.explanation for one in ended]
    assert [one.fence for one in ended] == sorted(one.fence for one in ended), "each in its turn"
    shop.at_rest(builds["next"].digest)


def test_row_04_in_a_queue_that_is_fifo_each_gets_its_turn(cloud: SampleCloud) -> None:
    """Commits out of order, in a queue that is `fifo`: nobody gives way, each is released in the order of arrival, and
    an older push whose turn comes after a newer one's is Superseded by the plan under the lock.

    Red without the gate `order` (steps/gates.py, `_late`) under the lock.
    """
    shop = Releases.of(cloud, "inturn", settings={"queue": "fifo"})
    builds = [cloud.push(f"number {number}") for number in range(4)]
    early, *orders = (fresh_ulid() for _ in range(4))
    with shop.hanging():
        turns = [shop.by_push(builds[0], orders[0])]
        shop.rolling(turns[0])
        for build, order in zip(builds[1:3], orders[1:], strict=True):
            turns.append(shop.by_push(build, order))
            shop.queued(turns[-1])
        late = shop.by_push(builds[3], early)
        shop.queued(late)
        assert [waiter.deployment for waiter in shop.waiters()] == [*turns[1:], late]
    ended = [shop.ended(identity) for identity in turns]
    assert [one.outcome for one in ended] == [Outcome.SUCCEEDED] * 3, [one.explanation for one in ended]
    assert [one.fence for one in ended] == sorted(one.fence for one in ended), "in the order of arrival"
    overtaken = shop.ended(late)
    assert overtaken.outcome is Outcome.SUPERSEDED, overtaken.explanation
    path = shop.path(late)
    assert path[path.index("PlanAgain") :] == ["PlanAgain", "Replanned?", "Conclude", "Clean?", "Unchanged"]
    shop.at_rest(builds[2].digest)


def test_row_04_the_same_while_waiting_for_approval(cloud: SampleCloud) -> None:
    """Commits out of order, while a person is to approve: an older one that waits is Superseded, one that arrives later
    than a newer one gives way, a person's request stays; none of them ever held the lock.

    Red where `give_way` (steps/queueing.py) does nothing.
    """
    shop = Releases.of(cloud, "decided", settings={"approval": "required"})
    builds = {name: cloud.push(name) for name in ("older", "asked", "newer", "late")}
    older = shop.by_push(builds["older"], fresh_ulid())
    shop.asks(older)
    asked = shop.by_person(builds["asked"])
    first = shop.asks(asked)
    # The person's request has taken the older push's place; the newer push takes nobody's.
    done = shop.ended(older)
    assert done.outcome is Outcome.SUPERSEDED, done.explanation
    between, latest = fresh_ulid(), fresh_ulid()
    newer = shop.by_push(builds["newer"], latest)
    approval = shop.asks(newer)
    late = shop.by_push(builds["late"], between)
    gave_way = shop.ended(late)
    assert gave_way.outcome is Outcome.SUPERSEDED, gave_way.explanation
    assert f"(deployment {newer})" in gave_way.explanation
    for identity in (older, late):
        path = shop.path(identity)
        assert path[2:] == ["AwaitApproval", "Approved?", "Conclude", "Clean?", "Unchanged"], path
    assert shop.lock().fence == 0, "nobody has held the lock"
    assert shop.approval(asked) == first

    boss = Person.named(cloud, "grace")
    boss.approve(newer, approval.plan).done()
    assert shop.ended(newer).outcome is Outcome.SUCCEEDED
    boss.reject(asked, "not any more").done()
    assert shop.ended(asked).outcome is Outcome.REFUSED
    shop.at_rest(builds["newer"].digest)
