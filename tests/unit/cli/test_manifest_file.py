"""Manifest files: every refusal with its line, key, words and mend; and the YAML that people really write."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tidegate.domain.errors import BadManifestError
from tidegate.domain.manifest import Manifest
from tidegate_cli.manifest_file import (
    LARGEST,
    ManifestFileError,
    ManifestText,
    error_document,
    error_lines,
    load_manifest_file,
    read_manifest_text,
)

BASE = """\
system: arive
images:
  app:
    repository: arive-api
    tag: "{commit}"
services:
  api:
    service: arive-api
    image: app
    wave: 1
  worker: {service: arive-worker, image: app}
environments:
  production:
    region: us-east-1
    cluster: arive-cluster
    services:
      worker: {wave: 2}
"""
REFERENCE = Path(__file__).parents[3] / "docs" / "manifest.md"


def read(text: str) -> ManifestText:
    return read_manifest_text(text.encode(), "tidegate.yaml")


def refusal(text: str | bytes) -> ManifestFileError:
    with pytest.raises(ManifestFileError) as caught:
        read_manifest_text(text if isinstance(text, bytes) else text.encode(), "tidegate.yaml").manifest()
    return caught.value


# What is replaced in BASE, by what; the line, the key, a part of the message, a part of the hint.
ROWS = [
    # What the contract refuses, in its order.
    (
        "system: arive",
        "system: arive\nowner: me",
        2,
        "owner",
        "is not a key of the manifest",
        "remove it; the keys",
    ),
    (
        "    region:",
        "    regoin: x\n    region:",
        14,
        "environments.production.regoin",
        "not a key",
        '"region"?',
    ),
    (
        "    wave: 1",
        "    wav: 1",
        10,
        "services.api.wav",
        "is not a key of a service",
        'did you mean "wave"?',
    ),
    (
        "    wave: 1",
        "    wave: 1\n    wave: 2",
        11,
        "services.api.wave",
        "already there, in line 10",
        "keep one",
    ),
    (
        "services:\n  api",
        "images: {}\nservices:\n  api",
        6,
        "images",
        '"images" is already there, in line 2',
        "keep one",
    ),
    (
        "    image: app",
        "    image: &a app",
        9,
        "services.api.image",
        'a YAML anchor is not allowed: "&a"',
        "remove the",
    ),
    (
        "image: app}",
        "image: *a}",
        11,
        "services.worker.image",
        'a YAML alias is not allowed: "*a"',
        "write the value",
    ),
    ("wave: 1", "wave: !!int 1", 10, "services.api.wave", "a YAML tag is not allowed", "remove the tag"),
    ("wave: 1", "wave: ! 1", 10, "services.api.wave", "a YAML tag is not allowed", "remove the tag"),
    (
        "api:\n    s",
        "api: !service\n    s",
        7,
        "services.api",
        'a YAML tag is not allowed: "!service"',
        "remove the tag",
    ),
    ("    wave: 1", "    <<: {wave: 1}", 10, 'services.api."<<"', "is not a key of a service", "remove it"),
    ("{commit}", "{branch}", 5, "images.app.tag", "unknown placeholder {branch}", "use {commit}"),
    ("    image: app", "    image: ap", 9, "services.api.image", "names no image of the manifest", '"app"?'),
    (
        "arive-worker",
        "arive-api",
        11,
        "services.worker.service",
        'services "api" and "worker" have one ECS service name, "arive-api", in one cluster, "arive-cluster"',
        "a name of its own",
    ),
    (
        "worker: {wave: 2}",
        "worker: {service: arive-api}",
        17,
        "environments.production.services.worker.service",
        "have one ECS service name",
        "a name of its own",
    ),
    ("wave: 1", "wave: 0", 10, "services.api.wave", "must be 1 or more, not 0", "use 1 or more"),
    (
        "wave: 2",
        "wave: -1",
        17,
        "environments.production.services.worker.wave",
        "1 or more, not -1",
        "use 1 or more",
    ),
    (
        "us-east-1",
        "us-est-1",
        14,
        "environments.production.region",
        "not a region that AWS has",
        '"us-east-1"?',
    ),
    (
        "repository: arive-api",
        "repository: Arive",
        4,
        "images.app.repository",
        "that ECR accepts",
        "lowercase",
    ),
    ("system: arive", "system: Arive", 1, "system", "is not a system name", "lowercase"),
    (
        BASE[BASE.index("environments:") :],
        "",
        1,
        "environments",
        '"environments" is missing',
        "add it, for example",
    ),
    (
        BASE[BASE.index("environments:") :],
        "environments: {}",
        12,
        "environments",
        "must not be empty",
        "at least one",
    ),
    (
        "    cluster: arive",
        "    bake: {for: 5x, alarms: [a]}\n    cluster: arive",
        15,
        "environments.production.bake.for",
        "not a duration",
        "90s or 5m",
    ),
    (
        "    cluster: arive",
        "    strategy: canary\n    cluster: arive",
        15,
        "environments.production.strategy",
        '"strategy" is not supported yet',
        "remove it for now",
    ),
    # Slips of the hand
    ('"{commit}"', "{commit}", 5, "images.app.tag", "must be text, not a mapping", 'tag: "{commit}"'),
    (
        "    cluster: arive-cluster",
        "    cluster:",
        15,
        "environments.production.cluster",
        "has no value",
        "remove the key",
    ),
    (
        "    cluster: arive-cluster",
        "    cluster: ~",
        15,
        "environments.production.cluster",
        "has no value",
        "remove the",
    ),
    (
        "    cluster: arive-cluster\n",
        "",
        13,
        "environments.production.cluster",
        "is missing",
        "cluster: arive-cluster",
    ),
    ("wave: 1", 'wave: "1"', 10, "services.api.wave", 'must be a whole number, not "1"', "wave: 1"),
    ("wave: 1", "wave: 1.0", 10, "services.api.wave", "must be a whole number", "wave: 1"),
    ("wave: 1", "wave: 010", 10, "services.api.wave", 'must be a whole number, not "010"', "wave: 1"),
    ("wave: 1", "wave: 0x1", 10, "services.api.wave", "must be a whole number", "wave: 1"),
    ("wave: 1", "wave: " + "9" * 5000, 10, "services.api.wave", "longer than 4096 characters", "shorten"),
    (
        "wave: 1",
        "wave: 1\n    ? [a]\n    : 1",
        11,
        "services.api",
        "a key must be text",
        "write the key as text",
    ),
    ("wave: 1", "wave: 1\n    1: 1", 11, "services.api.1", '"1" is not a key of a service', "remove it"),
    # Not YAML
    ("    wave: 1", "\twave: 1", 10, "", "not valid YAML", "spaces, not with tabs"),
    ("wave: 1", "wave: 1: 2", 10, "", "mapping values are not allowed", "indentation"),
    ("image: app}", "image: app", 12, "", "not valid YAML", "brackets of this line and the one before"),
    ("wave: 1", "wave: \x07", 10, "", "a character that", "remove"),
    ("system: arive", "system: arive\n---\na: 1", 2, "", "more than one YAML document", "keep the first"),
    ("wave: 1", "wave: " + "[" * 40 + "]" * 40, 10, "", "nested deeper than 30 levels", "docs/manifest.md"),
    ("wave: 1", "wave: " + "[" * 22 + "]" * 22, 10, "", "is nested deeper than 20 levels", "reference"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message", "hint"), ROWS, ids=[f"{row[3]}-{row[4]}"[:70] for row in ROWS]
)
def test_is_refused_at_its_line(old: str, new: str, line: int, field: str, message: str, hint: str) -> None:
    assert old in BASE
    error = refusal(BASE.replace(old, new, 1))
    first = error.problems[0]
    assert message in first.message
    assert first.line == line
    assert first.field == field or (not field and "nested" in message)
    assert hint in first.hint


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "the file is empty"),
        (b"\n# nothing\n", 1, "the file is empty"),
        (b"---\n", 1, "the file is empty"),
        (b"null", 1, "the file is empty"),
        (b"system: a\nb: \xff\n", 2, "the file is not UTF-8"),
        ("system: a".encode("utf-16"), 1, "the file is not UTF-8"),
        (b"#" * (LARGEST + 1), 1, "the file is larger than 256 KiB"),
        (b'a: "\\U00110000"', 1, "not valid YAML"),
        (b"%TAG !x! %FF\n---\na: 1", 1, "not valid YAML"),
        (b"- 1\n- 2", 1, "the manifest must be a mapping of keys to values, not a list"),
        (b"hello", 1, 'the manifest must be a mapping of keys to values, not "hello"'),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, line: int, message: str) -> None:
    (problem,) = refusal(content).problems
    assert (problem.line, problem.field) == (line, "")
    assert message in problem.message
    assert problem.hint


def test_the_base_is_read() -> None:
    manifest = read(BASE).manifest()
    assert isinstance(manifest, Manifest)
    assert manifest.for_environment("production").services["worker"].wave == 2


def test_the_complete_example_of_the_reference_is_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    assert read(max(blocks, key=len)).manifest().secrets


def test_every_problem_is_reported_in_the_order_of_the_file() -> None:
    error = refusal(
        BASE.replace("wave: 1", "wave: 0").replace("us-east-1", "mars").replace("system: arive", "system: A")
    )
    assert [(problem.line, problem.column, problem.field) for problem in error.problems] == [
        (1, 1, "system"),
        (10, 5, "services.api.wave"),
        (14, 5, "environments.production.region"),
    ]


class TestBareScalars:
    """What YAML 1.1 would have made of them: false, 960, 5349, a date, 1e5."""

    @pytest.mark.parametrize(
        "word",
        [
            "off",
            "on",
            "yes",
            "No",
            "y",
            "true",
            "16:00",
            "0123456",
            "1234567",
            "1e5",
            "1_000",
            "2024-01-02",
            "0o7",
            ".inf",
            "=",
        ],
    )
    def test_are_text(self, word: str) -> None:
        data: Any = read(f"a: {word}\nb: [{word}]\n{word}: 1").data
        assert data["a"] == word
        assert data["b"] == [word]
        assert data[word] == "1"

    @pytest.mark.parametrize("tag", ["0123456", "1234567", "20240102", "1e5", "off", "1.5"])
    def test_are_a_tag(self, tag: str) -> None:
        assert read(BASE.replace('"{commit}"', tag)).manifest().images["app"].tag == tag

    def test_are_a_moment_of_the_week_and_off(self) -> None:
        extra = (
            "    freeze: [{from: Fri 16:00, to: Mon 08:00}]\nsecrets:\n"
            "  arive/redis: {kind: redis, tls: off, users: [0123]}\n"
        )
        problems = refusal(BASE + extra).problems
        # The user 0123 is refused as a name, not as a number; the window and `off` are fine.
        assert [(problem.field, problem.message) for problem in problems] == [
            ("secrets.arive/redis.users[0]", 'item 1 of "users" is not a database user name: "0123"')
        ]

    def test_are_numbers_where_the_schema_wants_one(self) -> None:
        data: Any = read(BASE).data
        assert data["services"]["api"]["wave"] == 1
        assert data["environments"]["production"]["services"]["worker"]["wave"] == 2

    def test_have_no_value_when_they_are_empty(self) -> None:
        assert read("a:\nb: ~\nc: null\nd: ''\ne: 'null'").data == {
            "a": None,
            "b": None,
            "c": None,
            "d": "",
            "e": "null",
        }


def test_json_is_read_as_well() -> None:
    data = {
        "system": "arive",
        "images": {"app": {"repository": "arive-api", "tag": "{commit}"}},
        "services": {"api": {"image": "app", "wave": 3}},
        "environments": {
            "production": {"region": "us-east-1", "cluster": "c", "services": {"api": {"wave": 4}}}
        },
    }
    for text in (json.dumps(data), json.dumps(data, indent=2), "\ufeff" + json.dumps(data)):
        assert read(text).data == data
        assert read(text).manifest().services["api"].wave == 3
    # A byte order mark is no character of the first line.
    assert refusal("\ufeffsystem: A").problems[-1].column == 1
    data["services"]["api"]["wave"] = 0
    assert refusal(json.dumps(data, indent=2)).problems[0].line == 12


class TestAFile:
    def test_is_read_by_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "tidegate.yaml"
        file.write_text(BASE, encoding="utf-8")
        assert load_manifest_file(str(file)).system == "arive"

    def test_may_be_standard_input(self) -> None:
        assert load_manifest_file("-", standard_input=io.BytesIO(BASE.encode())).system == "arive"
        with pytest.raises(ManifestFileError, match="<stdin>:1: the file is empty"):
            load_manifest_file("-", standard_input=io.BytesIO(b""))

    @pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
    def test_that_cannot_be_read_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ManifestFileError, match="the file cannot be read") as caught:
            load_manifest_file(str(tmp_path / name))
        assert caught.value.hint

    def test_is_not_read_further_than_its_limit(self) -> None:
        class Endless(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                assert 0 < size <= LARGEST + 1
                return b"#" * size

        with pytest.raises(ManifestFileError, match="larger than 256 KiB"):
            load_manifest_file("-", standard_input=Endless())  # type: ignore[arg-type]


class TestTheError:
    def test_reads_as_a_line_a_problem(self) -> None:
        lines = error_lines(refusal(BASE.replace("us-east-1", "us-est-1").replace("wave: 1", "wave: 0")))
        assert lines == [
            'tidegate.yaml:10: services.api.wave: "wave" must be 1 or more, not 0 — mend: use 1 or more',
            'tidegate.yaml:14: environments.production.region: "region" is not a region that AWS has: "us-est-1"'
            ' — mend: did you mean "us-east-1"?',
        ]

    def test_of_the_file_as_a_whole_names_no_key(self) -> None:
        assert error_lines(refusal("")) == [
            "tidegate.yaml:1: the file is empty — mend: write a manifest; docs/manifest.md has an example"
        ]
        assert "field" not in error_document(refusal(""))["error"]

    def test_is_a_json_document(self) -> None:
        error = refusal(BASE.replace("us-east-1", "us-est-1").replace("wave: 1", "wave: 0"))
        assert isinstance(error, BadManifestError)
        document = json.loads(json.dumps(error_document(error)))["error"]
        assert {key: document[key] for key in ("code", "message", "field", "hint")} == {
            "code": "bad_manifest",
            "message": 'tidegate.yaml:10: "wave" must be 1 or more, not 0',
            "field": "services.api.wave",
            "hint": "use 1 or more",
        }
        assert [(problem["line"], problem["field"]) for problem in document["problems"]] == [
            (10, "services.api.wave"),
            (14, "environments.production.region"),
        ]


LINES = st.sampled_from(
    [
        *BASE.splitlines(),
        "  - &a b",
        "  *a",
        "? [x]",
        "---",
        "...",
        "%YAML 1.1",
        "a: !!binary x",
        "<<: *a",
        "{",
        "]",
        "|",
        "\t",
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200) | st.lists(LINES | st.text(max_size=12), max_size=25).map("\n".join))
@example('"\\ud800"')
@example("a: 'b\\")
@example("%TAG ! tag:%zz\n---\n!a b")
@example("? ? ? a")
@example("- - - - &a *a")
@example('{"a": "\\x"}')
def test_any_text_is_a_manifest_or_a_manifest_file_error(text: str) -> None:
    judge(text.encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_manifest_or_a_manifest_file_error(content: bytes) -> None:
    judge(content)


@settings(deadline=None, max_examples=100)
@example(place=BASE.index("commit}"), cut=0, slip="\t")
@given(
    st.integers(0, len(BASE)),
    st.integers(0, 6),
    st.text(alphabet="{}[]&*!|>'\"%@`:-?,# \n\t\u03b10a\\", max_size=6),
)
def test_a_manifest_with_one_slip_never_breaks_the_reader(place: int, cut: int, slip: str) -> None:
    judge((BASE[:place] + slip + BASE[place + cut :]).encode())


def judge(content: bytes) -> None:
    outcome = outcome_of(content)
    if isinstance(outcome, Manifest):
        return
    lines = content.count(b"\n") + content.count(b"\r") + 2
    for problem in outcome.problems:
        assert problem.message
        assert problem.hint
        # YAML counts more characters than these as line breaks, so this bounds only plain text.
        assert 1 <= problem.line <= lines or not content.isascii()
    assert all(line.isprintable() for line in error_lines(outcome))
    json.dumps(error_document(outcome))


def outcome_of(content: bytes) -> Manifest | ManifestFileError:
    """What is read, or the one error that may come instead."""
    try:
        return read_manifest_text(content, "tidegate.yaml").manifest()
    except ManifestFileError as error:
        return error


@pytest.mark.parametrize(
    "text",
    [
        "a: [" * 20_000,
        "- " * 20_000,
        "? " * 20_000,
        "{" * 200_000,
        "a" * 250_000,
        "[" + "a," * 40_000 + "]",
        "x:\n" * 20_000,
    ],
    ids=["flow", "sequence", "complex", "open", "long", "wide", "duplicates"],
)
def test_hostile_files_end_soon(text: str) -> None:
    """Linear work: a quadratic reader would take minutes over these."""
    begin = time.process_time()
    assert refusal(text).problems
    assert time.process_time() - begin < 20
