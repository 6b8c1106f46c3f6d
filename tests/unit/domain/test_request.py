"""Requests: what is understood, and for everything else a refusal that names the field and the mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import ImageRequest
from tidegate.domain.request import (
    DeployRequest,
    Published,
    RecoverRequest,
    Restart,
    RollbackRequest,
    RotateRequest,
    parse_deploy,
    parse_published,
    parse_rollback,
    parse_rotate,
)

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
DEPLOYMENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
PLACE = {"system": "arive", "environment": "production"}
IMAGES = {"app": {"digest": DIGEST}}
SECRET = "arive/production/database"
Parse = Callable[[object], object]


class TestDeploy:
    def test_of_a_commit_with_images(self) -> None:
        request = parse_deploy(
            {**PLACE, "commit": "c1", "images": {"app": {"digest": DIGEST}, "web": {"tag": "v1"}}}
            | {"reason": "why", "actor": "ada"}
        )
        assert request == DeployRequest(
            "arive",
            "production",
            "c1",
            {"app": ImageRequest(DIGEST), "web": ImageRequest(tag="v1")},
            None,
            "why",
            "ada",
            "person",
        )

    def test_of_a_release(self) -> None:
        assert parse_deploy({**PLACE, "release": "r41"}) == DeployRequest("arive", "production", release=41)

    def test_what_is_null_counts_as_left_out(self) -> None:
        """The command line and the state machines pass every field."""
        absent = dict.fromkeys(("commit", "images", "reason", "actor", "trigger", "recover"))
        assert parse_deploy({**PLACE, **absent, "release": "r1"}) == parse_deploy({**PLACE, "release": "r1"})

    def test_by_an_event_is_told_from_one_by_a_person(self) -> None:
        by_event = parse_deploy({**PLACE, "commit": "c1", "trigger": "event"})
        by_person = parse_deploy({**PLACE, "commit": "c1", "reason": "", "trigger": "person"})
        assert isinstance(by_event, DeployRequest)
        assert isinstance(by_person, DeployRequest)
        assert by_event.by_event
        assert not by_person.by_event

    def test_of_a_recovery_asks_for_nothing_else(self) -> None:
        assert parse_deploy({**PLACE, "recover": DEPLOYMENT}) == RecoverRequest(
            "arive", "production", DEPLOYMENT
        )


RESTART = {"secret": "shop/database", "version": "v2", "at": "2026-03-02T09:05:00Z"}


class TestARestart:
    def test_releases_nothing(self) -> None:
        request = parse_deploy({**PLACE, "restart": RESTART, "actor": "secretsmanager", "trigger": "event"})
        assert request == DeployRequest(
            "arive",
            "production",
            actor="secretsmanager",
            trigger="event",
            restart=Restart("shop/database", "v2", "2026-03-02T09:05:00Z"),
        )

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"release": "r1"}, "release"),
            ({"images": IMAGES}, "images"),
            ({"commit": "c1"}, "commit"),
            ({"order": DEPLOYMENT}, "order"),
            ({"restart": "shop/database"}, "input"),
            ({"restart": {**RESTART, "secret": None}}, "secret"),
            ({"restart": {**RESTART, "version": 2}}, "version"),
            ({"restart": {**RESTART, "force": True}}, "force"),
            # Compared with the start of each service: what is no moment would fail there.
            ({"restart": {**RESTART, "at": "yesterday"}}, "restart.at"),
            ({"restart": {**RESTART, "at": "2026-03-02T09:05:00"}}, "restart.at"),
            ({"restart": {**RESTART, "at": "None"}}, "restart.at"),
        ],
    )
    def test_that_is_none_is_refused_by_its_field(self, more: dict[str, Any], field: str) -> None:
        with pytest.raises(BadInputError) as caught:
            parse_deploy({**PLACE, "restart": RESTART, **more})
        assert caught.value.field == field
        assert caught.value.hint


@pytest.mark.parametrize(
    ("parse", "data"),
    [(parse_deploy, {**PLACE, "commit": "c1"}), (parse_rollback, {**PLACE, "reason": "slow"})],
)
def test_an_execution_that_starts_another_may_name_itself(parse: Parse, data: dict[str, Any]) -> None:
    named = {**data, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:::execution:migrate:one"}
    assert parse(named) == parse(data)


def test_the_order_of_a_push_is_a_ulid() -> None:
    request = parse_deploy({**PLACE, "commit": "c1", "order": DEPLOYMENT, "trigger": "event"})
    assert isinstance(request, DeployRequest)
    assert request.order == DEPLOYMENT
    with pytest.raises(BadInputError) as caught:
        parse_deploy({**PLACE, "commit": "c1", "order": "later"})
    assert caught.value.field == "order"


class TestRollback:
    @pytest.mark.parametrize(
        ("to", "number"), [({}, None), ({"to": None}, None), ({"to": "previous"}, None), ({"to": "r7"}, 7)]
    )
    def test_goes_to_the_previous_release_unless_told(self, to: dict[str, Any], number: int | None) -> None:
        assert parse_rollback({**PLACE, **to}) == RollbackRequest("arive", "production", number)

    def test_of_a_recovery(self) -> None:
        assert parse_rollback({**PLACE, "recover": DEPLOYMENT}) == RecoverRequest(
            "arive", "production", DEPLOYMENT
        )


class TestRotate:
    def test_is_of_one_secret_of_an_environment(self) -> None:
        request = parse_rotate({**PLACE, "secret": SECRET, "reason": "it leaked", "actor": "ada"})
        assert request == RotateRequest("arive", "production", SECRET, "it leaked", "ada")
        assert isinstance(request, RotateRequest)
        assert not request.scheduled

    def test_by_a_schedule_says_which_of_its_moments_it_is(self) -> None:
        slot = "2026-11-23T03:00:00Z"
        request = parse_rotate({**PLACE, "secret": SECRET, "slot": slot, "trigger": "event"})
        assert isinstance(request, RotateRequest)
        assert (request.slot, request.scheduled, request.trigger) == (slot, True, "event")

    @pytest.mark.parametrize(("adopt", "statements"), [("plan", None), ("apply", "5e1d")])
    def test_may_only_prepare_a_secret(self, adopt: str, statements: str | None) -> None:
        request = parse_rotate({**PLACE, "secret": SECRET, "adopt": adopt, "statements": statements})
        assert isinstance(request, RotateRequest)
        assert (request.adopt, request.statements) == (adopt, statements)

    def test_of_a_recovery(self) -> None:
        assert parse_rotate({**PLACE, "recover": DEPLOYMENT}) == RecoverRequest(
            "arive", "production", DEPLOYMENT
        )


NEITHER = {"images": {"app": {"digest": None, "tag": None}}}
COMMON: list[tuple[object, str]] = [
    (None, "input"),
    ([PLACE], "input"),
    ("arive", "input"),
    ({**PLACE, "images": IMAGES, "comit": "c1"}, "comit"),
    ({"environment": "production", "images": IMAGES}, "system"),
    ({**PLACE, "images": IMAGES, "system": None}, "system"),
    ({**PLACE, "images": IMAGES, "system": ""}, "system"),
    ({**PLACE, "images": IMAGES, "system": "Arive"}, "system"),
    ({**PLACE, "images": IMAGES, "system": "1arive"}, "system"),
    ({**PLACE, "images": IMAGES, "system": "arive#ENV#x"}, "system"),
    ({**PLACE, "images": IMAGES, "system": "a" * 31}, "system"),
    ({**PLACE, "images": IMAGES, "system": "arive\n"}, "system"),
    ({**PLACE, "images": IMAGES, "system": True}, "system"),
    ({**PLACE, "images": IMAGES, "environment": 7}, "environment"),
    ({**PLACE, "images": IMAGES, "environment": ""}, "environment"),
    ({**PLACE, "images": IMAGES, "environment": "-production"}, "environment"),
    ({**PLACE, "images": IMAGES, "environment": "pro/duction"}, "environment"),
    ({**PLACE, "images": IMAGES, "environment": "p" * 64}, "environment"),
    ({**PLACE, "images": IMAGES, "actor": ["ada"]}, "actor"),
    ({**PLACE, "images": IMAGES, "actor": "a" * 1025}, "actor"),
]
WITH_IMAGES: list[tuple[object, str]] = [
    ({**PLACE, "images": IMAGES, "commit": ""}, "commit"),
    ({**PLACE, "images": IMAGES, "commit": "c" * 65}, "commit"),
    ({**PLACE, "images": IMAGES, "commit": 7}, "commit"),
    ({**PLACE, "images": IMAGES, "commit": "c\ud800"}, "commit"),
    ({**PLACE, "images": [DIGEST]}, "images"),
    ({**PLACE, "images": {"": {"digest": DIGEST}}}, "images"),
    ({**PLACE, "images": {"a b": {"digest": DIGEST}}}, "images"),
    ({**PLACE, "images": {"app": DIGEST}}, "images.app"),
    ({**PLACE, "images": {"app": {}}}, "images.app"),
    ({**PLACE, "images": {"app": {"digest": DIGEST, "uri": "x"}}}, "images.app"),
    ({**PLACE, **NEITHER}, "images.app"),
    ({**PLACE, "images": {"app": {"digest": "latest"}}}, "images.app.digest"),
    ({**PLACE, "images": {"app": {"digest": DIGEST[:-1]}}}, "images.app.digest"),
    ({**PLACE, "images": {"app": {"digest": ""}}}, "images.app.digest"),
    ({**PLACE, "images": {"app": {"digest": 7}}}, "images.app.digest"),
    ({**PLACE, "images": {"app": {"digest": DIGEST, "tag": ""}}}, "images.app.tag"),
    ({**PLACE, "images": {"app": {"digest": DIGEST, "tag": "a:b"}}}, "images.app.tag"),
    ({**PLACE, "images": {"app": {"digest": DIGEST, "tag": "t" * 129}}}, "images.app.tag"),
]
DEPLOY: list[tuple[object, str]] = [
    (PLACE, "images"),
    ({**PLACE, "images": {}}, "images"),
    ({**PLACE, "release": "42"}, "release"),
    ({**PLACE, "release": 42}, "release"),
    ({**PLACE, "release": "r1", "commit": "c1"}, "release"),
    ({**PLACE, "release": "r1", "images": IMAGES}, "release"),
    ({**PLACE, "commit": "c1", "to": "r1"}, "to"),
    ({**PLACE, "commit": "c1", "reason": {"why": 1}}, "reason"),
    ({**PLACE, "commit": "c1", "trigger": "alarm"}, "trigger"),
    ({**PLACE, "recover": "r1"}, "recover"),
    ({**PLACE, "recover": DEPLOYMENT.lower()}, "recover"),
]
ROLLBACK: list[tuple[object, str]] = [
    ({**PLACE, "to": ""}, "to"),
    ({**PLACE, "to": "41"}, "to"),
    ({**PLACE, "to": 41}, "to"),
    ({**PLACE, "to": "Previous"}, "to"),
    ({**PLACE, "release": "r1"}, "release"),
    ({**PLACE, "images": IMAGES}, "images"),
    ({**PLACE, "recover": False}, "recover"),
    ({**PLACE, "trigger": 0}, "trigger"),
]
ROTATE: list[tuple[object, str]] = [
    (PLACE, "secret"),
    ({**PLACE, "secret": ""}, "secret"),
    ({**PLACE, "secret": 7}, "secret"),
    ({**PLACE, "secret": "s" * 513}, "secret"),
    ({**PLACE, "secret": SECRET, "release": "r1"}, "release"),
    ({**PLACE, "secret": SECRET, "adopt": "maybe"}, "adopt"),
    ({**PLACE, "secret": SECRET, "adopt": ["plan"]}, "adopt"),
    ({**PLACE, "secret": SECRET, "adopt": "apply"}, "statements"),
    ({**PLACE, "secret": SECRET, "adopt": "plan", "statements": "5e1d"}, "statements"),
    ({**PLACE, "secret": SECRET, "statements": "5e1d"}, "statements"),
    # What no scheduler has filled in would be the same for ever.
    ({**PLACE, "secret": SECRET, "slot": "<aws.scheduler.scheduled-time>"}, "slot"),
    ({**PLACE, "secret": SECRET, "slot": "2026-11-23T03:00:00"}, "slot"),
    ({**PLACE, "secret": SECRET, "slot": 7}, "slot"),
    ({**PLACE, "recover": "r1"}, "recover"),
]
PUBLISHED: list[tuple[object, str]] = [
    ({**PLACE}, "images"),
    ({**PLACE, "images": {}}, "images"),
    ({**PLACE, "images": None}, "images"),
    ({**PLACE, "images": {"app": {"tag": "latest"}}}, "images.app.digest"),
    ({**PLACE, "images": IMAGES, "release": "r1"}, "release"),
    ({**PLACE, "images": IMAGES, "reason": "why"}, "reason"),
    ({**PLACE, "images": IMAGES, "run_url": ["x"]}, "run_url"),
]
REFUSED = [
    *((parse_deploy, *row) for row in COMMON + WITH_IMAGES + DEPLOY),
    *((parse_published, *row) for row in COMMON + WITH_IMAGES + PUBLISHED),
    *((parse_rollback, *row) for row in ROLLBACK),
    *((parse_rotate, *row) for row in ROTATE),
]


@pytest.mark.parametrize(("parse", "data", "field"), REFUSED)
def test_what_is_wrong_is_refused_by_its_field_and_mend(parse: Parse, data: object, field: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse(data)
    assert refused.value.field == field
    assert refused.value.hint


@pytest.mark.parametrize("parse", [parse_deploy, parse_rollback, parse_rotate, parse_published])
def test_a_huge_name_makes_no_huge_reason(parse: Parse) -> None:
    """The reason travels through a state machine, whose data ends at 256 KiB: `_shown`."""
    for data in ({**PLACE, "x" * 200_000: 1}, {**PLACE, "images": {"y" * 200_000: {}}}):
        with pytest.raises(BadInputError) as refused:
            parse(data)
        assert len(f"{refused.value.field}{refused.value.message}{refused.value.hint}") < 1000


DETAIL: dict[str, Any] = {
    **PLACE,
    "commit": "c1",
    "images": {"app": {"digest": DIGEST, "tag": "c1"}, "web": {"digest": OTHER}},
}


class TestPublished:
    def published(self, **more: Any) -> Published:
        return parse_published({**DETAIL, **more})

    def test_asks_for_a_deployment(self) -> None:
        asked = self.published(actor="ci-user", run_url="https://ci/1").to_input("production")
        assert asked == {
            **DETAIL,
            "actor": "ci-user",
            "reason": "published by https://ci/1",
            "trigger": "event",
        }
        request = parse_deploy(asked)
        assert isinstance(request, DeployRequest)
        assert request.by_event
        assert request.images == {"app": ImageRequest(DIGEST, "c1"), "web": ImageRequest(OTHER)}

    def test_may_leave_out_the_environment_the_commit_and_who_it_was(self) -> None:
        published = parse_published({"system": "arive", "images": IMAGES})
        assert published == Published("arive", None, None, {"app": ImageRequest(DIGEST)}, "ci", None)
        assert "commit" not in published.to_input("production")

    def test_copies_have_one_hash_whoever_sends_them(self) -> None:
        """`Published.hash`: an event sent again by a CI's retry has another run, and is the same request."""
        turned = dict(reversed(DETAIL["images"].items()))
        copies = [
            self.published(),
            self.published(run_url="https://ci/2", actor="somebody"),
            self.published(images=turned),
            self.published(environment=None),
            self.published(images={"app": {"digest": DIGEST, "tag": "latest"}, "web": {"digest": OTHER}}),
        ]
        assert len({copy.hash("production") for copy in copies}) == 1

    @pytest.mark.parametrize(
        "more",
        [
            {"system": "identity"},
            {"commit": "c2"},
            {"commit": None},
            {"images": {"app": {"digest": OTHER}, "web": {"digest": OTHER}}},
            {"images": {"app": {"digest": DIGEST}}},
            {"images": {"app": {"digest": OTHER}, "web": {"digest": DIGEST}}},
        ],
    )
    def test_another_request_has_another_hash(self, more: dict[str, Any]) -> None:
        assert self.published(**more).hash("production") != self.published().hash("production")
        assert self.published().hash("staging") != self.published().hash("production")


texts = st.text(st.characters(), max_size=6)  # halves of surrogate pairs as well: JSON may hold them
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from([DIGEST, "r1", "app"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(texts | st.sampled_from(["app", "digest"]), inner)
    ),
    max_leaves=5,
)
fields = {
    "system": st.just("arive") | odd,
    "environment": st.just("production") | odd,
    "commit": st.just("c1") | odd,
    "images": st.just(IMAGES) | st.dictionaries(st.just("app") | texts, st.just({"tag": "v"}) | odd) | odd,
    "release": st.just("r1") | odd,
    "to": st.just("previous") | odd,
    "reason": odd,
    "actor": odd,
    "trigger": st.just("event") | odd,
    "run_url": odd,
    "secret": st.just(SECRET) | odd,
    "slot": st.just("2026-11-23T03:00:00Z") | odd,
    "adopt": st.sampled_from(["plan", "apply"]) | odd,
    "statements": odd,
    "recover": st.just(DEPLOYMENT) | odd,
}
documents = odd | st.fixed_dictionaries({}, optional=fields) | st.dictionaries(texts, odd, max_size=3)


@settings(max_examples=300)
@given(st.sampled_from([parse_deploy, parse_rollback, parse_rotate, parse_published]), documents)
def test_anything_is_understood_or_refused_by_a_field(parse: Parse, data: object) -> None:
    """Fault 35, I7: nothing else is ever raised, and what is understood can be hashed, stored and read again."""
    refusal: BadInputError | None = None
    try:
        request = parse(data)
    except BadInputError as error:
        refusal = error
    if refusal is not None:
        assert refusal.field is not None
        assert refusal.hint
        assert len(refusal.message) < 2000
        return
    if isinstance(request, Published):
        asked = request.to_input("production")
        assert len(request.hash("production")) == 32
        json.dumps(asked, ensure_ascii=False).encode()
        again = parse_deploy(asked)
        assert isinstance(again, DeployRequest)
        assert (again.commit, again.images) == (request.commit, request.images)
    else:
        json.dumps(data, ensure_ascii=False).encode()
