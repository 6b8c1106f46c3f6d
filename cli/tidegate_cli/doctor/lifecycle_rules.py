"""What an ECR lifecycle policy does to one image: now, and in the end. Pure.

Amazon ECR user guide, "Automate the cleanup of images by using lifecycle policies in Amazon ECR" (evaluation rules)
and "Lifecycle policy properties in Amazon ECR": rules act by priority, lowest number first; an image that matches the
tagging requirements of a rule is left alone by every later one, also where the first does nothing to it; a rule counts
an image even if an earlier one has marked it. `expire` deletes; `transition` archives, and nothing in the archive can
be pulled before it is restored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

COUNT = "imageCountMoreThan"
PUSHED, PULLED, TRANSITIONED = "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"
# A rule that leaves room for so many further images is not told: years of releases.
ENOUGH = 500
_STANDARD, _ARCHIVE = "standard", "archive"


class PolicyError(Exception):
    """The text is not a lifecycle policy as far as it is known here; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as ECR has it. `lasting` are those of its tags that never move to another image."""

    digest: str
    pushed_at: datetime
    tags: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    pulled_at: datetime | None = None
    activated_at: datetime | None = None
    archived_at: datetime | None = None
    archived: bool = False

    @property
    def since(self) -> datetime:
        """What its age is counted from: a restored image is as old as its restoring."""
        return self.activated_at or self.pushed_at


@dataclass(frozen=True, slots=True)
class Rule:
    """`patterns` are wildcards, each of which some tag has to match; `tag_status` is tagged, untagged or any."""

    priority: int
    tag_status: str
    count_type: str
    count_number: int
    patterns: tuple[str, ...] = ()
    storage_class: str = _STANDARD
    action: str = "expire"

    def selects(self, tags: Iterable[str], *, archived: bool = False) -> bool:
        """Whether an image with these tags matches the rule's tagging requirements."""
        if archived != (self.storage_class == _ARCHIVE):
            return False
        tags = list(tags)
        if self.tag_status == "any":
            return True
        if self.tag_status == "untagged":
            return not tags
        return bool(tags) and all(any(_matches(pattern, tag) for tag in tags) for pattern in self.patterns)

    @property
    def deed(self) -> str:
        return "deletes" if self.action == "expire" else "archives"

    def __str__(self) -> str:
        which = f" {', '.join(self.patterns)}" if self.patterns else ""
        unit = "" if self.count_type == COUNT else " days"
        return f"rule {self.priority} ({self.tag_status}{which}, {self.count_type} {self.count_number}{unit})"


@dataclass(frozen=True, slots=True)
class Danger:
    """What a rule does to an image: at once where `now`, else at the moment `at` or after `pushes` newer images (one
    of the two). `moved` says that it comes to that only when a tag moves to another image."""

    rule: Rule
    now: bool
    at: datetime | None = None
    pushes: int | None = None
    moved: bool = False


def parse_policy(text: str) -> list[Rule]:
    """The rules in the order in which they act. Raises PolicyError."""
    try:
        rules = [_rule(entry) for entry in json.loads(text)["rules"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PolicyError(f"{type(error).__name__}: {error}") from None
    return sorted(rules, key=lambda rule: rule.priority)


def danger(rules: Sequence[Rule], images: Sequence[StoredImage], digest: str, now: datetime) -> Danger | None:
    """What the policy does to the image with this digest at some time; None where it leaves it alone for good."""
    image = next((image for image in images if image.digest == digest), None)
    if image is None:
        return None
    at_present = _governing(rules, image.tags, image)
    found = None if at_present is None else _deed(at_present, images, image, now)
    if found is not None or image.tags == image.lasting:
        return found
    later = _governing(rules, image.lasting, image)
    if later is None or later == at_present:
        return None
    found = _deed(later, images, image, now)
    return None if found is None else Danger(later, now=False, at=found.at, pushes=found.pushes, moved=True)


def _governing(rules: Sequence[Rule], tags: frozenset[str], image: StoredImage) -> Rule | None:
    """The first rule that selects it: the only one that may touch it."""
    return next((rule for rule in rules if rule.selects(tags, archived=image.archived)), None)


def _deed(rule: Rule, images: Sequence[StoredImage], image: StoredImage, now: datetime) -> Danger | None:
    if rule.count_type == COUNT:
        newer = sum(
            other.since > image.since
            for other in images
            if other.digest != image.digest and rule.selects(other.tags, archived=other.archived)
        )
        left = rule.count_number - 1 - newer
        return None if left >= ENOUGH else Danger(rule, now=left < 0, pushes=max(0, left))
    since = _since(rule, image)
    if since is None:
        return None
    at = since + timedelta(days=rule.count_number)
    return Danger(rule, now=at < now, at=at)


def _since(rule: Rule, image: StoredImage) -> datetime | None:
    if rule.count_type == PUSHED:
        return image.since
    if rule.count_type == PULLED:
        pulled = image.pulled_at
        restored = image.activated_at
        if pulled is None or (restored is not None and restored > pulled):
            return image.since
        return pulled
    return image.archived_at


def _rule(entry: Any) -> Rule:
    selection, action = entry["selection"], entry["action"]
    prefixes = [f"{prefix}*" for prefix in selection.get("tagPrefixList") or ()]
    count_type = selection["countType"]
    if count_type not in (COUNT, PUSHED, PULLED, TRANSITIONED):
        raise PolicyError(f"countType {count_type} is not known")
    if selection["tagStatus"] not in ("tagged", "untagged", "any"):
        raise PolicyError(f"tagStatus {selection['tagStatus']} is not known")
    if action["type"] not in ("expire", "transition"):
        raise PolicyError(f"action {action['type']} is not known")
    return Rule(
        priority=int(entry["rulePriority"]),
        tag_status=selection["tagStatus"],
        count_type=count_type,
        count_number=int(selection["countNumber"]),
        patterns=(*(selection.get("tagPatternList") or ()), *prefixes),
        storage_class=selection.get("storageClass") or _STANDARD,
        action=action["type"],
    )


def _matches(pattern: str, tag: str) -> bool:
    """`*` stands for any characters, none included; nothing else is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tag) is not None
