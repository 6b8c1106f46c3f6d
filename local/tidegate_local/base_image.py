"""A base image that needs no public registry: a static busybox and nothing else.

For machines and CI that reach no registry, and for tests; `ARG BASE_IMAGE` of the sample's Dockerfile names it. It has
/bin/sh, httpd, nc and wget. Its name is one of the cloud's registry, so that the cloud's end removes it too.
"""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from tidegate_local import engine

NAME, TAG = "tidegate-base", "1"
NEEDED = ("sh", "httpd", "nc", "wget", "sleep", "cat")
_INTERPRETERS = (b"/ld-linux", b"/ld-musl")
_HINT = (
    "install it (Debian and Ubuntu: apt-get install busybox-static), or build with a BASE_IMAGE of your own"
)


class NoBusyboxError(Exception):
    """There is no static busybox on this machine; the message has the mend."""


def build(docker_host: str, registry: str) -> str:
    """Make it in the engine at `docker_host`; returns its name, `127.0.0.1:<port>/tidegate-base:1`.

    Does nothing where it is there already. Raises `NoBusyboxError`, and docker's errors.
    """
    import docker.errors  # noqa: PLC0415 -- only where there is an engine

    repository = f"{registry}/{NAME}"
    with engine.connected(docker_host) as client:
        try:
            client.api.inspect_image(f"{repository}:{TAG}")
        except docker.errors.ImageNotFound:
            client.api.import_image_from_data(
                _archive(find_busybox()),
                repository=repository,
                tag=TAG,
                changes=["ENV PATH=/bin", 'CMD ["/bin/sh"]'],
            )
    return f"{repository}:{TAG}"


def find_busybox() -> Path:
    """A busybox that runs without any library, with the applets that are needed. Raises `NoBusyboxError`."""
    found = shutil.which("busybox")
    if found is None:
        raise NoBusyboxError(f"no busybox is installed; {_HINT}")
    # The dynamic linker's path is in the program header, at the very beginning.
    if any(name in Path(found).read_bytes()[:4096] for name in _INTERPRETERS):
        raise NoBusyboxError(f"{found} is linked dynamically; {_HINT}")
    lacking = sorted({*NEEDED} - {*_applets(Path(found))})
    if lacking:
        raise NoBusyboxError(f"{found} lacks {', '.join(lacking)}; {_HINT}")
    return Path(found)


def _applets(busybox: Path) -> list[str]:
    listed = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def _archive(busybox: Path) -> bytes:
    """The root file system as a tar."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, mode in {"bin": 0o755, "etc": 0o755, "tmp": 0o1777}.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        _add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
        _add(tar, "etc/group", b"root:x:0:\nnobody:x:65534:\n", 0o644)
        for applet in _applets(busybox):
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
