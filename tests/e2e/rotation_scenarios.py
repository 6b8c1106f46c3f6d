"""What a rotation does to a secret and to whoever takes it, as stories that end in one certain way.

Like those of `tests.e2e.scenarios`, each needs nothing of another, and runs under IAM enforcement; each makes a system,
a database and users of its own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tidegate.domain.outcome import Outcome

from tests.e2e import histories
from tests.e2e.rotating_system import Rotating
from tests.e2e.scenarios import heard, scenario
from tests.e2e.support import SampleCloud


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
    assert told_of(shop, shop.version) == {"did": "nothing", "why": "a rotation looks after its consumers"}
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
    assert told_of(shop, shop.version)["did"] == "nothing"
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


# --- how they are told


def told_of(shop: Rotating, version: str) -> dict[str, Any]:
    """What the function `wake` does with an event of that version of the secret."""
    event = {
        "id": "again",
        "source": "aws.secretsmanager",
        "detail-type": "Secret Label Updated",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [shop.arn],
        "detail": {"name": shop.secret, "labelUpdated": "AWSCURRENT", "versionId": version},
    }
    answer = shop.cloud.client("lambda").invoke(
        FunctionName="tidegate-wake", Payload=json.dumps(event).encode()
    )
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return dict(body)
