"""One holder at a time, also over a folder that the holder removes."""

import shutil
import threading
from pathlib import Path

import pytest
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.locking import exclusive


def ignore() -> None:
    """Nobody is told."""


def test_a_second_one_waits_and_gives_up(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "lock"
    with (
        exclusive(path, what="it", seconds=1, waiting=ignore),
        pytest.raises(LocalError, match="it is still busy"),
        exclusive(path, what="it", seconds=0.2, waiting=lambda: told.append("waiting")),
    ):
        raise AssertionError("two hold it")
    assert told == ["waiting"]


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "lock", what="it", seconds=1, waiting=ignore):
        _ = 1 / 0
    with exclusive(tmp_path / "lock", what="it", seconds=0, waiting=ignore):
        pass


def test_the_next_holder_locks_what_is_there_and_not_what_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    waits, inside = threading.Event(), list[bool]()

    def next_one() -> None:
        with exclusive(path, what="it", seconds=10, waiting=waits.set):
            inside.append(path.exists())

    with exclusive(path, what="it", seconds=1, waiting=ignore):
        follower = threading.Thread(target=next_one)
        follower.start()
        assert waits.wait(10)
        shutil.rmtree(path.parent)
    follower.join(10)
    assert inside == [True]
