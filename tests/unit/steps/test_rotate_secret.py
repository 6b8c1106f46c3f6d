"""What the function in the VPC does with a secret, over a database in memory. What real ones make of it is in
tests/databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tidegate.domain.credentials import read
from tidegate.domain.errors import BadInputError, OutsideError, TransientError
from tidegate.domain.rotation import CURRENT, PENDING, PREVIOUS, version_of
from tidegate.ports import SqlError

from tests.support.logins import ADMIN, HOST
from tests.support.secrets import CANARY, FIRST
from tests.unit.steps.rotations import (
    ADMIN_PASSWORD,
    ADMIN_SECRET,
    DEPLOYMENT,
    FORWARD,
    KINDS,
    OLD_PASSWORD,
    SECRET,
    Rotations,
    begun,
    credential,
)

OURS, FOREIGN = version_of(DEPLOYMENT), "f" * 32
TO_PROMOTE = FORWARD[:-1]
ANSWERS = {
    "Stage": {"outcome": "Staged", "reason": ""},
    "Set": {"outcome": "Set", "reason": ""},
    "Test": {"outcome": "Tested", "reason": ""},
    "Promote": {"outcome": "Promoted", "reason": ""},
}
LOGINS = [name for name, (kind, _) in KINDS.items() if kind != "token"]
ALTERNATING = ["postgres", "mysql"]


@pytest.mark.parametrize("name", ALTERNATING)
def test_alternating_users(name: str) -> None:
    rotations = Rotations.of(name)
    secrets, users = rotations.world.secrets, rotations.world.logins.users
    assert rotations.ask("Precheck", previous=None) == {
        "outcome": "Ready",
        "reason": "",
        "previous": FIRST,
        "user": "app",
        "next_user": "app_clone",
        "created_at": "2026-03-02T09:00:00.000Z",
        "sessions": 0,
    }
    assert {step: rotations.ask(step) for step in ANSWERS} == ANSWERS
    assert secrets.stages(SECRET) == {CURRENT: OURS, PREVIOUS: FIRST}
    value = secrets.value(SECRET)
    assert value == credential("app_clone", users["app_clone"].password, engine=rotations.kind, note="kept")
    assert (users["app"].opens(OLD_PASSWORD), users["app_clone"].login) == (True, True)
    assert rotations.ask("Retire") == {"outcome": "Retired", "reason": "", "version": OURS}
    assert (users["app"].login, users["app_clone"].login) == (False, True)


def test_one_user_with_two_passwords() -> None:
    rotations = Rotations.of("mysql-dual")
    user = rotations.world.logins.users["app"]
    ready = rotations.ask("Precheck", previous=None)
    assert (ready["outcome"], ready["user"], ready["next_user"]) == ("Ready", "app", "app")
    assert {step: rotations.ask(step) for step in ANSWERS} == ANSWERS
    value = rotations.world.secrets.value(SECRET)
    assert (value["username"], value["password"]) == ("app", user.password)
    assert user.second == OLD_PASSWORD
    assert rotations.ask("Retire")["outcome"] == "Retired"
    assert user.opens(value["password"])
    assert not user.opens(OLD_PASSWORD)


def test_a_user_that_changes_its_own_password() -> None:
    rotations = Rotations.of("mysql-dual")
    rotations.world.logins.users[ADMIN].login = False
    for step in TO_PROMOTE:
        rotations.ask(step, admin=None)
    assert rotations.ask("Retire", admin=None)["outcome"] == "Retired"
    assert rotations.world.logins.users["app"].second is None


def test_a_token() -> None:
    rotations = Rotations.of("token")
    secrets = rotations.world.secrets
    assert rotations.ask("Precheck", previous=None) == {
        "outcome": "Ready",
        "reason": "",
        "previous": FIRST,
        "user": "",
        "next_user": "",
        "created_at": "2026-03-02T09:00:00.000Z",
        "sessions": 0,
    }
    assert {step: rotations.ask(step) for step in ANSWERS} == ANSWERS
    new, old = secrets.value(SECRET)["keys"]
    assert old == OLD_PASSWORD
    retired = version_of(DEPLOYMENT, "retired")
    assert rotations.ask("Retire") == {"outcome": "Retired", "reason": "", "version": retired}
    assert secrets.value(SECRET) == {"keys": [new], "issuer": "shop"}
    assert secrets.stages(SECRET) == {CURRENT: retired, PREVIOUS: OURS}
    assert rotations.ask("Retire")["version"] == retired
    assert rotations.world.logins.calls == []


def test_a_key_that_an_older_rotation_did_not_retire_goes_on_working() -> None:
    rotations = Rotations.of("token")
    rotations.world.secrets.put(SECRET, {"keys": ["second", "first"]})
    rotations.go(*TO_PROMOTE)
    assert rotations.world.secrets.value(SECRET)["keys"][1:] == ["second", "first"]
    rotations.go("Retire")
    assert len(rotations.world.secrets.value(SECRET)["keys"]) == 1


@pytest.mark.parametrize("name", KINDS)
def test_many_rotations(name: str) -> None:
    """The users take turns, and each rotation finds what the last one left."""
    rotations = Rotations.of(name)
    seen = set()
    for number in range(6):
        deployment = f"01JD6QZ5N8W3F4T7X2V9K1M0A{number}"
        assert rotations.rotate(deployment) == "Rotated"
        assert rotations.works(rotations.text())
        seen.add(rotations.text())
    assert len(seen) == 6


@pytest.mark.parametrize("name", KINDS)
def test_each_step_may_run_twice(name: str) -> None:
    rotations = Rotations.of(name)
    for step in FORWARD:
        first = rotations.ask(step)
        if step != "Precheck":
            assert rotations.ask(step) == first
    assert len([call for call, _ in rotations.world.secrets.calls if call == "password"]) == 1


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize("step", ["Precheck", "Set", "Test", "Retire"])
def test_every_connection_is_closed(name: str, step: str) -> None:
    rotations = begun(name, step)
    rotations.world.logins.opened.clear()
    rotations.ask(step)
    assert [login.closed for _, login in rotations.world.logins.opened].count(False) == 0
    assert rotations.world.logins.opened


# --- Precheck


def not_ready(rotations: Rotations, **changes: Any) -> str:
    """Why, in an answer that has all its keys."""
    answer = rotations.ask("Precheck", previous=None, **changes)
    assert (answer["outcome"], answer["previous"], answer["sessions"]) == ("NotReady", None, 0)
    assert {"user", "next_user", "created_at"} <= set(answer)
    assert rotations.world.secrets.stages(SECRET) == {CURRENT: FIRST}
    assert rotations.keeps_quiet()
    return str(answer["reason"])


def test_without_a_second_user() -> None:
    rotations = Rotations.of("postgres")
    del rotations.world.logins.users["app_clone"]
    assert "`tidegate secrets adopt shop production shop/production/database`" in not_ready(rotations)


def test_a_second_user_that_may_less() -> None:
    rotations = Rotations.of("postgres")
    rotations.world.logins.users["app_clone"].grants.remove("SELECT ON orders")
    assert not_ready(rotations).endswith("It lacks SELECT ON orders")


def test_sessions_of_the_idle_user_are_told() -> None:
    rotations = Rotations.of("postgres")
    idle = rotations.world.logins.users["app_clone"]
    idle.login = True
    own = read(json.dumps(credential("app_clone", idle.password)), "json", "postgres")
    for _ in range(2):
        rotations.world.logins.log_in(own, "verify-full", 1.0)
    answer = rotations.ask("Precheck", rotations.world.ports, previous=None)
    assert (answer["outcome"], answer["sessions"]) == ("Ready", 2)


@pytest.mark.parametrize("name", LOGINS)
def test_what_is_current_does_not_log_in(name: str) -> None:
    rotations = Rotations.of(name)
    rotations.world.logins.users["app"].password = "another"
    assert not_ready(rotations) == "the database does not let app log in"


@pytest.mark.parametrize("name", LOGINS)
def test_an_admin_that_does_not_log_in(name: str) -> None:
    rotations = Rotations.of(name)
    rotations.world.logins.users[ADMIN].password = "another"
    assert not_ready(rotations) == f"the database does not let the admin of {ADMIN_SECRET} log in"


def test_an_admin_that_is_a_user_of_the_secret() -> None:
    """Its secret would have an old password afterwards."""
    rotations = Rotations.of("postgres")
    for user in ("app", "app_clone"):
        rotations.world.secrets.put(ADMIN_SECRET, credential(user, OLD_PASSWORD))
        assert "cannot be a user that is rotated" in not_ready(rotations)


def test_users_that_the_current_one_is_not_among() -> None:
    rotations = Rotations.of("postgres")
    assert "users" in not_ready(rotations, users=["shop_a", "shop_b"])


def test_a_secret_that_cannot_be_read() -> None:
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put(SECRET, f"{CANARY}, a bare password")
    assert "`tidegate secrets adopt`" in not_ready(rotations)
    tokens = Rotations.of("token")
    values: list[Any] = ["bare", {"key": "one"}, {"keys": []}, {"keys": [1]}, {"keys": "one"}, [1]]
    for value in values:
        tokens.world.secrets.put(SECRET, value)
        assert '{"keys": ["…"]}' in not_ready(tokens)


def test_a_secret_of_another_engine() -> None:
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put(SECRET, credential("app", OLD_PASSWORD, engine="mariadb"))
    assert not_ready(rotations) == "the secret is of mysql, and the manifest says postgres"


def test_an_admins_secret_that_cannot_be_read() -> None:
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put(ADMIN_SECRET, {"password": f"{CANARY}"})
    assert not_ready(rotations).startswith(f"{ADMIN_SECRET}, the admin's, cannot be read")


def test_an_admins_secret_that_says_no_more_than_who() -> None:
    """One that RDS manages."""
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put(ADMIN_SECRET, {"username": ADMIN, "password": ADMIN_PASSWORD})
    assert rotations.rotate() == "Rotated"


def test_the_admin_looks_at_the_secrets_own_database() -> None:
    """Grants are of one database: those of the admin's say nothing."""
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put(ADMIN_SECRET, credential(ADMIN, ADMIN_PASSWORD, dbname="postgres"))
    rotations.rotate()
    asked = {args[0].database for name, args in rotations.world.logins.calls if name == "log_in"}
    assert asked == {"shop"}


def test_somebody_elses_pending_version_is_told() -> None:
    rotations = Rotations.of("postgres")
    rotations.world.secrets.label(SECRET, FOREIGN, PENDING)
    answer = rotations.ask("Precheck", previous=None)
    assert (answer["outcome"], answer["previous"]) == ("Ready", FIRST)
    assert FOREIGN in answer["reason"]


def test_a_rotation_that_was_done_is_not_begun_again() -> None:
    rotations = Rotations.of("postgres")
    rotations.go(*TO_PROMOTE)
    assert rotations.ask("Precheck", previous=None)["outcome"] == "NotReady"


# --- errors


@pytest.mark.parametrize("step", ["Precheck", "Set", "Promote", "Retire", "Restore"])
def test_a_secret_that_is_not_there(step: str) -> None:
    rotations = begun("postgres", step)
    del rotations.world.secrets.secrets[SECRET]
    with pytest.raises(OutsideError):
        rotations.ask(step)


@pytest.mark.parametrize("step", ["Stage", "Test", "Retire"])
def test_a_version_that_is_there_no_more(step: str) -> None:
    """The one before, which two others made current since have pushed out."""
    rotations = begun("postgres", step)
    del rotations.world.secrets.secrets[SECRET].versions[FIRST]
    answer = rotations.ask(step)
    assert answer["outcome"] == "Failed"
    assert f"version {FIRST}, which was current, is there no more" in answer["reason"]


def test_an_admins_secret_that_is_not_there() -> None:
    rotations = Rotations.of("postgres")
    del rotations.world.secrets.secrets[ADMIN_SECRET]
    with pytest.raises(OutsideError):
        rotations.ask("Precheck")


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize("step", ["Precheck", "Set", "Test", "Retire"])
@pytest.mark.parametrize("error", [OutsideError("no TLS"), TransientError("cannot be reached")])
def test_a_connection_that_fails_is_an_error(name: str, step: str, error: Exception) -> None:
    rotations = begun(name, step)
    rotations.world.logins.fails("log_in", error)
    with pytest.raises(type(error)):
        rotations.ask(step)


@pytest.mark.parametrize(
    ("step", "method"),
    [
        ("Precheck", "lacking"),
        ("Precheck", "sessions"),
        ("Set", "set_password"),
        ("Test", "lacking"),
        ("Retire", "disable"),
    ],
)
def test_what_the_database_refuses_is_shown_without_what_is_secret(step: str, method: str) -> None:
    """A server may quote the statement, as MySQL does. Guards `_refused`."""
    rotations = begun("postgres", step)
    stage = PENDING if step in ("Set", "Test") else CURRENT
    password = json.loads(rotations.text(stage))["password"]
    rotations.world.logins.fails(method, SqlError("42000", f"fault near '{password}' at {HOST}"))
    answer = rotations.ask(step)
    assert answer["outcome"] in ("NotReady", "Failed")
    assert "the database refuses: fault near" in answer["reason"]
    assert rotations.keeps_quiet()


def test_an_old_password_is_hidden_as_well() -> None:
    rotations = begun("mysql-dual", "Set")
    rotations.world.logins.fails("set_password", SqlError("42000", f"fault near '{OLD_PASSWORD}'"))
    assert rotations.ask("Set")["outcome"] == "Failed"
    assert rotations.keeps_quiet()


def test_a_step_has_no_more_patience_than_the_machine() -> None:
    """Guards `began`: two databases that wake up one after the other would outlast the step."""
    rotations = Rotations.of("postgres")
    logins, real = rotations.world.logins, rotations.world.logins.log_in

    def slow(*asked: Any) -> Any:
        rotations.world.clock.advance(30)
        return real(*asked)

    setattr(logins, "log_in", slow)  # noqa: B010 -- a method
    rotations.ask("Precheck")
    assert [args[2] for name, args in logins.calls if name == "log_in"] == [40.0, 10.0]
    rotations.go("Stage", "Set")
    assert [args[2] for name, args in logins.calls if name == "log_in"][2:] == [40.0, 10.0]


def test_a_payload_that_is_wrong() -> None:
    with pytest.raises(BadInputError):
        Rotations.of("postgres").ask("Prechek")
