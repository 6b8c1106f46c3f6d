"""A service that does not come back: the lock stays, the page goes out, and a person can get out of it."""

from __future__ import annotations

import json
import re

import pytest
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local import sample

from tests.e2e import scenarios
from tests.e2e.support import ROOT, SampleCloud
from tests.support.waiting import wait_until

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
    _free_the_lock_as_documented(cloud, dirty.id)
    wait_until(lambda: scenarios.sweep(cloud)["handed_over"], what="the sweep to wake the next", seconds=30)
    assert cloud.ended(follower).outcome is Outcome.SUCCEEDED


def _free_the_lock_as_documented(cloud: SampleCloud, deployment: str) -> None:
    """The second command of docs/operations.md, word for word."""
    page = (ROOT / "docs" / "operations.md").read_text()
    command = page[page.index("aws dynamodb update-item") :]
    words = dict(re.findall(r"--([a-z-]+) '(.*?)'(?: \\\n|\n)", command))
    place = {"shop": sample.SYSTEM, "production": sample.ENVIRONMENT}
    key = words["key"]
    for name, value in place.items():
        key = key.replace(f"#{name}", f"#{value}")
    values = words["expression-attribute-values"].replace("<deployment>", deployment)
    cloud.client("dynamodb").update_item(
        TableName="tidegate",
        Key=json.loads(key),
        ConditionExpression=words["condition-expression"],
        UpdateExpression=words["update-expression"],
        ExpressionAttributeNames=json.loads(words["expression-attribute-names"]),
        ExpressionAttributeValues=json.loads(values),
    )
