"""Would an ECR lifecycle policy delete an image that the ledger still needs?

Needed are, for each environment, the images of the release that runs and of the one that it would be rolled back to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from tidegate.adapters.errors import asking, code_of
from tidegate.domain.release import previous_release

from tidegate_cli.doctor.findings import Finding, Status, carried_out, error, ok, skipped, warning
from tidegate_cli.doctor.inspection import Inspection
from tidegate_cli.doctor.lifecycle_rules import (
    Danger,
    PolicyError,
    Rule,
    StoredImage,
    danger,
    parse_policy,
)

# The tag that names the source tree an image was built from (domain.build) is made of content, so it never moves.
_TREE_PREFIX = "tree-"
_COMMIT = "{commit}"
_HEXADECIMAL = "[0-9a-f]{7,64}"
_NO_RULES = '{"rules": []}'
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Needed:
    """An image that some environment needs; `purpose` says what for, `template` is the manifest's for its tag,
    `commit` the release's."""

    repository: str
    digest: str
    template: str
    commit: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Stock:
    """A repository: what is in it, and what its policy does (no rules where it has none)."""

    images: list[StoredImage]
    rules: list[Rule]


def lifecycle(inspection: Inspection) -> Iterator[Finding]:
    needed: dict[str, list[Needed]] = {}
    for entry in _needed(inspection):
        needed.setdefault(entry.repository, []).append(entry)
    if not needed:
        yield skipped("lifecycle policies", "nothing was released yet, so no image is needed")
    for repository, entries in sorted(needed.items()):
        check = partial(_repository, repository, entries)
        yield from carried_out(_name(repository), check, inspection)


def _needed(inspection: Inspection) -> Iterator[Needed]:
    ledger = inspection.ledger
    for place in inspection.registered:
        view = place.view
        current = ledger.current(place.system, place.environment)
        if view is None or current is None:
            continue
        before = previous_release(ledger.standings(place.system, place.environment), current.release)
        numbers = {current.release: "runs"}
        if before is not None:
            numbers[before.release] = "is the way back of"
        for number, role in numbers.items():
            release = ledger.release(place.system, number)
            for key, digest in {} if release is None else release.digests.items():
                image = view.images.get(key)
                if release is not None and image is not None:
                    purpose = (
                        f"{key} of {release.name}, which {role} {'in ' if role == 'runs' else ''}{place.name}"
                    )
                    yield Needed(image.repository, digest, image.tag, release.commit, purpose)


def _name(repository: str) -> str:
    return f"lifecycle policy of {repository}"


def _repository(repository: str, needed: Sequence[Needed], inspection: Inspection) -> Iterator[Finding]:
    name = _name(repository)
    stock = _stock(inspection, repository, needed)
    if isinstance(stock, Finding):
        yield stock
        return
    found = sorted((_judged(inspection, name, stock, entry) for entry in needed), key=_gravest_first)
    worst = found[0]
    others = sum(finding.status is not Status.OK for finding in found) - 1
    if worst.status is Status.OK:
        yield ok(name, "it keeps what is needed" if stock.rules else "none is set: ECR keeps what is needed")
        return
    more = f" (and {others} more of its images)" if others > 0 else ""
    yield Finding(name, worst.status, f"{worst.message}{more}", worst.hint)


def _gravest_first(finding: Finding) -> int:
    return [Status.ERROR, Status.WARNING, Status.SKIPPED, Status.OK].index(finding.status)


def _judged(inspection: Inspection, name: str, stock: Stock, entry: Needed) -> Finding:
    image = next((image for image in stock.images if image.digest == entry.digest), None)
    what = f"{entry.digest[:19]}… ({entry.purpose})"
    if image is None:
        hint = "it can only be built again; keep the images of releases by a rule (docs/operations.md)"
        return error(name, f"{what} is not in ECR any more", hint)
    if image.archived:
        return error(
            name,
            f"{what} is in the archive: ECS cannot pull it",
            "restore it: aws ecr update-image-storage-class",
        )
    threat = danger(stock.rules, stock.images, entry.digest, inspection.now)
    if threat is None:
        return ok(name, what)
    told = f"{threat.rule} {threat.rule.deed} {what} {_when(threat)}"
    return (error if threat.now else warning)(name, told, _mend(threat, entry))


def _when(threat: Danger) -> str:
    first = "once a tag of it moves to another image, " if threat.moved else ""
    if threat.now:
        return "now: within a day"
    if threat.at is not None:
        return f"{first}on {threat.at.date().isoformat()}"
    return f"{first}after {threat.pushes} newer images" if threat.pushes else f"{first}with the next image"


def _mend(threat: Danger, entry: Needed) -> str:
    pattern = entry.template.replace(_COMMIT, "*") if _COMMIT in entry.template else f"{_TREE_PREFIX}*"
    return (
        f"put a rule before it (a rulePriority below {threat.rule.priority}; renumber if need be) that keeps release"
        f' tags: {{"tagStatus": "tagged", "tagPatternList": ["{pattern}"], "countType": "imageCountMoreThan",'
        f' "countNumber": {_KEPT}}}: what it selects, no later rule touches'
    )


def _stock(inspection: Inspection, repository: str, needed: Sequence[Needed]) -> Stock | Finding:
    name = _name(repository)
    try:
        rules = parse_policy(_policy(inspection, repository))
    except PolicyError as problem:
        return warning(name, f"it cannot be understood: {problem}", "check it by hand")
    ecr = inspection.client("ecr")
    with asking("ecr:DescribeRepositories"):
        try:
            described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
        except ClientError as problem:
            if code_of(problem) == "RepositoryNotFoundException":
                return error(name, "the repository is not there", "create it, or correct the manifest")
            raise
    fixed = described.get("imageTagMutability") == "IMMUTABLE"
    lasting = (lambda _: True) if fixed else _lasting(needed)
    with asking("ecr:DescribeImages"):
        pages = ecr.get_paginator("describe_images").paginate(repositoryName=repository)
        return Stock([_image(detail, lasting) for page in pages for detail in page["imageDetails"]], rules)


def _policy(inspection: Inspection, repository: str) -> str:
    with asking("ecr:GetLifecyclePolicy"):
        try:
            answer = inspection.client("ecr").get_lifecycle_policy(repositoryName=repository)
        except ClientError as problem:
            if code_of(problem) in ("LifecyclePolicyNotFoundException", "RepositoryNotFoundException"):
                return _NO_RULES
            raise
    return str(answer["lifecyclePolicyText"])


def _image(detail: Mapping[str, Any], lasting: Callable[[str], bool]) -> StoredImage:
    tags = frozenset(detail.get("imageTags", ()))
    return StoredImage(
        digest=detail["imageDigest"],
        pushed_at=detail["imagePushedAt"],
        tags=tags,
        lasting=frozenset(filter(lasting, tags)),
        pulled_at=detail.get("lastRecordedPullTime"),
        activated_at=detail.get("lastActivatedAt"),
        archived_at=detail.get("lastArchivedAt"),
        archived=detail.get("imageStatus") == "ARCHIVED",
    )


def _lasting(needed: Iterable[Needed]) -> Callable[[str], bool]:
    """Tells the tags that never move where the repository lets tags move: those of a commit and those of a tree."""
    commits = [re.escape(entry.commit) for entry in needed if entry.commit]
    any_commit = f"(?:{'|'.join([_HEXADECIMAL, *commits])})"
    templates = {entry.template for entry in needed if _COMMIT in entry.template}
    expressions = [re.escape(template).replace(re.escape(_COMMIT), any_commit) for template in templates]
    expressions.append(f"{_TREE_PREFIX}{_HEXADECIMAL}")
    return lambda tag: any(re.fullmatch(expression, tag) for expression in expressions)
