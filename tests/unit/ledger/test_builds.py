"""Builds in the table: opened once, ended once, and what the next push is compared with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tidegate.domain.build import Build, BuildOutcome, ImageBuild, ImageStatus
from tidegate.domain.errors import ConflictError, TransientError
from tidegate.ledger import keys
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import ConditionFailedError

from tests.support.clock import FakeClock
from tests.unit.ledger.meddling import SYSTEM, MeddledStore

REF, OTHER_REF = "refs/heads/main", "refs/heads/dev"
SHA = "sha256:" + "1" * 64
APP, WEB = ImageBuild("app", "arive/api", "c1", "arive-build"), ImageBuild("web", "arive/web", "c1")


class Shop:
    def __init__(self) -> None:
        self.store = MeddledStore()
        self.clock = FakeClock()
        self.builds = BuildLedger(self.store, self.clock)

    def new(self, identity: str = "B1", commit: str = "c1", ref: str | None = REF, **more: object) -> Build:
        request = more.pop("request", {"system": SYSTEM, "commit": commit})
        assert isinstance(request, dict)
        build = Build(
            identity,
            SYSTEM,
            commit,
            f"arn:{identity}",
            self.builds.now(),
            ref=ref,
            environments=("production",),
            request=request,
        )
        return replace(build, **more)  # type: ignore[arg-type]

    def open(self, build: Build, *images: ImageBuild) -> Build:
        return self.builds.open(build, {image.image: image for image in images}, "build requested")

    def written(self, identity: str = "B1") -> Build:
        found = self.builds.build(SYSTEM, identity)
        assert found is not None
        return found

    def told(self, identity: str = "B1") -> list[tuple[str, str | None]]:
        lines = Ledger(self.store, self.clock).timeline(identity)
        return [(line.what, line.detail) for line in lines]

    def kinds(self, kind: str) -> list[str]:
        return [item["id"] for item in self.store.query_kind(kind)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestOpen:
    def test_records_a_build_that_is_found_by_system_and_by_id(self, shop: Shop) -> None:
        build = shop.open(shop.new(), APP, WEB)
        assert shop.written() == shop.builds.find("B1") == build
        assert shop.builds.images("B1") == [APP, WEB]
        assert shop.builds.image("B1", "web") == WEB
        assert shop.told() == [("build requested", None)]
        assert shop.kinds(keys.OPEN) == ["B1"]
        assert shop.kinds(keys.BUILDS) == []

    def test_knows_nothing_of_what_was_not_opened(self, shop: Shop) -> None:
        assert shop.builds.build(SYSTEM, "B1") is None
        assert shop.builds.find("B1") is None
        assert shop.builds.image("B1", "app") is None
        assert shop.builds.images("B1") == []
        assert list(shop.builds.history(SYSTEM)) == []

    def test_twice_is_answered_with_the_first(self, shop: Shop) -> None:
        first = shop.open(shop.new(), APP)
        shop.builds.save_image("B1", replace(APP, status=ImageStatus.BUILDING, build_id="p:1"), "building")
        shop.clock.advance(seconds=3)
        again = shop.open(shop.new(reason="another"), APP, WEB)
        assert again == first
        image = shop.builds.image("B1", "app")
        assert image is not None
        assert (image.status, image.build_id) == (ImageStatus.BUILDING, "p:1")
        assert shop.builds.image("B1", "web") is None
        assert len(shop.told()) == 2

    def test_twice_is_answered_with_the_end_if_it_has_ended(self, shop: Shop) -> None:
        ended = shop.builds.end(shop.open(shop.new()), BuildOutcome.NO_CHANGE, "nothing touched")
        assert shop.open(shop.new()) == ended

    @pytest.mark.parametrize("lost", ["before", "after"])
    def test_an_answer_that_is_lost_is_found_at_the_second_try(self, shop: Shop, lost: str) -> None:
        with shop.store.on_behalf_of("one", lost=lost), pytest.raises(TransientError):
            shop.open(shop.new(), APP)
        assert shop.open(shop.new(), APP) == shop.written()
        assert shop.builds.images("B1") == [APP]

    def test_a_build_that_is_there_and_cannot_be_read_is_tried_again(self, shop: Shop) -> None:
        class Shy(MeddledStore):
            def transact(self, writes: object) -> None:
                raise ConditionFailedError(0)

        with pytest.raises(ConflictError):
            BuildLedger(Shy(), shop.clock).open(shop.new(), {}, "build requested")

    def test_builds_of_two_systems_with_one_id_do_not_mix(self, shop: Shop) -> None:
        shop.open(shop.new())
        assert shop.builds.build("other", "B1") is None


class TestRecord:
    """A build that came to nothing at once: its beginning and its end are one write."""

    def _record(self, shop: Shop, outcome: BuildOutcome = BuildOutcome.NO_CHANGE) -> object:
        return shop.builds.record(shop.new(), {"app": APP}, "build requested", outcome, "why")

    def test_has_ended_and_says_so(self, shop: Shop) -> None:
        build = self._record(shop)
        assert shop.written() == build
        assert shop.builds.find("B1") == build
        assert shop.written().finished_at == shop.builds.now()
        assert shop.told() == [("build requested", None), ("NoChange", "why")]
        assert (shop.kinds(keys.OPEN), shop.kinds(keys.BUILDS)) == ([], ["B1"])
        assert shop.builds.images("B1") == [APP]
        assert shop.builds.last_commit(SYSTEM, REF) == "c1"

    def test_twice_is_answered_with_the_first(self, shop: Shop) -> None:
        first = self._record(shop)
        shop.clock.advance(seconds=3)
        assert self._record(shop, BuildOutcome.REFUSED) == first

    @pytest.mark.parametrize("lost", ["before", "after"])
    def test_an_answer_that_is_lost_leaves_nothing_open(self, shop: Shop, lost: str) -> None:
        with shop.store.on_behalf_of("one", lost=lost), pytest.raises(TransientError):
            self._record(shop)
        assert shop.kinds(keys.OPEN) == []
        assert self._record(shop) == shop.written()


class TestHistory:
    def test_is_newest_first(self, shop: Shop) -> None:
        for identity in ("B1", "B3", "B2"):
            shop.open(shop.new(identity))
        shop.builds.end(shop.written("B1"), BuildOutcome.BUILT, "")
        assert [build.id for build in shop.builds.history(SYSTEM)] == ["B3", "B2", "B1"]
        assert [build.id for build in shop.builds.history(SYSTEM, limit=1)] == ["B3"]
        assert list(shop.builds.history("other")) == []


class TestImages:
    def test_a_saved_image_is_told(self, shop: Shop) -> None:
        shop.open(shop.new(), APP)
        built = replace(APP, status=ImageStatus.BUILT, digest=SHA, logs=("one",))
        shop.clock.advance(seconds=1)
        shop.builds.save_image("B1", built, "in ECR", SHA)
        assert shop.builds.images("B1") == [built]
        assert shop.told()[-1] == ("in ECR", SHA)
        lines = Ledger(shop.store, shop.clock).timeline("B1")
        assert lines[-1].service == "app"

    def test_two_images_of_one_moment_have_a_line_each(self, shop: Shop) -> None:
        shop.open(shop.new(), APP, WEB)
        for image in (APP, WEB, WEB):
            shop.builds.save_image("B1", image, "building")
        assert len(shop.told()) == 3

    def test_what_an_image_no_longer_has_is_gone(self, shop: Shop) -> None:
        shop.open(shop.new(), replace(APP, tree_tag="tree-1"))
        shop.builds.save_image("B1", APP, "building")
        assert shop.builds.image("B1", "app") == APP


class TestEnd:
    def test_is_told_and_leaves_nothing_open(self, shop: Shop) -> None:
        build = shop.open(shop.new(), APP)
        shop.clock.advance(minutes=2)
        ended = shop.builds.end(build, BuildOutcome.BUILT, "released", deployments={"production": "arn:d"})
        assert shop.written() == ended
        assert (ended.outcome, ended.explanation, ended.finished_at) == (
            BuildOutcome.BUILT,
            "released",
            shop.builds.now(),
        )
        assert ended.deployments == {"production": "arn:d"}
        assert shop.told()[-1] == ("Built", "released")
        assert shop.kinds(keys.OPEN) == []
        assert shop.kinds(keys.BUILDS) == ["B1"]
        assert shop.builds.images("B1") == [APP]

    def test_keeps_the_deployments_that_it_is_not_told_of(self, shop: Shop) -> None:
        build = shop.open(shop.new(deployments={"production": "arn:d"}))
        assert shop.builds.end(build, BuildOutcome.FAILED, "").deployments == {"production": "arn:d"}

    def test_twice_is_answered_with_the_first_outcome(self, shop: Shop) -> None:
        build = shop.open(shop.new())
        first = shop.builds.end(build, BuildOutcome.FAILED, "no")
        shop.clock.advance(seconds=3)
        assert shop.builds.end(build, BuildOutcome.BUILT, "yes") == first
        assert shop.written() == first
        assert shop.builds.last_commit(SYSTEM, REF) is None
        assert [what for what, _ in shop.told()] == ["build requested", "Failed"]

    @pytest.mark.parametrize("lost", ["before", "after"])
    def test_an_answer_that_is_lost_is_found_at_the_second_try(self, shop: Shop, lost: str) -> None:
        build = shop.open(shop.new())
        with shop.store.on_behalf_of("one", lost=lost), pytest.raises(TransientError):
            shop.builds.end(build, BuildOutcome.BUILT, "released")
        assert shop.builds.end(build, BuildOutcome.BUILT, "released").outcome is BuildOutcome.BUILT
        assert shop.builds.last_commit(SYSTEM, REF) == "c1"


class TestLastCommit:
    @pytest.mark.parametrize(
        ("outcome", "last"),
        [
            (BuildOutcome.BUILT, "c1"),
            (BuildOutcome.NO_CHANGE, "c1"),
            (BuildOutcome.REFUSED, "c0"),
            (BuildOutcome.FAILED, "c0"),
        ],
    )
    def test_is_one_that_leaves_nothing_to_build(self, shop: Shop, outcome: BuildOutcome, last: str) -> None:
        shop.builds.end(shop.open(shop.new("B0", "c0")), BuildOutcome.BUILT, "")
        shop.builds.end(shop.open(shop.new()), outcome, "")
        assert shop.builds.last_commit(SYSTEM, REF) == last

    def test_is_of_one_branch_of_one_system(self, shop: Shop) -> None:
        shop.builds.end(shop.open(shop.new()), BuildOutcome.BUILT, "")
        shop.builds.end(shop.open(shop.new("B2", "c2", OTHER_REF)), BuildOutcome.BUILT, "")
        shop.builds.end(shop.open(shop.new("B3", "c3", None)), BuildOutcome.BUILT, "")
        assert shop.builds.last_commit(SYSTEM, REF) == "c1"
        assert shop.builds.last_commit(SYSTEM, OTHER_REF) == "c2"
        assert shop.builds.last_commit("other", REF) is None

    @pytest.mark.parametrize("named", [{"images": ["app"]}, {"built": {"app": {"digest": SHA}}}])
    def test_is_not_one_of_some_images(self, shop: Shop, named: dict[str, object]) -> None:
        """Else a change to the others that came before it would never be built."""
        shop.builds.end(shop.open(shop.new(request=named), APP), BuildOutcome.BUILT, "")
        assert shop.builds.last_commit(SYSTEM, REF) is None

    @pytest.mark.parametrize("outcome", [BuildOutcome.BUILT, BuildOutcome.NO_CHANGE])
    def test_is_not_one_that_nobody_follows(self, shop: Shop, outcome: BuildOutcome) -> None:
        """Else an environment that follows the branch later would never see what came before."""
        shop.builds.end(shop.open(shop.new(environments=())), outcome, "")
        assert shop.builds.last_commit(SYSTEM, REF) is None

    def test_is_of_one_repository(self, shop: Shop) -> None:
        """Branches of one name in two repositories have nothing in common."""
        for identity, commit, repository in (("B1", "c1", "codecommit:a"), ("B2", "c2", "codecommit:b")):
            build = shop.new(identity, commit, request={"repository": repository})
            shop.builds.end(shop.open(build), BuildOutcome.BUILT, "")
        assert shop.builds.last_commit(SYSTEM, REF, "codecommit:a") == "c1"
        assert shop.builds.last_commit(SYSTEM, REF, "codecommit:b") == "c2"
        assert shop.builds.last_commit(SYSTEM, REF) is None

    def test_is_written_with_the_end_or_not_at_all(self, shop: Shop) -> None:
        build = shop.open(shop.new())
        before = shop.store.called("transact")
        shop.builds.end(build, BuildOutcome.BUILT, "")
        ((_, (writes,)),) = [call for call in shop.store.calls if call[0] == "transact"][before:]
        assert {keys.build(SYSTEM, "B1"), keys.last_build(SYSTEM, REF)} < {write.key for write in writes}
