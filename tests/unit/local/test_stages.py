"""What the stand-in of docker puts into an image: what COPY, ADD and LABEL say."""

from pathlib import Path

import pytest
from tidegate_local.codebuild.tools.contexts import Context
from tidegate_local.codebuild.tools.dockerfile import check, parse
from tidegate_local.codebuild.tools.stages import Stage, Stages


@pytest.fixture
def context(tmp_path: Path) -> Context:
    for name in ("db/1_a.sql", "db/2_b.sql", "db/old/0.sql", "db/README.md", "app.py", ".env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text(".env\n**/README.md\n.dockerignore\n")
    (tmp_path / "app.py").chmod(0o755)
    (tmp_path / "link").symlink_to("app.py")
    return Context(tmp_path)


def stages(context: Context, text: str, **arguments: str) -> Stages:
    return check(parse(text), context, arguments)


def last(context: Context, text: str, **arguments: str) -> Stage:
    return stages(context, text, **arguments).last


BOTH = ["migrations/1_a.sql", "migrations/2_b.sql"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("COPY db/1_a.sql /x.sql", ["x.sql"]),
        ("COPY db/1_a.sql /migrations/", ["migrations/1_a.sql"]),
        ("COPY db/*.sql /migrations/", BOTH),
        ("COPY db/1_a.sql db/2_b.sql /migrations", BOTH),
        ('COPY ["db/1_a.sql", "db/2_b.sql", "/migrations/"]', BOTH),
        ("COPY --chown=1:1 --chmod=644 db/?_*.sql /migrations/", BOTH),
        ("COPY db /migrations", [*BOTH, "migrations/old/0.sql"]),
        ("COPY db/old /migrations\nCOPY db/1_a.sql /migrations", ["migrations/0.sql", "migrations/1_a.sql"]),
        ("ADD db/1_a.sql https://example.com/x.sql /migrations/", ["migrations/1_a.sql"]),
        ("WORKDIR /srv\nWORKDIR db\nCOPY db/1_a.sql .", ["srv/db/1_a.sql"]),
        ("WORKDIR /srv\nCOPY db/1_a.sql x.sql", ["srv/x.sql"]),
        ("ARG FROM=old\nENV TO=/m\nCOPY db/${FROM} $TO", ["m/0.sql"]),
        ("COPY . /", ["app.py", "db/1_a.sql", "db/2_b.sql", "db/old/0.sql", "link"]),
        ("RUN x", []),
        ("COPY <<EOF /migrations/1.sql\nselect 1;\nEOF", []),
    ],
)
def test_a_copy_puts_files_where_an_engine_would(context: Context, text: str, paths: list[str]) -> None:
    assert sorted(last(context, f"FROM scratch\n{text}\n").files) == paths


def test_a_file_is_what_it_is_in_the_context(context: Context) -> None:
    files = last(context, "FROM scratch\nCOPY . /srv\n").files
    assert files["srv/db/1_a.sql"].content == b"db/1_a.sql"
    assert files["srv/app.py"].executable
    assert not files["srv/db/1_a.sql"].executable
    assert files["srv/link"].link == "app.py"


def test_a_later_copy_counts(context: Context) -> None:
    files = last(context, "FROM scratch\nCOPY app.py /x\nCOPY db/1_a.sql /x\n").files
    assert files["x"].content == b"db/1_a.sql"


def test_a_stage_has_what_it_takes_of_others(context: Context) -> None:
    text = (
        "FROM a AS Build\nLABEL of=build\nWORKDIR /out\nCOPY db/*.sql sql/\n"
        "FROM scratch\nCOPY --from=build /out/sql /migrations\nCOPY --from=0 /out/sql/1_a.sql /one.sql\n"
        "COPY --from=busybox:1 /bin/sh /bin/sh\n"
        "FROM build\nCOPY app.py .\n"
    )
    found = stages(context, text)
    assert found.bases == ["a", "scratch"]
    assert sorted(found.last.files) == ["out/app.py", "out/sql/1_a.sql", "out/sql/2_b.sql"]
    assert found.last.labels == {"of": "build"}
    second = found.named("1")
    assert second is not None
    assert sorted(second.files) == [*BOTH, "one.sql"]
    assert found.named("other") is None


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("LABEL a=1", {"a": "1"}),
        ('LABEL "a.b"="1 2" c=$V \\\n  d=""', {"a.b": "1 2", "c": "v", "d": ""}),
        ("LABEL a older form", {"a": "older form"}),
        ("LABEL a=1\nLABEL a=2", {"a": "2"}),
    ],
)
def test_labels(context: Context, text: str, labels: dict[str, str]) -> None:
    assert last(context, f"FROM scratch\nARG V=v\n{text}\n").labels == labels
