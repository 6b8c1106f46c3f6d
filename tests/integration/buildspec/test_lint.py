"""What the linter says of migrations comes into the labels of their image; squawk is the real one."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from tidegate.domain.migration_lint import LEFT_OUT, LINT, LINTER, lint_of, linter_of

from tests.integration.buildspec.building import Builder, Result

ROOT = Path(__file__).parents[3]
SQUAWK = Path(sys.executable).with_name("squawk")
PIN = re.compile(r"squawk-cli==([0-9.]+)")
FOLDER = {"TIDEGATE_MIGRATIONS": "db/sql"}
DOCKERFILE = {"Dockerfile": "FROM scratch\n"}


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    builder = Builder(tmp_path)
    (tmp_path / "bin/squawk").symlink_to(SQUAWK)
    return builder


@pytest.fixture
def bare(tmp_path: Path) -> Builder:
    """A build environment without squawk, whose pip says what it was asked and installs nothing."""
    builder = Builder(tmp_path)
    pip(builder, 'echo "PIP $*"; exit 1')
    return builder


def pip(builder: Builder, body: str) -> None:
    """A `python3` whose `-m pip` does this."""
    python = builder.home / "bin/python3"
    python.write_text(
        f'#!/bin/bash\nif [ "$1 $2" = "-m pip" ]; then {body}; fi\nexec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)


def without_squawk(builder: Builder) -> dict[str, str]:
    """A PATH of what the buildspec needs, linked one by one: this machine may have squawk anywhere."""
    folder = builder.home / "few"
    folder.mkdir()
    for name in ("bash", "cut", "date", "git", "mktemp", "rm", "sh", "sha256sum"):
        found = next(path / name for path in map(Path, ("/usr/bin", "/bin")) if (path / name).exists())
        (folder / name).symlink_to(found)
    return {**FOLDER, "PATH": f"{builder.home / 'bin'}:{folder}"}


def lint(builder: Builder, files: dict[str, str], variables: dict[str, str] | None = None) -> Result:
    builder.commit({**DOCKERFILE, **{f"db/sql/{name}": text for name, text in files.items()}})
    return builder.build(FOLDER if variables is None else variables)


def found(builder: Builder) -> list[tuple[str, int, str, str]]:
    findings = lint_of(builder.labels)
    assert findings is not None
    return [(one.file, one.line, one.rule, one.level) for one in findings]


def test_findings_become_a_label_and_do_not_fail_the_build(builder: Builder) -> None:
    result = lint(
        builder, {"1_a.sql": "CREATE TABLE a (id bigint);\n\nDROP TABLE b;\n", "2_b.sql": "SELECT 1;\n"}
    )
    assert result.succeeded, result.log
    assert found(builder) == [("1_a.sql", 3, "ban-drop-table", "Warning")]
    assert re.fullmatch(r"squawk \d+\.\d+\.\d+", linter_of(builder.labels) or "")
    assert "tidegate: 1_a.sql:3: Warning: ban-drop-table: Dropping a table" in result.log


def test_nothing_to_say_is_a_label_too(builder: Builder) -> None:
    lint(builder, {"1_a.sql": "SELECT 1;\n", "README.md": "DROP TABLE a;\n", "more/2.sql": "DROP TABLE a;\n"})
    assert lint_of(builder.labels) == ()


def test_what_squawk_does_not_understand_is_a_finding(builder: Builder) -> None:
    """Its grammar is not the server's: PostgreSQL has the last word."""
    result = lint(builder, {"1_a.sql": "SELEC 1;\n"})
    assert result.succeeded, result.log
    assert {(file, rule, level) for file, _, rule, level in found(builder)} == {
        ("1_a.sql", "syntax-error", "Error")
    }


def test_what_squawk_cannot_read_fails_the_build(builder: Builder) -> None:
    result = lint(builder, {"1_a.sql": "SELECT 1;\n", ".squawk.toml": "excluded_rules = ["})
    assert (result.succeeded, result.phase) == (False, "build")
    assert result.last_line.startswith("tidegate: squawk cannot read what is in 'db/sql': ")
    assert not builder.built


def test_a_file_that_is_no_text_fails_the_build(builder: Builder) -> None:
    (builder.source / "db/sql").mkdir(parents=True)
    (builder.source / "db/sql/1_a.sql").write_bytes(b"\xff\xfe")
    result = lint(builder, {})
    assert result.last_line == (
        "tidegate: squawk cannot read what is in 'db/sql': Error: stream did not contain valid UTF-8"
    )
    assert not builder.built


def test_a_file_runs_in_a_transaction_unless_it_says_otherwise(builder: Builder) -> None:
    index = "DROP INDEX CONCURRENTLY i;\n"
    lint(
        builder,
        {
            "1_a.sql": index,
            "2_b.sql": f"-- why\n\n  -- tidegate: no-transaction\n{index}",
            "3_c.sql": f"{index}-- tidegate: no-transaction\n",
        },
    )
    assert [file for file, _, rule, _ in found(builder) if rule == "prefer-robust-stmts"] == ["2_b.sql"]


def test_time_outs_that_tidegate_sets_are_not_asked_for(builder: Builder) -> None:
    lint(builder, {"1_a.sql": "ALTER TABLE a ADD COLUMN b text;\n"})
    assert found(builder) == []


def test_a_configuration_beside_the_files_is_squawk_s_own(builder: Builder) -> None:
    lint(builder, {"1_a.sql": "DROP TABLE a;\n", ".squawk.toml": 'excluded_rules = ["ban-drop-table"]\n'})
    assert found(builder) == []


def test_a_label_has_4_kib_and_says_what_it_has_no_room_for(builder: Builder) -> None:
    lint(builder, {f"{number}_x.sql": "DROP TABLE a;\n" * 3 for number in range(1, 101)})
    assert len(builder.labels[LINT]) <= 4096
    findings = found(builder)
    assert {("100_x.sql", line, "ban-drop-table", "Warning") for line in (1, 2, 3)} <= {*findings}
    left_out = [one for one in lint_of(builder.labels) or () if one.rule == LEFT_OUT]
    counted = sum(int(one.message.split()[0]) for one in left_out)
    assert counted + len(findings) - len(left_out) == 300
    named = {one.file: one.message for one in left_out}
    assert named["80_x.sql"] == "3 more findings were left out of the image's label"
    assert {"", "80_x.sql"} <= named.keys()


class TestWithoutALinter:
    def test_the_one_that_is_pinned_is_installed(self, bare: Builder) -> None:
        pip(
            bare,
            'echo "PIP $*"; while [ "$1" != --target ]; do shift; done; '
            f'"$0" -c "import os, sys; os.makedirs(sys.argv[1] + \'/bin\'); '
            f'os.symlink({str(SQUAWK)!r}, sys.argv[1] + \'/bin/squawk\')" "$2"; exit',
        )
        result = lint(bare, {"1_a.sql": "DROP TABLE a;\n"}, without_squawk(bare))
        assert result.succeeded, result.log
        assert [rule for _, _, rule, _ in found(bare)] == ["ban-drop-table"]
        (pinned,) = PIN.findall(next(line for line in result.log.splitlines() if line.startswith("PIP ")))
        assert PIN.findall((ROOT / "requirements/dev.txt").read_text()) == [pinned]

    def test_a_build_goes_on_and_says_so(self, bare: Builder) -> None:
        result = lint(bare, {"1_a.sql": "DROP TABLE a;\n"}, without_squawk(bare))
        assert result.succeeded, result.log
        assert bare.labels[LINTER] == "none: squawk could not be installed"
        assert lint_of(bare.labels) is None

    def test_nor_python(self, bare: Builder) -> None:
        variables = without_squawk(bare)
        (bare.home / "bin/python3").unlink()
        assert lint(bare, {"1_a.sql": "DROP TABLE a;\n"}, variables).succeeded
        assert bare.labels[LINTER] == "none: the build environment has no python3"

    def test_one_that_does_not_run(self, bare: Builder) -> None:
        squawk = bare.home / "bin/squawk"
        squawk.write_text("#!/bin/sh\nexit 127\n")
        squawk.chmod(0o755)
        assert lint(bare, {"1_a.sql": "DROP TABLE a;\n"}).succeeded
        assert bare.labels[LINTER] == "none: squawk does not run in this build environment"


@pytest.mark.parametrize("files", [{}, {"README.md": "x"}])
def test_a_folder_without_sql(builder: Builder, files: dict[str, str]) -> None:
    assert lint(builder, files).succeeded
    assert builder.labels[LINTER] == "none: the build's context has no *.sql in 'db/sql'"
    assert LINT not in builder.labels


def test_the_folder_is_within_the_context(builder: Builder) -> None:
    builder.commit({"back end/Dockerfile": "FROM scratch\n", "back end/my sql/1_a.sql": "DROP TABLE a;\n"})
    result = builder.build({"TIDEGATE_CONTEXT": "back end", "TIDEGATE_MIGRATIONS": "my sql"})
    assert result.succeeded, result.log
    assert found(builder) == [("1_a.sql", 1, "ban-drop-table", "Warning")]


def test_without_migrations_there_are_no_labels_of_them(builder: Builder) -> None:
    lint(builder, {"1_a.sql": "DROP TABLE a;\n"}, {})
    assert not {LINT, LINTER} & builder.labels.keys()


def test_names_of_files_are_no_commands(builder: Builder) -> None:
    trace = builder.home / "trace"
    for name in (
        "$(touch trace).sql",
        "`touch trace`.sql",
        "; touch trace;.sql",
        "-x.sql",
        "'.sql",
        "a[1].sql",
    ):
        builder.commit({f"db/sql/{name}": "DROP TABLE a;\n"})
    result = lint(builder, {"1_a.sql": "COMMENT ON TABLE \"$(touch trace)\" IS '`touch trace`';\n"})
    assert result.succeeded, result.log
    assert list(builder.home.rglob(trace.name)) == []
