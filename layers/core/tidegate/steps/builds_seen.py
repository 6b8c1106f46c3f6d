"""An event of CodeBuild: it resumes the `build` that waits for it. A build that a team starts by itself, by CodeBuild's
own webhook say, is released (or reported) for the systems whose images name its project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tidegate.domain.build import (
    COMMIT,
    DIGEST,
    IN_PROGRESS,
    Build,
    BuildOutcome,
    BuildRun,
    BuildVerdict,
    ImageBuild,
    images_in,
    judge,
)
from tidegate.domain.errors import BadInputError, TransientError
from tidegate.domain.fields import ImageRequest
from tidegate.domain.ids import content_hash, deployment_id
from tidegate.domain.manifest import Image
from tidegate.domain.release import is_digest
from tidegate.domain.request import Published
from tidegate.domain.source import branch_of
from tidegate.domain.tags import LONGEST_COMMIT, render_tag
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports
from tidegate.steps.announce import announce_refusal
from tidegate.steps.build_report import announce_failure, failed_image
from tidegate.steps.releasing import release, release_once_scanned
from tidegate.steps.resuming import awaited_build, resume
from tidegate.steps.routing import Place, places

# "Source version sample with AWS CodeBuild": a pull request is `pr/1` or `refs/pull/1/head`.
_PULL_REQUEST = ("pr/", "refs/pull/")
# CodeBuild's own variable of a build that its webhook started; the build exports it, or its branch is not known.
HEAD_REF = "CODEBUILD_WEBHOOK_HEAD_REF"


def build_changed(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """What CodeBuild says when asked decides: an event that comes late or twice has no second effect."""
    detail = event.get("detail")
    said: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    arn = said.get("build-id")
    if not isinstance(arn, str):
        return {"did": "nothing", "why": "no build is named"}
    identity = arn.rpartition(":build/")[2]
    ledger = Ledger(ports.store, ports.clock)
    waiting = ledger.waiting_for(awaited_build(identity))
    if waiting:
        return {"did": "looked", "resumed": resume(ports, ledger, waiting)}
    run = ports.builds.runs([identity]).get(identity)
    if run is None or run.ours:
        return {"did": "nothing", "why": "nobody waits for it"}
    verdict = judge(run)
    if verdict is None:
        if said.get("build-status", IN_PROGRESS) != IN_PROGRESS:
            # Nobody would look again: no task waits for a build of others, so the sweep does not know it.
            raise TransientError(f"CodeBuild's answer about {identity} is older than its event")
        return {"did": "nothing", "why": "it still runs"}
    concerned = list(_concerned(ports, run))
    if not concerned:
        return {"did": "nothing", "why": f"no image of a branch that is released names project {run.project}"}
    if not verdict.built:
        return _report(event, ports, run, verdict, concerned)
    torn = _torn(run, concerned)
    did = [_release(event, ports, run, place) for place in concerned if place.system not in torn]
    did += [_refuse(ports, run, system) for system in torn]
    return {"did": "looked at a build", "released": did}


def _concerned(ports: Ports, run: BuildRun) -> Iterator[Place]:
    """Where the build's branch is released. A pull request is never released."""
    if (run.source_version or "").startswith(_PULL_REQUEST):
        return
    branch = _branch(run)
    for place in places(ports):
        follows = place.settings.branch
        if place.of_project(run.project) and (branch is None or follows is None or follows == branch):
            yield place


def _branch(run: BuildRun) -> str | None:
    """What the build was started for ("Source version sample with AWS CodeBuild" has the forms): `main`,
    `refs/heads/main` or `refs/heads/main^{<commit>}`. A commit alone does not tell its branch."""
    version = run.source_version or ""
    if not version or version in (run.commit, run.exported.get(COMMIT)):
        head = run.exported.get(HEAD_REF)
        return branch_of(head) or head or None
    return version.removeprefix("refs/heads/").partition("^")[0]


def _torn(run: BuildRun, concerned: Iterable[Place]) -> list[str]:
    """Systems whose environments follow several branches, where the build does not tell its own: it is not guessed
    that a commit may go to all of them."""
    if _branch(run) is not None:
        return []
    followed: dict[str, set[str]] = {}
    for place in concerned:
        if place.settings.branch is not None:
            followed.setdefault(place.system, set()).add(place.settings.branch)
    return sorted(system for system, branches in followed.items() if len(branches) > 1)


def _refuse(ports: Ports, run: BuildRun, system: str) -> str:
    reason = (
        f"build {run.id} does not tell its branch, and the environments of {system} follow several"
        f" (export {HEAD_REF} from its buildspec, or build from refs/heads/<branch>)"
    )
    said = {"system": system, "commit": _commit(run), "actor": f"codebuild {run.project}"}
    announce_refusal(ports, said, reason)
    return f"{system}: refused, {reason}"


def _release(event: Mapping[str, Any], ports: Ports, run: BuildRun, place: Place) -> str:
    images = _made(ports, run, place.of_project(run.project))
    where = f"{place.system}/{place.environment}"
    if not images:
        return f"{where}: the build names no image, and none has a tag of its commit"
    published = Published(
        place.system, place.environment, _commit(run), images, f"codebuild {run.project}", run.url
    )
    start = release_once_scanned if place.settings.scan else release
    said = start(ports, published, place.environment, event_id=str(event.get("id")), at=event.get("time"))
    return f"{where}: {said['did']}"


def _made(ports: Ports, run: BuildRun, images: Mapping[str, Image]) -> dict[str, ImageRequest]:
    """The images that the build pushed: what it exported, else what has the tag of its commit."""
    made = _named(run, images)
    digest = run.exported.get(DIGEST)
    if len(made) == 1 and digest is not None and is_digest(digest):
        return {made[0]: ImageRequest(digest=digest)}
    found: dict[str, ImageRequest] = {}
    for key in made:
        tagged = _tagged(ports, images[key], _commit(run))
        if tagged is not None:
            found[key] = ImageRequest(digest=tagged)
    return found


def _named(run: BuildRun, images: Mapping[str, Image]) -> list[str]:
    return images_in(run.exported, {key: image.repository for key, image in images.items()})


def _tagged(ports: Ports, image: Image, commit: str | None) -> str | None:
    try:
        return ports.images.digest(image.repository, render_tag(image.tag, commit=commit))
    except BadInputError:
        return None


def _commit(run: BuildRun) -> str | None:
    """What the build says it built, where that can be a commit; else what CodeBuild says."""
    said = run.exported.get(COMMIT, "")
    return said if 0 < len(said) <= LONGEST_COMMIT and said.isprintable() else run.commit


def _report(
    event: Mapping[str, Any], ports: Ports, run: BuildRun, verdict: BuildVerdict, concerned: list[Place]
) -> Mapping[str, Any]:
    """Recorded like a build of ours, once for each system."""
    builds, ledger = BuildLedger(ports.store, ports.clock), Ledger(ports.store, ports.clock)
    told = []
    for place in {place.system: place for place in concerned}.values():
        made = place.of_project(run.project)
        images = {
            key: failed_image(
                ports, ImageBuild(key, made[key].repository, "", run.project), run, verdict.reason
            )
            for key in _named(run, made)
        }
        mark = content_hash(["reported", run.id, place.system])[:32]
        if not images or ledger.seen(mark) is not None:
            continue
        began = str(event.get("time") or builds.now())
        identity = deployment_id(f"{place.system} {run.id}", parse_iso(began))
        build = Build(
            id=identity,
            system=place.system,
            commit=_commit(run) or "",
            execution=run.id,
            started_at=began,
            actor=f"codebuild {run.project}",
        )
        reasons = "; ".join(f"image {key}: {image.reason}" for key, image in images.items())
        ended = builds.record(build, images, "built by its team", BuildOutcome.FAILED, reasons[:2000])
        announce_failure(ports, ended, list(images.values()))
        ledger.mark_seen(mark, {"build": identity})
        told.append(place.system)
    return {"did": "reported", "systems": told}
