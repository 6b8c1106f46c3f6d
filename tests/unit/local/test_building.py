"""What a build depends on, and what a deployment is told."""

from pathlib import Path

import pytest
from tidegate_local.lifecycle import environment
from tidegate_local.lifecycle.building import fingerprint
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.deploying import parameters
from tidegate_local.lifecycle.errors import LocalError


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "functions" / "wake").mkdir(parents=True)
    (tmp_path / "functions" / "wake" / "app.py").write_text("pass\n")
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    return Checkout(tmp_path, tmp_path / ".tidegate")


@pytest.mark.parametrize(
    "path",
    ["template.yaml", "functions/wake/app.py", "layers/core/tidegate/x.py", "statemachines/roll.asl.json"],
)
def test_a_source_that_changes_means_another_build(checkout: Checkout, path: str) -> None:
    before = fingerprint(checkout)
    (checkout.root / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout.root / path).write_text("changed\n")
    assert fingerprint(checkout) != before


def test_a_file_that_moves_means_another_build(checkout: Checkout) -> None:
    before = fingerprint(checkout)
    (checkout.root / "functions" / "wake").rename(checkout.root / "functions" / "sleep")
    assert fingerprint(checkout) != before


@pytest.mark.parametrize(
    "path", ["functions/wake/__pycache__/app.cpython-311.pyc", "README.md", "tests/test_x.py"]
)
def test_what_is_not_shipped_means_nothing(checkout: Checkout, path: str) -> None:
    before = fingerprint(checkout)
    (checkout.root / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout.root / path).write_text("changed\n")
    assert fingerprint(checkout) == before


@pytest.mark.parametrize(
    "written",
    [
        'parameter_overrides = "LogRetentionDays=1 Architecture=arm65"',
        'parameter_overrides = ["LogRetentionDays=1", "Architecture=arm65"]',
    ],
)
def test_parameters_are_those_of_samconfig_and_of_this_machine(checkout: Checkout, written: str) -> None:
    (checkout.root / "samconfig.toml").write_text(f"version = 0.1\n[local.deploy.parameters]\n{written}\n")
    wanted = {
        "LogRetentionDays=1",
        f"Architecture={environment.architecture()}",
        f"PythonRuntime={environment.runtime()}",
    }
    assert set(parameters(checkout)) == wanted
    assert len(parameters(checkout)) == len(wanted)


def test_without_samconfig_there_are_those_of_this_machine(checkout: Checkout) -> None:
    assert len(parameters(checkout)) == 2


def test_a_broken_samconfig_is_named(checkout: Checkout) -> None:
    (checkout.root / "samconfig.toml").write_text("version = ")
    with pytest.raises(LocalError, match=r"samconfig\.toml cannot be read"):
        parameters(checkout)
