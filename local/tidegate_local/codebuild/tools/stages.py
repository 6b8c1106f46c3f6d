"""What COPY, ADD and LABEL put into the stages of a Dockerfile (Dockerfile reference).

Left out is what only an engine could tell: what RUN makes, what a base image brings, what ADD downloads or unpacks,
here-documents, and links in the place of folders.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate_local.codebuild.tools.contexts import Context, select
from tidegate_local.images import File


@dataclass(slots=True)
class Stage:
    """`files` by their path from the root, without a slash before it."""

    files: dict[str, File] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    folder: str = "/"

    def copy(self, found: Mapping[str, File], patterns: Sequence[str], to: str) -> None:
        """Files of a context or of another stage, by path, that fit `patterns`."""
        target = self._path(to)
        names: dict[str, str] = {}
        folders = to.endswith(("/", "/.")) or to == "." or len(patterns) > 1
        for pattern in patterns:
            chosen, is_folder = select(found, pattern)
            folders = folders or is_folder or len(chosen) > 1
            names.update(chosen)
        folders = folders or any(path.startswith(f"{target}/") for path in self.files)
        for name, path in names.items():
            self.files[f"{target}/{name}".lstrip("/") if folders else target] = found[path]

    def enter(self, folder: str) -> None:
        self.folder = f"/{self._path(folder)}"

    def _path(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.folder, path)).strip("/")


class Stages:
    """`bases` are the images that the stages begin with, but for those that are stages themselves."""

    def __init__(self, context: Context) -> None:
        self.bases: list[str] = []
        self._context = context
        self._stages: list[Stage] = []
        self._named: dict[str, Stage] = {}

    @property
    def last(self) -> Stage:
        return self._stages[-1]

    def named(self, name: str) -> Stage | None:
        return self._named.get(name.lower())

    def begin(self, base: str, name: str) -> None:
        known = self.named(base)
        if known is None:
            self.bases.append(base)
            known = Stage()
        stage = Stage(dict(known.files), dict(known.labels), known.folder)
        for key in (str(len(self._stages)), name):
            if key:
                self._named[key] = stage
        self._stages.append(stage)

    def copy(self, origin: str | None, patterns: Sequence[str], to: str) -> None:
        """`origin` is what --from names; of an image from outside nothing is known."""
        if origin is None:
            self.last.copy(self._context.contents, patterns, to)
        elif stage := self.named(origin):
            self.last.copy(stage.files, patterns, to)
