"""What a Dockerfile says wrong is found without an engine, with its line."""

from pathlib import Path

import pytest
from tidegate_local.codebuild.tools.contexts import Context
from tidegate_local.codebuild.tools.dockerfile import DockerfileError, check, parse


@pytest.fixture
def context(tmp_path: Path) -> Context:
    for name in ("app/main.py", "app/data.json", "README.md", "docs/a.md", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("# secrets\n.env\ndocs\n!docs/a.md\n**/*.json\n")
    return Context(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch",
        "# comment\n\nfrom python:3.11 as build\ncopy app/ /app\n",
        "ARG BASE=alpine\nFROM ${BASE}\nCOPY app/*.py README.md /x/\n",
        "ARG BASE\nFROM $BASE\n",
        "FROM a AS one\nFROM b\nCOPY --from=one /anything /x\nCOPY --chown=1:1 app /app\n",
        'FROM a\nADD https://example.com/x.tar /x\nCOPY ["app", "/app"]\n',
        "FROM a\nRUN one \\\n  # between\n  && two\nCOPY . .\n",
        "FROM a\nRUN <<EOF\nBOGUS line\nEOF\nCOPY <<'END' /file\nanything\nEND\n",
        "FROM a\nARG WHERE=app\nENV NAME=main\nCOPY ${WHERE}/$NAME.py /\nCOPY ${NONE:-docs} /\n",
        "FROM a\nCOPY ./app/../README.md /\nCOPY /app /\n",
    ],
)
def test_what_builds(context: Context, text: str) -> None:
    check(parse(text), context, {"BASE": "given"})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "the Dockerfile cannot be empty"),
        ("# only a comment\n", 0, "the Dockerfile cannot be empty"),
        ("FROM a\nRUM x\n", 2, "dockerfile parse error on line 2: unknown instruction: RUM"),
        ("RUN x\nFROM a\n", 1, "no build stage in current context"),
        ("ARG A=1\n", 1, "no build stage in current context"),
        ("FROM a\nCOPY\n", 2, "COPY requires at least one argument"),
        ("FROM a\nCOPY app\n", 2, "COPY requires at least two arguments"),
        ("FROM a b\n", 1, "FROM requires either one or three arguments"),
        ("ARG OTHER\nFROM $OTHER\n", 2, "base name ($OTHER) should not be blank"),
        ("FROM a\nRUN x \\\n  y\nCOPY no/such /x\n", 4, '"/no/such": not found'),
        ("FROM a\nCOPY .env /x\n", 2, '"/.env": not found'),
        ("FROM a\nCOPY app/*.json /x\n", 2, '"/app/*.json": not found'),
        ("FROM a\nRUN <<EOF\nnever ends\n", 2, "unterminated heredoc"),
    ],
)
def test_what_does_not(context: Context, text: str, line: int, message: str) -> None:
    with pytest.raises(DockerfileError) as found:
        check(parse(text), context, {"BASE": "given"})
    assert found.value.line == line
    assert message in str(found.value)


def test_the_base_images_are_those_from_outside(context: Context) -> None:
    text = "FROM a AS one\nFROM one AS two\nFROM b\nFROM two\n"
    assert check(parse(text), context, {}).bases == ["a", "b"]


def test_a_context_is_what_dockerignore_leaves(context: Context) -> None:
    assert [*context.files] == [".dockerignore", "README.md", "app/main.py", "docs/a.md"]


def test_a_digest_is_that_of_the_files(context: Context, tmp_path: Path) -> None:
    before = Context(tmp_path).digest()
    assert Context(tmp_path).digest() == before
    (tmp_path / ".env").write_text("ignored")
    assert Context(tmp_path).digest() == before
    (tmp_path / "app/main.py").chmod(0o755)
    executable = Context(tmp_path).digest()
    assert executable != before
    (tmp_path / "README.md").rename(tmp_path / "READ.md")
    assert Context(tmp_path).digest() not in (before, executable)
