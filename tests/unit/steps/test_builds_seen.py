"""Builds that a team starts by itself: released by their event alone, where their branch goes, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tidegate.domain.build import COMMIT, DIGEST, IMAGE, MARKER
from tidegate.domain.errors import TransientError
from tidegate.steps import wake
from tidegate.steps.builds_seen import HEAD_REF

from tests.unit.steps.building import ARN, PROJECT, Yard, environment, image
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, digest

SHA = "d" * 40


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _made(yard: Yard, version: str | None = "main", made: int = 4, **exported: str) -> str:
    """A build of SHA that somebody started for `version`, that pushed an image and succeeded."""
    run = yard.world.builds.run(PROJECT, SHA)
    yard.world.builds.builds[run.id] = replace(run, source_version=version)
    yard.world.images.push(REPOSITORY, digest(made))
    yard.world.builds.finish(run.id, exported=exported or {IMAGE: "app", DIGEST: digest(made)})
    return run.id


def _failed(yard: Yard, version: str = "main", **exported: str) -> str:
    id_ = _made(yard, version)
    run = yard.world.builds.finish(
        id_, "FAILED", phase="BUILD", message="exit status 1", exported=exported or {}
    )
    yard.world.logs.write(str(run.log_group), str(run.log_stream), "ERROR: no such file: app.py")
    return id_


def _two_branches(yard: Yard) -> None:
    yard.register(environments={ENVIRONMENT: environment(), "next": environment(branch="develop")})


def _where(yard: Yard) -> list[tuple[str, str]]:
    return [(deployed["system"], deployed["environment"]) for deployed in yard.deployed()]


class TestReleased:
    def test_by_its_event_alone(self, yard: Yard) -> None:
        id_ = _made(yard)
        assert yard.event(id_)["released"] == [f"{SYSTEM}/{ENVIRONMENT}: started"]
        (deployed,) = yard.deployed()
        assert deployed["images"] == {"app": {"digest": digest(4)}}
        assert (deployed["commit"], deployed["actor"]) == (SHA, f"codebuild {PROJECT}")
        assert deployed["reason"] == f"published by https://console.example/{id_}"

    def test_ten_events_and_a_failed_one_out_of_order_are_one_deployment(self, yard: Yard) -> None:
        id_ = _made(yard)
        for number in range(10):
            yard.event(id_, number=number)
        yard.event(id_, "FAILED", number=11)
        assert len(yard.deployed()) == 1
        assert yard.world.bus.of("Build Failed") == []

    def test_ten_events_of_a_build_of_ours_are_one_deployment(self, yard: Yard) -> None:
        selected = yard.push()
        id_ = yard.start(selected)
        yard.finish(id_)
        for number in range(10):
            yard.event(id_, number=number)
        yard.event(id_, "FAILED", number=11)
        answer = yard.answer(selected)
        assert answer is not None
        assert answer["outcome"] == "Built"
        yard.publish(selected)
        yard.event(id_, number=12)
        assert len(yard.deployed()) == 1

    def test_one_of_ours_that_nobody_waits_for_is_left_alone(self, yard: Yard) -> None:
        run = yard.world.builds.run(PROJECT, SHA, {MARKER: "0" * 32})
        yard.finish(run.id)
        assert yard.event(run.id)["did"] == "nothing"
        assert yard.deployed() == []

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"), [("executions", "start"), ("store", "transact"), ("builds", "runs")]
    )
    def test_a_crash_at_any_call_is_one_deployment(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        id_ = _made(yard)
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.event(id_)
        yard.event(id_)
        assert len(yard.deployed()) == 1

    def test_one_that_still_runs_is_looked_at_again_where_its_event_says_otherwise(self, yard: Yard) -> None:
        run = yard.world.builds.run(PROJECT, SHA)
        assert yard.event(run.id, "IN_PROGRESS")["did"] == "nothing"
        with pytest.raises(TransientError, match="older than its event"):
            yard.event(run.id, "SUCCEEDED")

    def test_one_that_codebuild_does_not_know(self, yard: Yard) -> None:
        assert yard.event("nobody:1")["did"] == "nothing"

    @pytest.mark.parametrize("detail", [None, {}, {"build-id": 3}, []])
    def test_an_event_that_names_none(self, yard: Yard, detail: Any) -> None:
        event = {"detail-type": "CodeBuild Build State Change", "detail": detail}
        assert wake.run(event, yard.world.ports)["did"] == "nothing"


class TestWhereItGoes:
    @pytest.mark.parametrize(
        ("version", "environments"),
        [
            ("main", [ENVIRONMENT]),
            ("refs/heads/main", [ENVIRONMENT]),
            (f"refs/heads/main^{{{SHA}}}", [ENVIRONMENT]),
            ("develop", ["next"]),
            ("feature/main", []),
            (f"refs/heads/feature^{{{SHA}}}", []),
            ("v1.0", []),
            ("refs/tags/v1.0", []),
            (SHA[:7], []),
        ],
    )
    def test_the_branch_decides(self, yard: Yard, version: str, environments: list[str]) -> None:
        _two_branches(yard)
        yard.event(_made(yard, version))
        assert [name for _, name in _where(yard)] == environments

    @pytest.mark.parametrize("version", ["pr/7", "refs/pull/7/head", f"refs/pull/7/head^{{{SHA}}}"])
    def test_a_pull_request_is_never_released(self, yard: Yard, version: str) -> None:
        """Not even where an environment follows no branch in particular."""
        anything = environment()
        del anything["branch"]
        yard.register(environments={ENVIRONMENT: environment(), "any": anything})
        yard.event(_made(yard, version))
        assert _where(yard) == []

    @pytest.mark.parametrize("version", [SHA, None, ""])
    def test_a_commit_alone_is_released_where_all_follow_one_branch(
        self, yard: Yard, version: str | None
    ) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        yard.event(_made(yard, version))
        assert [name for _, name in _where(yard)] == ["production", "staging"]

    @pytest.mark.parametrize("version", [SHA, None])
    def test_and_refused_where_they_follow_several(self, yard: Yard, version: str | None) -> None:
        """A webhook's build of `develop` must not be released to production."""
        _two_branches(yard)
        yard.event(_made(yard, version))
        assert _where(yard) == []
        (refused,) = yard.world.bus.of("Deployment Refused")
        assert (refused["system"], refused["commit"], refused["environment"]) == (SYSTEM, SHA, None)
        assert HEAD_REF in refused["reason"]

    @pytest.mark.parametrize(
        ("head", "environments"),
        [("refs/heads/develop", ["next"]), ("refs/heads/x", []), ("refs/tags/v1", [])],
    )
    def test_unless_it_exports_its_branch(self, yard: Yard, head: str, environments: list[str]) -> None:
        _two_branches(yard)
        yard.event(_made(yard, SHA, **{IMAGE: "app", DIGEST: digest(4), HEAD_REF: head}))
        assert [name for _, name in _where(yard)] == environments

    def test_to_every_system_of_the_project(self, yard: Yard) -> None:
        yard.register(system="books")
        yard.event(_made(yard, "main", **{DIGEST: digest(4)}))
        assert _where(yard) == [("books", ENVIRONMENT), (SYSTEM, ENVIRONMENT)]

    def test_not_to_a_system_that_has_another_image_of_the_project(self, yard: Yard) -> None:
        yard.register(system="books", images={"books": image(repository="books-app")}, services={})
        yard.world.images.push("books-app", digest(9), SHA)
        yard.event(_made(yard))
        assert _where(yard) == [(SYSTEM, ENVIRONMENT)]

    def test_a_manifest_that_cannot_be_read_holds_up_no_other(self, yard: Yard) -> None:
        yard.world.registry.texts["aaa", ENVIRONMENT] = "{"
        yard.event(_made(yard))
        assert _where(yard) == [(SYSTEM, ENVIRONMENT)]

    def test_a_project_that_no_manifest_names(self, yard: Yard) -> None:
        yard.register(images={"app": image(build={"project": "another"})})
        assert "names project" in yard.event(_made(yard))["why"]


class TestWhichImage:
    @pytest.fixture
    def two(self, yard: Yard) -> Yard:
        yard.register(images={"app": image(), "web": image(tag="web-{commit}")})
        return yard

    @pytest.mark.parametrize(
        ("named", "key"),
        [
            ("web", "web"),
            ("app", "app"),
        ],
    )
    def test_the_one_it_names_by_its_key(self, two: Yard, named: str, key: str) -> None:
        two.event(_made(two, "main", **{IMAGE: named, DIGEST: digest(4)}))
        assert two.deployed()[0]["images"] == {key: {"digest": digest(4)}}

    def test_the_one_it_names_by_its_address(self, yard: Yard) -> None:
        other = image(repository="shop-web", tag="web-{commit}")
        yard.register(images={"app": image(), "web": other})
        yard.world.images.push("shop-web", digest(4))
        address = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-web:{SHA}"
        yard.event(_made(yard, "main", **{IMAGE: address, DIGEST: digest(4)}))
        assert yard.deployed()[0]["images"] == {"web": {"digest": digest(4)}}

    @pytest.mark.parametrize("exported", [{}, {DIGEST: digest(4)}, {IMAGE: f"host.example/{REPOSITORY}"}])
    def test_those_with_a_tag_of_the_commit_where_it_names_none_for_sure(
        self, two: Yard, exported: dict[str, str]
    ) -> None:
        two.world.images.push(REPOSITORY, digest(6), f"web-{SHA}")
        two.event(_made(two, "main", **(exported or {"X": "y"})))
        assert two.deployed()[0]["images"] == {"web": {"digest": digest(6)}}

    def test_all_of_them_in_one_deployment(self, two: Yard) -> None:
        two.world.images.push(REPOSITORY, digest(6), f"web-{SHA}")
        two.world.images.push(REPOSITORY, digest(7), SHA)
        two.event(_made(two, "main", X="y"))
        assert two.deployed()[0]["images"] == {"app": {"digest": digest(7)}, "web": {"digest": digest(6)}}

    def test_none_where_nothing_is_tagged(self, two: Yard) -> None:
        said = two.event(_made(two, "main", X="y"))["released"]
        assert said == [f"{SYSTEM}/{ENVIRONMENT}: the build names no image, and none has a tag of its commit"]
        assert two.deployed() == []

    @pytest.mark.parametrize("bad", ["latest", "sha256:1", ""])
    def test_a_digest_that_is_none_is_looked_up(self, yard: Yard, bad: str) -> None:
        yard.world.images.push(REPOSITORY, digest(6), SHA)
        yard.event(_made(yard, "main", **{IMAGE: "app", DIGEST: bad}))
        assert yard.deployed()[0]["images"] == {"app": {"digest": digest(6)}}

    @pytest.mark.parametrize(
        ("said", "commit"), [("v42", "v42"), ("x" * 65, SHA), ("a\ud800", SHA), ("", SHA)]
    )
    def test_the_commit_it_exports_where_that_can_be_one(self, yard: Yard, said: str, commit: str) -> None:
        yard.event(_made(yard, "main", **{IMAGE: "app", DIGEST: digest(4), COMMIT: said}))
        assert yard.deployed()[0]["commit"] == commit

    def test_a_commit_that_cannot_be_a_tag_finds_nothing(self, yard: Yard) -> None:
        yard.event(_made(yard, "main", **{IMAGE: "app", COMMIT: "a b"}))
        assert yard.deployed() == []


class TestFailed:
    def test_is_reported_once_with_the_failing_line(self, yard: Yard) -> None:
        id_ = _failed(yard)
        assert yard.event(id_, "FAILED") == {"did": "reported", "systems": [SYSTEM]}
        for number in range(2, 5):
            assert yard.event(id_, "FAILED", number)["systems"] == []
        (event,) = yard.world.bus.of("Build Failed")
        assert event["images"]["app"]["phase"] == "BUILD"
        assert event["reason"] == ("image app: FAILED in phase BUILD: ERROR: no such file: app.py")
        (build,) = yard.builds.history(SYSTEM)
        assert (build.commit, build.actor, build.execution) == (SHA, f"codebuild {PROJECT}", id_)
        assert yard.builds.images(build.id)[0].logs == ("ERROR: no such file: app.py",)
        assert yard.ledger.open_items() == []
        assert yard.deployed() == []

    @pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"])
    def test_however_it_failed(self, yard: Yard, status: str) -> None:
        id_ = _made(yard)
        yard.world.builds.finish(id_, status)
        yard.event(id_, status)
        assert status in yard.world.bus.of("Build Failed")[0]["reason"]

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(("fake", "method"), [("store", "transact"), ("bus", "emit"), ("logs", "tail")])
    def test_a_crash_at_any_call_is_told_in_the_end_and_recorded_once(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        id_ = _failed(yard)
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.event(id_, "FAILED")
        assert yard.ledger.open_items() == [], "the sweep knows no execution of it"
        yard.event(id_, "FAILED")
        assert yard.world.bus.of("Build Failed")
        assert len(list(yard.builds.history(SYSTEM))) == 1

    def test_to_every_system_in_all_its_environments_once(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        yard.register(system="books")
        assert yard.event(_failed(yard), "FAILED")["systems"] == ["books", SYSTEM]
        assert [event["system"] for event in yard.world.bus.of("Build Failed")] == ["books", SYSTEM]

    def test_only_the_image_that_it_names(self, yard: Yard) -> None:
        yard.register(images={"app": image(), "web": image(tag="web-{commit}")})
        yard.event(_failed(yard, **{IMAGE: "web"}), "FAILED")
        assert list(yard.world.bus.of("Build Failed")[0]["images"]) == ["web"]

    @pytest.mark.parametrize("version", ["pr/7", "feature"])
    def test_not_if_it_would_not_have_been_released(self, yard: Yard, version: str) -> None:
        assert yard.event(_failed(yard, version), "FAILED")["did"] == "nothing"
        assert yard.world.bus.of("Build Failed") == []


def test_an_arn_of_another_partition(yard: Yard) -> None:
    id_ = _made(yard)
    arn = ARN.replace("arn:aws:", "arn:aws-cn:") + id_
    event = {"id": "1", "detail-type": "CodeBuild Build State Change", "detail": {"build-id": arn}}
    wake.run(event, yard.world.ports)
    assert len(yard.deployed()) == 1
