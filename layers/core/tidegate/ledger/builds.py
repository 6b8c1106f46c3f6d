"""Builds in the table: the runs of the machine `build`, their images, and which commit of a branch was last built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.domain.build import Build, BuildOutcome, ImageBuild
from tidegate.domain.deployment import Line
from tidegate.domain.errors import ConflictError
from tidegate.ledger import keys
from tidegate.ledger.lines import line_write, present
from tidegate.ledger.time import iso
from tidegate.ports import Clock, ConditionFailedError, Item, Put, Store, Write

# Far more than a branch gets while one build of it runs.
_LATER_BUILDS = 100


class BuildLedger:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> str:
        return iso(self._clock.now())

    def build(self, system: str, build_id: str) -> Build | None:
        item = self._store.get(keys.build(system, build_id))
        return None if item is None else Build.from_json(item)

    def find(self, build_id: str) -> Build | None:
        """A build by its id alone."""
        item = self._store.get(keys.build_whereabouts(build_id))
        return None if item is None else self.build(item["system"], build_id)

    def history(self, system: str, limit: int | None = None) -> Iterator[Build]:
        """Newest first."""
        items = self._store.query(f"SYSTEM#{system}", "BUILD#", newest_first=True, limit=limit)
        return (Build.from_json(item) for item in items)

    def images(self, build_id: str) -> list[ImageBuild]:
        items = self._store.query(f"BUILD#{build_id}", "IMAGE#")
        return [ImageBuild.from_json(item) for item in items]

    def image(self, build_id: str, image: str) -> ImageBuild | None:
        item = self._store.get(keys.build_image(build_id, image))
        return None if item is None else ImageBuild.from_json(item)

    def open(self, build: Build, images: Mapping[str, ImageBuild], what: str) -> Build:
        """Record a new build and its images; if it is there already (a retried step), that one is the answer."""
        return self._record(build, images, [line_write(build.id, Line(self.now(), what))])

    def record(
        self,
        build: Build,
        images: Mapping[str, ImageBuild],
        what: str,
        outcome: BuildOutcome,
        explanation: str,
    ) -> Build:
        """Record a new build with its end in one write, so that a crash leaves none that looks as if it went on."""
        ended = self._ended(build, outcome, explanation)
        told = line_write(build.id, Line(self.now(), what))
        return self._record(ended, images, [told, *self._ending(ended)])

    def _record(self, build: Build, images: Mapping[str, ImageBuild], more: Sequence[Write]) -> Build:
        writes: list[Write] = [
            self._put(build, {"pk": None}),
            Put(keys.build_whereabouts(build.id), {"system": build.system}),
            *(self._put_image(build.id, image) for image in images.values()),
            *more,
        ]
        try:
            self._store.transact(writes)
        except ConditionFailedError:
            known = self.build(build.system, build.id)
            if known is None:
                raise ConflictError(f"build {build.id} cannot be read yet") from None
            return known
        return build

    def save_image(self, build_id: str, image: ImageBuild, what: str, detail: str | None = None) -> None:
        line = Line(self.now(), what, image.image, detail)
        self._store.transact([self._put_image(build_id, image), line_write(build_id, line)])

    def end(
        self,
        build: Build,
        outcome: BuildOutcome,
        explanation: str,
        *,
        deployments: Mapping[str, str] | None = None,
    ) -> Build:
        """End a build, once: whoever comes second gets the outcome that was recorded first.

        One that leaves nothing to build of its commit, for the environments that follow its branch, is what the next
        push on the branch is compared with: not one of some images only, nor one that is released nowhere.
        """
        ended = self._ended(build, outcome, explanation, deployments)
        try:
            self._store.transact([self._put(ended, {"outcome": None}), *self._ending(ended)])
        except ConditionFailedError:
            known = self.build(build.system, build.id)
            if known is None or known.outcome is None:
                raise ConflictError(f"build {build.id} cannot be read yet") from None
            return known
        return ended

    def _ended(
        self,
        build: Build,
        outcome: BuildOutcome,
        explanation: str,
        deployments: Mapping[str, str] | None = None,
    ) -> Build:
        return replace(
            build,
            outcome=outcome,
            explanation=explanation,
            finished_at=self.now(),
            deployments=build.deployments if deployments is None else deployments,
        )

    def _ending(self, build: Build) -> Iterator[Write]:
        """What is written beside a build that has ended."""
        outcome = build.outcome
        if outcome is None:
            return
        line = Line(self.now(), outcome.value, detail=build.explanation or None)
        # Behind the line that says why there was a build, where both are of one moment.
        yield line_write(build.id, line, 1)
        if (
            build.ref is not None
            and _is_whole(build)
            and outcome in (BuildOutcome.BUILT, BuildOutcome.NO_CHANGE)
        ):
            key = keys.last_build(build.system, build.ref, build.request.get("repository"))
            yield Put(key, {"commit": build.commit, "build": build.id})

    def overtaken_by(self, build: Build) -> Build | None:
        """A later build of the same branch that was published first. What it was compared with is older than this
        build, so it has all that this one has."""
        if build.ref is None:
            return None
        for other in self.history(build.system, _LATER_BUILDS):
            if other.id <= build.id:
                return None
            if _place(other) == _place(build) and _is_whole(other) and other.outcome is BuildOutcome.BUILT:
                return other
        return None

    def last_commit(self, system: str, ref: str, repository: str | None = None) -> str | None:
        """The commit of a branch (of a repository, `domain.source`) up to which everything was built."""
        item = self._store.get(keys.last_build(system, ref, repository))
        return None if item is None else str(item["commit"])

    def _put(self, build: Build, expect: Mapping[str, Any]) -> Put:
        item: Item = {
            **present(build.to_json()),
            "kind": keys.OPEN if build.outcome is None else keys.BUILDS,
            "at": build.started_at,
            "type": "build",
        }
        return Put(keys.build(build.system, build.id), item, expect)

    def _put_image(self, build_id: str, image: ImageBuild) -> Put:
        return Put(keys.build_image(build_id, image.image), present(image.to_json()))


def _is_whole(build: Build) -> bool:
    """Whether it is about everything that the environments of its branch need of its commit."""
    asked = build.request
    return bool(build.environments) and not asked.get("images") and not asked.get("built")


def _place(build: Build) -> tuple[str | None, object]:
    return build.ref, build.request.get("repository")
