"""validate, schema, apply."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tidegate.domain.manifest.schema import json_schema

from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, manifest


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tidegate.yaml"
    path.write_text(json.dumps(manifest()))
    return str(path)


@pytest.fixture
def bad_file(tmp_path: Path) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "system: Shop\nimages: {}\nservices: {}\nenvironments:\n  production: {region: us-est-1}\n"
    )
    return str(path)


def test_a_valid_manifest_is_summed_up(terminal: Terminal, file: str) -> None:
    assert terminal.json("validate", file) == {
        "valid": True,
        "system": SYSTEM,
        "images": ["app"],
        "services": ["api", "worker"],
        "environments": [ENVIRONMENT],
    }
    assert "valid: system shop, 2 services in 1 environment" in terminal.run("validate", file).stdout
    assert terminal.given == []


def test_a_manifest_may_come_from_standard_input(terminal: Terminal) -> None:
    assert terminal.run("validate", "-", input=json.dumps(manifest())).exit_code == 0
    bad = terminal.run("validate", "-", input="system: [")
    assert bad.exit_code == 2
    assert "<stdin>:1: " in bad.stderr


def test_every_problem_is_named_with_its_line_and_its_mend(terminal: Terminal, bad_file: str) -> None:
    result = terminal.run("validate", bad_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{bad_file}:1: system: " in result.stderr
    assert f"{bad_file}:5: environments.production.region: " in result.stderr
    assert "did you mean" in result.stderr
    error = terminal.json("validate", bad_file, exit_code=2)["error"]
    assert error.keys() >= {"code", "message", "field", "hint"}
    assert {problem["line"] for problem in error["problems"]} == {1, 5}


def test_a_file_that_is_not_there_is_a_bad_manifest(terminal: Terminal, tmp_path: Path) -> None:
    error = terminal.json("validate", str(tmp_path / "none.yaml"), exit_code=2)["error"]
    assert error["code"] == "bad_manifest"
    assert "cannot be read" in error["message"]


def test_the_schema_is_the_same_with_and_without_json(terminal: Terminal) -> None:
    assert json.loads(terminal.run("schema").stdout) == json_schema()
    assert terminal.json("schema") == json_schema()


def test_apply_registers_and_says_whether_that_changed_anything(terminal: Terminal, file: str) -> None:
    del terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT]
    applied = terminal.json("apply", file, "--environment", ENVIRONMENT)
    assert applied == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "parameter": "/tidegate/shop/production",
        "changed": True,
        "schedules": [],
    }
    assert terminal.json("apply", file, "--environment", ENVIRONMENT)["changed"] is False
    assert "unchanged" in terminal.run("apply", file, "-e", ENVIRONMENT).stdout
    assert terminal.shop.world.registry.called("put_manifest") == 2


def test_apply_replaces_what_cannot_be_read(terminal: Terminal, file: str) -> None:
    terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT] = "{"
    assert terminal.json("apply", file, "--environment", ENVIRONMENT)["changed"] is True


def test_apply_in_another_region_names_both(terminal: Terminal, file: str) -> None:
    result = terminal.run("apply", file, "-e", ENVIRONMENT, "--region", "us-east-1")
    assert result.exit_code == 2
    assert "is in eu-west-1, and the region in use is us-east-1" in result.stderr
    assert "--region eu-west-1" in result.stderr


def test_apply_to_an_environment_that_the_manifest_lacks(terminal: Terminal, file: str) -> None:
    error = terminal.json("apply", file, "--environment", "prodution", exit_code=2)["error"]
    assert (error["code"], error["hint"]) == ("not_found", 'did you mean "production"?')


def test_apply_asks_for_the_environment(terminal: Terminal, file: str) -> None:
    error = terminal.json("apply", file, exit_code=2)["error"]
    assert (error["code"], error["field"]) == ("bad_usage", "--environment")
