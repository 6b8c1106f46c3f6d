"""What the buildspec builds, reuses, exports, and says when it cannot."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from tidegate.domain.build import tree_tag

from tests.integration.buildspec.building import Builder, git
from tests.integration.buildspec.stand_in import REGISTRY_HOST, digest_of

FILES = {"Dockerfile": "FROM scratch\n", "README.md": "shop\n"}


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    builder = Builder(tmp_path)
    builder.commit(FILES)
    return builder


def tag_of(
    builder: Builder,
    context: str = ".",
    dockerfile: str = "Dockerfile",
    test: str = "",
    arguments: str = "",
    migrations: str = "",
) -> str:
    tree = "HEAD^{tree}" if context == "." else f"HEAD:{context}"
    return tree_tag(git(builder.source, "rev-parse", tree), dockerfile, test, arguments, migrations)


def options(arguments: list[str], name: str) -> list[str]:
    return [value for flag, value in itertools.pairwise(arguments) if flag == name]


def test_an_image_is_built_and_pushed_under_the_tag_of_its_tree(builder: Builder) -> None:
    result = builder.build({"TIDEGATE_IMAGE": "app"})
    assert result.succeeded, result.log
    (build,) = builder.calls("docker", "build")
    tag = tag_of(builder)
    assert options(build["arguments"], "--tag") == [f"{REGISTRY_HOST}/shop:{tag}"]
    assert builder.registry["tags"] == {f"shop:{tag}": digest_of("pushed")}
    assert result.exported == {
        "TIDEGATE_IMAGE": "app",
        "TIDEGATE_DIGEST": digest_of("pushed"),
        "TIDEGATE_COMMIT": git(builder.source, "rev-parse", "HEAD"),
    }
    (login,) = builder.calls("docker", "login")
    assert login["arguments"][-1] == REGISTRY_HOST


def test_the_labels_are_those_of_oci(builder: Builder) -> None:
    builder.build()
    (build,) = builder.calls("docker", "build")
    labels = dict(label.split("=", 1) for label in options(build["arguments"], "--label"))
    assert labels["org.opencontainers.image.source"] == "https://github.com/acme/shop.git"
    assert labels["org.opencontainers.image.revision"] == git(builder.source, "rev-parse", "HEAD")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])


@pytest.mark.parametrize(
    "changed",
    [
        {"TIDEGATE_TEST": "true"},
        {"TIDEGATE_BUILD_ARGS": "BASE_IMAGE=base:1"},
        {"TIDEGATE_DOCKERFILE": "deploy/Dockerfile"},
        {"TIDEGATE_CONTEXT": "back end"},
        {"TIDEGATE_MIGRATIONS": "db/sql"},
    ],
)
def test_the_tag_is_the_formula_for_every_setting(builder: Builder, changed: dict[str, str]) -> None:
    builder.commit({"back end/Dockerfile": "FROM scratch\n", "deploy/Dockerfile": "FROM scratch\n"})
    before = tag_of(builder)
    result = builder.build(changed)
    assert result.succeeded, result.log
    given = {name.removeprefix("TIDEGATE_").lower(): value for name, value in changed.items()}
    if "build_args" in given:
        given["arguments"] = given.pop("build_args")
    (tag,) = builder.registry["tags"]
    assert tag == f"shop:{tag_of(builder, **given)}" != f"shop:{before}"


def test_a_tree_that_was_built_is_reused_without_its_tests(builder: Builder) -> None:
    test = "touch tested"
    first = builder.build({"TIDEGATE_TEST": test})
    builder.commit({}, "nothing in it")
    second = builder.build({"TIDEGATE_TEST": test})
    assert second.succeeded, second.log
    assert not builder.built
    assert not (builder.home / "clone/tested").exists()
    assert second.exported["TIDEGATE_DIGEST"] == first.exported["TIDEGATE_DIGEST"]
    assert second.exported["TIDEGATE_COMMIT"] == git(builder.source, "rev-parse", "HEAD")
    assert "was built before" in second.log


def test_only_the_context_counts(builder: Builder) -> None:
    builder.commit({"backend/Dockerfile": "FROM scratch\n"})
    builder.build({"TIDEGATE_CONTEXT": "backend"})
    builder.commit({"README.md": "changed\n"})
    builder.build({"TIDEGATE_CONTEXT": "backend"})
    assert not builder.built
    builder.commit({"backend/app.py": "1\n"})
    builder.build({"TIDEGATE_CONTEXT": "backend"})
    assert builder.built


def test_a_folder_with_a_space_is_built_and_tested_in_place(builder: Builder) -> None:
    builder.commit({"back end/Docker file": "FROM scratch\n"})
    result = builder.build(
        {
            "TIDEGATE_CONTEXT": "back end",
            "TIDEGATE_DOCKERFILE": "Docker file",
            "TIDEGATE_TEST": "test -f 'Docker file'",
        }
    )
    assert result.succeeded, result.log
    (build,) = builder.calls("docker", "build")
    assert build["directory"] == str(builder.home / "clone/back end")
    assert options(build["arguments"], "--file") == ["Docker file"]


def test_build_arguments_are_passed_one_by_one(builder: Builder) -> None:
    builder.build({"TIDEGATE_BUILD_ARGS": "BASE_IMAGE=base:1  PATTERN=* EMPTY= OPTS=a=b"})
    (build,) = builder.calls("docker", "build")
    assert options(build["arguments"], "--build-arg") == [
        "BASE_IMAGE=base:1",
        "PATTERN=*",
        "EMPTY=",
        "OPTS=a=b",
    ]


def test_a_shallow_clone_is_enough(builder: Builder) -> None:
    builder.commit({"app.py": "1\n"})
    result = builder.build(depth=1)
    assert result.succeeded, result.log
    assert builder.registry["tags"].keys() == {f"shop:{tag_of(builder)}"}


def test_a_build_that_only_names_its_repository(builder: Builder) -> None:
    result = builder.build(
        {"TIDEGATE_CONTEXT": "", "TIDEGATE_DOCKERFILE": "", "CODEBUILD_RESOLVED_SOURCE_VERSION": "<unset>"}
    )
    assert result.succeeded, result.log
    assert result.exported["TIDEGATE_IMAGE"] == ""
    assert builder.registry["tags"].keys() == {f"shop:{tag_of(builder)}"}


def test_a_push_that_another_build_beat_takes_what_is_there(builder: Builder) -> None:
    builder.registry["faster"] = True
    result = builder.build()
    assert result.succeeded, result.log
    assert result.exported["TIDEGATE_DIGEST"] == digest_of("faster")
    assert "pushed first" in result.log


def test_buildkit_unless_told_otherwise(builder: Builder) -> None:
    docker = builder.home / "bin/docker"
    docker.write_text(docker.read_text().replace("exec", 'echo "BUILDKIT $DOCKER_BUILDKIT"; exec'))
    assert "BUILDKIT 1" in builder.build().log
    builder.registry["tags"].clear()
    assert "BUILDKIT 0" in builder.build({"DOCKER_BUILDKIT": "0"}).log


class TestFailures:
    @pytest.mark.parametrize("test", ["false", "false; true", "exit 7", "false | cat"])
    def test_tests_that_fail_build_nothing(self, builder: Builder, test: str) -> None:
        result = builder.build({"TIDEGATE_TEST": test})
        assert (result.succeeded, result.phase) == (False, "pre_build")
        assert not builder.built
        assert result.last_line.startswith("tidegate: the test command ended with exit code")

    def test_a_dockerfile_that_does_not_build(self, builder: Builder) -> None:
        builder.registry["broken_dockerfile"] = True
        result = builder.build()
        assert (result.succeeded, result.phase) == (False, "build")
        assert builder.registry["tags"] == {}
        assert "failed to solve" in result.log
        assert (
            result.last_line == "tidegate: docker build of '.' with 'Dockerfile' failed; its error is above"
        )

    def test_a_push_that_is_refused(self, builder: Builder) -> None:
        builder.registry["refuses"] = True
        result = builder.build()
        assert (result.succeeded, result.phase) == (False, "build")
        assert "not authorized to perform ecr:PutImage" in result.log
        assert result.last_line.startswith("tidegate: the push to ")

    @pytest.mark.parametrize(
        ("variables", "says"),
        [
            ({"TIDEGATE_REPOSITORY": "<unset>"}, "no ECR repository is named"),
            ({"TIDEGATE_REPOSITORY": "other"}, "ECR does not show the repository 'other'"),
            ({"TIDEGATE_CONTEXT": "nowhere"}, "the context 'nowhere' is not a folder of commit"),
            ({"TIDEGATE_CONTEXT": "README.md"}, "the context 'README.md' is not a folder of commit"),
            ({"CODEBUILD_RESOLVED_SOURCE_VERSION": "f" * 40}, f"commit {'f' * 40} is not in the clone"),
        ],
    )
    def test_what_is_asked_for_is_not_there(
        self, builder: Builder, variables: dict[str, str], says: str
    ) -> None:
        result = builder.build(variables)
        assert (result.succeeded, result.phase) == (False, "pre_build")
        assert says in result.last_line
        assert not builder.built

    def test_an_ecr_that_does_not_answer_is_not_taken_for_an_empty_one(self, builder: Builder) -> None:
        builder.registry["unreachable"] = True
        result = builder.build()
        assert (result.succeeded, result.phase) == (False, "pre_build")
        assert "Could not connect" in result.last_line
        assert not builder.built

    def test_build_arguments_that_are_none(self, builder: Builder) -> None:
        result = builder.build({"TIDEGATE_BUILD_ARGS": "A=1 --network=host"})
        assert not result.succeeded
        assert result.last_line == "tidegate: '--network=host' is no build argument; write NAME=value"
        assert not builder.built


class TestInjection:
    """Whoever may push a commit may not run a command by its name, its message or the names of its files."""

    SHAPES = ("$({})", "`{}`", "; {};", "' ; {} ; '", '" ; {} ; "', "\n{}\n", "&& {}")

    @pytest.mark.parametrize(
        "name",
        [
            "TIDEGATE_IMAGE",
            "TIDEGATE_REPOSITORY",
            "TIDEGATE_CONTEXT",
            "TIDEGATE_DOCKERFILE",
            "TIDEGATE_BUILD_ARGS",
            "TIDEGATE_MIGRATIONS",
            "CODEBUILD_RESOLVED_SOURCE_VERSION",
            "CODEBUILD_SOURCE_REPO_URL",
        ],
    )
    def test_a_variable_is_never_a_command(self, builder: Builder, name: str) -> None:
        trace = builder.home / "trace"
        command = f"touch {shlex.quote(str(trace))}"
        for shape in self.SHAPES:
            given = shape.format(command)
            builder.build({name: f"A={given}" if name == "TIDEGATE_BUILD_ARGS" else given})
            assert not trace.exists(), shape

    def test_a_commit_message_and_a_file_name_are_not_either(self, builder: Builder) -> None:
        trace = builder.home / "trace"
        command = f"$(touch {trace.name}) `touch {trace.name}`"
        builder.commit({f"{command}.txt": "x\n"}, message=command)
        git(builder.source, "checkout", "--quiet", "-b", "$(touch${IFS}trace)")
        result = builder.build()
        assert result.succeeded, result.log
        assert list(builder.home.rglob(trace.name)) == []
