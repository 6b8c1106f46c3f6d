"""What a release must pass before it goes out, and what still takes it back when it is: people, freezes, alarms, smoke
checks; and secrets whose consumers start again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.intervention import Approval
from tidegate.domain.outcome import Outcome
from tidegate.ledger.interventions import Interventions
from tidegate.steps.resuming import awaited_alarm, awaited_approval
from tidegate_local import sample

from tests.e2e import scenarios
from tests.e2e.scenarios import scenario, sweep
from tests.e2e.support import SampleCloud
from tests.faults.people import Person
from tests.support.waiting import wait_until

PLACE = sample.SYSTEM, sample.ENVIRONMENT


@scenario
def somebody_elses_approval_lets_a_release_out(cloud: SampleCloud) -> None:
    """The author's own does not."""
    scenarios.listen(cloud)
    ada, grace = Person.named(cloud, "ada"), Person.named(cloud, "grace")
    with _environment(cloud, approval={"by": "other"}):
        build = cloud.push("to be approved")
        cloud.announce(build, "ada")
        deployment = cloud.arrived(build)
        asked = _asks(cloud, deployment)
        before = cloud.digests()
        refused = ada.approve(deployment.id, asked.plan)
        assert (refused.status, refused.code) == (409, "refused"), refused
        assert "somebody else has to approve it" in refused.message
        assert cloud.lock_is_free(), "nobody holds it while a person thinks"
        assert cloud.digests() == before
        scenarios.heard(cloud, "Deployment Awaiting Approval", deployment.id)
        grace.approve(deployment.id, asked.plan).done()
        done = scenarios._ended(cloud, deployment)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert f"approved by {grace.arn}" in [line.detail for line in cloud.ledger.timeline(done.id)]
    cloud.wait_for_free_lock()
    assert set(cloud.digests().values()) == {build.digest}


@scenario
def a_plan_that_has_changed_is_approved_again(cloud: SampleCloud) -> None:
    """Infrastructure as code registers another revision while a person thinks."""
    grace = Person.named(cloud, "grace")
    scenarios._settle(cloud)
    with _environment(cloud, approval="required"):
        build, before = cloud.push("approved twice"), cloud.digests()
        cloud.announce(build, "ada")
        deployment = cloud.arrived(build)
        first = _asks(cloud, deployment)
        revision = scenarios._revision(cloud, {})
        grace.approve(deployment.id, first.plan).done()
        second = _asks(cloud, deployment, other_than=first.plan)
        assert cloud.lock_is_free(), "it was given back"
        assert cloud.digests() == before, "what was approved is not what would be released"
        refused = grace.approve(deployment.id, first.plan)
        assert (refused.status, refused.document["error"]["field"]) == (409, "plan"), refused
        grace.approve(deployment.id, second.plan).done()
        done = scenarios._ended(cloud, deployment)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert done.plan is not None
    assert done.plan.service("api").base == revision
    cloud.wait_for_free_lock()
    assert set(cloud.digests().values()) == {build.digest}


@scenario
def a_rejected_release_changes_nothing(cloud: SampleCloud) -> None:
    grace = Person.named(cloud, "grace")
    scenarios._settle(cloud)
    with _environment(cloud, approval="required"):
        build, before = cloud.push("to be rejected"), cloud.digests()
        cloud.announce(build, "ada")
        deployment = cloud.arrived(build)
        asked = _asks(cloud, deployment)
        grace.reject(deployment.id, "not on a Friday").done()
        done = scenarios._ended(cloud, deployment)
        again = grace.approve(deployment.id, asked.plan)
    assert done.outcome is Outcome.REFUSED, done.explanation
    assert done.explanation == f"rejected by {grace.arn}: not on a Friday"
    assert again.status == 409, again
    assert cloud.digests() == before
    assert cloud.lock_is_free()


@scenario
def a_freeze_holds_up_releases_and_no_rollback(cloud: SampleCloud) -> None:
    grace = Person.named(cloud, "grace")
    first, second, third = (cloud.push(note) for note in ("to go back to", "to leave", "frozen out"))
    for build in (first, second):
        assert scenarios._released(cloud, build).outcome is Outcome.SUCCEEDED
    grace.freeze(*PLACE, "an incident").done()
    try:
        document = scenarios._machine(cloud, "deploy", {"commit": third.commit})
        assert document["outcome"] == "Refused", document
        assert document["reason"].startswith(f"freeze: {'/'.join(PLACE)} is frozen"), document
        assert "an incident" in document["reason"]
        assert set(cloud.digests().values()) == {second.digest}
        back = scenarios._machine(cloud, "rollback", {"to": "previous", "reason": "slow", "actor": "ada"})
        assert back["outcome"] == "Succeeded", back
        assert set(cloud.digests().values()) == {first.digest}
    finally:
        lifted = grace.unfreeze(*PLACE)
    assert lifted.done()["did"] == "unfrozen"
    assert scenarios._machine(cloud, "deploy", {"commit": third.commit})["outcome"] == "Succeeded"
    assert grace.unfreeze(*PLACE).status == 409, "nothing is left to lift"


@scenario
def an_alarm_in_the_bake_takes_the_whole_release_back(cloud: SampleCloud) -> None:
    """At once: the bake would go on for half an hour."""
    scenarios._settle(cloud)
    before = cloud.digests()
    with _alarm(cloud) as alarm, _environment(cloud, bake={"for": "30m", "alarms": [alarm]}):
        build, deployment = _baking(cloud, alarm)
        assert set(cloud.digests().values()) == {build.digest}, "both services have rolled"
        _ring(cloud, alarm)
        done = scenarios._ended(cloud, deployment)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert alarm in done.explanation
    assert cloud.digests() == before
    cloud.wait_for_free_lock()
    assert "an alarm rang during the bake" in cloud.timeline(done)
    assert [report.alarms for report in cloud.ledger.reports(done.id)] == [(alarm,)]


@scenario
def an_alarm_that_nobody_heard_of_ends_a_bake(cloud: SampleCloud) -> None:
    scenarios._settle(cloud)
    before = cloud.digests()
    with _alarm(cloud) as alarm, _environment(cloud, bake={"for": "30m", "alarms": [alarm]}):
        _, deployment = _baking(cloud, alarm)
        cloud.control.silence("aws.cloudwatch")
        try:
            _ring(cloud, alarm)
            sweep(cloud)
        finally:
            cloud.control.end_silence("aws.cloudwatch")
        done = scenarios._ended(cloud, deployment)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert cloud.digests() == before
    cloud.wait_for_free_lock()


@scenario
def a_bake_without_an_alarm_ends_well(cloud: SampleCloud) -> None:
    with _alarm(cloud) as alarm, _environment(cloud, bake={"for": "2s", "alarms": [alarm]}):
        build = cloud.push("baked")
        done = scenarios._released(cloud, build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert "baking" in cloud.timeline(done)
    assert set(cloud.digests().values()) == {build.digest}


@scenario
def an_alarm_after_a_success_rolls_back_once(cloud: SampleCloud) -> None:
    before = cloud.push("to go back to")
    assert scenarios._released(cloud, before).outcome is Outcome.SUCCEEDED
    with _alarm(cloud) as alarm, _environment(cloud, guard={"for": "30m", "alarms": [alarm]}):
        done = scenarios._released(cloud, cloud.push("guarded"))
        assert done.outcome is Outcome.SUCCEEDED, done.explanation
        _ring(cloud, alarm)
        back = cloud.ended(_rollback_after(cloud, done))
        cloud.wait_for_free_lock()
        _ring(cloud, alarm)
        sweep(cloud)
    assert (back.outcome, back.actor) == (Outcome.SUCCEEDED, "guard"), back.explanation
    assert set(cloud.digests().values()) == {before.digest}
    assert cloud.timeline(done)[-1] == "its guard rang"
    assert cloud.history(1)[0].id == back.id, "once"


@scenario
def a_person_takes_back_what_runs_and_cannot_unlock_it(cloud: SampleCloud) -> None:
    scenarios._settle(cloud)
    before, grace = cloud.digests(), Person.named(cloud, "grace")
    build = cloud.push("to take back")
    with scenarios._fault(cloud, "sample-worker", "hang"):
        cloud.announce(build)
        running = scenarios._rolling(cloud, cloud.arrived(build), "worker")
        refused = grace.unlock(*PLACE, "it hangs")
        assert (refused.status, refused.code) == (409, "refused"), refused.message
        assert "holds the lock and runs" in refused.message
        assert grace.abort(running.id, "it hangs").done()["did"] == "aborting"
    done = scenarios._ended(cloud, running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert done.explanation.endswith("user/grace: it hangs"), done.explanation
    cloud.wait_for_free_lock()
    assert cloud.digests() == before
    late = grace.abort(running.id, "again")
    assert late.status == 409, late.message


@scenario
def a_smoke_check_that_fails_takes_the_whole_release_back(cloud: SampleCloud) -> None:
    """The last service to roll is not well; one that is well is released."""
    scenarios._settle(cloud)
    before = cloud.digests()
    with _health(200) as well, _health(503) as unwell:
        with _smoke(cloud, api=well, worker=unwell):
            done = scenarios._released(cloud, cloud.push("not well"))
        assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
        assert "503" in done.explanation
        assert cloud.digests() == before
        with _smoke(cloud, api=well, worker=well):
            build = cloud.push("well")
            assert scenarios._released(cloud, build).outcome is Outcome.SUCCEEDED
    assert set(cloud.digests().values()) == {build.digest}


@scenario
def a_secret_with_another_value_restarts_its_consumers(cloud: SampleCloud) -> None:
    """And nobody else; once, though the event comes again."""
    name = scenarios._fresh("sample/restarting")
    secrets = cloud.client("secretsmanager")
    secret = secrets.create_secret(Name=name, SecretString="one")["ARN"]
    base = scenarios._revision(cloud, {"A": secret})
    try:
        assert scenarios._released(cloud, cloud.push("takes a secret")).outcome is Outcome.SUCCEEDED
        cloud.wait_for_settled_services()
        before = _primaries(cloud)
        version = secrets.put_secret_value(SecretId=secret, SecretString="two")["VersionId"]
        restart = wait_until(
            lambda: next(iter(_restarts(cloud, secret)), None), what="a restart", seconds=scenarios.PATIENCE
        )
        done = scenarios._ended(cloud, restart)
        assert done.outcome is Outcome.SUCCEEDED, done.explanation
        after = _primaries(cloud)
        assert after["sample-api"][0] != before["sample-api"][0], "it has started again"
        assert after["sample-api"][1] == before["sample-api"][1], "as it was"
        assert after["sample-worker"] == before["sample-worker"], "it takes no secret"
        assert _again(cloud, name, secret, version) == ["sample/production: dropped a duplicate"]
        assert [entry.id for entry in _restarts(cloud, secret)] == [done.id]
        assert _primaries(cloud) == after
    finally:
        scenarios._revision(cloud, {}, base)
        cloud.wait_for_free_lock()


# --- how they are told


@contextmanager
def _environment(cloud: SampleCloud, **settings: Any) -> Iterator[None]:
    """The environment's manifest with these settings more."""
    with _manifest(cloud) as manifest:
        manifest["environments"][sample.ENVIRONMENT] |= settings
        cloud.ports.registry.put_manifest(*PLACE, manifest)
        yield


@contextmanager
def _smoke(cloud: SampleCloud, **urls: str) -> Iterator[None]:
    """Each service is asked there when it has rolled, for two seconds."""
    with _manifest(cloud) as manifest:
        for service, url in urls.items():
            manifest["services"][service]["smoke"] = {"url": url, "within": "2s"}
        cloud.ports.registry.put_manifest(*PLACE, manifest)
        yield


@contextmanager
def _manifest(cloud: SampleCloud) -> Iterator[dict[str, Any]]:
    """A copy to change; the one that was there comes back."""
    registry = cloud.ports.registry
    known = cast("dict[str, Any]", registry.manifest(*PLACE))
    try:
        yield json.loads(json.dumps(known))
    finally:
        registry.put_manifest(*PLACE, known)


def _asks(cloud: SampleCloud, deployment: Deployment, other_than: str = "") -> Approval:
    """The approval that it waits for, of another plan than that."""
    people = Interventions(cloud.ports.store, cloud.ports.clock)

    def look() -> Approval | None:
        known = people.approval(*PLACE, deployment.id)
        if known is None or known.decision is not None or known.plan == other_than:
            return None
        return known if cloud.ledger.waiting_for(awaited_approval(deployment.id)) else None

    return wait_until(look, what="the question for approval", seconds=scenarios.PATIENCE)


@contextmanager
def _alarm(cloud: SampleCloud) -> Iterator[str]:
    """A quiet one of its own; its name."""
    name, cloudwatch = scenarios._fresh("sample-bake"), cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="sample",
        MetricName="5xx",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")
    try:
        yield name
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name])


def _ring(cloud: SampleCloud, alarm: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="5xx")


def _baking(cloud: SampleCloud, alarm: str) -> tuple[sample.Build, Deployment]:
    """A release whose services have all rolled, and which waits for that alarm."""
    build = cloud.push("to bake")
    cloud.announce(build)
    deployment = cloud.arrived(build)
    wait_until(
        lambda: cloud.ledger.waiting_for(awaited_alarm(alarm)), what="the bake", seconds=scenarios.PATIENCE
    )
    return build, deployment


def _rollback_after(cloud: SampleCloud, deployment: Deployment) -> Deployment:
    """The rollback that comes next."""

    def look() -> Deployment | None:
        newest = cloud.history(1)[0]
        return newest if newest.id != deployment.id and newest.machine is Machine.ROLLBACK else None

    return wait_until(look, what="a rollback", seconds=scenarios.PATIENCE)


@contextmanager
def _health(status: int) -> Iterator[str]:
    """A service that answers so; its address."""

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name that it has there
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _restarts(cloud: SampleCloud, secret: str) -> list[Deployment]:
    return [
        entry for entry in cloud.history() if entry.restart and entry.request["restart"]["secret"] == secret
    ]


def _primaries(cloud: SampleCloud) -> Mapping[str, tuple[str, str]]:
    """The ECS deployment of each service, and its task definition."""
    answer = cloud.client("ecs").describe_services(cluster=sample.CLUSTER, services=list(sample.SERVICES))
    return {
        service["serviceName"]: (service["deployments"][0]["id"], service["deployments"][0]["taskDefinition"])
        for service in answer["services"]
    }


def _again(cloud: SampleCloud, name: str, secret: str, version: str) -> list[str]:
    """What the function `wake` does with a second copy of the event."""
    event = {
        "id": "again",
        "source": "aws.secretsmanager",
        "detail-type": "Secret Label Updated",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [secret],
        "detail": {"name": name, "labelUpdated": "AWSCURRENT", "versionId": version},
    }
    answer = cloud.client("lambda").invoke(FunctionName="tidegate-wake", Payload=json.dumps(event).encode())
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return list(body["started"])
