"""A base image with Python for containers, made from the Python that runs: no public registry, no package index.

For recipes whose Dockerfile begins with `ARG BASE_IMAGE`: it has the interpreter, its standard library, pip, a shell
(busybox), the shared libraries that they need, and the distributions that a `requirements.txt` names, in the versions
that are installed here. `RUN pip install -r requirements.txt` then finds everything in place. Linux only, as Docker.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tidegate_local import base_image, engine

NAME = "tidegate-python"
# Always there: what the Dockerfiles call, and the time zones that an official Python image has from its system.
ALWAYS = ("pip", "tzdata")
_LIBRARY = f"usr/local/lib/python{sys.version_info[0]}.{sys.version_info[1]}"
_LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
}
# glibc loads them by name: for names of hosts, and to end a thread.
_LOADED_LATER = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2", "libgcc_s.so.1")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_ETC = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def build(docker_host: str, registry: str, requirements: Path) -> str:
    """Make it in the engine at `docker_host`; returns its name, `<registry>/tidegate-python:<hash>`.

    `registry` is a cloud's, so that the cloud's end removes it. Does nothing where it is there already. Raises
    LookupError for a requirement that is not installed here in that version, and docker's errors.
    """
    import docker.errors  # noqa: PLC0415 -- only where there is an engine

    found = distributions(requirements.read_text().splitlines())
    versions = [f"{name} {distribution.version}" for name, distribution in sorted(found.items())]
    tag = hashlib.sha256("\n".join([sys.version, *versions]).encode()).hexdigest()[:16]
    repository = f"{registry}/{NAME}"
    with engine.connected(docker_host) as client:
        try:
            client.api.inspect_image(f"{repository}:{tag}")
        except docker.errors.ImageNotFound:
            with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
                libraries = write(Path(archive.name), found.values())
                client.api.import_image_from_file(
                    archive.name, repository=repository, tag=tag, changes=_settings(libraries)
                )
    return f"{repository}:{tag}"


def distributions(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    """What the lines of a requirements file need, and what that needs, by canonical name; of what is installed here."""
    wanted = [
        Requirement(line) for line in (*ALWAYS, *requirements) if line.strip() and not line.startswith("#")
    ]
    found: dict[str, metadata.Distribution] = {}
    seen = set()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            raise LookupError(f"{requirement} is not installed here") from None
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            raise LookupError(f"{requirement} is not what is installed here: {distribution.version}")
        found[canonicalize_name(requirement.name)] = distribution
        extras = requirement.extras or {""}
        for line in distribution.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
    return found


def write(archive: Path, found: Iterable[metadata.Distribution]) -> list[str]:
    """The root file system as a tar; the folders of its shared libraries."""
    python = Path(sys.executable).resolve()
    binary = f"usr/local/bin/{python.name}"
    files = {binary: python, **dict(_standard_library())}
    for distribution in found:
        files.update(_installed(distribution))
    native = [python, *(path for name, path in files.items() if re.search(r"\.so(\.|$)", name))]
    libraries = {str(path).lstrip("/"): path for path in _shared_libraries(native)}
    with tarfile.open(archive, "w") as tar:
        # The shared libraries of an interpreter may be below /root; who runs it need not be root.
        for folder, mode in {"tmp": 0o1777, "root": 0o755, "bin": 0o755}.items():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, path in {**files, **libraries, "bin/busybox": base_image.find_busybox()}.items():
            tar.add(path.resolve(), name, recursive=False)
        for name, text in _ETC.items():
            _add(tar, name, text.encode())
        if _CERTIFICATES.exists():
            _add(tar, str(_CERTIFICATES).lstrip("/"), _CERTIFICATES.read_bytes())
        for name in ("python", "python3"):
            _link(tar, f"usr/local/bin/{name}", python.name)
        for name in ("sh", "sleep", "cat", "env", "id", "ls", "mkdir", "wget"):
            _link(tar, f"bin/{name}", "busybox")
        for distribution in found:
            for script in distribution.entry_points.select(group="console_scripts"):
                _add(tar, f"usr/local/bin/{script.name}", _starter(script), mode=0o755)
    return sorted({str(path.parent) for path in libraries.values()})


def _standard_library() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")]
        for name in names:
            if name == "EXTERNALLY-MANAGED":  # Debian's word to pip (PEP 668), which is of no image
                continue
            path = Path(folder, name)
            yield f"{_LIBRARY}/{path.relative_to(root)}", path


def _installed(distribution: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Its files in `site-packages`; scripts are made anew, bytecode is left out."""
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            yield f"{_LIBRARY}/site-packages/{PurePosixPath(file)}", Path(str(file.locate()))


def _shared_libraries(native: Iterable[Path]) -> set[Path]:
    """What the dynamic linker finds for them outside of their own folders, the linker itself too."""
    said = subprocess.run(["ldd", *map(str, native)], capture_output=True, text=True, check=False).stdout
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    named = set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE))
    later = {
        path
        for name in _LOADED_LATER
        for path in re.findall(rf"^\s+{re.escape(name)} .*=> (\S+)$", known, re.M)
    }
    return {Path(path) for path in named | later if "site-packages" not in path}


def _settings(libraries: Iterable[str]) -> list[str]:
    return [
        "ENV PATH=/usr/local/bin:/bin",
        f"ENV LD_LIBRARY_PATH={':'.join(libraries)}",
        f"ENV SSL_CERT_FILE={_CERTIFICATES}",
        # Debian's Python looks for packages elsewhere.
        f"ENV PYTHONPATH=/{_LIBRARY}/site-packages",
        "ENV LANG=C.UTF-8 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1",
        'CMD ["python"]',
    ]


def _starter(script: metadata.EntryPoint) -> bytes:
    call = f"{script.module}.{script.attr}"
    return f"#!/usr/local/bin/python\nimport sys\nimport {script.module}\nsys.exit({call}())\n".encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
