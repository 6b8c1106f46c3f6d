"""Which checkout, and which state folder, is meant."""

from pathlib import Path

import pytest
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import UsageError


def test_it_is_the_one_this_package_is_in() -> None:
    found = Checkout.find({})
    assert (found.root / "local" / "tidegate_local").is_dir()
    assert found.state == found.root / ".tidegate"


def test_another_state_folder_can_be_named(tmp_path: Path) -> None:
    assert Checkout.find({"TIDEGATE_STATE_DIR": str(tmp_path / "b")}).state == tmp_path / "b"


def test_another_checkout_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").touch()
    found = Checkout.find({"TIDEGATE_CHECKOUT": str(tmp_path)})
    assert (found.root, found.state) == (tmp_path, tmp_path / ".tidegate")


def test_a_folder_without_a_template_is_not_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        Checkout.find({"TIDEGATE_CHECKOUT": str(tmp_path)})
    assert refused.value.exit_code == 2
    assert str(tmp_path) in refused.value.message
