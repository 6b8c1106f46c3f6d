"""The files of one folder of an image, read out of its layers without unpacking any (OCI image specification 1.1,
"Image Layer Filesystem Changeset").

What is visible in a folder is decided from the topmost layer down: the first that has a name, or a whiteout of it,
decides. Lower layers are not read once one hides what is below: a whiteout of the folder or of a parent, an opaque one
in either, or something in their place that is no folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final, Protocol

from tidegate.domain.errors import OutsideError, RefusalError, TransientError

COMPRESSED_BYTES: Final = 256 * 1024 * 1024  # of all layers that are read
UNPACKED_BYTES: Final = 4 * 1024 * 1024 * 1024  # the same; a layer of nothing but zeros packs a thousandfold
FILE_BYTES: Final = 1024 * 1024
FOLDER_BYTES: Final = 5 * 1024 * 1024
FOLDER_FILES: Final = 1000
DOCUMENT_BYTES: Final = 4 * 1024 * 1024  # ECR's own limit of a manifest; a configuration is smaller

_SMALL: Final = "put the files into a small image of their own (FROM scratch, COPY *.sql), and name that one"
_GZIP: Final = (
    "build it with layers that gzip packs (docker buildx build --output type=image,compression=gzip,"
    "force-compression=true,push=true), or put the files into a small image of their own"
)
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_PIECE: Final = 1024 * 1024


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


Open = Callable[[str], AbstractContextManager[Readable]]
"""Opens the blob of a digest; its reads raise TransientError or OutsideError."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A descriptor of a manifest: where its bytes are and how many there are."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """`layers` lowest first; `config` None where there is none (an artifact)."""

    config: Blob | None
    layers: tuple[Blob, ...]


def parse(text: str, digest: str) -> Mapping[str, Any]:
    """A manifest or an index, once it is the one that the digest names. Raises OutsideError."""
    if _sha256(text.encode()) != digest:
        raise OutsideError(f"what the registry has as {digest} is something else")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise OutsideError(f"{digest} is no manifest of an image")
    return document


def chosen(document: Mapping[str, Any]) -> str | None:
    """Of an index, the digest of its first image for Linux; None where the document is a manifest already.

    BuildKit puts attestations beside images: no image, and for a platform `unknown` (Docker documentation, "Image
    attestation storage"). Raises OutsideError for an index without an image.
    """
    if "manifests" not in document:
        return None
    for entry in _list(document["manifests"]):
        platform = entry.get("platform") or {"os": "linux"}
        attests = (entry.get("annotations") or {}).get("vnd.docker.reference.type") == "attestation-manifest"
        if platform.get("os") == "linux" and not attests:
            return str(entry.get("digest"))
    raise OutsideError("the image has no variant for Linux")


def manifest(document: Mapping[str, Any]) -> Manifest:
    """Raises OutsideError for a manifest of another form (schema 1 has no layers by this name)."""
    config = document.get("config")
    if not isinstance(document.get("layers"), list):
        raise OutsideError("the image's manifest lists no layers")
    return Manifest(
        _blob(config) if isinstance(config, dict) else None,
        tuple(_blob(entry) for entry in _list(document["layers"])),
    )


def labels(config: Blob | None, open_blob: Open) -> dict[str, str]:
    """The labels of the image's configuration."""
    if config is None:
        return {}
    if config.size > DOCUMENT_BYTES:
        raise OutsideError("the image's configuration is too large to be one")
    with open_blob(config.digest) as source:
        checked = _Checked(source, config)
        text = checked.read(config.size)
        checked.finish()
    try:
        found = (json.loads(text).get("config") or {}).get("Labels") or {}
        return {str(name): str(value) for name, value in found.items()}
    except (ValueError, AttributeError):  # the configuration of something that is no container image
        return {}


def files(layers: Sequence[Blob], directory: str, suffix: str, open_blob: Open) -> dict[str, bytes]:
    """The folder's own files whose names end in `suffix`, by name, in the order of their names.

    Raises RefusalError where there is more than is read here, or where a link stands in for the folder or a file:
    links are not followed.
    """
    folder = _Folder(posixpath.normpath(f"/{directory}").strip("/"), suffix)
    compressed, budget = 0, _Budget(UNPACKED_BYTES)
    for layer in reversed(layers):
        compressed += layer.size
        if compressed > COMPRESSED_BYTES:
            raise RefusalError(
                f"/{folder.path} cannot be read: the image's layers have more than "
                f"{COMPRESSED_BYTES // 1024 // 1024} MiB",
                hint=_SMALL,
            )
        with open_blob(layer.digest) as source, _unpacked(source, layer, budget) as tar:
            hidden = folder.add(tar)
        if hidden:
            break
    return folder.found()


@dataclass(slots=True)
class _Budget:
    left: int


class _Checked:
    """A blob that is being read; `finish` says whether what was read is what the digest names."""

    def __init__(self, source: Readable, blob: Blob) -> None:
        self._source = source
        self._blob = blob
        self._hash = hashlib.sha256()
        self._read = 0

    def read(self, size: int = -1, /) -> bytes:
        most = self._blob.size - self._read
        piece = self._source.read(most if size < 0 else min(size, most)) if most > 0 else b""
        self._hash.update(piece)
        self._read += len(piece)
        return piece

    def finish(self) -> None:
        while self.read(_PIECE):
            pass
        if f"sha256:{self._hash.hexdigest()}" != self._blob.digest:
            raise TransientError(
                f"{self._blob.digest} did not come as it is: the download broke off or was changed"
            )


class _Limited:
    """Unpacked bytes, of which there may be only so many."""

    def __init__(self, source: Readable, budget: _Budget) -> None:
        self._source = source
        self._budget = budget

    def read(self, size: int = -1, /) -> bytes:
        piece = self._source.read(size)
        self._budget.left -= len(piece)
        if self._budget.left < 0:
            raise RefusalError(
                f"the image's layers have more than {UNPACKED_BYTES // 1024**3} GiB when they are unpacked",
                hint=_SMALL,
            )
        return piece


class _Again:
    """A source whose first bytes were looked at."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if not self._first:
            return self._rest.read(size)
        cut = len(self._first) if size < 0 else size
        piece, self._first = self._first[:cut], self._first[cut:]
        return piece


@contextmanager
def _unpacked(source: Readable, layer: Blob, budget: _Budget) -> Iterator[tarfile.TarFile]:
    """The tar of a layer, to be read once and forwards. What was read counts only when the block is left without an
    error: then the bytes were those that the digest names."""
    checked = _Checked(source, layer)
    try:
        with tarfile.open(mode="r|", fileobj=_tar(checked, layer, budget)) as tar:
            yield tar
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        checked.finish()  # a download that broke off may look like this; else it is the layer
        raise OutsideError(
            f"layer {layer.digest} of the image cannot be read: {type(error).__name__}"
        ) from error
    checked.finish()


def _tar(checked: _Checked, layer: Blob, budget: _Budget) -> IO[bytes]:
    """By the first bytes, as container engines tell: the media type is not always right."""
    first = checked.read(4)
    whole: Any = _Again(first, checked)
    if first[:2] == b"\x1f\x8b":
        whole = gzip.GzipFile(fileobj=whole, mode="rb")
    elif first == b"\x28\xb5\x2f\xfd":
        whole = _zstd(whole, layer)
    limited: Any = _Limited(whole, budget)  # tarfile asks for nothing but `read`
    return limited  # type: ignore[no-any-return]


def _zstd(packed: Readable, layer: Blob) -> Readable:
    import importlib  # noqa: PLC0415 - as rare as these layers

    try:
        zstd = importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise OutsideError(
            f"layer {layer.digest} of the image is packed with zstd, which this runtime cannot unpack",
            hint=_GZIP,
        ) from None
    unpacked: Readable = zstd.ZstdFile(packed)
    return unpacked


@dataclass(frozen=True, slots=True)
class _Link:
    """What stands in the place of a file and is not followed."""

    path: str
    target: str


@dataclass(slots=True)
class _Layer:
    """What one layer says of the folder. A name that comes twice counts as it came last."""

    names: dict[str, bytes | _Link | None] = field(default_factory=dict)
    parents: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    hides: bool = False


class _Folder:
    """`path` without slashes at its ends; empty for the root."""

    def __init__(self, path: str, suffix: str) -> None:
        self.path = path
        self._suffix = suffix
        parts = path.split("/") if path else []
        self._above = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}  # itself, too
        # None: nothing is there, whatever lower layers have.
        self._names: dict[str, bytes | _Link | None] = {}
        self._made: set[str] = set()

    def add(self, tar: tarfile.TarFile) -> bool:
        """The next layer below; whether it hides all that is below it."""
        layer = _Layer()
        for entry in tar:
            self._look(layer, tar, entry)
            # Else it keeps every entry of the layer, of which there may be a hundred thousand.
            tar.members = []  # type: ignore[attr-defined]
        for name, content in layer.names.items():
            self._names.setdefault(name, content)
        for name in layer.gone:
            self._names.setdefault(name, None)
        replaced = self._replaced(layer)
        self._made.update(path for path, entry in layer.parents.items() if entry.isdir())
        self._measure()
        return layer.hides or replaced

    def found(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for name, content in sorted(self._names.items()):
            if isinstance(content, _Link):
                raise _link(content)
            if content is not None:
                files[name] = content
        return files

    def _look(self, layer: _Layer, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        parts = [part for part in entry.name.split("/") if part not in ("", ".")]
        if not parts:
            return
        # One with `..` in it is the path of nothing here: it is not resolved.
        path, parent, name = "/".join(parts), "/".join(parts[:-1]), parts[-1]
        if name == _OPAQUE:
            layer.hides = layer.hides or parent in self._above or parent == ""
        elif name.startswith(_WHITEOUT):
            gone = name.removeprefix(_WHITEOUT)
            layer.hides = layer.hides or f"{parent}/{gone}".strip("/") in self._above
            if parent == self.path:
                layer.gone.add(gone)
        elif path in self._above:
            layer.parents[path] = entry
        elif parent == self.path and name.endswith(self._suffix):
            layer.names[name] = None if name in self._names else self._content(layer, tar, entry, name)

    def _content(
        self, layer: _Layer, tar: tarfile.TarFile, entry: tarfile.TarInfo, name: str
    ) -> bytes | _Link | None:
        if entry.islnk():  # to something that came before it in the same layer
            folder, _, target = posixpath.normpath(entry.linkname).strip("/").rpartition("/")
            known = layer.names.get(target) if folder == self.path else None
            return known if isinstance(known, bytes) else _Link(f"{self.path}/{name}", entry.linkname)
        if entry.issym():
            return _Link(f"{self.path}/{name}", entry.linkname)
        content = tar.extractfile(entry) if entry.isreg() else None
        if content is None:
            return None
        if entry.size > FILE_BYTES:
            raise RefusalError(
                f"/{self.path}/{name} has {entry.size} bytes; a file of the folder may have {FILE_BYTES}",
                hint="split it into several files",
            )
        return content.read()

    def _replaced(self, layer: _Layer) -> bool:
        """Whether something that is no folder stands where the folder or a parent is, below what is known so far."""
        for path, entry in sorted(layer.parents.items()):
            if entry.isdir():
                continue
            if entry.issym() and path not in self._made:
                raise _link(_Link(path, entry.linkname))
            return True
        return False

    def _measure(self) -> None:
        contents = [content for content in self._names.values() if isinstance(content, bytes)]
        if len(contents) > FOLDER_FILES or sum(map(len, contents)) > FOLDER_BYTES:
            raise RefusalError(
                f"/{self.path} has more than {FOLDER_FILES} files or {FOLDER_BYTES // 1024 // 1024} MiB of them",
                hint=_SMALL,
            )


def _link(link: _Link) -> RefusalError:
    return RefusalError(
        f"/{link.path} is a link in the image (to {link.target[:100]!r}), and links are not followed",
        hint="copy the files themselves into the folder that is named",
    )


def _blob(entry: Mapping[str, Any]) -> Blob:
    try:
        return Blob(str(entry["digest"]), int(entry["size"]))
    except (KeyError, TypeError, ValueError):
        raise OutsideError("the image's manifest has a layer without digest or size") from None


def _list(entries: object) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
