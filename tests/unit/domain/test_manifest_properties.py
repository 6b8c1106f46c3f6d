"""Whatever is put in: a manifest or a ManifestError. Whatever is a manifest: it survives storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate.domain.manifest import (
    Manifest,
    ManifestError,
    from_json,
    parse_manifest,
    require_supported,
    to_json,
)
from tidegate.domain.manifest.fields import WEEKDAYS
from tidegate.domain.manifest.parts import STRATEGIES
from tidegate.domain.manifest.schema import json_schema
from tidegate.domain.regions import REGIONS

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5m", "app", "none"])
)
SCHEMA = json_schema()
# Every key that means something somewhere, and names of the examples.
WORDS = st.sampled_from(
    sorted(
        {key for part in (SCHEMA, *SCHEMA["$defs"].values()) for key in part["properties"]} | {"app", "api"}
    )
)
JSON_LIKE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=30,
)


@settings(deadline=None, max_examples=200)
@given(JSON_LIKE)
def test_any_data_is_a_manifest_or_a_manifest_error(data: object) -> None:
    judge(data)


def judge(data: object) -> None:
    outcome = outcome_of(lambda: parse_manifest(data))
    if isinstance(outcome, ManifestError):
        assert outcome.problems
        assert all(problem.message and problem.hint for problem in outcome.problems)
    else:
        assert isinstance(outcome, Manifest)


def outcome_of(act: Callable[[], object]) -> object:
    """What comes back, or the one error that may come instead."""
    try:
        return act()
    except ManifestError as error:
        return error


name = st.from_regex(r"[a-z][a-z0-9-]{0,11}", fullmatch=True)
key = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,11}", fullmatch=True)
alarms = st.lists(name, min_size=1, max_size=3)
duration = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 59), st.sampled_from("sm"))
day_and_time = st.builds(
    lambda day, hour, minute: f"{day} {hour:02}:{minute:02}",
    st.sampled_from(WEEKDAYS),
    st.integers(0, 23),
    st.integers(0, 59),
)


def fields(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


smoke = fields(
    {"url": st.just("https://api.example.com/health")},
    expect=st.integers(100, 599),
    body=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    latency=st.sampled_from(["1s", "2s", "60s"]),
    within=st.sampled_from(["1s", "60s", "15m"]),
)
build = fields(
    {"project": st.just("pp")}, context=name, dockerfile=name, test=st.sampled_from(["make", "é {{x}} \x1b"])
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    images = draw(
        st.dictionaries(
            key,
            fields(
                {"repository": st.from_regex(r"[a-z0-9]{2,20}", fullmatch=True)},
                watch=st.lists(name, max_size=2),
            ),
            max_size=3,
        )
    )
    for image_key in images:
        # Built images of one repository need tags of their own.
        images[image_key] |= draw(
            st.just({}) | fields({"tag": st.just(f"{image_key}-{{commit}}")}, build=build)
        )
    service = fields(
        {"image": st.sampled_from(sorted(images) or [""])}, container=key, wave=st.integers(1, 9), smoke=smoke
    )
    services = draw(st.dictionaries(key, service, max_size=4)) if images else {}
    override = fields({}, container=key, wave=st.integers(1, 9), smoke=smoke)
    environment = fields(
        {"region": st.sampled_from(REGIONS), "cluster": key},
        branch=name,
        runner=name,
        approval=st.sampled_from(["none", "required", {"by": "other"}]),
        freeze=st.lists(
            fields({"from": day_and_time, "to": day_and_time}, timezone=st.just("Europe/London")).filter(
                lambda window: window["from"] != window["to"]
            ),
            max_size=2,
        ),
        bake=fields({"for": duration, "alarms": alarms}),
        guard=fields({"for": duration, "alarms": alarms}),
        strategy=st.sampled_from(["rolling", "canary", "linear", "blue-green"]),
        scan=fields({"fail_on": st.sampled_from(["CRITICAL", "LOW"])}),
        queue=st.sampled_from(["latest", "fifo"]),
        services=st.dictionaries(st.sampled_from(sorted(services)), override) if services else st.just({}),
    )
    secret = st.sampled_from([(kind, way) for kind, ways in STRATEGIES.items() for way in ways]).flatmap(
        lambda fit: fields(
            {"kind": st.just(fit[0]), "strategy": st.just(fit[1]), "admin": st.just("admin/of/all")},
            format=st.sampled_from(["json", "plain", {"key": "c", "style": "npgsql"}]),
            tls=st.sampled_from(["off", "verify-full"]),
            overlap=duration,
            every=st.sampled_from(["2h", "30d"]),
        )
    )
    return draw(
        fields(
            {
                "system": name,
                "environments": st.dictionaries(name, environment, min_size=1, max_size=3),
                "images": st.just(images),
                "services": st.just(services),
            },
            secrets=st.dictionaries(
                st.from_regex(r"[A-Za-z0-9/_+=.@-]{1,20}", fullmatch=True), secret, max_size=2
            ),
            database=st.sampled_from([{"cluster": "a"}, {"instance": "b"}]),
            residency=st.just(list(REGIONS)),
        )
    )


@settings(deadline=None, max_examples=60)
@given(manifests())
def test_a_manifest_survives_storage_and_shows_every_environment(data: dict[str, Any]) -> None:
    manifest = parse_manifest(data)
    text = to_json(manifest)
    again = from_json(text)
    assert again == manifest
    assert to_json(again) == text
    for environment in manifest.environments:
        view = manifest.for_environment(environment)
        assert set(view.services) == set(manifest.services)
        assert [service for wave in view.waves() for service in wave] == list(view.services.values())
        assert again.for_environment(environment) == view


@settings(deadline=None, max_examples=60)
@given(manifests(), st.data())
def test_a_manifest_with_one_value_replaced_never_breaks_the_reader(
    data: dict[str, Any], more: st.DataObject
) -> None:
    here: Any = data
    while True:
        place = more.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not (isinstance(here[place], dict | list) and here[place]) or more.draw(st.booleans()):
            break
        here = here[place]
    here[place] = more.draw(JSON_LIKE)
    judge(data)


@settings(deadline=None, max_examples=60)
@given(manifests())
def test_what_is_not_built_is_refused_exactly_when_it_is_asked_for(data: dict[str, Any]) -> None:
    asks = any(
        secret["kind"] == "redis" or secret.get("format") == "plain"
        for secret in data.get("secrets", {}).values()
    )
    for environment in data["environments"].values():
        asks |= environment.get("strategy", "rolling") != "rolling"
    outcome = outcome_of(lambda: require_supported(parse_manifest(data)))
    assert isinstance(outcome, ManifestError) == asks
    if isinstance(outcome, ManifestError):
        said = ("not supported yet", "cannot be rotated")
        assert all(any(part in problem.message for part in said) for problem in outcome.problems)
