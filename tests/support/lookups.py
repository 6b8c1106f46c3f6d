"""What is only looked up: images, references, alarms, logs, the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tidegate.domain.errors import BadManifestError
from tidegate.domain.scaling import Bounds
from tidegate.ports import ImageFolder, Scan

from tests.support.scripted import Scripted, recorded

REGISTRY_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


class FakeImages(Scripted):
    """`files` are those of images by (repository, digest): contents by their path in the image (`/migrations/1_a.sql`);
    `labels` likewise."""

    def __init__(self) -> None:
        super().__init__()
        self.repositories: dict[str, dict[str, set[str]]] = {}
        self.scans: dict[tuple[str, str], Scan] = {}
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.labels: dict[tuple[str, str], dict[str, str]] = {}

    @recorded
    def uri(self, repository: str) -> str | None:
        return f"{REGISTRY_HOST}/{repository}" if repository in self.repositories else None

    @recorded
    def digest(self, repository: str, tag: str) -> str | None:
        images = self.repositories.get(repository, {})
        return next((digest for digest, tags in images.items() if tag in tags), None)

    @recorded
    def exists(self, repository: str, digest: str) -> bool:
        return digest in self.repositories.get(repository, {})

    @recorded
    def tag(self, repository: str, digest: str, tag: str) -> str | None:
        images = self.repositories.get(repository, {})
        named = next((found for found, tags in images.items() if tag in tags), None)
        if named is None and digest in images:
            images[digest].add(tag)
            return digest
        return named

    @recorded
    def scan(self, repository: str, digest: str) -> Scan | None:
        found = self.scans.get((repository, digest))
        return found if digest in self.repositories.get(repository, {}) else None

    @recorded
    def folder(self, repository: str, digest: str, directory: str, suffix: str) -> ImageFolder | None:
        if digest not in self.repositories.get(repository, {}):
            return None
        found = {}
        for path, content in sorted(self.files.get((repository, digest), {}).items()):
            parent, _, name = path.rpartition("/")
            if parent.strip("/") == directory.strip("/") and name.endswith(suffix):
                found[name] = content
        return ImageFolder(found, dict(self.labels.get((repository, digest), {})))

    def set_scan(self, repository: str, digest: str, scan: Scan) -> None:
        self.scans[repository, digest] = scan

    def add_repository(self, repository: str) -> None:
        self.repositories.setdefault(repository, {})

    def push(self, repository: str, digest: str, tag: str | None = None) -> str:
        """An image; a tag moves to it from the image that had it. Gives the digest."""
        self.add_repository(repository)
        images = self.repositories[repository]
        images.setdefault(digest, set())
        if tag is not None:
            for tags in images.values():
                tags.discard(tag)
            images[digest].add(tag)
        return digest

    def delete(self, repository: str, digest: str) -> None:
        del self.repositories[repository][digest]


class FakeReferences(Scripted):
    """`secrets` are ARNs, `parameters` names (with their leading slash where they have one)."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.parameters: set[str] = set()

    @recorded
    def missing(self, value_froms: Sequence[str]) -> list[str]:
        return [value for value in dict.fromkeys(value_froms) if not self._exists(value)]

    def _exists(self, value: str) -> bool:
        if not value.startswith("arn:"):
            return value in self.parameters
        parts = value.split(":")
        if parts[2] == "secretsmanager":
            return ":".join(parts[:7]) in self.secrets
        name = parts[5].removeprefix("parameter")
        return name in self.parameters or name.removeprefix("/") in self.parameters


class FakeWebhookSecrets(Scripted):
    """`secrets` are those that are given out, `newer` those that a second look finds, once."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, str] = {}
        self.newer: dict[str, str] | None = None

    @recorded
    def get(self) -> Mapping[str, str]:
        return dict(self.secrets)

    @recorded
    def reread(self) -> Mapping[str, str] | None:
        if self.newer is None:
            return None
        self.secrets, self.newer = self.newer, None
        return dict(self.secrets)


class FakeAlarms(Scripted):
    def __init__(self) -> None:
        super().__init__()
        self.alarming: set[str] = set()
        self.unknown: set[str] = set()

    @recorded
    def missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name in self.unknown]

    @recorded
    def in_alarm(self, names: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name in self.alarming]


class FakeLogs(Scripted):
    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[tuple[str, str], list[str]] = {}

    @recorded
    def tail(self, group: str, stream: str, lines: int) -> list[str]:
        written = self.streams.get((group, stream), [])
        return written[max(0, len(written) - max(0, lines)) :]

    def write(self, group: str, stream: str, *lines: str) -> None:
        self.streams.setdefault((group, stream), []).extend(lines)


class FakeRegistry(Scripted):
    """`texts` are the registered manifests as stored: a test may put anything there that IaC could have written."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[tuple[str, str], str] = {}
        self.images: dict[tuple[str, str, str], str] = {}
        self.counts: dict[tuple[str, str, str], str] = {}

    @recorded
    def manifest(self, system: str, environment: str) -> object | None:
        text = self.texts.get((system, environment))
        if text is None:
            return None
        try:
            data: object = json.loads(text)
        except ValueError:
            raise BadManifestError(f"/tidegate/{system}/{environment} is not JSON") from None
        return data

    @recorded
    def put_manifest(self, system: str, environment: str, data: object) -> None:
        self.texts[system, environment] = json.dumps(data)

    @recorded
    def environments(self, system: str) -> list[str]:
        return sorted(environment for name, environment in self.texts if name == system)

    @recorded
    def systems(self) -> list[tuple[str, str]]:
        return sorted(self.texts)

    @recorded
    def publish_image(self, system: str, environment: str, image: str, uri: str) -> None:
        self.images[system, environment, image] = uri

    @recorded
    def count(self, system: str, environment: str, service: str) -> int | None:
        text = self.counts.get((system, environment, service), "")
        return int(text) if text.isdecimal() else None

    @recorded
    def publish_count(self, system: str, environment: str, service: str, count: int) -> None:
        self.counts[system, environment, service] = str(count)


class FakeScaling(Scripted):
    """`targets` are the bounds by cluster and ECS service."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[tuple[str, str], Bounds] = {}

    @recorded
    def bounds(self, cluster: str, service: str) -> Bounds | None:
        return self.targets.get((cluster, service))
