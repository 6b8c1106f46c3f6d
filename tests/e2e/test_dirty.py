"""A service that does not come back: the lock stays, the page goes out, and a person can get out of it."""

from __future__ import annotations

import shlex

import pytest
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local import sample

from tests.e2e import scenarios
from tests.e2e.support import ROOT, SampleCloud

pytestmark = pytest.mark.emulator


def test_what_does_not_come_back_keeps_the_lock_until_a_person_frees_it(cloud: SampleCloud) -> None:
    scenarios.listen(cloud)
    assert cloud.released(cloud.push("before the dirty one")).outcome is Outcome.SUCCEEDED
    cloud.control.set_fault("sample-worker", "crash", all=True)
    build = cloud.push("nothing of it comes back")
    cloud.announce(build)
    dirty = cloud.ended(cloud.arrived(build))
    assert dirty.outcome is Outcome.FAILED_DIRTY, dirty.explanation
    assert dirty.services["worker"]["outcome"] == "NotReverted"
    assert dirty.services["api"]["outcome"] == "Reverted"
    assert "not back on the previous release: worker" in dirty.explanation

    lock = Locks(cloud.ports.store, cloud.ports.clock).read(sample.SYSTEM, sample.ENVIRONMENT)
    assert lock.owner == dirty.id, "nothing may move it further"
    assert scenarios.heard(cloud, "Deployment Failed", dirty.id)["severity"] == "critical"
    shown = cloud.command.run("--local", "show", dirty.id)
    assert shown.exit_code == 0
    assert "FailedDirty" in shown.output

    waiting = cloud.push("waits behind it")
    cloud.announce(waiting)
    follower = cloud.arrived(waiting)
    scenarios.queued(cloud, follower)

    cloud.control.clear_fault("sample-worker")
    plan = dirty.plan
    assert plan is not None
    back = plan.service("worker")
    cloud.client("ecs").update_service(
        cluster=sample.CLUSTER, service=back.service, taskDefinition=back.previous, forceNewDeployment=True
    )
    cloud.wait_for_settled_services()
    unlocked = cloud.command.run(*_as_documented("unlock"))
    assert unlocked.exit_code == 0, unlocked.output + unlocked.progress
    assert cloud.ended(follower).outcome is Outcome.SUCCEEDED


def _as_documented(command: str) -> list[str]:
    """The command of docs/operations.md, word for word, for the sample system."""
    page = (ROOT / "docs" / "operations.md").read_text()
    line = page[page.index(f"\ntidegate {command} ") :].strip().partition("\n")[0]
    place = {"shop": sample.SYSTEM, "production": sample.ENVIRONMENT}
    return ["--local", *(place.get(word, word) for word in shlex.split(line)[1:])]
