"""What a rotation does to a secret and to whoever takes it, as stories that end in one certain way.

Like those of `tests.e2e.scenarios`, each needs nothing of another, and runs under IAM enforcement; each makes a system,
a database and users of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pg8000.native
from tidegate.domain.outcome import Outcome
from tidegate.ledger.rotations import Rotations

from tests.e2e import histories, scenarios
from tests.e2e.rotating_system import TAKEN_OVER_SECONDS, TURNS_SECONDS, Rotating, Shared
from tests.e2e.scenarios import heard, scenario, sweep
from tests.e2e.support import SampleCloud
from tests.faults.people import Person
from tests.faults.stage import unswept
from tests.support.waiting import wait_until


@scenario
def a_secret_is_rotated(cloud: SampleCloud) -> None:
    """A canary first, and every consumer after the promotion; then the old credential opens nothing."""
    shop, database = Rotating.of_database(cloud, "rotated")
    shop.released("before the rotation")
    old, rollouts = shop.value(), shop.rollouts()
    first, second = database.users
    version = shop.version
    with shop.stopped_in("RollWave") as come:
        running = shop.of(shop.begin(reason="a laptop was lost"))
        come()
        promoted, before = shop.version, shop.tasks()
        cloud.control.release("rotate", "RollWave", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.ROTATED, done.explanation
    new = shop.value()
    assert (old["username"], new["username"]) == (first, second)
    assert {**new, "username": first, "password": old["password"]} == old, "all else stays"
    assert database.admits(new["username"], new["password"])
    assert not database.admits(old["username"], old["password"])
    assert (shop.at("AWSPREVIOUS"), shop.at("AWSPENDING")) == (version, None)
    assert promoted == shop.version != version
    assert shop.started_since(before) == ["api", "worker"], "all of them after the promotion"
    assert shop.order(done) == ["api", "worker"], "the canary first"
    assert shop.rollouts() == {key: number + 1 for key, number in rollouts.items()}
    standing = shop.standing
    assert standing is not None
    assert (standing.version, standing.user, standing.deployment) == (shop.version, second, done.id)
    assert (standing.actor, standing.attempt_outcome) == ("ada", "Rotated")
    heard(cloud, "Rotation Succeeded", done.id)
    heard_late = told_of(shop, shop.version, standing.promoted_at)
    assert heard_late == {"did": "nothing", "why": "a rotation looks after its consumers"}
    build = shop.released("after the rotation")
    assert set(shop.system.digests().values()) == {build.digest}
    assert [entry.machine.value for entry in shop.history()] == ["deploy", "rotate", "deploy"], "no restart"


@scenario
def a_second_rotation_comes_right_after_the_first(cloud: SampleCloud) -> None:
    """Back to the user of before, with another password; who it is that nobody uses is found out each time."""
    shop, database = Rotating.of_database(cloud, "twice")
    values = [shop.value()]
    for _ in range(2):
        done = shop.rotated()
        assert done.outcome is Outcome.ROTATED, done.explanation
        values.append(shop.value())
    first, second = database.users
    assert [value["username"] for value in values] == [first, second, first]
    assert len({value["password"] for value in values}) == 3
    assert [database.admits(value["username"], value["password"]) for value in values] == [False, False, True]


@scenario
def a_canary_that_cannot_start_has_the_old_value_made_current_first(cloud: SampleCloud) -> None:
    """Then every consumer starts again: also the one that had not rolled, since ECS may have started its tasks with the
    new value meanwhile."""
    shop, database = Rotating.of_database(cloud, "canary")
    version, old, rollouts = shop.version, shop.value(), shop.rollouts()
    with shop.only_with(version, "api"), shop.stopped_in("RevertWave") as come:
        running = shop.of(shop.begin())
        come()
        assert shop.version == version, "before anything goes back"
        tasks = shop.tasks()
        shop.cloud.control.release("rotate", "RevertWave", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "the value before is current again" in done.explanation
    states = histories.path(cloud, done.execution)
    assert "BeginRetire" not in states
    assert states.index("RestoreCurrent") < states.index("BeginCompensation") < states.index("RevertWave")
    assert (shop.version, shop.value(), shop.at("AWSPENDING")) == (version, old, None)
    assert database.admits(old["username"], old["password"])
    assert shop.started_since(tasks) == ["api", "worker"], "all of them with the old value"
    assert shop.order(done) == ["api"]
    assert "worker" in shop.order(done, "reverting"), "by the rotation itself"
    assert shop.rollouts()["worker"] == rollouts["worker"] + 1
    heard(cloud, "Rotation Failed", done.id)
    standing = shop.standing
    assert standing is not None
    assert (standing.version, standing.attempt, standing.attempt_outcome) == ("", done.id, "FailedClean")
    again = shop.rotated()
    assert again.outcome is Outcome.ROTATED, again.explanation


@scenario
def a_token_is_rotated(cloud: SampleCloud) -> None:
    """The new key beside the old one until every reader has both; then it alone."""
    shop = Rotating.of_token(cloud, "token")
    (old,) = shop.value()["keys"]
    with shop.stopped_in("AwaitOverlap") as come:
        running = shop.of(shop.begin())
        come()
        both = shop.value()["keys"]
        assert (len(both), both[1]) == (2, old)
        tasks = shop.tasks()
        cloud.control.release("rotate", "AwaitOverlap", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert shop.value()["keys"] == both[:1]
    assert shop.at("AWSPENDING") is None
    assert shop.tasks() == tasks, "they accept the new one already"
    assert shop.standing is not None
    assert told_of(shop, shop.version, shop.standing.promoted_at)["did"] == "nothing"
    again = shop.rotated()
    assert again.outcome is Outcome.ROTATED, again.explanation


@scenario
def a_connection_string_is_rotated(cloud: SampleCloud) -> None:
    shop, database = Rotating.of_database(cloud, "string", url=True)
    first, second = database.users
    old = database.url(first)
    assert shop.value() == {"url": old}
    done = shop.rotated()
    assert done.outcome is Outcome.ROTATED, done.explanation
    parts = urlsplit(shop.value()["url"])
    assert parts.username == second
    assert parts.password is not None
    assert parts._replace(netloc=urlsplit(old).netloc).geturl() == old, "all else stays"
    assert database.admits(second, parts.password)
    assert not database.admits(first, database.passwords[first])


@scenario
def somebody_moves_the_current_version_meanwhile(cloud: SampleCloud) -> None:
    """Their value stays, and the consumers start again with it, as with any that somebody makes."""
    shop, database = Rotating.of_database(cloud, "moved")
    old = shop.value()
    with shop.stopped_in("Promote") as come:
        running = shop.of(shop.begin())
        come()
        theirs = shop.written_by_hand({**old, "note": "mine"})
        cloud.control.release("rotate", "Promote", shop.name)
        done = shop.ended(running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "no consumer was started with the new value" in done.explanation
    assert theirs in done.explanation
    assert shop.order(done) == []
    assert (shop.version, shop.value(), shop.at("AWSPENDING")) == (theirs, {**old, "note": "mine"}, None)
    assert database.admits(old["username"], old["password"])

    def restarted() -> bool:
        return [entry.outcome for entry in shop.history() if entry.restart] == [Outcome.SUCCEEDED]

    shop.until(restarted, "the restart by their event")


@scenario
def a_rotation_that_is_stopped_after_the_promotion_is_taken_back(cloud: SampleCloud) -> None:
    """By the sweep, though every consumer has the new value already: who watched over it is gone."""
    shop, database = Rotating.of_database(cloud, "undone")
    version, old = shop.version, shop.value()
    with unswept(cloud):
        with shop.stopped_in("BeginRetire") as come:
            running = shop.of(shop.begin())
            come()
            assert shop.version != version
            tasks = shop.tasks()
            shop.stop(running)
        sweep(cloud)
        done = shop.finished(running, TAKEN_OVER_SECONDS)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "recovery started" in shop.timeline(done)
    assert (shop.version, shop.value(), shop.at("AWSPENDING")) == (version, old, None)
    assert shop.started_since(tasks) == ["api", "worker"]
    assert database.admits(old["username"], old["password"])
    again = shop.rotated()
    assert again.outcome is Outcome.ROTATED, again.explanation


@scenario
def a_rotation_that_is_stopped_after_the_point_of_no_return_is_finished(cloud: SampleCloud) -> None:
    shop, database = Rotating.of_database(cloud, "forward")
    old = shop.value()
    with unswept(cloud):
        with shop.stopped_in("AwaitOverlap") as come:
            running = shop.of(shop.begin())
            come()
            version, tasks = shop.version, shop.tasks()
            assert shop.run_of(running).retiring
            assert database.admits(old["username"], old["password"])
            shop.stop(running)
        sweep(cloud)
        done = shop.finished(running, TAKEN_OVER_SECONDS)
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert "recovery started" in shop.timeline(done)
    assert (shop.version, shop.tasks()) == (version, tasks), "nothing started again"
    new = shop.value()
    assert database.admits(new["username"], new["password"])
    assert not database.admits(old["username"], old["password"])
    heard(cloud, "Rotation Succeeded", done.id)


@scenario
def a_rotation_waits_for_the_release_that_has_the_lock(cloud: SampleCloud) -> None:
    """And starts again what that has brought."""
    shop, database = Rotating.of_database(cloud, "behind")
    with shop.fault("api", "hang"):
        build = shop.announce("first in the queue")
        release = shop.rolling(shop.arrived(build), "api")
        running = shop.queued(shop.of(shop.begin()))
    assert shop.ended(release).outcome is Outcome.SUCCEEDED
    done = shop.finished(running)
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert set(shop.system.digests().values()) == {build.digest}
    assert shop.current == 1, "it stays the release that runs"
    new = shop.value()
    assert new["username"] == database.users[1]
    assert database.admits(new["username"], new["password"])


@scenario
def a_release_waits_for_the_rotation_that_has_the_lock(cloud: SampleCloud) -> None:
    shop, _ = Rotating.of_database(cloud, "before")
    with shop.stopped_in("AwaitOverlap") as come:
        running = shop.of(shop.begin())
        come()
        build = shop.announce("second in the queue")
        release = shop.queued(shop.arrived(build))
    assert shop.ended(running).outcome is Outcome.ROTATED
    done = shop.finished(release)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert set(shop.system.digests().values()) == {build.digest}


@scenario
def a_rotation_is_aborted_while_its_canary_starts(cloud: SampleCloud) -> None:
    shop, database = Rotating.of_database(cloud, "aborted")
    grace, version, old = Person.named(cloud, "grace"), shop.version, shop.value()
    with shop.only_with(version, "api", mode="hang"):
        running = shop.rolling(shop.of(shop.begin()), "api")
        grace.abort(running.id, "not today").done()
        done = shop.finished(running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "not today" in done.explanation
    assert (shop.version, shop.value(), shop.order(done)) == (version, old, ["api"])
    assert database.admits(old["username"], old["password"])


@scenario
def one_moment_of_a_schedule_is_one_rotation(cloud: SampleCloud) -> None:
    """A schedule may start it twice."""
    shop, _ = Rotating.of_database(cloud, "slot")
    slot = "2026-01-05T02:00:00Z"
    executions = [shop.begin(slot=slot, actor="") for _ in range(2)]
    documents = [histories.document(cloud, execution, TURNS_SECONDS) for execution in executions]
    assert sorted(document["outcome"] for document in documents) == ["NoChange", "Rotated"], documents
    version = shop.version
    late = shop.done(slot=slot)
    assert late["outcome"] == "NoChange", late
    assert shop.version == version
    later = shop.rotated(slot="2026-02-04T02:00:00Z")
    assert later.outcome is Outcome.ROTATED, later.explanation


@scenario
def a_user_of_before_is_adopted(cloud: SampleCloud) -> None:
    """By those statements that a person has seen; then it can be rotated, and both users have the same tables."""
    shop, database = Rotating.of_database(cloud, "adopted", adopted=False)
    old, version = shop.value(), shop.version
    place = (*shop.place, shop.secret)
    refused = shop.done()
    assert refused["outcome"] == "FailedClean", refused
    assert "tidegate secrets adopt" in refused["reason"]
    planned = cloud.command.run("--local", "secrets", "adopt", *place, "--json")
    assert planned.exit_code == 0, planned.output + planned.progress
    assert planned.document["statements"], planned.document
    assert planned.document["applied"] is False
    with session_of(database, old["username"], old["password"]) as session:
        session.run("CREATE TABLE orders (id int)")
    database.run("CREATE TABLE audit (id int)")
    database.run(f"GRANT SELECT ON audit TO {old['username']}")
    another = shop.done(adopt="apply", statements=planned.document["hash"])
    assert another["outcome"] == "FailedClean", another
    assert "other statements" in another["reason"], "since it has one privilege more"
    database.run("DROP TABLE audit")
    adopted = cloud.command.run("--local", "secrets", "adopt", *place, "--yes", "--json")
    assert adopted.exit_code == 0, adopted.output + adopted.progress
    assert adopted.document["applied"] is True
    assert (shop.value(), shop.version) == (old, version), "it keeps its value"
    rotated = cloud.command.run("--local", "rotate", *place, "--wait", "--json")
    assert rotated.exit_code == 0, rotated.output + rotated.progress
    assert rotated.document["outcome"] == "Rotated"
    new = shop.value()
    assert new["username"] == database.users[1]
    with session_of(database, new["username"], new["password"]) as session:
        session.run("DROP TABLE orders")
    assert not database.admits(old["username"], old["password"])
    (entry,) = cloud.command.run("--local", "secrets", *shop.place, "--json").document["secrets"]
    assert (entry["secret"], entry["version"], entry["consumers"] != []) == (shop.secret, shop.version, True)
    assert entry["last_rotation"] is not None


@scenario
def a_consumer_of_the_value_before_hinders_a_rotation(cloud: SampleCloud) -> None:
    """It would lose what it has."""
    shop, _ = Rotating.of_database(cloud, "held", stage="AWSPREVIOUS")
    version, rollouts = shop.version, shop.rollouts()
    document = shop.done()
    assert document["outcome"] == "Refused", document
    assert "service worker takes AWSPREVIOUS" in document["reason"]
    assert (shop.version, shop.rollouts(), shop.at("AWSPENDING")) == (version, rollouts, None)


@scenario
def a_rotation_that_is_late_is_counted(cloud: SampleCloud) -> None:
    shop, _ = Rotating.of_database(cloud, "late", every="30d")
    done = shop.rotated()
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert late(cloud) == 0
    known = shop.standing
    assert known is not None
    long_ago = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    rotations = Rotations(cloud.ports.store, cloud.ports.clock)
    cloud.ports.store.transact([rotations.standing_write(*shop.place, replace(known, rotated_at=long_ago))])
    assert late(cloud) == 1
    assert shop.rotated().outcome is Outcome.ROTATED
    assert late(cloud) == 0


# --- how they are told


def late(cloud: SampleCloud) -> int:
    """What the sweep has counted, now that it looks."""
    logs, group = cloud.client("logs"), "/aws/lambda/tidegate-sweep"

    def counts() -> list[int]:
        events = logs.filter_log_events(logGroupName=group, filterPattern="RotationsOverdue")["events"]
        lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
        found = [line["RotationsOverdue"] for line in lines if "RotationsOverdue" in line]
        return [int(one[0] if isinstance(one, list) else one) for one in found]

    before = len(counts())
    answer = cloud.client("lambda").invoke(FunctionName="tidegate-sweep", Payload=b'{"rotations": true}')
    assert "FunctionError" not in answer, answer["Payload"].read()
    wait_until(lambda: len(counts()) > before, what="the metric", seconds=scenarios.PATIENCE)
    return counts()[-1]


@contextmanager
def session_of(database: Shared, user: str, password: str) -> Iterator[pg8000.native.Connection]:
    """A session of a user."""
    access = database.access
    session = pg8000.native.Connection(
        user, host=access.host, port=access.port, password=password, database=database.name
    )
    try:
        yield session
    finally:
        session.close()


def told_of(shop: Rotating, version: str, at: str) -> dict[str, Any]:
    """What the function `wake` does with an event of that version of the secret, and of that moment."""
    event = {
        "id": "again",
        "source": "aws.secretsmanager",
        "detail-type": "Secret Label Updated",
        "time": at,
        "resources": [shop.arn],
        "detail": {"name": shop.secret, "labelUpdated": "AWSCURRENT", "versionId": version},
    }
    answer = shop.cloud.client("lambda").invoke(
        FunctionName="tidegate-wake", Payload=json.dumps(event).encode()
    )
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return dict(body)
