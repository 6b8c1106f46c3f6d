"""A layer is unpacked once, and every process of a function reads the same files.

AWS: a layer is there before a function starts, read-only under /opt (Lambda developer guide, "Managing Lambda
dependencies with layers").
MiniStack: unpacks every layer for each process that it starts, in its own process. Of a layer with some thousand
files that is half a second in which it answers nobody, and Python compiles all of it again.
Mended by unpacking the first time only; later processes get links to that. A layer with other content is another one.
"""

import hashlib
import os
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

from tidegate_local.seam import expect, expect_attributes

_lock = threading.Lock()
_unpacked: dict[str, Path] = {}


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect(
        lambda_runtime.Worker,
        "_spawn",
        signature="(self)",
        shows="""lzip = os.path.join(self._tmpdir, f"layer_{len(layers_dirs)}.zip")""",
    )
    expect_attributes(lambda_runtime, "zipfile")
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _open})


def _open(file: Any, *args: Any, **options: Any) -> Any:
    path = Path(os.fspath(file))
    layer = path.name.startswith("layer_") and not args and not options
    return _Layer(path) if layer else zipfile.ZipFile(file, *args, **options)


class _Layer:
    """As much of a ZipFile as `Worker._spawn` asks for."""

    def __init__(self, path: Path) -> None:
        self._folder = _unpack(path)

    def __enter__(self) -> "_Layer":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def namelist(self) -> list[str]:
        """What leads out of the folder was refused when it was unpacked."""
        return [entry.name for entry in self._folder.iterdir()]

    def extractall(self, folder: str) -> None:
        for entry in self._folder.iterdir():
            (Path(folder) / entry.name).symlink_to(entry)


def _unpack(path: Path) -> Path:
    """The folder with a layer's content; raises what `zipfile` raises."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with _lock:
        if digest not in _unpacked:
            # With the other temporary files, so it goes when they go.
            folder = Path(tempfile.mkdtemp(prefix="ministack-layer-"))
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
            _unpacked[digest] = folder
        return _unpacked[digest]
