"""Made-up images: layers as container engines write them, a manifest that names them, and their blobs by digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tidegate.adapters.image_layers import Blob, Open, Readable

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
Entry = tuple[str, bytes | str | None]
"""A file's path and content; of a symbolic link `-> target`, of a hard link `=> target`, of a folder None."""


def tar(*entries: Entry) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in entries:
            info = tarfile.TarInfo(path)
            data = b""
            match content:
                case None:
                    info.type = tarfile.DIRTYPE
                case str() if content.startswith("-> "):
                    info.type, info.linkname = tarfile.SYMTYPE, content[3:]
                case str() if content.startswith("=> "):
                    info.type, info.linkname = tarfile.LNKTYPE, content[3:]
                case str():
                    data = content.encode()
                case _:
                    data = content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return written.getvalue()


def layer(*entries: Entry) -> bytes:
    return gzip.compress(tar(*entries), mtime=0)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Blobs:
    """`opened` are the digests that were asked for, in order."""

    contents: dict[str, bytes] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def add(self, content: bytes) -> Blob:
        digest = digest_of(content)
        self.contents[digest] = content
        return Blob(digest, len(content))

    @property
    def open(self) -> Open:
        @contextmanager
        def opened(digest: str) -> Iterator[Readable]:
            self.opened.append(digest)
            yield io.BytesIO(self.contents[digest])

        return opened


def image_of(
    put: Callable[[bytes], Blob],
    *layers: bytes,
    labels: Mapping[str, str] | None = None,
    kind: str = MANIFEST,
) -> str:
    """The manifest's text of an image whose lowest layer comes first; `put` keeps its blobs."""
    config = json.dumps({"os": "linux", "config": {"Labels": labels}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": descriptor(put(config)),
        "layers": [descriptor(put(content)) for content in layers],
    }
    return json.dumps(document, indent=1)


def index_of(*manifests: tuple[str, Mapping[str, object]]) -> str:
    """An index of manifests, each with what it says beside its digest."""
    entries = [
        {"mediaType": MANIFEST, "digest": digest_of(text.encode()), "size": len(text), **more}
        for text, more in manifests
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def descriptor(blob: Blob) -> dict[str, object]:
    return {"digest": blob.digest, "size": blob.size}
