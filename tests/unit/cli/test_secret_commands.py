"""rotate, secrets, secrets adopt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tidegate.domain.deployment import Deployment, FailureReport, Machine, Phase
from tidegate.domain.errors import OutsideError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import Direction
from tidegate.domain.rotation import SecretStanding
from tidegate.domain.schedule import Schedule
from tidegate.ledger.rotations import Rotations

from tests.support.clock import iso
from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, manifest

PLACE = (SYSTEM, ENVIRONMENT)
DATABASE, TOKEN = "shop/production/database", "shop/token"
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{DATABASE}-a1b2c3"
VERSION = "0f3ab2c1-8d70-4e0e-8f0f-111111111111"
STATEMENTS = ["CREATE ROLE app_owner NOLOGIN", "GRANT app_owner TO app"]
HASH = "5f2c"


@pytest.fixture(autouse=True)
def registered(terminal: Terminal) -> None:
    """A database that is rotated monthly, taken by both services, and a token that nobody takes."""
    secrets = {
        "shop/{environment}/database": {
            "kind": "postgres",
            "admin": "shop/{environment}/admin",
            "every": "30d",
        },
        TOKEN: {"kind": "token"},
    }
    world = terminal.shop.world
    world.registry.put_manifest(*PLACE, manifest(secrets=secrets))
    world.secrets.put(DATABASE, {"username": "app", "password": "x"}, VERSION)
    take(terminal, "shop-api", {"name": "DATABASE_PASSWORD", "valueFrom": f"{ARN}:password::"})


def take(terminal: Terminal, service: str, *secrets: dict[str, str], **container: Any) -> None:
    """The service runs a task definition whose container takes these."""
    containers = terminal.shop.world.containers
    running = containers.task_definition(containers.service(service).primary.task_definition)
    assert running is not None
    (before,) = running.content["containerDefinitions"]
    content = {"family": service, "containerDefinitions": [{**before, "secrets": list(secrets), **container}]}
    new = containers.register(content, {})
    containers.update_service(CLUSTER, service, new.arn)
    containers.complete(service)


def ended(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "deployment": "01A", "release": None, "reason": "", "services": {}, **more}


def stand(terminal: Terminal, **standing: str) -> None:
    world = terminal.shop.world
    rotations = Rotations(world.store, world.clock)
    world.store.transact([rotations.standing_write(*PLACE, SecretStanding(DATABASE, **standing))])


# rotate


def test_a_rotation_is_started_and_not_awaited(terminal: Terminal) -> None:
    started = terminal.json("rotate", *PLACE, DATABASE, "--reason", "laptop lost")
    assert terminal.started.machine == "rotate"
    assert terminal.started.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "secret": DATABASE,
        "reason": "laptop lost",
        "actor": CALLER,
    }
    assert started == {"deployment": terminal.started.name, "execution": terminal.started.arn}
    assert "started: rotation " in terminal.run("rotate", *PLACE, DATABASE).stdout


@pytest.mark.parametrize(
    ("outcome", "exit_code"),
    [("Rotated", 0), ("NoChange", 0), ("FailedClean", 10), ("FailedDirty", 20), ("Refused", 30)],
)
def test_the_exit_code_is_the_outcomes(terminal: Terminal, outcome: str, exit_code: int) -> None:
    terminal.scenes.append(lambda: terminal.end(ended(outcome)))
    assert terminal.json("rotate", *PLACE, DATABASE, "--wait", exit_code=exit_code)["outcome"] == outcome


def test_a_person_is_told_what_rotated_means(terminal: Terminal) -> None:
    terminal.scenes.append(lambda: terminal.end(ended("Rotated")))
    said = terminal.run("rotate", *PLACE, DATABASE, "--wait").stdout
    assert "Rotated" in said
    assert "its consumers run with it" in said
    assert "\x1b[" not in said


def test_a_time_that_runs_out_says_how_to_go_on(terminal: Terminal) -> None:
    terminal.scenes.extend([lambda: None] * 100)
    error = terminal.json("rotate", *PLACE, DATABASE, "--wait", "--timeout", "5s", exit_code=124)
    assert error["deployment"] == terminal.started.name


@pytest.mark.parametrize("command", [["rotate"], ["secrets", "adopt"]])
@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("shop/production/databse", f"did you mean {DATABASE}?"),
        ("x", f"there are {DATABASE}, {TOKEN}"),
        ("shop/{environment}/database", f"did you mean {DATABASE}?"),
    ],
)
def test_a_secret_that_is_none_is_answered_with_those_there_are(
    terminal: Terminal, command: list[str], given: str, hint: str
) -> None:
    error = terminal.json(*command, *PLACE, given, exit_code=2)["error"]
    assert (error["code"], error["field"], error["hint"]) == ("not_found", "SECRET", hint)
    assert terminal.shop.world.executions.started == []


@pytest.mark.parametrize(
    "command", [["rotate", "shp", ENVIRONMENT, DATABASE], ["secrets", "shp", ENVIRONMENT]]
)
def test_a_system_that_is_none_is_answered_with_the_nearest(terminal: Terminal, command: list[str]) -> None:
    error = terminal.json(*command, exit_code=2)["error"]
    assert (error["field"], error["hint"]) == ("SYSTEM", "did you mean shop?")


def test_who_may_not_read_the_manifest_may_rotate_all_the_same(terminal: Terminal) -> None:
    denied = OutsideError("ssm:GetParameter: AccessDenied")
    terminal.shop.world.registry.fails("manifest", denied, denied)
    terminal.json("rotate", *PLACE, DATABASE)
    assert terminal.started.machine == "rotate"


# secrets


def shown(terminal: Terminal, name: str = DATABASE) -> dict[str, Any]:
    document = terminal.json("secrets", *PLACE)
    return next(entry for entry in document["secrets"] if entry["secret"] == name)


def test_each_secret_of_the_manifest_has_a_row(terminal: Terminal) -> None:
    document = terminal.json("secrets", *PLACE)
    assert (document["system"], document["environment"]) == PLACE
    assert [entry["secret"] for entry in document["secrets"]] == [DATABASE, TOKEN]
    assert document["problems"] == []
    database, token = document["secrets"]
    assert (database["kind"], database["strategy"], database["every"]) == ("postgres", "alternating", "30d")
    assert (database["arn"], database["version"], database["pending"]) == (ARN, VERSION, None)
    assert (token["arn"], token["version"], token["age"], token["every"]) == (None, None, None, None)
    for entry in (database, token):
        assert entry["last_rotation"] is entry["last_attempt"] is entry["next"] is None
        assert entry["overdue"] is False


def test_no_value_is_read(terminal: Terminal) -> None:
    terminal.json("secrets", *PLACE)
    assert {name for name, _ in terminal.shop.world.secrets.calls} == {"describe"}


def test_the_age_is_that_of_the_promotion_where_it_is_known(terminal: Terminal) -> None:
    clock = terminal.shop.world.clock
    changed = clock.now()
    clock.advance(days=2)
    assert (shown(terminal)["since"], shown(terminal)["age"]) == (iso(changed), 2 * 86_400)
    stand(terminal, version=VERSION, promoted_at=iso(clock.now() - timedelta(hours=1)))
    assert shown(terminal)["age"] == 3_600
    stand(terminal, version="another", promoted_at=iso(clock.now()))
    assert shown(terminal)["age"] == 2 * 86_400, "somebody else has written a value since"


def test_the_last_rotation_and_the_last_attempt_are_told_apart(terminal: Terminal) -> None:
    now = iso(terminal.shop.world.clock.now())
    succeeded = {"rotated_at": now, "actor": CALLER, "deployment": "01A", "version": VERSION}
    stand(terminal, **succeeded, attempt="01B", attempt_at=now, attempt_outcome="FailedClean")
    entry = shown(terminal)
    assert entry["last_rotation"] == {"at": now, "by": CALLER, "deployment": "01A"}
    assert entry["last_attempt"] == {"at": now, "outcome": "FailedClean", "deployment": "01B"}
    said = terminal.run("secrets", *PLACE).stdout
    assert "on-call/ada" in said
    assert "FailedClean" in said
    stand(terminal, **succeeded, attempt="01A", attempt_at=now, attempt_outcome="Rotated")
    assert "last try" not in terminal.run("secrets", *PLACE).stdout


def test_the_next_rotation_is_the_schedules(terminal: Terminal) -> None:
    world = terminal.shop.world
    begins = world.clock.now() - timedelta(days=40)
    made = Schedule(*PLACE, DATABASE, timedelta(days=30), begins)
    world.schedules.put(made)
    assert shown(terminal)["next"] == iso(begins + timedelta(days=60))
    assert "every 30d" in terminal.run("secrets", *PLACE).stdout
    world.schedules.kept[made.name] = Schedule(*PLACE, DATABASE, made.every, begins, enabled=False)
    assert shown(terminal)["next"] is None
    assert "nothing is scheduled: tidegate apply" in terminal.run("secrets", *PLACE).stdout


def test_one_that_should_have_been_rotated_is_overdue(terminal: Terminal) -> None:
    clock = terminal.shop.world.clock
    stand(terminal, rotated_at=iso(clock.now() - timedelta(days=34)))
    assert not shown(terminal)["overdue"]
    stand(terminal, rotated_at=iso(clock.now() - timedelta(days=35)))
    assert shown(terminal)["overdue"]
    assert "overdue" in terminal.run("secrets", *PLACE).stdout


def test_who_takes_it_is_read_from_what_runs(terminal: Terminal) -> None:
    take(
        terminal,
        "shop-worker",
        {"name": "OLD", "valueFrom": f"{ARN}:::{VERSION}"},
        repositoryCredentials={"credentialsParameter": ARN},
    )
    entry = shown(terminal)
    assert [
        (
            one["service"],
            one["container"],
            one["variable"],
            one["key"],
            one["version"],
            one["held"],
            one["restarts"],
        )
        for one in entry["consumers"]
    ] == [
        ("api", "app", "DATABASE_PASSWORD", "password", None, False, True),
        ("worker", "app", "OLD", None, VERSION, True, False),
        ("worker", "app", "repositoryCredentials", None, None, False, False),
    ]
    said = terminal.run("secrets", *PLACE).stdout
    assert "api  app: DATABASE_PASSWORD, key password" in said
    assert f"takes version {VERSION}, which a rotation would disable" in said
    assert "no service takes it" in said


def test_who_may_not_look_everywhere_sees_the_rest(terminal: Terminal) -> None:
    world = terminal.shop.world
    world.secrets.fails("describe", OutsideError("secretsmanager:DescribeSecret: AccessDenied"))
    world.schedules.group = False
    document = terminal.json("secrets", *PLACE)
    assert len(document["problems"]) == 2
    assert document["secrets"][0]["version"] is None
    assert document["secrets"][0]["consumers"], "ECS was asked all the same"
    world.secrets.fails("describe", OutsideError("secretsmanager:DescribeSecret: AccessDenied"))
    assert (
        "not everything could be read: secretsmanager:DescribeSecret"
        in terminal.run("secrets", *PLACE).stdout
    )


def test_a_system_without_secrets_is_no_error(terminal: Terminal) -> None:
    terminal.shop.world.registry.put_manifest(*PLACE, manifest())
    assert terminal.json("secrets", *PLACE)["secrets"] == []
    assert "has no secrets" in terminal.run("secrets", *PLACE).stdout
    error = terminal.json("rotate", *PLACE, "x", exit_code=2)["error"]
    assert error["hint"] == "its manifest has no secrets"


def test_a_system_may_be_called_like_the_command(terminal: Terminal) -> None:
    """Two words are a system and its environment, whatever the first one is."""
    data = {**manifest(secrets={TOKEN: {"kind": "token"}}), "system": "adopt"}
    terminal.shop.world.registry.put_manifest("adopt", ENVIRONMENT, data)
    for arguments in (
        ["adopt", ENVIRONMENT],
        ["--region", "eu-west-1", "adopt", ENVIRONMENT],
        ["--", "adopt", ENVIRONMENT],
    ):
        result = terminal.run("--json", "secrets", *arguments)
        assert json.loads(result.stdout)["system"] == "adopt"
    terminal.scenes.append(lambda: terminal.end(ended("NoChange", statements=STATEMENTS, hash=HASH)))
    done = terminal.json("secrets", "adopt", "adopt", ENVIRONMENT, TOKEN)
    assert (done["secret"], terminal.started.payload["system"]) == (TOKEN, "adopt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["secrets", "--help"], "tidegate secrets [OPTIONS]"),
        (["secrets", "adopt", "--help"], "tidegate secrets adopt [OPTIONS]"),
        (["secrets", "adopt", *PLACE, "x", "-h"], "tidegate secrets adopt [OPTIONS]"),
    ],
)
def test_each_of_the_two_has_its_help(terminal: Terminal, arguments: list[str], said: str) -> None:
    result = terminal.run(*arguments)
    assert result.exit_code == 0
    assert said in result.stdout


@pytest.mark.parametrize(
    ("arguments", "field"),
    [([], "SYSTEM"), ([SYSTEM], "ENV"), (["adopt", *PLACE], "SECRET"), (["adopt"], "SYSTEM")],
)
def test_what_is_missing_is_named(terminal: Terminal, arguments: list[str], field: str) -> None:
    error = terminal.json("secrets", *arguments, exit_code=2)["error"]
    assert (error["code"], error["field"]) == ("bad_usage", field)


# adopt


def play(terminal: Terminal, *documents: dict[str, Any]) -> None:
    terminal.scenes.extend([lambda document=document: terminal.end(document) for document in documents])  # type: ignore[misc]


PLANNED = ended("NoChange", statements=STATEMENTS, hash=HASH)


def payloads(terminal: Terminal) -> list[tuple[Any, Any]]:
    started = [one.payload for one in terminal.shop.world.executions.started]
    return [(payload.get("adopt"), payload.get("statements")) for payload in started]


def test_the_statements_are_printed_and_run_when_a_person_agrees(terminal: Terminal) -> None:
    terminal.somebody = True
    play(terminal, PLANNED, ended("Rotated"))
    result = terminal.run("secrets", "adopt", *PLACE, DATABASE, input="y\n")
    assert result.exit_code == 0, result.output
    for statement in STATEMENTS:
        assert f"{statement};" in result.stdout
    assert payloads(terminal) == [("plan", None), ("apply", HASH)]


@pytest.mark.parametrize("somebody", [True, False])
def test_nothing_is_run_that_nobody_agreed_to(terminal: Terminal, somebody: bool) -> None:
    terminal.somebody = somebody
    play(terminal, PLANNED)
    result = terminal.run("secrets", "adopt", *PLACE, DATABASE, input="n\n")
    assert result.exit_code == 1
    assert "nothing was changed" in result.stderr
    assert "--yes" in result.stderr
    assert payloads(terminal) == [("plan", None)]


def test_a_program_has_to_say_yes(terminal: Terminal) -> None:
    play(terminal, PLANNED)
    document = terminal.json("secrets", "adopt", *PLACE, DATABASE)
    assert (document["statements"], document["hash"], document["applied"]) == (STATEMENTS, HASH, False)
    assert payloads(terminal) == [("plan", None)]
    play(terminal, PLANNED, ended("Rotated"))
    document = terminal.json("secrets", "adopt", *PLACE, DATABASE, "--yes")
    assert (document["statements"], document["hash"], document["applied"]) == (STATEMENTS, HASH, True)
    assert payloads(terminal)[1:] == [("plan", None), ("apply", HASH)]


def test_statements_that_have_changed_since_are_not_run(terminal: Terminal) -> None:
    play(terminal, PLANNED, ended("FailedClean", reason="the statements are others now"))
    document = terminal.json("secrets", "adopt", *PLACE, DATABASE, "--yes", exit_code=10)
    assert document["applied"] is False


def test_one_that_is_ready_needs_no_statement(terminal: Terminal) -> None:
    play(terminal, ended("NoChange", statements=[], hash=HASH))
    result = terminal.run("secrets", "adopt", *PLACE, DATABASE)
    assert result.exit_code == 0
    assert "can be rotated as it is" in result.stdout
    assert payloads(terminal) == [("plan", None)]


def test_one_that_cannot_be_adopted_says_why(terminal: Terminal) -> None:
    play(terminal, ended("NoChange", statements=[], hash=None, reason="the admin may not make roles"))
    error = terminal.json("secrets", "adopt", *PLACE, DATABASE, "--yes", exit_code=30)["error"]
    assert error["message"] == "the admin may not make roles"


def test_a_machine_that_refuses_is_passed_on(terminal: Terminal) -> None:
    play(terminal, ended("Refused", reason="kind redis"))
    assert terminal.json("secrets", "adopt", *PLACE, DATABASE, exit_code=30)["reason"] == "kind redis"


# the run, in the other views


def recorded(terminal: Terminal, outcome: Outcome | None = None, *, adopt: str | None = None) -> Deployment:
    """Without a plan, as one that was refused: what it is for is in its request."""
    request = {"secret": DATABASE, "adopt": adopt}
    started = terminal.json("rotate", *PLACE, DATABASE)
    ledger = terminal.shop.ledger
    run = Deployment(
        started["deployment"],
        SYSTEM,
        ENVIRONMENT,
        Machine.ROTATE,
        started["execution"],
        ledger.now(),
        release=7,
        actor=CALLER,
        request={name: value for name, value in request.items() if value is not None},
    )
    ledger.open(run, "planned")
    return run if outcome is None else ledger.end(run, outcome, "why")


def test_a_rotation_is_called_one_everywhere(terminal: Terminal) -> None:
    """Red where its release is named: a rotation puts out none."""
    run = recorded(terminal, Outcome.ROTATED)
    (entry,) = terminal.json("history", *PLACE)
    assert (entry["what"], entry["secret"]) == ("rotation", DATABASE)
    assert DATABASE in terminal.run("history", *PLACE).stdout
    document = terminal.json("show", run.id)
    assert (document["what"], document["machine"], document["secret"]) == ("rotation", "rotate", DATABASE)
    said = terminal.run("show", run.id).stdout
    assert f"rotation of {DATABASE}  Rotated" in said
    (entry,) = terminal.json("changes")
    assert (entry["what"], entry["secret"]) == ("rotation", DATABASE)
    assert DATABASE in terminal.run("changes").stdout


def test_one_that_failed_points_to_the_secrets_and_to_no_release(terminal: Terminal) -> None:
    run = recorded(terminal, Outcome.FAILED_CLEAN)
    said = terminal.run("show", run.id).stdout
    assert f"tidegate secrets {SYSTEM} {ENVIRONMENT}" in said
    assert "tidegate deploy" not in said


def test_an_adoption_is_not_called_a_rotation(terminal: Terminal) -> None:
    """Red where who reads the history takes it for one that replaced the value."""
    run = recorded(terminal, Outcome.SUCCEEDED, adopt="apply")
    assert terminal.json("history", *PLACE)[0]["what"] == "adoption"
    assert f"adoption of {DATABASE}  Succeeded" in terminal.run("show", run.id).stdout
    assert terminal.json("changes")[0]["what"] == "adoption"


def test_one_that_needs_a_person_points_to_the_secrets_and_to_the_lock(terminal: Terminal) -> None:
    run = recorded(terminal, Outcome.FAILED_DIRTY)
    said = terminal.run("show", run.id).stdout
    for command in ("secrets", "status", "unlock"):
        assert f"tidegate {command} {SYSTEM} {ENVIRONMENT}" in said


def test_what_failed_on_the_way_back_is_told_from_what_failed_before(terminal: Terminal) -> None:
    """Guards `reverting` of `_print_failure`: both are of one service, and read alike."""
    run = recorded(terminal)
    ledger = terminal.shop.ledger
    for direction in (Direction.ROLL, Direction.REVERT):
        ledger.save_report(run.id, FailureReport("worker", "tasks failed to start", direction=direction))
    ledger.end(run, Outcome.FAILED_DIRTY, "why")
    failures = terminal.json("show", run.id)["failures"]
    assert [failure["direction"] for failure in failures] == ["Roll", "Revert"]
    said = terminal.run("show", run.id).stdout
    assert said.index("Why worker failed") < said.index("Why worker could not be taken back")


def test_one_that_retires_cannot_be_taken_back(terminal: Terminal) -> None:
    """Red where `show` offers an abort that is refused."""
    run = recorded(terminal)
    assert f"tidegate abort {run.id}" in terminal.run("show", run.id).stdout
    terminal.shop.ledger.save(replace(run, phase=Phase.RETIRING))
    assert f"tidegate abort {run.id}" not in terminal.run("show", run.id).stdout


def test_one_under_way_is_watched_like_any_other(terminal: Terminal) -> None:
    run = recorded(terminal)
    (entry,) = terminal.json("watch")
    assert (entry["what"], entry["deployment"]) == ("rotation", run.id)
