"""Builds: the tag of a source tree, what a push touches, and what CodeBuild's answers mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.build import (
    DIGEST,
    IMAGE,
    MARKER,
    Build,
    BuildOutcome,
    BuildRun,
    BuildVerdict,
    ImageBuild,
    ImageStatus,
    images_in,
    judge,
    touched,
    tree_tag,
)
from tidegate.domain.errors import BadManifestError

from tests.support.scratch import Scratch

SHA = "sha256:" + "1" * 64
# The contract's formula, in the words of a shell; infrastructure/build.yaml has it in its buildspec.
FORMULA = """printf '%s' "tree-$(
  printf '%s\\n' 1 "$(git rev-parse "$TREE")" "$DOCKERFILE" "$TEST" "$ARGUMENTS" | sha256sum | cut -c 1-40)" """


@pytest.fixture
def checkout(tmp_path: Path) -> Scratch:
    scratch = Scratch.begin(tmp_path / "work")
    scratch.commit("first", {"apps/api/Dockerfile": "FROM scratch\n", "README.md": "read me\n"})
    return scratch


class TestTreeTag:
    @pytest.mark.parametrize(
        ("tree", "dockerfile", "test", "arguments"),
        [
            ("HEAD^{tree}", "Dockerfile", "", ""),
            ("HEAD:apps/api", "Dockerfile", "make test", "A=1 B=two"),
            ("HEAD:apps", "docker/api file", 'echo "it\'s" `true` $HOME\nmake test\n', 'A="x" B=\\n'),
            ("HEAD:apps/api", "Dockerfile", "prüfe 100 % \\n", "é=1"),
        ],
    )
    def test_is_what_a_shell_makes_of_the_same_repository(
        self, checkout: Scratch, tree: str, dockerfile: str, test: str, arguments: str
    ) -> None:
        given_ = {"TREE": tree, "DOCKERFILE": dockerfile, "TEST": test, "ARGUMENTS": arguments}
        in_bash = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", FORMULA],
            cwd=checkout.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **given_},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert tree_tag(checkout.git("rev-parse", tree).strip(), dockerfile, test, arguments) == in_bash
        assert len(in_bash) == len("tree-") + 40

    def test_changes_with_the_tree_alone_and_comes_back_with_it(self, checkout: Scratch) -> None:
        def tag(folder: str) -> str:
            return tree_tag(checkout.git("rev-parse", f"HEAD:{folder}").strip(), "Dockerfile", "", "")

        first, whole = tag("apps/api"), tag("")
        checkout.commit("second", {"README.md": "changed\n"})
        assert tag("apps/api") == first
        assert tag("") != whole
        (checkout.folder / "apps" / "api" / "Dockerfile").chmod(0o755)
        checkout.commit("third")
        assert tag("apps/api") != first
        checkout.git("revert", "--no-edit", "HEAD", "HEAD~1")
        assert (tag("apps/api"), tag("")) == (first, whole)

    def test_is_of_every_part(self) -> None:
        parts = ("t" * 40, "Dockerfile", "make", "A=1")
        others = {
            tree_tag(*(part + "x" if at == index else part for at, part in enumerate(parts)))
            for index in range(4)
        }
        assert len(others | {tree_tag(*parts), tree_tag(*parts, "db"), tree_tag(*parts, "db2")}) == 7

    def test_is_a_tag_that_ecr_takes_and_stays_the_same(self) -> None:
        assert tree_tag("0" * 40, "Dockerfile", "", "") == "tree-d6ab3fee7b0a2a0d18cd03d8ef205f933b7d34b7"


class TestTouched:
    @pytest.mark.parametrize(
        ("watch", "changed", "answer"),
        [
            ([], None, True),
            ([], ["a"], True),
            ([], [], False),
            (["backend/**"], None, True),
            (["backend/**"], [], False),
            (["backend/**"], ["backend/a"], True),
            (["backend/**"], ["frontend/a", "backend/a/b/c.py"], True),
            (["backend/**"], ["frontend/backend/a", "backend", "backend.md"], False),
            (["backend/"], ["x/backend/a"], True),
            (["/backend/"], ["x/backend/a"], False),
            (["**/*.py"], ["a.py"], True),
            (["**/*.py"], ["a/b/c.py"], True),
            (["**/*.py"], ["a/b/c.pyc"], False),
            (["*.py"], ["a/b/c.py"], True),
            (["a/**/z"], ["a/z"], True),
            (["a/**/z"], ["a/b/c/z"], True),
            (["backend/**", "!backend/docs/**"], ["backend/docs/a.md"], False),
            (["backend/**", "!backend/docs/**"], ["backend/docs/a.md", "backend/a.py"], True),
            (["backend/", "!backend/README.md"], ["backend/README.md"], False),
            (["!**/*.md", "backend/**"], ["backend/a.md"], True),  # the last that matches decides
            (["!**/*.md"], ["a.py"], False),
            (["# backend/**", ""], ["backend/a"], False),
            (["a b/**"], ["a b/c"], True),
            (["[ab]/?"], ["b/c"], True),
        ],
    )
    def test_as_gitignore_matches(self, watch: list[str], changed: list[str] | None, answer: bool) -> None:
        assert touched(watch, changed) is answer

    def test_takes_what_can_be_read_once(self) -> None:
        assert touched(("b",), iter(["a", "b"]))
        assert touched((), iter(["a"]))

    def test_refuses_what_is_no_pattern(self) -> None:
        with pytest.raises(BadManifestError) as raised:
            touched(["backend/**", "!"], ["a"])
        assert raised.value.field == "watch"
        assert raised.value.hint

    @given(st.lists(st.text(min_size=1), max_size=4))
    def test_everything_touches_an_image_without_patterns(self, changed: list[str]) -> None:
        assert touched([], changed) is bool(changed)

    def test_loads_the_matcher_only_where_there_are_patterns(self) -> None:
        code = "import sys; from tidegate.domain.build import *; touched([], ['a']); print('pathspec' in sys.modules)"
        answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert answer.stdout.strip() == "False"


class TestJudge:
    @pytest.mark.parametrize(
        ("run", "verdict"),
        [
            (BuildRun("p:1", "p", "IN_PROGRESS", phase="BUILD"), None),
            (None, BuildVerdict(False, reason="CodeBuild does not know the build any more")),
            (BuildRun("p:1", "p", "SUCCEEDED", exported={DIGEST: SHA}), BuildVerdict(True, SHA)),
            (BuildRun("p:1", "p", "SUCCEEDED"), BuildVerdict(True)),
            (BuildRun("p:1", "p", "SUCCEEDED", exported={DIGEST: ""}), BuildVerdict(True)),
            (BuildRun("p:1", "p", "SUCCEEDED", exported={DIGEST: "None"}), BuildVerdict(True)),
            (
                BuildRun("p:1", "p", "FAILED", phase="BUILD", message="exit 1", exported={DIGEST: SHA}),
                BuildVerdict(False, phase="BUILD", reason="FAILED in phase BUILD: exit 1"),
            ),
            (
                BuildRun("p:1", "p", "TIMED_OUT", phase="BUILD"),
                BuildVerdict(False, phase="BUILD", reason="TIMED_OUT in phase BUILD"),
            ),
            (BuildRun("p:1", "p", "STOPPED"), BuildVerdict(False, reason="STOPPED")),
            (BuildRun("p:1", "p", "FAULT", message="no"), BuildVerdict(False, reason="FAULT: no")),
        ],
    )
    def test_says_what_became_of_a_build(self, run: BuildRun | None, verdict: BuildVerdict | None) -> None:
        assert judge(run) == verdict

    def test_answers_a_waiting_task_as_json(self) -> None:
        assert BuildVerdict(True, SHA).to_json() == {
            "outcome": "Built",
            "digest": SHA,
            "phase": None,
            "reason": "",
        }
        failed = BuildVerdict(False, phase="BUILD", reason="FAILED")
        assert json.loads(json.dumps(failed.to_json()))["outcome"] == "Failed"

    def test_a_marked_build_is_ours(self) -> None:
        assert BuildRun("p:1", "p", "FAILED", variables={MARKER: ""}).ours
        assert not BuildRun("p:1", "p", "FAILED", exported={MARKER: "1"}).ours


class TestImageIn:
    IMAGES: Mapping[str, str] = {"app": "arive/api", "web": "arive/web"}

    @pytest.mark.parametrize(
        ("named", "image"),
        [
            ("app", "app"),
            ("arive/web", "web"),
            ("arive/web:c1", "web"),
            (f"arive/web@{SHA}", "web"),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/arive/api", "app"),
            (f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/arive/api:c1@{SHA}", "app"),
            ("127.0.0.1:4566/arive/api:c1", "app"),
            ("registry:5000/arive/api", "app"),
            ("localhost/arive/api", "app"),
            ("api", None),
            ("other/arive/api", None),
            (":", None),
            ("@", None),
        ],
    )
    def test_by_key_or_by_address(self, named: str, image: str | None) -> None:
        found = images_in({IMAGE: named}, self.IMAGES)
        assert found == ([] if image is None else [image])

    def test_the_only_one_need_not_be_named(self) -> None:
        assert images_in({}, {"app": "arive/api"}) == ["app"]
        assert images_in({IMAGE: ""}, self.IMAGES) == images_in({}, self.IMAGES) == list(self.IMAGES)
        assert images_in({}, {}) == []

    def test_one_that_is_named_and_unknown_is_no_other(self) -> None:
        assert images_in({IMAGE: "other"}, {"app": "arive/api"}) == []

    def test_a_repository_of_two_images_may_be_either(self) -> None:
        shared = {"app": "arive", "web": "arive"}
        assert images_in({IMAGE: "arive:c1"}, shared) == ["app", "web"]
        assert images_in({IMAGE: "web"}, shared) == ["web"]

    def test_a_key_goes_before_a_repository_of_the_same_name(self) -> None:
        assert images_in({IMAGE: "app"}, {"app": "other", "web": "app"}) == ["app"]


class TestRecords:
    def test_a_build_is_the_same_after_json(self) -> None:
        build = Build(
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "arive",
            "c1",
            "arn:x",
            "2026-03-02T09:00:00.000Z",
            ref="refs/heads/main",
            outcome=BuildOutcome.BUILT,
            explanation="released",
            actor="ada",
            reason="push",
            environments=("staging", "production"),
            deployments={"staging": "arn:d"},
            request={"system": "arive", "changed": ["a"]},
            finished_at="2026-03-02T09:01:00.000Z",
        )
        assert Build.from_json(json.loads(json.dumps(build.to_json()))) == build
        running = Build("B", "arive", "c1", "arn:x", "t")
        assert Build.from_json({**running.to_json(), "pk": "x", "kind": "OPEN"}) == running
        assert (
            Build.from_json({name: value for name, value in running.to_json().items() if value is not None})
            == running
        )

    def test_an_image_is_the_same_after_json(self) -> None:
        image = ImageBuild(
            "app",
            "arive/api",
            "c1",
            project="arive-build",
            status=ImageStatus.FAILED,
            tree_tag="tree-1",
            variables={"A": "1"},
            build_id="p:1",
            digest=SHA,
            phase="BUILD",
            reason="exit 1",
            logs=("one", "two"),
        )
        assert ImageBuild.from_json(json.loads(json.dumps(image.to_json()))) == image
        waiting = ImageBuild("app", "arive/api", "c1")
        assert ImageBuild.from_json({**waiting.to_json(), "sk": "x"}) == waiting
