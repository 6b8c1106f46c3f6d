"""Select, Start and Report: each may run twice, and be cut off before or after any of its calls."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.build import MARKER, BuildOutcome, ImageStatus
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ledger import keys
from tidegate.steps import build_images

from tests.unit.steps.building import MAIN, PROJECT, SOURCE, Yard, environment, image
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, digest


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _open(yard: Yard) -> list[str]:
    return [item["id"] for item in yard.world.store.query_kind(keys.OPEN) if item["type"] == "build"]


class TestSelect:
    def test_says_what_to_build(self, yard: Yard) -> None:
        selected = yard.push()
        assert {name: selected[name] for name in ("outcome", "system", "images", "scanned")} == {
            "outcome": "Ready",
            "system": SYSTEM,
            "images": ["app"],
            "scanned": False,
        }
        assert selected["document"]["images"] == {"app": {"status": "Waiting", "digest": None}}
        assert _open(yard) == [selected["build"]]

    def test_twice_in_one_execution_is_one_build(self, yard: Yard) -> None:
        execution = yard.execution("build")
        assert yard.push(execution=execution) == yard.push(execution=execution)
        assert len(list(yard.builds.history(SYSTEM))) == 1

    @pytest.mark.parametrize(("fail_on", "scanned"), [("HIGH", True), (None, False)])
    def test_the_second_time_it_still_knows_whether_scans_are_awaited(
        self, yard: Yard, fail_on: str | None, scanned: bool
    ) -> None:
        """Else a system without scans would wait for them until the time-out."""
        scan = {} if fail_on is None else {"scan": {"fail_on": fail_on}}
        yard.register(
            environments={
                ENVIRONMENT: environment(**scan),
                "next": environment(branch="next", scan={"fail_on": "LOW"}),
            }
        )
        execution = yard.execution("build")
        assert [yard.push(execution=execution)["scanned"] for _ in range(2)] == [scanned, scanned]

    @pytest.mark.parametrize("kind", ["NoChange", "Refused"])
    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_what_comes_to_nothing_is_never_left_open(self, yard: Yard, kind: str, lost: str) -> None:
        """A build that is recorded first and ended later would go on, after a crash in between, as if it had images."""
        execution = yard.execution("build")
        asked: dict[str, Any] = {"ref": "refs/heads/other"} if kind == "NoChange" else {"images": ["web"]}
        getattr(yard.world.store, lost)("transact")
        with pytest.raises(TransientError):
            yard.push(execution=execution, **asked)
        assert _open(yard) == []
        selected = yard.push(execution=execution, **asked)
        assert (selected["outcome"], selected["images"]) == (kind, [])
        assert selected["document"]["outcome"] == kind
        assert _open(yard) == []
        assert [line.what for line in yard.ledger.timeline(selected["build"])][1:] == [kind]

    def test_the_second_time_nothing_is_selected_anew(self, yard: Yard) -> None:
        """What was there at first decides: the images in the ledger are those that are built."""
        execution = yard.execution("build")
        yard.push(execution=execution)
        yard.world.images.push(REPOSITORY, digest(4), "d4")
        assert yard.push(execution=execution)["images"] == ["app"]

    @pytest.mark.parametrize(
        "method", ["environments", "manifest", "projects", "changes", "tree", "uri", "digest"]
    )
    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_a_crash_at_any_question_is_mended_by_the_retry(self, yard: Yard, method: str, lost: str) -> None:
        yard.go_through(yard.push("d1"), made=1)
        yard.runs_release()
        yard.world.sources.changed[SOURCE, "d1", "d4"] = ["a"]
        world, execution = yard.world, yard.execution("build")
        fakes = (world.registry, world.builds, world.sources, world.images)
        getattr(next(fake for fake in fakes if hasattr(fake, method)), lost)(method)
        with pytest.raises(TransientError):
            yard.push(execution=execution)
        assert _open(yard) == []
        assert yard.push(execution=execution)["images"] == ["app"]


class TestStart:
    def test_starts_the_commit_with_the_variables_of_the_buildspec(self, yard: Yard) -> None:
        selected = yard.push()
        id_ = yard.start(selected)
        (started,) = yard.world.builds.started
        assert (started.id, started.project, started.commit) == (id_, PROJECT, "d4")
        assert started.variables == {
            "TIDEGATE_IMAGE": "app",
            "TIDEGATE_REPOSITORY": REPOSITORY,
            "TIDEGATE_CONTEXT": ".",
            "TIDEGATE_DOCKERFILE": "Dockerfile",
            "TIDEGATE_TEST": "",
            MARKER: selected["build"],
        }
        assert yard.images(selected)["app"].status is ImageStatus.BUILDING
        assert yard.answer(selected) is None

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(
        ("fake", "method"), [("builds", "start"), ("builds", "runs"), ("store", "transact"), ("store", "get")]
    )
    def test_a_crash_at_any_call_starts_one_build(
        self, yard: Yard, fake: str, method: str, lost: str
    ) -> None:
        selected = yard.push()
        getattr(getattr(yard.world, fake), lost)(method)
        with pytest.raises(TransientError):
            yard.start(selected, token="first")
        id_ = yard.start(selected, token="second")
        assert len(yard.world.builds.started) == 1
        yard.finish(id_)
        yard.event(id_)
        assert yard.world.executions.answers["second"]["digest"] == digest(4)

    def test_an_event_before_the_token_is_not_missed(self, yard: Yard) -> None:
        """CodeBuild was faster than the ledger: its event found nobody waiting."""
        selected = yard.push()
        yard.world.store.fails("transact")
        with pytest.raises(TransientError):
            yard.start(selected, token="first")
        (started,) = yard.world.builds.started
        yard.finish(started.id)
        assert yard.event(started.id)["did"] == "nothing"
        yard.start(selected)
        answer = yard.answer(selected)
        assert answer is not None
        assert (answer["outcome"], answer["digest"], answer["image"]) == ("Built", digest(4), "app")
        assert yard.ledger.open_items()[0]["type"] == "build", "no token is left"

    def test_a_build_that_codebuild_does_not_list_yet_has_not_failed(self, yard: Yard) -> None:
        selected = yard.push()
        listed = yard.world.builds.runs
        yard.world.builds.runs = lambda ids: {}  # type: ignore[method-assign]
        id_ = yard.start(selected)
        assert yard.answer(selected) is None
        yard.world.builds.runs = listed  # type: ignore[method-assign]
        yard.finish(id_)
        yard.event(id_)
        answer = yard.answer(selected)
        assert answer is not None
        assert answer["outcome"] == "Built"

    def test_several_images_of_one_project_have_a_build_each(self, yard: Yard) -> None:
        yard.register(images={key: image(key) for key in ("app", "web")})
        selected = yard.push()
        assert {yard.start(selected, "app"), yard.start(selected, "web")} == {f"{PROJECT}:1", f"{PROJECT}:2"}

    @pytest.mark.parametrize(
        "error", [NotFoundError("there is no CodeBuild project here"), OutsideError("AccountLimitExceeded")]
    )
    def test_one_that_cannot_start_is_for_the_machine_to_report(self, yard: Yard, error: Exception) -> None:
        selected = yard.push()
        yard.world.builds.fails("start", error)
        with pytest.raises(type(error)):
            yard.start(selected)
        yard.report(selected, reason=f'{type(error).__name__}: {{"errorMessage": "{error}"}}')
        assert str(error) in yard.images(selected)["app"].reason

    @pytest.mark.parametrize("step", ["Start", "Report"])
    def test_an_image_or_a_build_that_is_unknown(self, yard: Yard, step: str) -> None:
        selected = yard.push()
        for build, key in ((selected["build"], "web"), ("0" * 26, "app")):
            event = {
                "step": step,
                "system": SYSTEM,
                "build": build,
                "image": key,
                "token": "t",
                "execution": "x",
            }
            with pytest.raises(NotFoundError):
                build_images.run(event, yard.world.ports)


class TestReport:
    def test_tells_the_phase_and_the_line(self, yard: Yard) -> None:
        selected = yard.push()
        id_ = yard.start(selected)
        stream = id_.partition(":")[2]
        yard.world.logs.write(
            f"/aws/codebuild/{PROJECT}",
            stream,
            "[Container] 2026/03/02 09:00:01.000000 Running command docker build .",
            "Dockerfile:3: unknown instruction: RUNN",
            "[Container] 2026/03/02 09:00:02.000000 Phase complete: BUILD State: FAILED",
            "[Container] 2026/03/02 09:00:02.000000 Running command echo bye",
            "bye",
        )
        yard.finish(id_, "FAILED", phase="BUILD", message="exit status 1")
        yard.event(id_, "FAILED")
        answer = yard.answer(selected)
        assert answer is not None
        assert answer["outcome"] == "Failed"
        for _ in range(2):
            assert yard.report(selected, reason=answer["reason"]) == {"image": "app", "outcome": "Failed"}
        failed = yard.images(selected)["app"]
        assert (failed.status, failed.phase) == (ImageStatus.FAILED, "BUILD")
        assert failed.reason == ("FAILED in phase BUILD: Dockerfile:3: unknown instruction: RUNN")
        assert "bye" not in failed.logs

    def test_one_that_took_too_long(self, yard: Yard) -> None:
        selected = yard.push()
        yard.start(selected)
        yard.report(selected, reason="CodeBuild had not finished within 7200 s")
        assert yard.images(selected)["app"].reason == "CodeBuild had not finished within 7200 s"

    def test_one_that_codebuild_has_forgotten(self, yard: Yard) -> None:
        selected = yard.push()
        yard.world.builds.forget(yard.start(selected))
        yard.report(selected, reason="gone, password=hunter2")
        assert yard.images(selected)["app"].reason == "gone, password=***"


def test_a_build_by_a_person_does_not_move_what_pushes_are_compared_with_if_it_is_of_some_images(
    yard: Yard,
) -> None:
    selected = yard.select(ref=MAIN, repository=SOURCE, images=["app"])
    assert yard.go_through(selected)["outcome"] == "Built"
    assert yard.build(selected).outcome is BuildOutcome.BUILT
    assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) is None
