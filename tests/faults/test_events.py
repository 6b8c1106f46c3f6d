"""Rows 1, 5 and 15: events that come twice, late, or never."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from tidegate.domain.build import BuildOutcome
from tidegate.domain.deployment import Phase
from tidegate.domain.outcome import Outcome
from tidegate.steps.resuming import ALARM
from tidegate_local import sample

from tests.e2e import build_scenarios, scenarios
from tests.e2e.support import SampleCloud
from tests.faults.releases import SECONDS, Releases, fresh_ulid, invoke
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

# The sweep runs once a minute; the rest is for a slow machine.
SWEPT = 80.0
AGAIN = "the same event came again"
NOBODY = {"did": "nothing", "why": "nobody waits for it"}


def test_row_01_ten_times_at_once_is_one_deployment(cloud: SampleCloud) -> None:
    """The same event twice, or ten times at once: one deployment; the rest recorded as duplicates.

    Red where `_once` (steps/releasing.py) does not write down that an execution which it found running was another
    event's, or `_open` (steps/plan_release.py) does not look for what came before it.
    """
    shop = Releases.of(cloud, "ten", ("api", "worker"))
    build = cloud.push("ten times at once")
    event = shop.event(build)
    with ThreadPoolExecutor(10) as pool:
        events = list(pool.map(cloud.put_event, [event] * 10))
    assert len(set(events)) == 10
    done = shop.ended(shop.arrived(build.commit).id)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation

    def recorded() -> bool:
        return shop.timeline(done.id).count(AGAIN) >= 9

    wait_until(recorded, what="the nine others in its timeline", seconds=SECONDS)
    late = cloud.put_event(event)
    wait_until(lambda: late in _told_of(shop, done.id), what="the one that is late", seconds=SECONDS)
    told = _told_of(shop, done.id)
    assert len(told) == len(set(told)) == 10, "each once, and the one that started it never"
    assert set(told) < {*events, late}
    assert [entry.id for entry in shop.history()] == [done.id]
    assert shop.path(done.id).count("RollWave") == 1
    shop.at_rest(build.digest)


def test_row_05_a_lost_event_is_made_good_within_a_minute(cloud: SampleCloud) -> None:
    """ECS event lost, late, duplicate, and the alarm of a bake lost: the sweep decides within a minute; no double
    effect.

    Red where the sweep (steps/sweep.py, `tokens`) does not resume what waits.
    """
    alarm = _alarm(cloud)
    bakes = Releases.of(cloud, "bakes", ("api", "worker"), {"bake": {"for": "30m", "alarms": [alarm]}})
    quiet = Releases.of(cloud, "unheard", ("api", "worker"))
    before = bakes.system.task_definitions()
    undone, good = cloud.push("undone by an alarm"), cloud.push("nobody hears of it")
    baking = bakes.by_push(undone, fresh_ulid())
    wait_until(lambda: cloud.ledger.waiting_for(ALARM + alarm), what="the bake", seconds=SECONDS)
    assert bakes.deployment(baking).phase is Phase.BAKING
    with _silence(cloud, "aws.cloudwatch") as rang, _silence(cloud, "aws.ecs") as rolled:
        cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="5xx")
        unheard = quiet.by_push(good, fresh_ulid())
        done = quiet.ended(unheard, SWEPT)
        said = "an alarm rang during the bake"
        wait_until(lambda: said in bakes.timeline(baking), what=said, seconds=SWEPT)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert [path.count("RollWave") for path in (quiet.path(unheard), bakes.path(baking))] == [1, 1]

    # The way back waits for ECS as well, whose events come late now, and twice.
    cloud.control.put_events(rolled)
    reverted = bakes.ended(baking, SWEPT)
    assert reverted.outcome is Outcome.FAILED_CLEAN, reverted.explanation
    assert alarm in reverted.explanation
    assert bakes.path(baking)[-1] == "FailedClean"
    assert bakes.system.task_definitions() == before
    wait_until(lambda: bakes.lock().free, what="a free lock", seconds=SECONDS)

    assert rang
    _nothing_comes_of(quiet, unheard, [*rolled, *rang])
    _nothing_comes_of(bakes, baking, [*rolled, *rang])
    quiet.at_rest(good.digest)


def test_row_05_an_event_that_comes_too_early_decides_nothing(cloud: SampleCloud) -> None:
    """ECS event out of order: what ECS says when it is asked decides, not what an event says.

    Red where `_rollouts` (steps/resuming.py) believes an event: here a COMPLETED comes before ECS has completed.
    """
    shop = Releases.of(cloud, "early")
    build = cloud.push("not there yet")
    with shop.hanging():
        identity = shop.by_push(build, fresh_ulid())
        early = _ecs_event(shop, shop.rolling(identity))
        assert invoke(cloud, "wake", early) == ({"did": "looked", "resumed": 0}, False)
        assert shop.deployment(identity).outcome is None
    done = shop.ended(identity)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert shop.timeline(identity).count("ECS deployment completed") == 1
    shop.at_rest(build.digest)


def test_row_04_and_05_builds_that_are_heard_of_late_and_twice(cloud: SampleCloud) -> None:
    """CodeBuild event late and duplicate, and commits out of order with real builds: the older push whose build is
    heard of last is Superseded and never released; an event that comes again starts nothing.

    Red where `publish_images` does not ask `overtaken_by` (ledger/builds.py).
    """
    scenarios._settle(cloud)
    with build_scenarios.at_work(cloud) as developer, _without_sweep(cloud):
        with _silence(cloud, build_scenarios.CODEBUILD) as swallowed:
            old = developer.push("pushed first", build_scenarios._version())
            new = developer.push("pushed last", build_scenarios._version())
            by_commit = _ended_builds(cloud, old, new)
        told = {
            commit: [event for event in swallowed if event["detail"]["build-id"].endswith(build)]
            for commit, build in by_commit.items()
        }
        assert all(told.values()), swallowed
        cloud.control.put_events(told[new])
        newer = build_scenarios._released(developer, build_scenarios._built(developer, new))
        assert newer.outcome is Outcome.SUCCEEDED, newer.explanation
        cloud.control.put_events(told[old])
        older = build_scenarios._built(developer, old)
        assert older.outcome is BuildOutcome.SUPERSEDED, older.explanation
        assert dict(older.deployments) == {}
        known = [entry.id for entry in cloud.history()]
        for event in swallowed:
            _, failed = invoke(cloud, "wake", event)
            assert not failed
        assert [entry.id for entry in cloud.history()] == known
        assert old not in [entry.commit for entry in cloud.history()]
        release = cloud.ledger.release(sample.SYSTEM, newer.release or 0)
        assert release is not None
        assert set(cloud.digests().values()) == {release.digests["app"]}


def test_row_05_a_build_event_that_is_lost(cloud: SampleCloud) -> None:
    """CodeBuild event lost: the sweep decides.

    Red where the sweep (steps/sweep.py, `tokens`) or `_builds` (steps/resuming.py) leaves builds out.
    """
    build_scenarios.a_build_event_that_is_lost(cloud)


def test_row_15_a_callback_twice_or_after_the_end(cloud: SampleCloud) -> None:
    """Callback twice or late: ECS's completion again while the next wave rolls and after the end, an alarm after the
    bake: ignored.

    Red where `leave` (steps/ending.py) does not forget what a run still waited for: then the alarm finds a bake that
    is over.
    """
    alarm = _alarm(cloud)
    shop = Releases.of(cloud, "twice", settings={"bake": {"for": "2s", "alarms": [alarm]}})
    build = cloud.push("told twice")
    with shop.hanging():
        identity = shop.by_push(build, fresh_ulid())
        completed = _ecs_event(shop, shop.rolling(identity))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda event: invoke(cloud, "wake", event), [completed] * 4))
    assert not any(failed for _, failed in answers), answers
    done = shop.ended(identity)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert shop.path(identity)[-4:] == ["Bake", "RecordSuccess", "Recorded?", "Succeeded"]
    told = shop.timeline(identity)
    assert (told.count("ECS deployment completed"), told.count("baking")) == (1, 1)
    with _silence(cloud, "aws.cloudwatch") as rang:
        cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="late")
        wait_until(lambda: cloud.control.swallowed("aws.cloudwatch"), what="the alarm's event")
    _nothing_comes_of(shop, identity, [completed, *rang])
    shop.at_rest(build.digest)


# --- how they are told


def _told_of(shop: Releases, identity: str) -> list[str]:
    """The ids of the duplicates in a timeline."""
    lines = shop.cloud.ledger.timeline(identity)
    return [line.detail or "" for line in lines if line.what == AGAIN]


def _nothing_comes_of(shop: Releases, identity: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Events that come again, twice, when all is over."""
    before = (shop.timeline(identity), shop.ecs_deployments(), shop.lock(), len(shop.history()))
    done = shop.deployment(identity)
    for event in [*events] * 2:
        if event["detail-type"] in ("ECS Deployment State Change", "CloudWatch Alarm State Change"):
            assert invoke(shop.cloud, "wake", event) == (NOBODY, False)
    assert (shop.timeline(identity), shop.ecs_deployments(), shop.lock(), len(shop.history())) == before
    assert shop.deployment(identity) == done


def _ecs_event(shop: Releases, ecs_deployment: str) -> dict[str, Any]:
    """That ECS has completed it (ECS developer guide, "Service deployment state change events")."""
    service = shop.system.described()["api"]["serviceArn"]
    return {
        "id": str(uuid4()),
        "source": "aws.ecs",
        "detail-type": "ECS Deployment State Change",
        "resources": [service],
        "detail": {
            "eventType": "INFO",
            "eventName": "SERVICE_DEPLOYMENT_COMPLETED",
            "deploymentId": ecs_deployment,
        },
    }


def _alarm(cloud: SampleCloud) -> str:
    """A quiet alarm of its own; its name."""
    name = f"faults-{uuid4().hex[:8]}"
    cloudwatch = cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="faults",
        MetricName="5xx",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")
    return name


@contextmanager
def _silence(cloud: SampleCloud, source: str) -> Iterator[list[dict[str, Any]]]:
    """Nothing is heard of a source meanwhile; afterwards the list has what it said."""
    said: list[dict[str, Any]] = []
    cloud.control.silence(source)
    try:
        yield said
    finally:
        said += cloud.control.end_silence(source)


@contextmanager
def _without_sweep(cloud: SampleCloud) -> Iterator[None]:
    """It would hear of the older build by itself, and sometimes before the newer one is heard of."""
    cloud.client("events").disable_rule(Name="tidegate-sweep")
    try:
        yield
    finally:
        cloud.client("events").enable_rule(Name="tidegate-sweep")


def _ended_builds(cloud: SampleCloud, *commits: str) -> dict[str, str]:
    """The CodeBuild builds of commits, once each has ended; the last part of their ids."""
    codebuild = cloud.client("codebuild")

    def look() -> dict[str, str] | None:
        ids = codebuild.list_builds_for_project(projectName=build_scenarios.PROJECT)["ids"]
        builds = codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
        found = {
            commit: str(build["id"])
            for build in builds
            for commit in commits
            if build["buildComplete"] and commit in str(build)
        }
        return found if len(found) == len(commits) else None

    return wait_until(look, what="both builds to end", seconds=2 * SECONDS, pause=0.2)
