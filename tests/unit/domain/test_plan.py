"""Plans and task definitions: what is kept, what differs, in which order it rolls."""

from __future__ import annotations

import copy
import json
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.errors import NotFoundError
from tidegate.domain.plan import (
    REGISTER_FIELDS,
    Plan,
    ServicePlan,
    differences,
    same_shape,
    shape,
    waves_of,
    with_images,
)

NOTES = {
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/api:7",
    "revision": 7,
    "status": "ACTIVE",
    "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.19"}],
    "compatibilities": ["EC2", "FARGATE"],
    "registeredAt": "2026-03-02T09:00:00.000Z",
    "registeredBy": "arn:aws:iam::123456789012:role/iac",
}


def definition(**more: Any) -> dict[str, Any]:
    return {
        "family": "api",
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {
                "name": "app",
                "image": "app@sha256:old",
                "environment": [{"name": "MODE", "value": "web"}],
                "secrets": [{"name": "DB", "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:db"}],
                "dockerLabels": {"team": "shop"},
            },
            {"name": "proxy", "image": "envoy:1", "essential": False},
        ],
        **more,
    }


class TestWithImages:
    def test_replaces_the_named_images_and_nothing_else(self) -> None:
        old = definition()
        new = with_images(old, {"app": "app@sha256:new"})
        expected = definition()
        expected["containerDefinitions"][0]["image"] = "app@sha256:new"
        assert new == expected

    def test_leaves_what_it_was_given_alone(self) -> None:
        old = definition(**NOTES)
        before = copy.deepcopy(old)
        with_images(old, {"app": "app@sha256:new", "proxy": "envoy:2"})
        assert old == before

    def test_ignores_a_container_that_is_not_there(self) -> None:
        assert with_images(definition(), {"sidecar": "x"}) == definition()

    def test_gives_what_can_be_registered(self) -> None:
        assert set(with_images(definition(**NOTES), {})) <= REGISTER_FIELDS
        assert "tags" not in with_images(definition(tags=[{"key": "a", "value": "b"}]), {}), (
            "tags are the caller's: RegisterTaskDefinition takes them beside the content"
        )


def test_every_field_that_ecs_takes_is_kept() -> None:
    """`REGISTER_FIELDS` against botocore's model: a field that ECS learns must not be lost by the next release."""
    model = botocore.session.get_session().get_service_model("ecs")
    takes = set(model.operation_model("RegisterTaskDefinition").input_shape.members)
    gives = set(model.shape_for("TaskDefinition").members)
    assert takes - {"tags"} == REGISTER_FIELDS
    assert gives >= REGISTER_FIELDS


values = st.one_of(
    st.text(max_size=4), st.integers(0, 9), st.booleans(), st.lists(st.text(max_size=3), max_size=2)
)
containers = st.lists(
    st.builds(
        lambda name, image, more: {**more, "name": name, "image": image},
        st.sampled_from(["app", "proxy", "logs"]),
        st.sampled_from(["a:1", "b:2"]),
        st.dictionaries(st.sampled_from(["cpu", "command", "user", "essential"]), values),
    ),
    min_size=1,
    unique_by=lambda container: container["name"],
)
definitions = st.builds(
    lambda fields, notes, inner: {**fields, **notes, "family": "api", "containerDefinitions": inner},
    st.dictionaries(
        st.sampled_from(sorted(REGISTER_FIELDS - {"family", "containerDefinitions"})), values, max_size=5
    ),
    st.dictionaries(st.sampled_from(sorted(NOTES)), values, max_size=3),
    containers,
)


@given(definitions, st.sampled_from(["app", "proxy", "logs", "none"]))
def test_only_the_image_of_the_named_container_ever_changes(content: dict[str, Any], name: str) -> None:
    """`with_images`' `**container`, and `shape`: a field left out would be lost by every release."""
    new = with_images(content, {name: "new@sha256:1"})
    for before, after in zip(content["containerDefinitions"], new["containerDefinitions"], strict=True):
        image = "new@sha256:1" if before["name"] == name else before["image"]
        assert after == {**before, "image": image}
    kept = {key: value for key, value in new.items() if key != "containerDefinitions"}
    assert kept == {
        key: value
        for key, value in content.items()
        if key in REGISTER_FIELDS - {"containerDefinitions"} and value not in (None, "", [], {})
    }


class TestSameShape:
    def test_does_not_see_ecs_own_notes_and_empty_fields(self) -> None:
        """ECS gives `volumes: []` and the like where nothing was registered."""
        described = definition(
            **NOTES, volumes=[], placementConstraints=[], ipcMode="", proxyConfiguration=None
        )
        assert same_shape(described, definition())

    @pytest.mark.parametrize(
        "more",
        [
            {"cpu": "512"},
            {"enableFaultInjection": False},
            {"taskRoleArn": "arn:role"},
            {"containerDefinitions": [{"name": "app", "image": "app@sha256:old"}]},
        ],
    )
    def test_sees_everything_that_can_be_registered(self, more: dict[str, Any]) -> None:
        """False is a value: only what is empty counts as absent."""
        assert not same_shape(definition(), definition(**more))

    @given(definitions)
    def test_an_unchanged_image_is_no_change(self, content: dict[str, Any]) -> None:
        images = {entry["name"]: entry["image"] for entry in content["containerDefinitions"]}
        assert same_shape(with_images(content, images), content)

    def test_a_field_that_ecs_gives_and_takes_is_part_of_the_shape(self) -> None:
        assert set(shape({**dict.fromkeys(REGISTER_FIELDS, "x"), **NOTES})) == REGISTER_FIELDS


class TestDifferences:
    def test_name_the_place_by_container_and_variable(self) -> None:
        new = definition(memory="1024", ephemeralStorage={"sizeInGiB": 30})
        new["containerDefinitions"][0]["image"] = "app@sha256:new"
        new["containerDefinitions"][0]["environment"] += [{"name": "DEBUG", "value": "1"}]
        assert differences(definition(), new) == [
            {
                "path": "containerDefinitions[app].environment[DEBUG]",
                "from": None,
                "to": {"name": "DEBUG", "value": "1"},
            },
            {
                "path": "containerDefinitions[app].image",
                "from": "app@sha256:old",
                "to": "app@sha256:new",
            },
            {"path": "ephemeralStorage", "from": None, "to": {"sizeInGiB": 30}},
            {"path": "memory", "from": "512", "to": "1024"},
        ]

    def test_do_not_mind_the_order_of_containers(self) -> None:
        turned = definition()
        turned["containerDefinitions"].reverse()
        assert differences(definition(), turned) == []

    def test_show_a_list_whole_whose_names_repeat(self) -> None:
        """By name, the last of the two would stand for both and the change would not be seen."""
        old = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
        new = [{"name": "A", "value": "9"}, {"name": "A", "value": "2"}]
        assert differences({"environment": old}, {"environment": new}) == [
            {"path": "environment", "from": old, "to": new}
        ]

    @given(definitions, st.sampled_from(["a:1", "b:2", "c:3"]))
    def test_are_empty_exactly_when_nothing_differs(self, content: dict[str, Any], image: str) -> None:
        name = content["containerDefinitions"][0]["name"]
        changed = with_images(content, {name: image})
        lines = differences(shape(content), changed)
        assert (lines == []) == same_shape(content, changed)
        assert [line["path"] for line in lines] == [f"containerDefinitions[{name}].image"] * len(lines)


def service(key: str, wave: int = 1, *, changed: bool = True, **more: Any) -> ServicePlan:
    return ServicePlan(
        **{
            "key": key,
            "service": f"shop-{key}",
            "wave": wave,
            "image": "app",
            "digest": "sha256:1",
            "image_uri": "repository@sha256:1",
            "container": "app",
            "base": f"arn:{key}:1",
            "previous": f"arn:{key}:1",
            "target": None if changed else f"arn:{key}:1",
            "changed": changed,
            **more,
        }
    )


def test_waves_rise_and_a_wave_without_change_is_left_out() -> None:
    plan = Plan(
        "shop",
        (
            service("late", 10),
            service("web", 2),
            service("same", 5, changed=False),
            service("api", 2),
            service("first", 1),
        ),
    )
    assert plan.waves() == [["first"], ["api", "web"], ["late"]]
    assert [entry.key for entry in plan.changed] == ["late", "web", "api", "first"]
    assert waves_of([]) == []


def test_a_service_is_found_by_its_key_or_refused() -> None:
    plan = Plan("shop", (service("api"), service("web")))
    assert plan.service("web").service == "shop-web"
    with pytest.raises(NotFoundError) as refused:
        plan.service("worker")
    assert refused.value.field == "service"


service_plans = st.builds(
    service,
    st.text(min_size=1, max_size=8),
    st.integers(1, 100),
    changed=st.booleans(),
    digest=st.text(max_size=8),
    base=st.text(max_size=8),
    target=st.none() | st.text(max_size=8),
)
plans = st.builds(Plan, st.text(max_size=8), st.lists(service_plans, max_size=4).map(tuple))


@given(plans)
def test_a_plan_survives_the_table_and_keeps_its_hash(plan: Plan) -> None:
    read = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert read == plan
    assert read.hash == plan.hash


@given(plans, plans)
def test_another_plan_has_another_hash(one: Plan, other: Plan) -> None:
    """A plan is made again under the lock: the same hash must mean the same plan."""
    assert (one.hash == other.hash) == (one == other)
