"""Which images a commit needs: what the push touches, what is there already, what makes no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tidegate.domain.build import ARGUMENTS, BuildOutcome, ImageStatus, tree_tag
from tidegate.domain.manifest import parse_manifest
from tidegate.domain.source import github
from tidegate.steps import build_images

from tests.unit.steps.building import MAIN, PROJECT, SOURCE, Yard, built_manifest, environment, image
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, digest

FIVE = ("identity", "genetics", "spatial", "tasks", "telemetry")


@pytest.fixture
def yard() -> Yard:
    return Yard()


@pytest.fixture
def mono(yard: Yard) -> Yard:
    """Five images in one repository, released up to `d1`."""
    yard.register(
        images={key: image(key) for key in FIVE},
        services={key: {"service": f"shop-{key}", "image": key} for key in FIVE},
    )
    assert yard.go_through(yard.push("d1"), made=11)["outcome"] == "Built"
    yard.runs_release()
    return yard


class TestWhatIsTouched:
    def test_a_first_push_builds_every_image_even_if_it_says_what_changed(self, yard: Yard) -> None:
        yard.register(images={key: image(key) for key in FIVE}, services={})
        assert yard.push(before="d0", changed=["README.md"])["images"] == sorted(FIVE)

    def test_one_context_of_a_monorepo_is_one_image(self, mono: Yard) -> None:
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["spatial/src/map.py", "README.md"]
        assert mono.push("d2", before="d1")["images"] == ["spatial"]

    def test_a_readme_is_no_change_and_is_recorded(self, mono: Yard) -> None:
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["README.md"]
        selected = mono.push("d2", before="d1")
        assert (selected["outcome"], selected["images"]) == ("NoChange", [])
        assert selected["document"]["reason"] == "the push touches no image"
        assert mono.build(selected).explanation == "the push touches no image"
        assert len(mono.deployed()) == 1, "only the first push's"
        assert mono.builds.last_commit(SYSTEM, MAIN, SOURCE) == "d2"

    def test_what_a_failed_build_left_out_is_built_by_the_next_push(self, mono: Yard) -> None:
        """Compared with the last commit that was built completely, not with the push before."""
        changed = mono.world.sources.changed
        changed[SOURCE, "d1", "d2"] = ["genetics/a"]
        failed = mono.push("d2", before="d1")
        mono.report(failed, "genetics")
        assert mono.publish(failed, "Fail", error=None)["outcome"] == "Failed"
        changed[SOURCE, "d1", "d3"] = ["genetics/a", "tasks/b"]
        changed[SOURCE, "d2", "d3"] = ["tasks/b"]
        assert mono.push("d3", before="d2")["images"] == ["genetics", "tasks"]

    def test_a_refused_release_counts_as_not_built(self, mono: Yard) -> None:
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["tasks/b"]
        refused = mono.push("d2", before="d1")
        mono.world.images.push(REPOSITORY, digest(1), "tasks-d2")
        assert mono.go_through(refused, made=30)["outcome"] == "Refused"
        assert mono.builds.last_commit(SYSTEM, MAIN, SOURCE) == "d1"

    def test_a_push_that_cannot_be_compared_builds_everything(self, mono: Yard) -> None:
        """As a forced one of GitHub, whose list is not whole."""
        assert mono.push("d2", before="d1")["images"] == sorted(FIVE)

    def test_the_list_of_github_is_taken_where_it_begins_at_what_was_built(self, mono: Yard) -> None:
        selected = mono.push("d2", before="d1", changed=["spatial/x"])
        assert selected["images"] == ["spatial"]
        assert mono.world.sources.called("changes") == 0

    def test_and_not_where_it_begins_elsewhere(self, mono: Yard) -> None:
        mono.world.sources.changed[SOURCE, "d1", "d3"] = ["identity/x", "spatial/x"]
        assert mono.push("d3", before="d2", changed=["spatial/x"])["images"] == ["identity", "spatial"]

    def test_a_commit_that_is_built_already_changes_nothing(self, mono: Yard) -> None:
        """As when its branch was deleted and pushed again."""
        assert mono.push("d1")["outcome"] == "NoChange"

    def test_a_person_builds_everything_or_what_he_names(self, mono: Yard) -> None:
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["README.md"]
        asked = {"ref": MAIN, "repository": SOURCE}
        assert mono.select("d2", **asked)["images"] == sorted(FIVE)
        assert mono.select("d2", **asked, images=["tasks"])["images"] == ["tasks"]

    def test_an_environment_without_a_release_gets_every_image(self, mono: Yard) -> None:
        """Its first release has nothing that could stay as it runs."""
        images = {key: image(key) for key in FIVE}
        both = {ENVIRONMENT: environment(), "staging": environment()}
        mono.register(images=images, services={}, environments=both)
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["tasks/b"]
        assert mono.push("d2", before="d1")["images"] == sorted(FIVE)
        mono.runs_release(1, "staging")
        assert mono.push("d2", before="d1")["images"] == ["tasks"]

    @pytest.mark.parametrize("path", ["README.md", "docs/api/README.md", "backend/docs/x.md"])
    def test_patterns_are_those_of_gitignore(self, yard: Yard, path: str) -> None:
        yard.register(images={"app": image(watch=["backend/**", "!backend/docs/**"])})
        yard.go_through(yard.push("d1"))
        yard.runs_release()
        assert yard.push("d2", before="d1", changed=[path])["outcome"] == "NoChange"
        assert yard.push("d3", before="d2", changed=[path, "backend/a.py"])["images"] == ["app"]

    def test_paths_that_are_no_text_are_not_relied_upon(self, mono: Yard) -> None:
        selected = mono.push("d2", before="d1", changed=["\ud800"])
        assert selected["images"] == sorted(FIVE)

    def test_the_paths_of_a_push_are_not_kept(self, mono: Yard) -> None:
        """They may be more than an item of the table takes."""
        selected = mono.push("d2", before="d1", changed=[f"tasks/{'x' * 200}/{n}" for n in range(3000)])
        assert len(str(mono.build(selected).to_json())) < 2000


class TestSeveralRepositories:
    """`web` is built from another repository: a commit of one is none of the other."""

    @pytest.fixture
    def two(self, yard: Yard) -> Yard:
        yard.world.builds.add_project("web-build", "GITHUB", "https://github.com/Shop/web.git")
        web = image(tag="web-{commit}", build={"project": "web-build"})
        yard.register(images={"app": image(), "web": web}, services={})
        yard.runs_release()
        return yard

    def test_a_push_builds_only_what_comes_from_its_repository(self, two: Yard) -> None:
        assert two.push("d4")["images"] == ["app"]
        assert two.push("e4", repository=github("shop/web"))["images"] == ["web"]

    def test_branches_of_one_name_are_compared_each_with_its_own(self, two: Yard) -> None:
        two.go_through(two.push("d4"))
        web = github("shop/web")
        assert two.builds.last_commit(SYSTEM, MAIN, web) is None
        assert two.push("e4", repository=web, before="d4", changed=[])["images"] == ["web"]
        assert two.push("d5", before="d4", changed=[])["outcome"] == "NoChange"

    def test_a_person_builds_all_of_them(self, two: Yard) -> None:
        assert two.select("d4")["images"] == ["app", "web"]


class TestWhatIsThereAlready:
    def test_an_image_of_the_commit_is_reused(self, yard: Yard) -> None:
        yard.world.images.push(REPOSITORY, digest(4), "d4")
        selected = yard.push()
        assert (selected["outcome"], selected["images"]) == ("Ready", [])
        assert yard.images(selected)["app"].status is ImageStatus.REUSED
        assert yard.images(selected)["app"].digest == digest(4)
        assert yard.world.builds.called("start") == 0

    def test_an_image_of_the_same_tree_is_reused(self, yard: Yard) -> None:
        yard.world.builds.add_project(PROJECT, "CODECOMMIT", yard.project.location, None, {ARGUMENTS: "A=1"})
        yard.world.sources.trees[SOURCE, "d4", "."] = "a" * 40
        tag = tree_tag("a" * 40, "Dockerfile", "", "A=1")
        yard.world.images.push(REPOSITORY, digest(4), tag)
        selected = yard.push()
        assert selected["images"] == []
        reused = yard.images(selected)["app"]
        assert (reused.status, reused.digest, reused.tree_tag) == (ImageStatus.REUSED, digest(4), tag)

    @pytest.mark.parametrize(
        ("what", "changed"),
        [
            ("arguments", {}),
            ("test", {"test": "make test"}),
            ("dockerfile", {"dockerfile": "Dockerfile.slim"}),
            ("context", {"context": "backend"}),
        ],
    )
    def test_not_with_other_build_settings(self, yard: Yard, what: str, changed: dict[str, str]) -> None:
        for folder in (".", "backend"):
            yard.world.sources.trees[SOURCE, "d4", folder] = folder * 40
        yard.world.images.push(REPOSITORY, digest(4), tree_tag("." * 40, "Dockerfile", "", ""))
        yard.register(images={"app": image(build={"project": PROJECT, **changed})})
        if what == "arguments":
            variables = {ARGUMENTS: "DEBUG=1"}
            yard.world.builds.add_project(PROJECT, "CODECOMMIT", yard.project.location, None, variables)
        assert yard.push()["images"] == ["app"]

    def test_some_are_reused_and_some_built(self, mono: Yard) -> None:
        mono.world.images.push(REPOSITORY, digest(20), "tasks-d2")
        mono.world.sources.changed[SOURCE, "d1", "d2"] = ["tasks/a", "spatial/b"]
        selected = mono.push("d2", before="d1")
        assert selected["images"] == ["spatial"]
        assert {key: entry.status for key, entry in mono.images(selected).items()} == {
            "spatial": ImageStatus.WAITING,
            "tasks": ImageStatus.REUSED,
        }

    def test_a_source_that_cannot_be_asked_is_left_to_codebuild(self, yard: Yard) -> None:
        selected = yard.push()
        assert selected["images"] == ["app"]
        assert yard.images(selected)["app"].tree_tag is None

    def test_projects_are_asked_for_once(self, mono: Yard) -> None:
        before = mono.world.builds.called("projects")
        mono.push("d2")
        assert mono.world.builds.called("projects") == before + 1


class TestWhereItGoes:
    def test_to_each_environment_that_follows_the_branch(self, yard: Yard) -> None:
        names = {name: environment() for name in ("production", "staging")}
        names["preview"] = environment(branch="next")
        yard.register(environments=names)
        assert yard.build(yard.push()).environments == ("production", "staging")

    def test_to_none_where_no_environment_follows(self, yard: Yard) -> None:
        selected = yard.push(ref="refs/heads/feature")
        assert selected["outcome"] == "NoChange"
        assert selected["document"]["reason"] == "no environment of shop follows feature"
        assert yard.push(ref="refs/tags/v1")["outcome"] == "NoChange"
        assert yard.builds.last_commit(SYSTEM, "refs/heads/feature", SOURCE) is None

    def test_a_person_without_a_branch_builds_and_releases_nowhere(self, yard: Yard) -> None:
        selected = yard.select("d4")
        assert yard.build(selected).environments == ()
        assert yard.go_through(selected)["outcome"] == "Built"
        assert yard.deployed() == []
        assert yard.world.images.digest(REPOSITORY, "d4") == digest(4)

    def test_a_person_may_name_them(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        assert yard.build(yard.select("d4", environments=["staging"])).environments == ("staging",)

    def test_a_manifest_that_cannot_be_read_does_not_hold_up_the_others(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        yard.world.registry.texts[SYSTEM, "staging"] = "{"
        assert yard.build(yard.push()).environments == ("production",)


class TestRefused:
    def _reason(self, yard: Yard, **request: Any) -> str:
        selected = yard.select(**request)
        assert selected["outcome"] == "Refused"
        assert selected["document"]["outcome"] == "Refused"
        recorded = yard.build(selected)
        assert recorded.outcome is BuildOutcome.REFUSED
        assert recorded.explanation == selected["document"]["reason"]
        assert yard.world.builds.called("start") == 0
        return str(recorded.explanation)

    def test_environments_that_define_an_image_differently(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        other = {"app": image(build={"project": "other"})}
        yard.register(
            "staging", images=other, environments={name: environment() for name in ("production", "staging")}
        )
        assert "define image app differently" in self._reason(yard, ref=MAIN)

    def test_an_image_that_is_not_there(self, yard: Yard) -> None:
        assert "no image web (it has app)" in self._reason(yard, images=["web"])

    def test_an_image_that_another_ci_builds(self, yard: Yard) -> None:
        yard.register(images={"app": {"repository": REPOSITORY}})
        assert "is not built by Tidegate" in self._reason(yard, images=["app"])
        assert "none has build in the manifest" in self._reason(yard)

    def test_a_repository_that_ecr_does_not_have(self, yard: Yard) -> None:
        yard.register(images={"app": image(repository="shop-other")})
        assert "ECR has no repository shop-other" in self._reason(yard)

    def test_a_project_that_codebuild_does_not_have(self, yard: Yard) -> None:
        yard.register(images={"app": image(build={"project": "nobody"})})
        assert "CodeBuild has no project nobody" in self._reason(yard)
        assert "CodeBuild has no project nobody" in self._reason(
            yard, ref=MAIN, repository=SOURCE, trigger="event"
        )

    def test_a_commit_that_cannot_be_a_tag(self, yard: Yard) -> None:
        assert "cannot be made from this commit" in self._reason(yard, commit="größer/kleiner")

    def test_an_environment_that_is_not_registered(self, yard: Yard) -> None:
        assert "not registered in environment qa" in self._reason(yard, environments=["qa"])

    def test_an_environment_whose_manifest_cannot_be_read(self, yard: Yard) -> None:
        yard.world.registry.texts[SYSTEM, ENVIRONMENT] = json.dumps(built_manifest(surprise=1))
        for request in ({"environments": [ENVIRONMENT]}, {"ref": MAIN}):
            assert "surprise" in self._reason(yard, **request), "its own reason, not: not registered"

    def test_also_where_others_can(self, yard: Yard) -> None:
        yard.register(environments={name: environment() for name in ("production", "staging")})
        yard.world.registry.texts[SYSTEM, "staging"] = json.dumps(built_manifest(surprise=1))
        assert "surprise" in self._reason(yard, environments=["production", "staging"])

    def test_an_image_that_came_built_without_its_digest(self, yard: Yard) -> None:
        assert "came without its digest" in self._reason(yard, built={"app": {"tag": "1"}})

    def test_an_image_that_came_built_and_is_unknown(self, yard: Yard) -> None:
        assert "no image web" in self._reason(yard, built={"web": {"digest": digest(1)}})

    def test_a_system_that_nobody_registered_leaves_no_trace(self, yard: Yard) -> None:
        selected = yard.select(system="shpo")
        assert selected["outcome"] == "Refused"
        assert "shpo is not registered here" in selected["document"]["reason"]
        assert [key for key in yard.world.store.items if "shpo" in "".join(key)] == []

    @pytest.mark.parametrize(
        "request_",
        [
            {},
            {"system": SYSTEM},
            {"system": "NO", "commit": "d4"},
            {"system": SYSTEM, "commit": "d\ud800"},
            {"system": SYSTEM, "commit": "d4", "ref": "main"},
            {"system": SYSTEM, "commit": "d4", "surprise": 1},
            {"system": SYSTEM, "commit": "d4", "images": "app"},
            [],
            None,
        ],
    )
    def test_an_input_that_is_none(self, yard: Yard, request_: Any) -> None:
        event = {"step": "Select", "request": request_, "execution": yard.execution("build")}
        selected = build_images.run(event, yard.world.ports)
        assert (selected["outcome"], selected["system"], selected["images"]) == ("Refused", None, [])
        assert selected["document"]["reason"]


def test_what_came_built_is_released_without_a_release_tag(yard: Yard) -> None:
    yard.world.images.push(REPOSITORY, digest(9))
    selected = yard.select(ref=MAIN, built={"app": {"digest": digest(9)}})
    assert selected["images"] == []
    assert yard.publish(selected)["outcome"] == "Built"
    assert yard.deployed()[0]["images"] == {"app": {"digest": digest(9)}}
    assert yard.world.images.called("tag") == 0
    assert yard.builds.last_commit(SYSTEM, MAIN) is None


def test_the_manifest_of_these_tests_is_one() -> None:
    parse_manifest(built_manifest())
