"""`rotate_secret` as Lambda calls it: without a table, and without a word of what is in a secret."""

from __future__ import annotations

import json

import pytest

from tests.functions.invoking import invoke
from tests.functions.rotation_rows import ROTATION_ROWS
from tests.functions.rotation_scene import VERSION, SecretScene
from tests.functions.scene import CANARY, DEPLOYMENT, event
from tests.support.logins import HOST
from tests.support.secrets import CANARY as MADE

NAMES = [name for name in ROTATION_ROWS if name.startswith("rotate_secret/")]


@pytest.mark.parametrize("name", NAMES)
def test_a_runner_has_no_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards `table=False` in functions/rotate_secret/app.py."""
    scene = ROTATION_ROWS[name].scene()
    done = invoke("rotate_secret", event(name), scene.world, monkeypatch, table="")
    assert done.error is None
    assert scene.world.store.items == {}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_value_goes_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords, those that are made too, hosts and what is made of both."""
    scene = ROTATION_ROWS[name].scene()
    done = invoke("rotate_secret", event(name), scene.world, monkeypatch)
    written = f"{done.written}{json.dumps(done.result)}{scene.world.bus.events}"
    for part in (CANARY, MADE, HOST):
        assert part not in written


def test_what_is_looked_for_is_there_to_be_found() -> None:
    """A canary that no secret has would say nothing."""
    scene = SecretScene().after("set", "Stage", "Set")
    known = scene.world.secrets.secrets[event("rotate_secret/set")["secret"]].versions
    assert any(CANARY in version.text for version in known.values())
    assert MADE in known[VERSION].text
    assert all(HOST in version.text for version in known.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_step_done_twice_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's time-out comes after the work: rows 8 and 9."""
    scene = ROTATION_ROWS[name].scene()
    first, second = (invoke("rotate_secret", event(name), scene.world, monkeypatch).result for _ in range(2))
    assert first is not None
    assert second is not None
    assert {**first, "reason": ""} == {**second, "reason": ""}


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_the_database_says_nothing_either(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = ROTATION_ROWS[name].scene()
    for method in ("current", "version", "describe"):
        scene.world.secrets.fails(method, *[RuntimeError(f"password={CANARY}")] * 3)
    done = invoke("rotate_secret", event(name), scene.world, monkeypatch)
    assert CANARY not in json.dumps(done.logged)
    assert DEPLOYMENT in done.written
