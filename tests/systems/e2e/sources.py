"""The repository of a system's team: a copy of systems/_apps in the folder of each image that its manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tests.e2e.support import ROOT

APPS = ROOT / "systems" / "_apps"
ADDED = "0002_label.sql"
ADD = "ALTER TABLE items ADD COLUMN label varchar(40);\n"
BEFORE, AFTER = ["id", "name", "done"], ["id", "name", "done", "label"]
"""Columns of the table `items`."""
_BASE = "ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.13-slim"
_TOOL = """\
#!/bin/sh
# Stands for the tool of that name, which the manifest calls: upgrades, and looks whether there is something to upgrade.
case "$*" in
  *check*|*current*) exec python -m app migrate --check ;;
  *) exec python -m app migrate ;;
esac
"""
_MAKEFILE = """\
%:
\t@python3 -m compileall -q app
"""
_BREAK = '\n\ndef {name}(*_: object) -> None:\n    raise SystemExit("no such column: colour")\n'


@dataclass(frozen=True)
class Sources:
    """`base` is the image that their Dockerfiles begin with; empty for the public one that they name."""

    manifest: Mapping[str, Any]
    base: str = ""

    def every(self) -> dict[str, str]:
        """All files of the first commit."""
        files = {"README.md": f"# {self.manifest['system']}\n"}
        for image in self.manifest["images"]:
            files |= self._of(image)
        return files

    def version(self, text: str, *images: str) -> dict[str, str]:
        """These images, else all, in that version."""
        return {self._path(image, "version"): f"{text}\n" for image in images or self.manifest["images"]}

    def migration(self) -> dict[str, str]:
        """One more column."""
        return {self._path(self.migrating_image, f"migrations/{ADDED}"): ADD}

    @property
    def migrating_image(self) -> str:
        """Which one has the migrations that run."""
        migrations = self.manifest["migrations"]
        if migrations.get("runner") == "sql":
            return str(migrations.get("image") or next(iter(self.manifest["images"])))
        return str(self.manifest["services"][migrations["service"]]["image"])

    def breakable(self, *, contained: bool) -> str:
        """The service that is broken: the last one, so that others have rolled before. A container of a worker has
        nobody who asks for its health: ECS takes it for well as soon as it runs, and one that ends a second later comes
        too late. So with containers it is the last one that listens."""
        services: list[str] = list(self.manifest["services"])
        return next(key for key in reversed(services) if not (contained and _works(key)))

    def broken(self, service: str) -> dict[str, str]:
        """A version in which that service does not start."""
        image = str(self.manifest["services"][service]["image"])
        module, name = ("working", "work") if _works(service) else ("serving", "serve")
        text = (APPS / "app" / f"{module}.py").read_text()
        return {self._path(image, f"app/{module}.py"): text + _BREAK.format(name=name)}

    def mended(self, service: str) -> dict[str, str]:
        """What was there before `broken`."""
        return {path: (APPS / "app" / PurePosixPath(path).name).read_text() for path in self.broken(service)}

    def _of(self, image: str) -> dict[str, str]:
        files = {
            path.relative_to(APPS).as_posix(): path.read_text()
            for path in sorted(APPS.rglob("*"))
            if path.is_file()
            and path.suffix != ".pyc"
            and path.name != "README.md"
            # What mypy, ruff and pytest leave behind where somebody called them there.
            and not any(part.endswith("_cache") for part in path.parts)
        }
        build = self.manifest["images"][image]["build"]
        dockerfile = files.pop("Dockerfile")
        if self.base:
            assert _BASE in dockerfile
            dockerfile = dockerfile.replace(_BASE, f"ARG BASE_IMAGE={self.base}")
        services = [key for key, entry in self.manifest["services"].items() if entry["image"] == image]
        if all(_works(key) for key in services):
            dockerfile = dockerfile.replace('"serve"]', '"work"]')
        files[build.get("dockerfile", "Dockerfile")] = dockerfile
        files["name"] = f"{image}\n"
        if "make" in build.get("test", ""):
            files["Makefile"] = _MAKEFILE
        for command in ("command", "verify"):
            tool = self.manifest["migrations"].get(command, ["python"])[0]
            if tool != "python":
                files[f"bin/{tool}"] = _TOOL
        return {self._path(image, name): text for name, text in files.items()}

    def _path(self, image: str, name: str) -> str:
        return (PurePosixPath(self.manifest["images"][image]["build"].get("context", ".")) / name).as_posix()


def _works(service: str) -> bool:
    """Whether it is a worker: the systems call it so."""
    return "worker" in service
