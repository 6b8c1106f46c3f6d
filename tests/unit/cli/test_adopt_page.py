"""docs/adopt.md: its samples are whole, its names are those of the code, its commands exist."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from tidegate.adapters import registry
from tidegate_cli import doctor_command
from tidegate_cli.doctor import checks_drift
from tidegate_cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "adopt.md"
TEXT = PAGE.read_text()
PLACE = "/tidegate/arive/production"
# Resources that the page says it does not show.
ELSEWHERE = {
    *("aws_iam_role.execution", "aws_iam_role.worker", "aws_ecs_cluster.this", "aws_subnet.private"),
    *("aws_security_group.worker", "aws_secretsmanager_secret.database", "local.first_credential"),
}


def blocks(language: str) -> list[str]:
    """Indented ones, of lists, as well."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", TEXT, re.MULTILINE | re.DOTALL)
    return [text for _, text in found]


def hcl() -> str:
    return "\n".join(blocks("hcl"))


def test_each_language_has_its_samples() -> None:
    assert [len(blocks(language)) for language in ("hcl", "python", "bash")] == [4, 1, 3]


@pytest.mark.parametrize("text", blocks("python"))
def test_python_compiles_and_uses_what_it_imports(text: str) -> None:
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used
    compile(tree, "adopt.md", "exec")


def test_the_cdk_sample_resolves_the_count_when_it_is_deployed() -> None:
    """The braces of an f-string are easily one too few."""
    (text,) = blocks("python")
    (literal,) = re.findall(r'(f"\{\{\{\{resolve:.*?")', text)
    value = eval(literal, {"PLACE": PLACE})  # noqa: S307 -- of our own page
    assert value == f"{{{{resolve:ssm:{PLACE}/count/worker}}}}"


@pytest.mark.parametrize("text", blocks("hcl"))
def test_terraform_is_balanced(text: str) -> None:
    plain = re.sub(r'"(?:[^"\\]|\\.)*"|#.*', "", text)
    for opening, closing in ("{}", "[]", "()"):
        assert plain.count(opening) == plain.count(closing)
        depth = 0
        for letter in plain:
            depth += (letter == opening) - (letter == closing)
            assert depth >= 0


def test_terraform_names_only_what_is_declared() -> None:
    text = hcl()
    declared = {
        f"{kind}.{name}" for kind, name in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)
    }
    declared |= {
        f"data.{kind}.{name}" for kind, name in re.findall(r'^data "(\w+)" "(\w+)"', text, re.MULTILINE)
    }
    declared |= {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}
    plain = re.sub(r'"[^"]*"', "", text)
    named = set(re.findall(r"(?<![\w.])((?:data\.)?aws_\w+\.\w+|var\.\w+|local\.\w+)", plain))
    assert named - declared == ELSEWHERE


def test_both_samples_ignore_what_tidegate_owns() -> None:
    ignored = re.findall(r"ignore_changes = \[([^\]]*)\]", hcl())
    assert ignored == [
        "insecure_value",
        "insecure_value",
        "task_definition, desired_count",
        "secret_string, version_stages",
    ]


def test_each_parameter_is_one_that_the_code_knows() -> None:
    known = {
        registry._name("arive", "production"),
        f"{registry._name('arive', 'production')}/image/app",
        registry._count("arive", "production", "worker"),
    }
    found = set(re.findall(r"/tidegate/arive/[a-z/]+", TEXT))
    assert found == known
    assert 'PLACE = "/tidegate/arive/production"' in TEXT
    (text,) = blocks("python")
    assert set(re.findall(r"\{PLACE\}(/[a-z/]+)", text)) == {"/image/app", "/count/worker"}


def test_each_command_exists() -> None:
    names = {entry.name for entry in COMMANDS}
    lines = [line for text in blocks("bash") for line in text.splitlines() if line.startswith("tidegate ")]
    lines += re.findall(r"`(tidegate [^`]+)`", TEXT)
    assert lines
    for line in lines:
        assert shlex.split(line, comments=True)[1] in names, line


def test_the_parameters_of_the_module_exist() -> None:
    module = (ROOT / "infrastructure" / "service.yaml").read_text()
    for name in ("ImageParameter", "CountParameter"):
        assert f"`{name}`" in TEXT
        assert f"\n  {name}:\n" in module


def test_what_doctor_says_leads_here_and_is_explained() -> None:
    source = inspect.getsource(checks_drift)
    assert '_PAGE = "docs/adopt.md"' in source
    assert checks_drift.drift in [check for _, check in doctor_command.CHECKS]
    for words in ("the newest revision", "is not there", "has a desired count of"):
        assert words in source
        assert words in TEXT
