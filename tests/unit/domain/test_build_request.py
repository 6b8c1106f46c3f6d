"""The input of `build`: what is understood, and for everything else a refusal that names the field and the mend."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.build_request import BuildRequest, parse_build
from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import ImageRequest

DIGEST = "sha256:" + "1" * 64
COMMIT, BEFORE = "5" * 40, "4" * 40
LEAST = {"system": "arive", "commit": COMMIT}


def test_a_person_names_a_system_and_a_commit() -> None:
    request = parse_build(LEAST)
    assert request == BuildRequest("arive", COMMIT)
    assert (request.trigger, request.by_event, request.changed) == ("person", False, None)


def test_a_push_says_all_it_knows() -> None:
    request = parse_build(
        {
            **LEAST,
            "ref": "refs/heads/main",
            "before": BEFORE,
            "changed": ["b", "a", "b"],
            "repository": "codecommit:arive",
            "actor": "ada",
            "reason": "push to main",
            "trigger": "event",
        }
    )
    assert request == BuildRequest(
        "arive",
        COMMIT,
        "refs/heads/main",
        before=BEFORE,
        changed=("b", "a", "b"),
        repository="codecommit:arive",
        actor="ada",
        reason="push to main",
        trigger="event",
    )
    assert request.by_event


def test_images_and_environments_are_sets_in_order() -> None:
    request = parse_build(
        {**LEAST, "images": ["web", "app", "web"], "environments": ["staging", "production"]}
    )
    assert request.images == ("app", "web")
    assert request.environments == ("production", "staging")


def test_images_that_are_built_come_with_their_digests() -> None:
    request = parse_build({**LEAST, "built": {"app": {"digest": DIGEST}, "web": {"tag": "c1"}}})
    assert request.built == {"app": ImageRequest(DIGEST), "web": ImageRequest(tag="c1")}


@pytest.mark.parametrize(
    "name", ["ref", "before", "changed", "repository", "built", "images", "environments", "trigger"]
)
def test_null_is_as_good_as_left_out(name: str) -> None:
    assert parse_build({**LEAST, name: None}) == BuildRequest("arive", COMMIT)


@pytest.mark.parametrize("name", ["ref", "repository", "actor", "reason", "trigger"])
def test_an_empty_note_is_as_good_as_none(name: str) -> None:
    assert parse_build({**LEAST, name: ""}) == BuildRequest("arive", COMMIT)


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ([], ()),
        (["a"] * 5000, ("a",) * 5000),
        (["a"] * 5001, None),
        (["a", "\ud800"], None),  # no character: a path that cannot be kept, let alone matched
    ],
)
def test_changes_are_known_completely_or_not_at_all(
    changed: list[str], known: tuple[str, ...] | None
) -> None:
    assert parse_build({**LEAST, "changed": changed}).changed == known


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"system": None}, "system"),
        ({"system": "No Such"}, "system"),
        ({"system": 1}, "system"),
        ({"commit": None}, "commit"),
        ({"commit": ""}, "commit"),
        ({"commit": "c" * 65}, "commit"),
        ({"commit": 5}, "commit"),
        ({"commit": "\ud800"}, "commit"),
        ({"ref": "main"}, "ref"),
        ({"ref": ["refs/heads/main"]}, "ref"),
        ({"ref": "refs/heads/" + "x" * 1100}, "ref"),
        ({"before": ""}, "before"),
        ({"before": "b" * 65}, "before"),
        ({"changed": "a"}, "changed"),
        ({"changed": ["a", 1]}, "changed"),
        ({"changed": {"a": 1}}, "changed"),
        ({"repository": {}}, "repository"),
        ({"images": "app"}, "images"),
        ({"images": [1]}, "images"),
        ({"images": ["no key!"]}, "images"),
        ({"images": {"app": {"digest": DIGEST}}}, "images"),
        ({"environments": "production"}, "environments"),
        ({"environments": ["../x"]}, "environments"),
        ({"built": ["app"]}, "built"),
        ({"built": {"no key!": {"digest": DIGEST}}}, "built"),
        ({"built": {"app": DIGEST}}, "built.app"),
        ({"built": {"app": {}}}, "built.app"),
        ({"built": {"app": {"digest": None}}}, "built.app"),
        ({"built": {"app": {"uri": "x"}}}, "built.app"),
        ({"built": {"app": {"digest": "sha256:1"}}}, "built.app.digest"),
        ({"built": {"app": {"tag": "no tag!"}}}, "built.app.tag"),
        ({"actor": 1}, "actor"),
        ({"reason": "x" * 1025}, "reason"),
        ({"trigger": "cron"}, "trigger"),
        ({"environment": "production"}, "environment"),
        ({"recover": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "recover"),
    ],
)
def test_a_wrong_field_is_named_with_its_mend(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_build({**LEAST, **wrong})
    assert raised.value.field == field
    assert raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("data", [None, [], "arive", 1])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_build(data)
    assert raised.value.field == "input"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "ref",
    "images",
    "before",
    "changed",
    "repository",
    "built",
    "environments",
    "actor",
    "reason",
    "trigger",
]


@given(st.dictionaries(st.sampled_from([*NAMES, "system", "commit", "other"]), JSON))
def test_anything_is_understood_or_refused(extra: dict[str, Any]) -> None:
    document = {**LEAST, **extra}
    try:
        refused = None if parse_build(document).system == document["system"] else "understood as another"
    except BadInputError as error:
        json.dumps(error.message, ensure_ascii=False).encode()
        refused = error.field
    assert refused in {None, "input", *document} or str(refused).startswith("built.")
