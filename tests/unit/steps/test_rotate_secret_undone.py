"""What becomes of a rotation that goes wrong half way, of the old value when it goes well, and of a secret that has a
single user still."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.rotation import CURRENT, PENDING, PREVIOUS, version_of
from tidegate.ports import SqlError

from tests.support.secrets import CANARY, FIRST
from tests.unit.steps.rotations import (
    DEPLOYMENT,
    FORWARD,
    KINDS,
    NEXT_DEPLOYMENT,
    OLD_PASSWORD,
    SECRET,
    Rotations,
    begun,
    credential,
)

OURS, FOREIGN = version_of(DEPLOYMENT), "f" * 32
LOGINS = [name for name, (kind, _) in KINDS.items() if kind != "token"]


# --- Set and Test


def test_nobody_changes_a_database_when_somebody_has_moved_on() -> None:
    """Guards `expect_here`: the idle user may be the one that is current by now."""
    rotations = begun("postgres", "Set")
    users = rotations.world.logins.users
    users["app_clone"].login = True
    rotations.world.secrets.put(SECRET, credential("app_clone", users["app_clone"].password), FOREIGN)
    answer = rotations.ask("Set")
    assert (answer["outcome"], FOREIGN in answer["reason"]) == ("Failed", True)
    assert rotations.works(rotations.text())


def test_the_user_of_what_is_current_is_left_alone() -> None:
    """Guards the look at whose turn it is: another writer of our version may have chosen the other user."""
    rotations = Rotations.of("postgres")
    rotations.world.secrets.put_pending(SECRET, OURS, json.dumps(credential("app", f"{CANARY}new")))
    assert rotations.ask("Set")["outcome"] == "Failed"
    assert rotations.works(rotations.text())


def test_an_invocation_that_comes_late_sets_nothing() -> None:
    """Guards `promoted`: what is current and does not log in is for a person to mend."""
    rotations = begun("postgres", "Retire")
    rotations.world.logins.users["app_clone"].login = False
    assert rotations.ask("Set")["outcome"] == "Failed"
    assert not rotations.world.logins.users["app_clone"].login


def test_a_session_that_is_somebody_elses() -> None:
    rotations = begun("postgres", "Test")
    rotations.world.logins.shown_as["app_clone"] = "postgres"
    answer = rotations.ask("Test")
    assert (answer["outcome"], answer["reason"]) == ("Failed", "who logs in as app_clone is postgres")


def test_a_key_that_is_none() -> None:
    """A version of ours that somebody else wrote."""
    for keys in ([OLD_PASSWORD], ["new"], [OLD_PASSWORD, OLD_PASSWORD]):
        rotations = Rotations.of("token")
        rotations.world.secrets.put_pending(SECRET, OURS, json.dumps({"keys": keys}))
        assert rotations.ask("Test")["outcome"] == "Failed"


# --- Retire, Restore, Abandon


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_retired_while_it_is_in_use(name: str) -> None:
    rotations = begun(name, "Promote")
    answer = rotations.ask("Retire")
    assert (answer["outcome"], answer["version"]) == ("Failed", None)
    assert rotations.current == FIRST
    assert rotations.works(rotations.text())


@pytest.mark.parametrize("name", LOGINS)
def test_nothing_is_retired_while_the_new_value_does_not_log_in(name: str) -> None:
    rotations = begun(name, "Retire")
    users = rotations.world.logins.users
    users["app" if name == "mysql-dual" else "app_clone"].password = "another"
    assert rotations.ask("Retire")["outcome"] == "Failed"
    assert users["app"].opens(OLD_PASSWORD)


def test_the_user_of_what_is_current_is_not_disabled() -> None:
    rotations = begun("postgres", "Retire")
    secrets = rotations.world.secrets
    secrets.secrets[SECRET].versions[FIRST].text = rotations.text()
    assert rotations.ask("Retire")["outcome"] == "Failed"
    assert rotations.works(rotations.text())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("until", FORWARD)
def test_what_is_undone_at_each_point(name: str, until: str) -> None:
    rotations = begun(name, until)
    wanted = "Restored" if until == "Retire" else "NotPromoted"
    assert rotations.ask("Restore") == {"outcome": wanted, "reason": ""}
    assert rotations.ask("Restore")["outcome"] == wanted
    assert rotations.ask("Abandon") == {"outcome": "Abandoned"}
    stages = rotations.world.secrets.stages(SECRET)
    assert (stages[CURRENT], PENDING in stages) == (FIRST, False)
    assert rotations.works(rotations.text())


def test_restore_only_looks_where_nothing_is_known() -> None:
    rotations = begun("postgres", "Promote")
    assert rotations.ask("Restore", previous=None)["outcome"] == "NotPromoted"
    rotations.go("Promote")
    assert rotations.ask("Restore", previous=None)["outcome"] == "Moved"
    assert rotations.current == OURS


def test_what_was_abandoned_is_not_promoted_by_an_invocation_that_comes_late() -> None:
    rotations = begun("postgres", "Retire")
    rotations.go("Restore", "Abandon")
    with pytest.raises(TransientError):
        rotations.ask("Promote")
    assert rotations.current == FIRST


def test_abandoning_a_token_takes_what_retire_had_written() -> None:
    rotations = begun("token", "Retire")
    rotations.world.secrets.fails("move_current")
    with pytest.raises(TransientError):
        rotations.ask("Retire")
    rotations.go("Restore", "Abandon")
    assert rotations.world.secrets.stages(SECRET) == {CURRENT: FIRST, PREVIOUS: OURS}


# --- preparing a secret of a single user


def single() -> Rotations:
    rotations = Rotations.of("postgres")
    del rotations.world.logins.users["app_clone"]
    return rotations


STATEMENTS = [
    "CREATE ROLE app_clone",
    "GRANT DELETE ON orders WITH GRANT OPTION TO app_clone",
    "GRANT SELECT ON orders TO app_clone",
]


def test_a_secret_is_prepared_as_agreed() -> None:
    rotations = single()
    told = rotations.ask("Adoption")
    assert (told["outcome"], told["statements"], told["reason"]) == ("Adoption", STATEMENTS, "")
    assert rotations.world.logins.called("run") == 0
    assert rotations.ask("Adopt", statements=told["hash"]) == {"outcome": "Adopted", "reason": ""}
    assert rotations.ask("Adopt", statements=told["hash"])["outcome"] == "Adopted"
    assert rotations.ask("Adoption")["statements"] == []
    assert rotations.rotate() == "Rotated"


def test_other_statements_than_those_agreed_to_are_not_run() -> None:
    rotations = single()
    told = rotations.ask("Adoption")
    rotations.world.logins.users["app"].grants.add("TRUNCATE ON orders")
    assert rotations.ask("Adopt", statements=told["hash"])["outcome"] == "Changed"
    assert rotations.world.logins.called("run") == 0


def test_statements_that_are_refused() -> None:
    rotations = single()
    told = rotations.ask("Adoption")
    rotations.world.logins.fails("run", SqlError("42501", "permission denied"))
    answer = rotations.ask("Adopt", statements=told["hash"])
    assert answer == {"outcome": "Failed", "reason": "the database refuses: permission denied (42501)"}


@pytest.mark.parametrize("name", ["mysql-dual", "token"])
def test_nothing_to_prepare(name: str) -> None:
    rotations = Rotations.of(name)
    told = rotations.ask("Adoption")
    assert (told["statements"], told["reason"]) == ([], "nothing is to be prepared")
    assert rotations.ask("Adopt", statements=told["hash"])["outcome"] == "Adopted"


def test_what_is_to_be_prepared_cannot_be_said() -> None:
    rotations = single()
    answer = rotations.ask("Adoption", users=["shop_a", "shop_b"])
    assert (answer["outcome"], answer["statements"], answer["hash"]) == ("Adoption", [], None)
    assert "users" in answer["reason"]


# --- a database that has neither user


def empty(name: str = "postgres") -> Rotations:
    rotations = Rotations.of(name)
    for user in ("app", "app_clone"):
        rotations.world.logins.users.pop(user, None)
    return rotations


@pytest.mark.parametrize("name", ["postgres", "mysql", "mysql-dual"])
def test_both_users_are_made(name: str) -> None:
    rotations = empty(name)
    told = rotations.ask("Adoption")
    assert (told["outcome"], told["reason"]) == ("Adoption", "")
    assert told["statements"][0] == "CREATE ROLE app PASSWORD the one of the secret"
    assert rotations.world.logins.users.keys() == {"admin"}, "it has only been asked for"
    assert rotations.ask("Adoption")["hash"] == told["hash"]
    assert rotations.ask("Adopt", statements=told["hash"]) == {"outcome": "Adopted", "reason": ""}
    assert rotations.world.logins.users["app"].opens(OLD_PASSWORD)
    assert rotations.ask("Adoption")["statements"] == []
    assert rotations.ask("Adopt", statements=told["hash"])["outcome"] == "Adopted", "asked for twice"
    assert rotations.rotate() == "Rotated"
    assert rotations.rotate(NEXT_DEPLOYMENT) == "Rotated"
    assert not [said for said in rotations.said if CANARY in said]


def test_a_user_that_is_there_has_to_log_in() -> None:
    """Else its pair would be complete, and nothing that takes the secret could start."""
    rotations = single()
    rotations.world.logins.users["app"].password = "another"
    answer = rotations.ask("Adoption")
    assert (answer["statements"], answer["hash"]) == ([], None)
    assert answer["reason"] == "the database does not let app log in"
    assert rotations.ask("Adopt", statements="5e1d")["outcome"] == "Failed"
    assert rotations.world.logins.called("run") == 0


def test_without_an_admin_nobody_can_make_a_user() -> None:
    rotations = empty("mysql-dual")
    answer = rotations.ask("Adoption", admin=None)
    assert (answer["hash"], answer["reason"]) == (None, "the database does not let app log in")
    ready = Rotations.of("mysql-dual").ask("Adoption", admin=None)
    assert (ready["statements"], ready["reason"]) == ([], "nothing is to be prepared")


def test_a_refusal_tells_no_password() -> None:
    rotations = empty()
    told = rotations.ask("Adoption")
    rotations.world.logins.fails("run", SqlError("42601", f"near {OLD_PASSWORD}"))
    answer = rotations.ask("Adopt", statements=told["hash"])
    assert (answer["outcome"], CANARY in str(answer)) == ("Failed", False)
