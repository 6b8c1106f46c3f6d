"""ECR's lifecycle policies, read as the user guide's evaluation rules say; the guide's examples are among the cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tidegate_cli.doctor.lifecycle_rules import (
    ENOUGH,
    Danger,
    PolicyError,
    Rule,
    StoredImage,
    danger,
    parse_policy,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def rule(priority: int = 1, **selection: Any) -> dict[str, Any]:
    action = selection.pop("action", {"type": "expire"})
    defaults = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3}
    return {"rulePriority": priority, "selection": {**defaults, **selection}, "action": action}


def policy(*rules: dict[str, Any]) -> list[Rule]:
    return parse_policy(json.dumps({"rules": rules}))


def image(age: float, *tags: str, **more: Any) -> StoredImage:
    """An image that was pushed `age` days ago, whose tags do not move."""
    known = frozenset(tags)
    fields = {"lasting": known, **more}
    return StoredImage(f"sha256:{age:064.2f}", NOW - timedelta(days=age), known, **fields)


def looked(rules: list[Rule], *images: StoredImage) -> Danger | None:
    """What becomes of the first of the images."""
    return danger(rules, images, images[0].digest, NOW)


def test_no_rule_and_no_image_is_no_danger() -> None:
    assert looked([], image(100, "c1")) is None
    assert danger(policy(rule()), [image(1, "c1")], "sha256:other", NOW) is None


# the tagging requirements


@pytest.mark.parametrize(
    ("pattern", "tag", "matches"),
    [
        ("prod*", "prod", True),
        ("prod*", "prod1", True),
        ("prod*", "production-team1", True),
        ("prod*", "repo-production", False),
        ("*prod*", "repo-production", True),
        ("*prod*", "prod-team", True),
        ("*", "c0ffee", True),
        ("v1.0", "v1.0", True),
        ("v1.0", "v1x0", False),
        ("prod", "prod1", False),
        ("*test*1*2*3", "my-test-1-2-3", True),
        ("*test*1*2*3", "my-test-1-2-34", False),
    ],
)
def test_a_pattern_is_a_whole_tag_with_wildcards(pattern: str, tag: str, matches: bool) -> None:
    [only] = policy(rule(tagStatus="tagged", tagPatternList=[pattern]))
    assert only.selects([tag]) is matches


def test_every_pattern_of_a_rule_has_to_match_some_tag() -> None:
    for key, first, second in (("tagPatternList", "alpha*", "*beta"), ("tagPrefixList", "alpha", "my-beta")):
        [only] = policy(rule(tagStatus="tagged", **{key: [first, second]}))
        assert only.selects(["alpha1", "my-beta"])
        assert not only.selects(["alpha1"])
        assert not only.selects(["alpha1", "gamma"])


def test_a_prefix_is_the_beginning_of_a_tag() -> None:
    [only] = policy(rule(tagStatus="tagged", tagPrefixList=["prod"]))
    assert only.selects(["prod"])
    assert only.selects(["x", "prod-7"])
    assert not only.selects(["my-prod"])
    assert not only.selects([])


def test_untagged_selects_what_has_no_tag_and_any_selects_all() -> None:
    [untagged], [any_] = policy(rule(tagStatus="untagged")), policy(rule())
    assert untagged.selects([])
    assert not untagged.selects(["c1"])
    assert any_.selects([])
    assert any_.selects(["c1"])


# counts


def test_an_image_beyond_the_count_is_deleted_now() -> None:
    newer = [image(age, f"n{age}") for age in (1, 2, 3)]
    found = looked(policy(rule(countNumber=3)), image(9, "c1"), *newer)
    assert found is not None
    assert (found.now, found.pushes, found.rule.deed) == (True, 0, "deletes")


def test_an_image_within_the_count_is_reached_by_newer_pushes() -> None:
    found = looked(policy(rule(countNumber=3)), image(9, "c1"), image(1, "n1"))
    assert found is not None
    assert (found.now, found.pushes) == (False, 1)
    found = looked(policy(rule(countNumber=1)), image(9, "c1"))
    assert found is not None
    assert (found.now, found.pushes) == (False, 0)


def test_older_images_do_not_push_one_out() -> None:
    found = looked(
        policy(rule(countNumber=2)), image(1, "c1"), image(5, "o1"), image(6, "o2"), image(7, "o3")
    )
    assert found is not None
    assert (found.now, found.pushes) == (False, 1)


def test_a_count_that_is_high_enough_is_none() -> None:
    assert looked(policy(rule(countNumber=ENOUGH + 1)), image(1, "c1")) is None
    assert looked(policy(rule(countNumber=ENOUGH)), image(1, "c1")) is not None


def test_only_what_the_rule_selects_is_counted() -> None:
    rules = policy(rule(tagStatus="tagged", tagPrefixList=["a-"], countNumber=2))
    others = [image(age, f"b-{age}") for age in (1, 2, 3)]
    found = looked(rules, image(9, "a-1"), *others)
    assert found is not None
    assert (found.now, found.pushes) == (False, 1)
    assert looked(rules, others[0], image(9, "a-1")) is None


def test_a_rule_counts_also_what_an_earlier_one_has_marked() -> None:
    # The guide's example: rule 1 marks images tagged alpha beyond 1, rule 2 those tagged beta; both count A.
    rules = policy(
        rule(1, tagStatus="tagged", tagPrefixList=["alpha"], countNumber=9999),
        rule(2, tagStatus="any", countNumber=2),
    )
    newer = [image(1, "alpha-1"), image(2, "alpha-2")]
    found = looked(rules, image(9, "beta"), *newer)
    assert found is not None
    assert (found.now, found.rule.priority) == (True, 2)


# priority


def test_an_earlier_rule_that_selects_an_image_keeps_it_from_the_later_ones() -> None:
    rules = policy(
        rule(2, tagStatus="any", countNumber=1),
        rule(1, tagStatus="tagged", tagPatternList=["c*"], countNumber=1000),
    )
    newer = [image(age, f"n{age}") for age in (1, 2, 3)]
    assert looked(rules, image(9, "c1"), *newer) is None
    found = looked(rules, image(9, "d1"), *newer)
    assert found is not None
    assert (found.now, found.rule.priority) == (True, 2)


def test_of_two_rules_that_select_an_image_the_first_decides() -> None:
    aged = rule(
        1,
        tagStatus="tagged",
        tagPrefixList=["c"],
        countType="sinceImagePushed",
        countUnit="days",
        countNumber=30,
    )
    found = looked(policy(rule(2, countNumber=1), aged), image(9, "c1"), image(1, "c2"))
    assert found is not None
    assert (found.rule.priority, found.now, found.at) == (1, False, NOW + timedelta(days=21))


# a tag that moves away


def test_an_image_that_only_a_moving_tag_protects_is_in_danger() -> None:
    rules = policy(
        rule(1, tagStatus="tagged", tagPrefixList=["latest"], countNumber=1000),
        rule(2, tagStatus="any", countNumber=5),
    )
    needed = image(9, "latest", "c0ffee1", lasting=frozenset({"c0ffee1"}))
    found = looked(rules, needed)
    assert found is not None
    assert (found.rule.priority, found.now, found.moved) == (2, False, True)
    assert looked(rules, image(9, "latest", "c0ffee1")) is None


def test_an_image_whose_only_tag_moves_becomes_untagged() -> None:
    rules = policy(rule(tagStatus="untagged", countType="sinceImagePushed", countUnit="days", countNumber=1))
    needed = image(9, "latest", lasting=frozenset())
    found = looked(rules, needed)
    assert found is not None
    assert (found.now, found.moved) == (False, True)
    assert looked(rules, image(9, "latest")) is None


# ages


def test_age_since_the_push_comes_in_the_end() -> None:
    rules = policy(rule(countType="sinceImagePushed", countUnit="days", countNumber=14))
    young, old = looked(rules, image(4, "c1")), looked(rules, image(15, "c1"))
    assert young is not None
    assert old is not None
    assert (young.now, young.at) == (False, NOW + timedelta(days=10))
    assert (old.now, old.pushes) == (True, None)


def test_a_restored_image_is_as_old_as_its_restoring() -> None:
    rules = policy(rule(countType="sinceImagePushed", countUnit="days", countNumber=14))
    found = looked(rules, image(100, "c1", activated_at=NOW - timedelta(days=2)))
    assert found is not None
    assert (found.now, found.at) == (False, NOW + timedelta(days=12))


def test_age_since_the_pull_counts_from_the_push_where_nobody_pulled() -> None:
    archive = {"type": "transition", "targetStorageClass": "archive"}
    rules = policy(rule(countType="sinceImagePulled", countUnit="days", countNumber=30, action=archive))
    pulled = looked(rules, image(90, "c1", pulled_at=NOW - timedelta(days=10)))
    never = looked(rules, image(90, "c1"))
    restored = looked(
        rules, image(90, "c1", pulled_at=NOW - timedelta(days=80), activated_at=NOW - timedelta(days=1))
    )
    assert pulled is not None
    assert never is not None
    assert restored is not None
    assert (pulled.now, pulled.at, pulled.rule.deed) == (False, NOW + timedelta(days=20), "archives")
    assert never.now
    assert (restored.now, restored.at) == (False, NOW + timedelta(days=29))


def test_rules_of_the_archive_are_for_what_is_there() -> None:
    rules = policy(
        rule(1, countType="sinceImageTransitioned", storageClass="archive", countUnit="days", countNumber=90),
        rule(2, countNumber=1000),
    )
    assert looked(rules, image(900, "c1")) is None
    found = looked(rules, image(900, "c1", archived=True, archived_at=NOW - timedelta(days=91)))
    assert found is not None
    assert (found.now, found.rule.priority) == (True, 1)


def test_the_other_rules_neither_touch_nor_count_the_archive() -> None:
    rules = policy(rule(countNumber=1))
    archived = image(1, "c2", archived=True, archived_at=NOW)
    assert looked(rules, archived) is None
    found = looked(rules, image(9, "c1"), archived)
    assert found is not None
    assert found.now is False


# the text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"text"',
        '{"rules": [1]}',
        '{"rules": [{}]}',
        json.dumps({"rules": [rule(countType="sinceDinner")]}),
        json.dumps({"rules": [rule(tagStatus="some")]}),
        json.dumps({"rules": [rule(countNumber="many")]}),
        json.dumps({"rules": [rule(action={"type": "frame"})]}),
    ],
)
def test_what_is_no_policy_is_said_to_be_none(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(text)


def test_a_rule_reads_as_a_person_would_say_it() -> None:
    [only] = policy(rule(3, tagStatus="tagged", tagPrefixList=["v"], countNumber=10))
    assert str(only) == "rule 3 (tagged v*, imageCountMoreThan 10)"
