"""infrastructure/registry.yaml: tags stay, and the lifecycle, as doctor reads it, leaves what a rollback needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tidegate_cli.doctor.lifecycle_rules import Rule, StoredImage, danger, parse_policy

from tests.systems.rendering import ROOT, RenderError, render_file

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIVE = "identity-,genetics-,spatial-,tasks-,telemetry-"


def repository(**parameters: str) -> dict[str, Any]:
    path = ROOT / "infrastructure/registry.yaml"
    return render_file(path, **({"RepositoryName": "acme/shop"} | parameters)).one("AWS::ECR::Repository")


def rules(**parameters: str) -> list[Rule]:
    return parse_policy(repository(**parameters)["LifecyclePolicy"]["LifecyclePolicyText"])


def image(name: str, days: int, *tags: str) -> StoredImage:
    return StoredImage(f"sha256:{name}", NOW - timedelta(days=days), frozenset(tags), frozenset(tags))


def test_a_tag_never_moves_and_what_comes_is_scanned() -> None:
    own = repository()
    assert own["RepositoryName"] == "acme/shop"
    assert own["ImageTagMutability"] == "IMMUTABLE"
    assert own["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_it_is_encrypted_by_ecr_or_by_the_key_that_is_given() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
    assert repository()["EncryptionConfiguration"] == {"EncryptionType": "AES256"}
    assert repository(KeyArn=key)["EncryptionConfiguration"] == {"EncryptionType": "KMS", "KmsKey": key}


def test_it_does_not_go_with_the_stack() -> None:
    rendered = render_file(ROOT / "infrastructure/registry.yaml", RepositoryName="shop")
    resource = rendered.resources["Repository"]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_doctor_has_nothing_to_say_of_a_repository_with_the_defaults() -> None:
    images = [image(str(n), n, f"{n:040x}") for n in range(50)]
    assert [danger(rules(), images, one.digest, NOW) for one in images] == [None] * 50


def test_as_many_images_stay_as_are_asked_for() -> None:
    images = [image(str(n), n, f"{n:040x}") for n in range(4)]
    deleted = [
        one
        for one in images
        if (found := danger(rules(KeepImages="3"), images, one.digest, NOW)) and found.now
    ]
    assert deleted == [images[3]]


def test_releases_of_one_image_do_not_push_out_those_of_another() -> None:
    policy = rules(KeepImages="3", TagPrefixes=FIVE)
    rare = image("rare", 400, "telemetry-0", "tree-0")
    others = [image(str(n), n, f"identity-{n}", f"tree-{n + 1}") for n in range(10)]
    found = danger(policy, [rare, *others], rare.digest, NOW)
    assert found is not None
    assert not found.now
    last = danger(policy, [rare, *others], others[3].digest, NOW)
    assert last is not None
    assert last.now


@pytest.mark.parametrize("prefixes", ["", "v", FIVE])
def test_what_has_no_tag_goes_and_nothing_else_by_its_age(prefixes: str) -> None:
    policy = rules(UntaggedDays="7", TagPrefixes=prefixes)
    old, new = image("old", 8), image("new", 6)
    released = image("released", 1000, "v1" if prefixes != FIVE else "tasks-1")
    listed = [old, new, released]
    fate = [
        found is not None and found.now
        for one in listed
        for found in [danger(policy, listed, one.digest, NOW)]
    ]
    assert fate == [True, False, False]


@pytest.mark.parametrize("count", range(9))
def test_there_is_one_rule_for_each_prefix_or_one_for_all(count: int) -> None:
    prefixes = [f"image{n}-" for n in range(count)]
    by_count = [
        rule for rule in rules(TagPrefixes=",".join(prefixes)) if rule.count_type == "imageCountMoreThan"
    ]
    wanted = [(f"{one}*",) for one in prefixes] or [("*",)]
    assert [rule.patterns for rule in by_count] == wanted
    assert len({rule.priority for rule in by_count}) == len(by_count)


def test_more_prefixes_than_there_are_rules_for_are_refused() -> None:
    with pytest.raises(RenderError, match="up to 8"):
        repository(TagPrefixes=",".join(f"image{n}-" for n in range(9)))
