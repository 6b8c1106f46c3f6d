"""What public rotation functions have got wrong, and what else goes on while one runs. Each was made here once: what
was broken for it is in the docstring."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.rotation import CURRENT, PENDING, PREVIOUS, version_of
from tidegate.ports import SecretValue

from tests.support.logins import ADMIN
from tests.support.secrets import CANARY, FIRST
from tests.unit.steps.rotations import (
    ADMIN_PASSWORD,
    ADMIN_SECRET,
    DEPLOYMENT,
    FORWARD,
    GRANTS,
    KINDS,
    NEXT_DEPLOYMENT,
    OLD_PASSWORD,
    SECRET,
    Rotations,
    Run,
    credential,
)

OURS, FOREIGN = version_of(DEPLOYMENT), "f" * 32
LOGINS = [name for name, (kind, _) in KINDS.items() if kind != "token"]


def begun(name: str, *steps: str) -> Rotations:
    rotations = Rotations.of(name)
    rotations.go(*steps)
    return rotations


@pytest.mark.parametrize("name", KINDS)
def test_a_value_is_made_once(name: str) -> None:
    """The database may have the first one. Broken: `_stage` writes without reading what is there."""
    rotations = begun(name, "Stage", "Set")
    staged = rotations.text(PENDING)
    rotations.go("Stage", "Set", "Stage")
    assert rotations.text(PENDING) == staged
    assert rotations.works(staged)
    assert rotations.world.secrets.called("password") == 1
    assert rotations.world.secrets.called("put_pending") == 1


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize("step", ["Precheck", "Set", "Test", "Retire"])
def test_a_server_that_proves_nothing_gets_no_password(name: str, step: str) -> None:
    """Broken: `_log_in` tries again with `off` after an OutsideError."""
    rotations = begun(name, *FORWARD[: FORWARD.index(step)])
    rotations.world.logins.tls = False
    with pytest.raises(OutsideError):
        rotations.ask(step)
    assert {args[1] for method, args in rotations.world.logins.calls if method == "log_in"} == {"verify-full"}


@pytest.mark.parametrize("name", LOGINS)
def test_a_network_that_fails_says_nothing_about_a_password(name: str) -> None:
    """Broken: `set` catches TransientError with WrongPasswordError. With two passwords, a second change would push out
    the one that is current."""
    rotations = begun(name, "Stage", "Set")
    changes = rotations.world.logins.called("set_password")
    rotations.world.logins.fails("log_in", TransientError("the database cannot be reached"))
    with pytest.raises(TransientError):
        rotations.ask("Set")
    assert rotations.world.logins.called("set_password") == changes
    rotations.go("Set")
    assert rotations.world.logins.called("set_password") == changes
    assert rotations.works(rotations.text())


@pytest.mark.parametrize("name", KINDS)
def test_what_is_promoted_is_pending_no_more(name: str) -> None:
    """aws-secrets-manager-rotation-lambdas, issue 168. Broken: `_promote` leaves the label to the call that failed, of
    which the first half was done."""
    rotations = begun(name, "Stage", "Set", "Test")
    moves_halfway(rotations)
    assert rotations.ask("Promote")["outcome"] == "Promoted"
    assert rotations.world.secrets.stages(SECRET) == {CURRENT: OURS, PREVIOUS: FIRST}


def test_what_is_left_of_a_token_is_pending_no_more() -> None:
    """Broken: `retire` of a token is content when the version is current."""
    rotations = begun("token", "Stage", "Set", "Test", "Promote")
    moves_halfway(rotations)
    with pytest.raises(TransientError):
        rotations.ask("Retire")
    assert rotations.ask("Retire")["outcome"] == "Retired"
    assert PENDING not in rotations.world.secrets.stages(SECRET)


def moves_halfway(rotations: Rotations) -> None:
    """AWSCURRENT has moved, and AWSPENDING has not, when the answer is lost."""
    secrets = rotations.world.secrets

    def halfway(secret: str, *, to: str, from_: str) -> None:
        labels = secrets.secrets[secret].labels
        labels[CURRENT], labels[PREVIOUS] = to, from_
        raise TransientError("between two calls")

    setattr(secrets, "move_current", halfway)  # noqa: B010 -- a method


@pytest.mark.parametrize("until", ["Precheck", "Stage", "Promote"])
def test_the_pending_version_of_somebody_else_is_left_alone(until: str) -> None:
    """Broken: `_abandon` takes AWSPENDING from whichever version has it."""
    rotations = begun("postgres", *FORWARD[: FORWARD.index(until) + 1])
    rotations.world.secrets.label(SECRET, FOREIGN, PENDING)
    rotations.go("Restore", "Abandon", "Abandon")
    assert rotations.world.secrets.stages(SECRET)[PENDING] == FOREIGN


def test_whoever_takes_the_label_stops_a_rotation() -> None:
    """Broken: `_promote` does not look at the labels. Two would rotate at once."""
    rotations = begun("postgres", "Stage", "Set", "Test")
    rotations.world.secrets.label(SECRET, FOREIGN, PENDING)
    assert rotations.ask("Promote")["outcome"] == "Moved"
    assert rotations.current == FIRST


@pytest.mark.parametrize("name", ["postgres", "mysql"])
@pytest.mark.parametrize("grant", sorted(GRANTS))
@pytest.mark.parametrize("step", ["Precheck", "Test"])
def test_a_user_that_may_less_is_not_promoted(name: str, grant: str, step: str) -> None:
    """Also one that may not pass a grant on. Broken: `_expect_equal` is left out of `look`, and of `test`. What the
    databases say of it is in their adapters' tests."""
    rotations = begun(name, *FORWARD[: FORWARD.index(step)])
    rotations.world.logins.users["app_clone"].grants.remove(grant)
    answer = rotations.ask(step)
    assert answer["outcome"] == {"Precheck": "NotReady", "Test": "Failed"}[step]
    assert grant in answer["reason"]


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize(
    "break_it",
    [lambda user: setattr(user, "login", False), lambda user: setattr(user, "password", "another")],
    ids=["locked", "another password"],
)
def test_the_new_value_is_tested_by_logging_in(name: str, break_it: Callable[[Any], None]) -> None:
    """Broken: `test` compares grants, and logs in as nobody."""
    rotations = begun(name, "Stage", "Set")
    break_it(rotations.world.logins.users["app" if name == "mysql-dual" else "app_clone"])
    assert rotations.ask("Test")["outcome"] == "Failed"


@pytest.mark.parametrize("name", KINDS)
def test_a_version_that_is_not_seen_at_once(name: str) -> None:
    """Fault 25. Broken: `Versions.new` raises FailedError for one that is not found; and `_stage` lets the
    ConflictError out that a second value of the same version gets."""
    rotations = Rotations.of(name)
    rotations.world.secrets.unseen = 2
    rotations.go("Stage")
    staged = rotations.text(PENDING)
    assert rotations.go("Stage") == ["Staged"]
    for step in ("Set", "Test"):
        found = rotations.world.secrets.secrets[SECRET].versions[OURS]
        found.unseen = 1
        with pytest.raises(TransientError):
            rotations.ask(step)
        assert rotations.ask(step)["outcome"] in ("Set", "Tested")
    assert rotations.text(PENDING) == staged
    assert rotations.works(staged)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("unseen", [1, 2])
def test_a_rotation_whose_version_is_not_seen_at_once(name: str, unseen: int) -> None:
    rotations = Rotations.of(name)
    rotations.world.secrets.unseen = unseen
    assert rotations.rotate() == "Rotated"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("before", FORWARD[1:])
def test_somebody_makes_another_version_current(name: str, before: str) -> None:
    """Fault 24: what they have made current stays so, and logs in. Broken: `_promote` moves AWSCURRENT from where it
    finds it."""
    rotations = Rotations.of(name)
    run = Run(rotations)
    users, secrets = rotations.world.logins.users, rotations.world.secrets

    def moved(step: str) -> Any:
        if step == before and FOREIGN not in secrets.secrets[SECRET].versions:
            if name == "token":
                secrets.put(SECRET, {"keys": [f"{CANARY}their-key"]}, FOREIGN)
                return rotations.world.ports
            user = "app" if name == "mysql-dual" else "app_clone"
            users[user].login = True
            users[user].password = f"{CANARY}theirs"
            secrets.put(SECRET, credential(user, users[user].password), FOREIGN)
        return rotations.world.ports

    run.ports = moved
    outcome = run.to_the_end()
    assert outcome == ("FailedDirty" if before == "Retire" else "FailedClean")
    assert rotations.current == FOREIGN
    assert rotations.works(rotations.text())
    assert rotations.keeps_quiet()


def test_somebody_is_quicker_between_the_look_and_the_swap() -> None:
    """Broken: `_promote` takes MovedError for a success."""
    rotations = begun("postgres", "Stage", "Set", "Test")
    secrets = rotations.world.secrets
    real = secrets.describe

    def quicker(secret: str) -> Any:
        found = real(secret)
        if FOREIGN not in secrets.secrets[SECRET].versions:
            secrets.put(SECRET, credential("app", OLD_PASSWORD), FOREIGN)
        return found

    setattr(secrets, "describe", quicker)  # noqa: B010 -- a method
    answer = rotations.ask("Promote")
    assert (answer["outcome"], FOREIGN in answer["reason"]) == ("Moved", True)
    assert rotations.ask("Restore")["outcome"] == "NotPromoted"
    assert rotations.current == FOREIGN


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize("step", ["Precheck", "Set", "Test", "Retire"])
def test_the_admins_password_is_rotated_meanwhile(name: str, step: str) -> None:
    """Fault 26: between the look at its secret and the login. Broken: `_admin` looks once."""
    if (name, step) == ("mysql-dual", "Test"):
        name = "mysql"
    rotations = begun(name, *FORWARD[: FORWARD.index(step)])
    rotate_admin_after_reading(rotations)
    assert rotations.ask(step)["outcome"] in ("Ready", "Set", "Tested", "Retired")
    assert rotations.world.secrets.value(ADMIN_SECRET)["password"] == f"{CANARY}fresh"


@pytest.mark.parametrize("name", LOGINS)
def test_the_admins_new_password_is_not_told_yet(name: str) -> None:
    """Its rotation sets the password first. Broken: `_admin` gives a FailedError in every step."""
    rotations = begun(name, "Precheck", "Stage")
    rotations.world.logins.users[ADMIN].password = f"{CANARY}fresh"
    with pytest.raises(TransientError):
        rotations.ask("Set")
    assert rotations.world.secrets.called("current") == 5  # Precheck 2, Set 1 and twice the admin's
    rotations.world.secrets.put(ADMIN_SECRET, credential(ADMIN, f"{CANARY}fresh"), FOREIGN)
    assert rotations.ask("Set")["outcome"] == "Set"


def rotate_admin_after_reading(rotations: Rotations) -> None:
    secrets = rotations.world.secrets
    real = secrets.current

    def reading(secret: str) -> SecretValue:
        found: SecretValue = real(secret)
        if secret == ADMIN_SECRET and json.loads(found.text)["password"] == ADMIN_PASSWORD:
            rotations.world.logins.users[ADMIN].password = f"{CANARY}fresh"
            secrets.put(ADMIN_SECRET, credential(ADMIN, f"{CANARY}fresh"), FOREIGN)
        return found

    setattr(secrets, "current", reading)  # noqa: B010 -- a method


@pytest.mark.parametrize("careful", [False, True])
def test_what_is_current_is_not_pushed_out_after_a_rotation_that_was_abandoned(careful: bool) -> None:
    """One user with two passwords: the abandoned value is the first of them, and the next one that is kept would push
    the second out, which everybody uses. Broken: `set` changes the password once; or makes what is current the first
    with `keep_old`, which does nothing where that works already."""
    rotations = begun("mysql-dual", "Precheck", "Stage", "Set", "Test", "Restore", "Abandon")
    rotations.world.logins.careful = careful
    rotations.go("Precheck", "Stage", "Set", deployment=NEXT_DEPLOYMENT, version=version_of(NEXT_DEPLOYMENT))
    assert rotations.current == FIRST
    assert rotations.works(rotations.text())
    assert rotations.works(rotations.text(PENDING))
