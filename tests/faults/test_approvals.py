"""Rows 14 and 15: an approval that never comes, comes twice, or comes too late; and a release that must pass elsewhere
first."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tidegate.domain.outcome import Outcome

from tests.e2e.scenarios import sweep
from tests.e2e.support import SampleCloud
from tests.faults.people import Answer, Person
from tests.faults.releases import SECONDS, Releases, fresh_ulid
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

# samconfig.toml, parameters of `local`: ApprovalTimeoutSeconds is 60; the rest is for a slow machine.
EXPIRED = 120.0


@dataclass(frozen=True)
class Unanswered:
    """A release that asked for an approval when the tests of this module began, and nobody answers."""

    shop: Releases
    deployment: str
    plan: str
    digest: str


@pytest.fixture(scope="module", autouse=True)
def unanswered(shared_cloud: SampleCloud) -> Unanswered:
    """It waits for a minute, while other tests run."""
    shop = Releases.of(shared_cloud, "nobody", settings={"approval": "required"})
    before = shop.system.digests()["api"]
    identity = shop.by_push(shared_cloud.push("nobody answers"), fresh_ulid())
    return Unanswered(shop, identity, shop.asks(identity).plan, before)


def test_row_15_an_approval_twice_or_after_a_rejection(cloud: SampleCloud) -> None:
    """Callback twice or late: the second decision about a release is refused, and recorded as refused.

    Red where `decide` (ledger/interventions.py) is not conditioned on `decision` being absent and `_may_decide`
    (steps/control.py) does not look at it.
    """
    shop = Releases.of(cloud, "twicesaid", settings={"approval": "required", "queue": "fifo"})
    ada, grace = Person.named(cloud, "ada"), Person.named(cloud, "grace")
    good, bad = cloud.push("approved"), cloud.push("rejected")
    approved = shop.by_push(good, fresh_ulid())
    plan = shop.asks(approved).plan
    # Held before it takes the lock, so that the second approval finds it open.
    cloud.control.hold("deploy", "AcquireLock", shop.name)
    try:
        grace.approve(approved, plan).done()
        _refused(shop, ada.approve(approved, plan), f"was approved by {grace.arn}")
        _refused(shop, ada.reject(approved, "too late"), f"was approved by {grace.arn}")
    finally:
        cloud.control.release("deploy", "AcquireLock", shop.name)
    assert shop.ended(approved).outcome is Outcome.SUCCEEDED
    _refused(shop, grace.approve(approved, plan), "waits for no approval")

    rejected = shop.by_push(bad, fresh_ulid())
    plan = shop.asks(rejected).plan
    grace.reject(rejected, "no").done()
    done = shop.ended(rejected)
    assert done.outcome is Outcome.REFUSED, done.explanation
    _refused(shop, ada.approve(rejected, plan), "waits for no approval")
    assert shop.path(approved).count("AwaitApproval") == 1
    for identity, what in ((approved, "approved"), (rejected, "rejected")):
        assert shop.timeline(identity).count(what) == 1, "one decision each"
    shop.at_rest(good.digest)


def test_another_release_in_between_is_a_plan_to_approve_again(cloud: SampleCloud) -> None:
    """What would be changed is another thing than what was approved.

    Red where `_is_approved` (steps/plan_release.py) does not compare the plan under the lock with the approved one.
    """
    shop = Releases.of(cloud, "between", settings={"approval": "required", "queue": "fifo"})
    grace = Person.named(cloud, "grace")
    one, two = cloud.push("approved first"), cloud.push("goes out first")
    first = shop.by_person(one)
    seen = shop.asks(first)
    second = shop.by_person(two)
    grace.approve(second, shop.asks(second).plan).done()
    assert shop.ended(second).outcome is Outcome.SUCCEEDED
    grace.approve(first, seen.plan).done()
    again = shop.asks(first, other_than=seen.plan)
    assert shop.lock().free, "given back while a person thinks"
    assert shop.system.digests() == {"api": two.digest}
    assert "ReleaseLock" in shop.path(first)
    grace.approve(first, again.plan).done()
    assert shop.ended(first).outcome is Outcome.SUCCEEDED
    assert shop.timeline(first).count("approved") == 2
    shop.at_rest(one.digest)


def test_a_release_must_have_succeeded_in_the_environment_before(cloud: SampleCloud) -> None:
    """Of `after: staging`. Red without the gate `after` (steps/gates.py, `_not_yet`)."""
    shop = Releases.of(cloud, "promoted", settings={"after": "staging"}, before="staging")
    build = cloud.push("to pass staging")
    early = shop.ended(shop.by_person(build))
    assert early.outcome is Outcome.REFUSED, early.explanation
    assert early.explanation.startswith("after: this release has not succeeded in staging"), early.explanation
    assert shop.ended(shop.start(commit=build.commit, environment="staging")).outcome is Outcome.SUCCEEDED
    assert shop.system.digests() != {"api": build.digest}, "production is another place"
    assert shop.ended(shop.by_person(build)).outcome is Outcome.SUCCEEDED
    shop.at_rest(build.digest)


def test_row_14_an_approval_that_never_comes_expires(cloud: SampleCloud, unanswered: Unanswered) -> None:
    """Approval never comes: expires, FailedClean, lock free; nothing changed. Row 15: an approval after that is refused
    and recorded.

    Red where `leave` (steps/ending.py) does not forget the token of the task that timed out.
    """
    shop, identity = unanswered.shop, unanswered.deployment
    done = shop.ended(identity, EXPIRED)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    path = shop.path(identity)
    assert path[2:] == ["AwaitApproval", "RecordFailure", "Clean?", "FailedClean"], path
    assert "nothing had been changed" in done.explanation
    late = Person.named(cloud, "grace").approve(identity, unanswered.plan)
    _refused(shop, late, "waits for no approval")
    sweep(cloud)
    assert shop.deployment(identity) == done
    assert shop.approval(identity) is None
    assert (shop.lock().free, shop.lock().fence) == (True, 0), "nobody has held it"
    shop.at_rest(unanswered.digest)


def _refused(shop: Releases, answer: Answer, part: str) -> None:
    """With a 409 that says why, and a record of who asked."""
    assert (answer.status, answer.code) == (409, "refused"), answer
    assert part in answer.message, answer
    recorded = wait_until(
        lambda: next((one for one in shop.commands() if one.get("refused") == answer.message), None),
        what="the record of the refused command",
        seconds=SECONDS,
    )
    assert recorded["by"]
