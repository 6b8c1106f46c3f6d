"""AwaitScans, Publish and Fail: what is released is in ECR, tagged once, started once; the rest is told."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.build import BuildOutcome
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ledger.builds import BuildLedger
from tidegate.ports import Scan
from tidegate.steps import publish_images, sweep, wake

from tests.unit.steps.building import MAIN, SOURCE, Yard, environment, image
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Answer, digest

CLEAN, BAD = Scan("COMPLETE", {"LOW": 3}), Scan("COMPLETE", {"CRITICAL": 1, "HIGH": 2})


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _built(yard: Yard, commit: str = "d4", made: int = 4, **request: Any) -> Answer:
    selected = yard.push(commit, **request)
    id_ = yard.start(selected)
    yard.finish(id_, made=made)
    yard.event(id_)
    return selected


def _crash(*_: object, **__: object) -> None:
    raise TransientError("crashed")


def _two(yard: Yard) -> None:
    """Production and staging on one branch; production asks for scans."""
    production = environment(scan={"fail_on": "HIGH"})
    yard.register(environments={ENVIRONMENT: production, "staging": environment()})


class TestPublish:
    def test_tags_and_releases(self, yard: Yard) -> None:
        selected = _built(yard)
        published = yard.publish(selected)
        assert published["outcome"] == "Built"
        assert yard.world.images.digest(REPOSITORY, "d4") == digest(4)
        (deployed,) = yard.deployed()
        assert deployed["images"] == {"app": {"digest": digest(4)}}
        assert (deployed["commit"], deployed["environment"], deployed["trigger"]) == (
            "d4",
            ENVIRONMENT,
            "event",
        )
        (started,) = yard.world.executions.started
        assert published["document"]["deployments"] == {ENVIRONMENT: started.arn}
        assert published["document"]["reason"] == f"released to {ENVIRONMENT}"
        assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) == "d4"

    def test_in_the_order_of_the_pushes_however_long_each_was_built(self, yard: Yard) -> None:
        """Red without the build's id in Published: the deployment's own tells when it was ready."""
        selected = _built(yard)
        yard.world.clock.advance(minutes=30)
        yard.publish(selected)
        (deployed,) = yard.deployed()
        assert deployed["order"] == selected["build"]

    def test_to_every_environment_of_the_branch(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        yard.publish(_built(yard))
        assert [deployed["environment"] for deployed in yard.deployed()] == ["production", "staging"]

    def test_twice_is_one_release(self, yard: Yard) -> None:
        selected = _built(yard)
        assert yard.publish(selected) == yard.publish(selected)
        assert len(yard.deployed()) == 1

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"),
        [
            ("images", "exists"),
            ("images", "tag"),
            ("registry", "manifest"),
            ("executions", "start"),
            ("store", "get"),
            ("store", "query"),
            ("store", "transact"),
        ],
    )
    def test_a_crash_at_any_call_is_mended_by_the_retry(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        selected = _built(yard)
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.publish(selected)
        published = yard.publish(selected)
        assert published["outcome"] == "Built"
        assert list(published["document"]["deployments"]) == [ENVIRONMENT]
        assert len(yard.deployed()) == 1

    def test_a_retry_is_no_event_that_came_again(self, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
        """A crash after the start, before the end is recorded."""
        selected = _built(yard)
        with monkeypatch.context() as crashing:
            crashing.setattr(BuildLedger, "end", _crash)
            with pytest.raises(TransientError):
                yard.publish(selected)
        (started,) = yard.world.executions.started
        planned = yard.release(4, execution={**yard.execution(), "id": started.arn})
        assert yard.publish(selected)["document"]["reason"] == f"released to {ENVIRONMENT}"
        assert "the same event came again" not in [line.what for line in yard.timeline(planned)]

    def test_what_was_released_before_is_told_and_not_released_again(self, yard: Yard) -> None:
        """A branch that is set back to an older commit: only a person brings that back (decision 0005)."""
        yard.publish(_built(yard))
        yard.runs_release()
        again = yard.push("d4", ref="refs/heads/main", before="d9")
        assert again["outcome"] == "NoChange"
        by_hand = yard.select("d4", ref=MAIN)
        document = yard.publish(by_hand)["document"]
        assert document["deployments"] == {}
        assert "not to production: the same images of this commit were released there" in document["reason"]
        assert len(yard.deployed()) == 1

    def test_a_build_that_exported_nothing_is_found_by_its_tag(self, yard: Yard) -> None:
        yard.world.sources.trees[SOURCE, "d4", "."] = "a" * 40
        selected = yard.push()
        id_ = yard.start(selected)
        yard.world.images.push(REPOSITORY, digest(7), yard.images(selected)["app"].tree_tag)
        yard.finish(id_, exported={})
        yard.event(id_)
        assert yard.publish(selected)["document"]["images"]["app"]["digest"] == digest(7)

    @pytest.mark.parametrize(
        ("made", "said"), [(8, f"has no {digest(8)}"), (None, "the build pushed no image")]
    )
    def test_an_image_that_is_not_in_ecr_has_failed(self, yard: Yard, made: int | None, said: str) -> None:
        selected = yard.push()
        id_ = yard.start(selected)
        yard.finish(id_, exported={} if made is None else {"TIDEGATE_DIGEST": digest(made)})
        yard.event(id_)
        for _ in range(2):
            published = yard.publish(selected)
            assert published["outcome"] == "Failed"
            assert said in published["document"]["reason"]
        assert yard.deployed() == []
        assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) is None
        assert yard.world.bus.of("Build Failed")[0]["images"]["app"]["reason"]

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_its_failure_is_announced_even_if_that_crashed_at_first(self, yard: Yard, lost: str) -> None:
        """The end is recorded already: the retry is the only one who can still tell."""
        selected = yard.push()
        id_ = yard.start(selected)
        yard.finish(id_, exported={})
        yard.event(id_)
        getattr(yard.world.bus, lost)("emit")
        with pytest.raises(TransientError):
            yard.publish(selected)
        assert yard.publish(selected)["outcome"] == "Failed"
        assert yard.world.bus.of("Build Failed")

    def test_a_release_tag_never_moves(self, yard: Yard) -> None:
        selected = _built(yard)
        yard.world.images.push(REPOSITORY, digest(1), "d4")
        published = yard.publish(selected)
        assert published["outcome"] == "Refused"
        assert f"tag d4 of {REPOSITORY} names {digest(1)} already" in published["document"]["reason"]
        assert yard.deployed() == []
        assert yard.world.images.digest(REPOSITORY, "d4") == digest(1)

    def test_an_image_that_went_away_after_it_was_built(self, yard: Yard) -> None:
        selected = _built(yard)
        yard.world.images.delete(REPOSITORY, digest(4))
        assert yard.publish(selected)["outcome"] == "Failed"

    def test_unrelated_images_are_not_named(self, yard: Yard) -> None:
        """They stay as they run: the deployment takes those from the current release."""
        keys = ("identity", "tasks")
        services = {key: {"service": f"shop-{key}", "image": key} for key in keys}
        yard.register(images={key: image(key) for key in keys}, services=services)
        yard.go_through(yard.push("d1"), made=20)
        yard.runs_release()
        yard.world.sources.changed[SOURCE, "d1", "d2"] = ["tasks/a"]
        yard.go_through(yard.push("d2"), made=30)
        assert yard.deployed()[-1]["images"] == {"tasks": {"digest": digest(30)}}

    def test_an_environment_that_is_gone_by_now_is_told(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        selected = _built(yard)
        del yard.world.registry.texts[SYSTEM, "staging"]
        document = yard.publish(selected)["document"]
        assert list(document["deployments"]) == ["production"]
        assert "not to staging: system shop is not registered in environment staging" in document["reason"]

    def test_where_none_is_left_the_release_is_refused_and_made_good_later(self, yard: Yard) -> None:
        selected = _built(yard)
        yard.world.registry.texts[SYSTEM, ENVIRONMENT] = "{"
        published = yard.publish(selected)
        assert published["outcome"] == "Refused"
        assert "is not JSON" in published["document"]["reason"]
        assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) is None

    @pytest.mark.parametrize("step", ["AwaitScans", "Publish", "Fail"])
    def test_a_build_that_is_unknown(self, yard: Yard, step: str) -> None:
        with pytest.raises(NotFoundError):
            publish_images.run(
                {"step": step, "system": SYSTEM, "build": "0" * 26, "built": []}, yard.world.ports
            )


class TestScans:
    def test_findings_refuse_one_environment_and_not_the_other(self, yard: Yard) -> None:
        _two(yard)
        selected = _built(yard)
        yard.world.images.set_scan(REPOSITORY, digest(4), BAD)
        published = yard.publish(selected)
        assert published["outcome"] == "Built"
        assert [deployed["environment"] for deployed in yard.deployed()] == ["staging"]
        assert (
            "not to production: image app: ECR's scan found 1 CRITICAL, 2 HIGH"
            in published["document"]["reason"]
        )

    def test_where_all_refuse_so_does_the_build_and_nothing_is_tagged(self, yard: Yard) -> None:
        yard.register(environments={ENVIRONMENT: environment(scan={"fail_on": "CRITICAL"})})
        selected = _built(yard)
        yard.world.images.set_scan(REPOSITORY, digest(4), BAD)
        assert yard.publish(selected)["outcome"] == "Refused"
        assert yard.world.images.digest(REPOSITORY, "d4") is None
        assert yard.deployed() == []

    @pytest.mark.parametrize("scan", [None, Scan("PENDING"), Scan("IN_PROGRESS"), Scan("FAILED")])
    def test_one_that_did_not_end_well_in_time_refuses(self, yard: Yard, scan: Scan | None) -> None:
        _two(yard)
        selected = _built(yard)
        if scan is not None:
            yard.world.images.set_scan(REPOSITORY, digest(4), scan)
        yard.publish(selected)
        assert [deployed["environment"] for deployed in yard.deployed()] == ["staging"]

    def test_the_wait_ends_with_the_scan(self, yard: Yard) -> None:
        _two(yard)
        selected = _built(yard)
        assert yard.await_scans(selected) == {"waiting_for": 1}
        assert _scanned(yard, digest(4)) == {"did": "looked", "resumed": 0}, "it has not begun"
        yard.world.images.set_scan(REPOSITORY, digest(4), Scan("IN_PROGRESS"))
        assert _scanned(yard, digest(4)) == {"did": "looked", "resumed": 0}
        yard.world.images.set_scan(REPOSITORY, digest(4), CLEAN)
        assert _scanned(yard, digest(4)) == {"did": "looked", "resumed": 1}
        assert yard.world.executions.answers["scans"] == {"outcome": "Scanned"}
        assert _scanned(yard, digest(4))["did"] == "nothing", "nobody waits any more"
        yard.publish(selected)
        assert len(yard.deployed()) == 2

    def test_a_scan_that_ended_before_the_token_was_there(self, yard: Yard) -> None:
        _two(yard)
        selected = _built(yard)
        yard.world.images.set_scan(REPOSITORY, digest(4), CLEAN)
        yard.await_scans(selected)
        assert "scans" in yard.world.executions.answers
        assert [item["type"] for item in yard.ledger.open_items()] == ["build"]

    def test_the_last_of_several_images_ends_the_wait_once(self, yard: Yard) -> None:
        environments = {ENVIRONMENT: environment(scan={"fail_on": "HIGH"})}
        yard.register(images={key: image(key) for key in ("app", "web")}, environments=environments)
        selected = yard.push()
        for number, key in enumerate(selected["images"]):
            id_ = yard.start(selected, key)
            yard.finish(id_, made=4 + number, key=key)
            yard.event(id_)
        yard.await_scans(selected)
        yard.world.images.set_scan(REPOSITORY, digest(4), CLEAN)
        assert _scanned(yard, digest(4))["resumed"] == 0
        yard.world.images.set_scan(REPOSITORY, digest(5), CLEAN)
        assert sweep.run({}, yard.world.ports)["resumed"] == 1
        assert [item["type"] for item in yard.ledger.open_items()] == ["build"]

    def test_an_image_that_is_lost_is_not_waited_for(self, yard: Yard) -> None:
        environments = {ENVIRONMENT: environment(scan={"fail_on": "HIGH"})}
        yard.register(images={key: image(key) for key in ("app", "web")}, environments=environments)
        selected = yard.push()
        for number, key in enumerate(selected["images"]):
            id_ = yard.start(selected, key)
            yard.finish(id_, made=4 + number, key=key)
            yard.event(id_)
        yard.world.images.delete(REPOSITORY, digest(4))
        yard.await_scans(selected)
        assert "scans" in yard.world.executions.answers
        assert yard.publish(selected)["outcome"] == "Failed"

    def test_a_token_that_timed_out_does_not_stay_for_ever(self, yard: Yard) -> None:
        """ECR never scans a repository without scan on push: the sweep would ask every minute for a year."""
        _two(yard)
        selected = _built(yard)
        yard.await_scans(selected)
        yard.world.executions.waiting.clear()
        yard.publish(selected)
        assert sweep.run({}, yard.world.ports)["resumed"] == 0
        assert yard.ledger.open_items() == []

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"), [("store", "transact"), ("images", "scan"), ("executions", "succeed")]
    )
    def test_a_crash_while_it_begins_to_wait(self, yard: Yard, fake: str, method: str, lost: str) -> None:
        _two(yard)
        selected = _built(yard)
        yard.world.images.set_scan(REPOSITORY, digest(4), CLEAN)
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.await_scans(selected, "first")
        yard.await_scans(selected, "second")
        assert "second" in yard.world.executions.answers


def _scanned(yard: Yard, digest_: str) -> Answer:
    detail = {"repository-name": REPOSITORY, "image-digest": digest_, "scan-status": "COMPLETE"}
    return wake.run({"detail-type": "ECR Image Scan", "detail": detail}, yard.world.ports)


class TestFail:
    def test_ends_the_build_with_the_images_that_failed(self, yard: Yard) -> None:
        selected = yard.push()
        yard.report(selected, reason="FAILED in phase BUILD")
        failed = yard.publish(selected, "Fail", error=None)
        assert failed["outcome"] == "Failed"
        assert failed["document"]["reason"] == "image app: FAILED in phase BUILD"
        (event,) = yard.world.bus.of("Build Failed")
        assert (event["system"], event["commit"], event["severity"]) == (SYSTEM, "d4", "warning")
        assert event["images"] == {"app": {"phase": None, "reason": "FAILED in phase BUILD"}}
        assert yard.deployed() == []

    def test_or_with_what_went_wrong_in_the_machine(self, yard: Yard) -> None:
        selected = yard.push()
        error = {
            "name": "OutsideError",
            "cause": '{"errorMessage": "ecr:PutImage: AccessDenied", "errorType": "x"}',
        }
        failed = yard.publish(selected, "Fail", error=error)
        assert "AccessDenied" in failed["document"]["reason"]
        assert "errorType" not in failed["document"]["reason"]

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(("fake", "method"), [("store", "transact"), ("bus", "emit"), ("store", "query")])
    def test_a_crash_at_any_call_is_told_in_the_end(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        selected = yard.push()
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.publish(selected, "Fail", error=None)
        assert yard.publish(selected, "Fail", error=None)["outcome"] == "Failed"
        assert yard.world.bus.of("Build Failed")
        assert yard.build(selected).outcome is BuildOutcome.FAILED

    def test_does_not_undo_what_was_published(self, yard: Yard) -> None:
        """Publish took effect, and its answer was lost for good."""
        selected = _built(yard)
        yard.publish(selected)
        assert (
            yard.publish(selected, "Fail", error={"name": "TransientError", "cause": "x"})["outcome"]
            == "Built"
        )
        assert yard.world.bus.of("Build Failed") == []

    def test_an_error_of_ecr_is_for_the_machine_to_record(self, yard: Yard) -> None:
        selected = _built(yard)
        yard.world.images.fails("tag", OutsideError("ecr:PutImage: AccessDeniedException"))
        with pytest.raises(OutsideError):
            yard.publish(selected)
        assert yard.deployed() == []
