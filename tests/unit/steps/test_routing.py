"""Which systems and environments an event is about: what is registered tells, as far as it can be read."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.errors import BadManifestError, NotFoundError, RefusalError
from tidegate.steps.routing import places, read_place, systems_built_from

from tests.unit.steps.building import PROJECT, SOURCE, Yard, built_manifest, environment, image
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _found(yard: Yard, system: str | None = None) -> list[tuple[str, str]]:
    return [(place.system, place.environment) for place in places(yard.world.ports, system)]


def test_places_are_all_that_is_registered_or_one_system(yard: Yard) -> None:
    yard.register("production", "staging", environments={n: environment() for n in ("production", "staging")})
    yard.register(system="books")
    assert _found(yard) == [("books", ENVIRONMENT), (SYSTEM, "production"), (SYSTEM, "staging")]
    assert _found(yard, "books") == [("books", ENVIRONMENT)]
    assert _found(yard, "nobody") == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", BadManifestError),
        ("null", RefusalError),
        (json.dumps(built_manifest(surprise=1)), RefusalError),
        (json.dumps(built_manifest(environments={"other": environment()})), NotFoundError),
    ],
)
def test_what_cannot_be_read_is_passed_over_and_says_why_when_asked(
    yard: Yard, text: str, error: type[Exception]
) -> None:
    yard.register(system="books")
    yard.world.registry.texts[SYSTEM, ENVIRONMENT] = text
    assert _found(yard) == [("books", ENVIRONMENT)]
    with pytest.raises(error):
        read_place(yard.world.ports, SYSTEM, ENVIRONMENT)


def test_a_place_that_is_not_registered(yard: Yard) -> None:
    with pytest.raises(NotFoundError, match="not registered in environment staging"):
        read_place(yard.world.ports, SYSTEM, "staging")


def test_the_images_of_a_project(yard: Yard) -> None:
    images = {"app": image(), "web": image("web", build={"project": "web-build"})}
    yard.register(images={**images, "proxy": {"repository": "proxy"}})
    place = read_place(yard.world.ports, SYSTEM, ENVIRONMENT)
    assert list(place.of_project(PROJECT)) == ["app"]
    assert list(place.of_project("nobody")) == []
    assert list(place.built) == ["app", "web"]


def test_a_system_in_two_environments_is_built_once(yard: Yard) -> None:
    yard.register(environments={name: environment() for name in ("production", "staging")})
    assert systems_built_from(yard.world.ports, SOURCE) == [SYSTEM]
    assert systems_built_from(yard.world.ports, "github:shop/web") == []
