"""What a buildspec asks for."""

import pytest
from tidegate_local.codebuild.buildspec import BuildspecError, is_inline, parse


def test_commands_and_variables_are_taken_as_they_are_written() -> None:
    spec = parse(
        """
        version: 0.2
        env:
          shell: bash
          variables: {PORT: 0080, YES: yes, NONE: }
          exported-variables: [PORT]
        phases:
          install: {runtime-versions: {python: 3.11}}
          build:
            on-failure: RETRY-2
            commands: make
            finally: [true]
        artifacts: {files: ['**/*']}
        """
    )
    assert spec.env.variables == {"PORT": "0080", "YES": "yes", "NONE": ""}
    assert (spec.env.shell, spec.env.exported_variables) == ("bash", ["PORT"])
    assert spec.phase("install").commands == []
    build = spec.phase("build")
    assert (build.commands, build.finally_, build.retries) == (["make"], ["true"], 2)
    assert spec.phase("post_build").commands == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a buildspec is a mapping"),
        ("version: 0.2", "at least one phase needs commands"),
        ("version: 0.3\nphases: {build: {commands: [x]}}", "version: 0.3 is not supported"),
        ("phases: {build: {commands: [x]}}", "version: Field required"),
        ("version: 0.2\nphases: {test: {commands: [x]}}", "phases.test: there are install, pre_build, build"),
        ("version: 0.2\nphases: {build: {commands: {a: b}}}", "phases.build.commands"),
        ("version: 0.2\nenv: []\nphases: {build: {commands: [x]}}", "env"),
        ("version: 0.2\nphases: {build: [", "not YAML"),
    ],
)
def test_what_it_cannot_be(text: str, message: str) -> None:
    with pytest.raises(BuildspecError, match=message.replace("[", "\\[")):
        parse(text)


def test_a_text_is_told_from_a_path() -> None:
    assert is_inline("version: 0.2\nphases: {}")
    assert is_inline("{version: 0.2}")
    assert not is_inline("ci/buildspec.yml")
