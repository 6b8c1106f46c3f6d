"""Which busybox can be a base image."""

import shutil
from pathlib import Path

import pytest
from tidegate_local import base_image


def put(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "busybox"
    file.write_bytes(content)
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_none_is_told_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(base_image.NoBusyboxError, match="apt-get install busybox-static"):
        base_image.find_busybox()


def test_one_that_needs_libraries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, Path(str(shutil.which("env"))).read_bytes(), monkeypatch)
    with pytest.raises(base_image.NoBusyboxError, match="linked dynamically"):
        base_image.find_busybox()


def test_one_without_what_is_needed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, b"#!/bin/sh\nprintf 'cat\\nsh\\nsleep\\n'\n", monkeypatch)
    with pytest.raises(base_image.NoBusyboxError, match="lacks httpd, nc, wget"):
        base_image.find_busybox()
