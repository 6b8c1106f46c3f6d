"""What `control` answers to whoever asked: the document on success, else an error that names the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.functions.invoking import invoke
from tests.functions.safety_rows import ADA, CONTROL
from tests.functions.scene import DEPLOYMENT, event

DID = {
    "abort": {"did": "aborting", "deployment": DEPLOYMENT},
    "abort_of_what_has_just_begun": {"did": "aborting", "deployment": DEPLOYMENT},
    "approve": {"did": "approved", "deployment": DEPLOYMENT, "release": "r42"},
    "approve_in_base64": {"did": "approved", "deployment": DEPLOYMENT, "release": "r42"},
    "reject": {"did": "rejected", "deployment": DEPLOYMENT, "release": "r42"},
    "freeze": {"did": "frozen", "until": None},
    "freeze_until": {"did": "frozen", "until": "2026-11-23T08:00:00.000Z"},
    "unfreeze": {"did": "unfrozen"},
    "unlock": {"did": "unlocked", "owner": DEPLOYMENT},
}
# (code, field) of the error.
REFUSED = {
    "abort_too_late": ("refused", "deployment"),
    "abort_of_nobodys": ("not_found", "deployment"),
    "abort_without_a_reason": ("bad_input", "reason"),
    "approve_another_plan": ("refused", "plan"),
    "approve_ones_own": ("refused", "deployment"),
    "freeze_for_a_year": ("bad_input", "until"),
    "freeze_of_nobody": ("not_found", "system"),
    "unfreeze_what_is_not_frozen": ("refused", "environment"),
    "unlock_of_one_that_runs": ("refused", "environment"),
    "unsigned": ("not_signed", None),
    "bad_body": ("bad_input", "body"),
    "unknown_command": ("bad_input", "command"),
    "unknown_field": ("bad_input", "force"),
}


def answered(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The body of the answer."""
    done = invoke("control", event(f"control/{name}"), CONTROL[name].scene().world, monkeypatch)
    assert done.result is not None
    assert done.result["headers"] == {"content-type": "application/json"}
    body: dict[str, Any] = json.loads(done.result["body"])
    return body


def test_every_file_is_answered_here() -> None:
    assert DID.keys() | REFUSED.keys() == CONTROL.keys()


@pytest.mark.parametrize(("name", "did"), DID.items())
def test_who_asked_is_told_what_was_done(
    name: str, did: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"command": name.partition("_")[0], "by": ADA}
    answer = answered(name, monkeypatch)
    assert answer.pop("at").startswith("2026-11-20T")
    assert answer == {**asked, **did}


@pytest.mark.parametrize(("name", "error"), REFUSED.items())
def test_who_asked_is_told_what_is_wrong_and_what_to_do(
    name: str, error: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = answered(name, monkeypatch)["error"]
    assert (said["code"], said.get("field")) == error
    assert said["message"]
