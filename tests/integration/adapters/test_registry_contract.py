"""The registry: in memory and in SSM and the table on moto."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tidegate.adapters.clients import Clients
from tidegate.domain.errors import BadManifestError
from tidegate.ports import Key, Ports, Registry

from tests.support.fakes import FakeRegistry

Text = Callable[[str, str, str], None]


@pytest.fixture(params=["fake", "moto"])
def registry(request: pytest.FixtureRequest) -> tuple[Registry, Text]:
    if request.param == "fake":
        fake = FakeRegistry()

        def remember(system: str, environment: str, text: str) -> None:
            fake.texts[system, environment] = text

        return fake, remember
    ports: Ports = request.getfixturevalue("on_moto")
    client = request.getfixturevalue("moto").client("ssm")

    def write(system: str, environment: str, text: str) -> None:
        client.put_parameter(Name=f"/tidegate/{system}/{environment}", Value=text, Type="String")

    return ports.registry, write


SMALL = {"system": "arive", "ratio": 0.5, "services": [{"name": "é"}], "manifest": "sha256:x"}
LARGE = {"system": "arive", "text": "é" * 5000}


@pytest.mark.parametrize("data", [SMALL, LARGE, [], None])
def test_a_manifest_comes_back_as_it_was_put(registry: tuple[Registry, Text], data: object) -> None:
    port, _ = registry
    port.put_manifest("arive", "production", data)
    assert port.manifest("arive", "production") == data
    port.put_manifest("arive", "production", {"system": "arive"})
    assert port.manifest("arive", "production") == {"system": "arive"}


def test_what_is_not_registered_is_none(registry: tuple[Registry, Text]) -> None:
    port, _ = registry
    assert port.manifest("arive", "production") is None
    assert port.environments("arive") == []
    assert port.systems() == []


def test_a_parameter_that_is_not_json_is_named(registry: tuple[Registry, Text]) -> None:
    port, write = registry
    write("arive", "production", "system: arive")
    with pytest.raises(BadManifestError, match="/tidegate/arive/production is not JSON"):
        port.manifest("arive", "production")


def test_only_manifests_are_listed(registry: tuple[Registry, Text]) -> None:
    port, _ = registry
    for system, environment in (("arive", "staging"), ("arive", "production"), ("arive2", "dev")):
        port.put_manifest(system, environment, {})
        port.publish_image(system, environment, "app", "repository@sha256:1")
    assert port.environments("arive") == ["production", "staging"]
    assert port.systems() == [("arive", "production"), ("arive", "staging"), ("arive2", "dev")]


def test_more_environments_than_a_page_holds_are_listed(registry: tuple[Registry, Text]) -> None:
    port, _ = registry
    names = sorted(f"env-{number}" for number in range(25))
    for name in names:
        port.put_manifest("arive", name, {})
    assert port.environments("arive") == names


def test_a_published_image_is_a_plain_parameter(on_moto: Ports, moto: Clients) -> None:
    on_moto.registry.publish_image("arive", "production", "app", "repository@sha256:1")
    on_moto.registry.publish_image("arive", "production", "app", "repository@sha256:2")
    found = moto.client("ssm").get_parameter(Name="/tidegate/arive/production/image/app")["Parameter"]
    assert (found["Value"], found["Type"]) == ("repository@sha256:2", "String")


def test_a_large_manifest_is_pointed_to(on_moto: Ports, moto: Clients) -> None:
    on_moto.registry.put_manifest("arive", "production", LARGE)
    text = moto.client("ssm").get_parameter(Name="/tidegate/arive/production")["Parameter"]["Value"]
    pointer = json.loads(text)["manifest"]
    key = Key("SYSTEM#arive#ENV#production", f"MANIFEST#{pointer.removeprefix('sha256:')}")
    item = on_moto.store.get(key)
    assert item is not None
    assert json.loads(item["json"]) == LARGE


def test_a_pointer_to_nothing_says_how_to_mend_it(on_moto: Ports, moto: Clients) -> None:
    moto.client("ssm").put_parameter(
        Name="/tidegate/arive/production", Value='{"manifest": "sha256:0"}', Type="String"
    )
    with pytest.raises(BadManifestError) as raised:
        on_moto.registry.manifest("arive", "production")
    assert raised.value.hint == "register it again: tidegate apply"


def test_a_large_manifest_is_in_the_table_before_it_is_pointed_to(on_moto: Ports, moto: Clients) -> None:
    order: list[str] = []
    for service in ("ssm", "dynamodb"):
        moto.client(service).meta.events.register("before-call", lambda model, **_: order.append(model.name))
    on_moto.registry.put_manifest("arive", "production", LARGE)
    assert order == ["PutItem", "PutParameter"]


def test_a_count_comes_back_as_it_was_told(registry: tuple[Registry, Text]) -> None:
    port, _ = registry
    assert port.count("arive", "production", "worker") is None
    for count in (3, 0):
        port.publish_count("arive", "production", "worker", count)
        assert port.count("arive", "production", "worker") == count
    assert port.count("arive", "production", "api") is None
    assert port.systems() == []


def test_a_count_is_a_plain_parameter(on_moto: Ports, moto: Clients) -> None:
    on_moto.registry.publish_count("arive", "production", "worker", 3)
    found = moto.client("ssm").get_parameter(Name="/tidegate/arive/production/count/worker")["Parameter"]
    assert (found["Value"], found["Type"]) == ("3", "String")


@pytest.mark.parametrize("text", ["many", "-1", "3.0", "²"])
def test_what_is_no_number_is_no_count(on_moto: Ports, moto: Clients, text: str) -> None:
    """Somebody else may write it: it is put right by the next change."""
    name = "/tidegate/arive/production/count/worker"
    moto.client("ssm").put_parameter(Name=name, Value=text, Type="String")
    assert on_moto.registry.count("arive", "production", "worker") is None
