"""Rules between fields.

They read the manifest as it was written, not the models, and pass over whatever has the wrong shape: so a broken field
in one place does not hide a broken reference in another, and a person sees every problem at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from tidegate.domain.build import touched
from tidegate.domain.durations import parse_duration
from tidegate.domain.errors import BadManifestError
from tidegate.domain.manifest.fields import in_environment
from tidegate.domain.manifest.parts import STRATEGIES
from tidegate.domain.manifest.problems import Path, Problem, one_of, shown, suggestion
from tidegate.domain.regions import REGIONS

_USERS: Final = {"alternating": 2, "dual-password": 1, "two-step": 1, "regenerate": 0}


def broken_rules(data: object) -> list[Problem]:
    manifest = _mapping(data)
    return [
        *_images_sharing_a_tag(manifest),
        *_images_that_cannot_be_built(manifest),
        *_unknown_images(manifest),
        *_unknown_overrides(manifest),
        *_same_ecs_names(manifest),
        *_database(manifest),
        *_migrations(manifest),
        *_secrets(manifest),
        *_same_secrets(manifest),
        *_empty_windows(manifest),
        *_residency(manifest),
        *_order_of_environments(manifest),
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(known: Mapping[str, Any], what: str) -> str:
    return (
        f"use one of: {', '.join(shown(name) for name in sorted(known)[:10])}"
        if known
        else f"add it under {what}"
    )


def _images_sharing_a_tag(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Two images that Tidegate builds would push over one another's tag. Those of another CI are its own affair."""
    first: dict[tuple[str, str], str] = {}
    for key, raw in _mapping(manifest.get("images")).items():
        image = _mapping(raw)
        repository, tag = image.get("repository"), image.get("tag", "{commit}")
        if "build" not in image or not isinstance(repository, str) or not isinstance(tag, str):
            continue
        other = first.setdefault((repository, tag), key)
        if other != key:
            yield Problem(
                ("images", key, "tag"),
                f'"tag" is the same as that of image {shown(other)}, in the same repository',
                f'tell them apart with a prefix, for example tag: "{key[:40]}-{{commit}}"',
            )


def _images_that_cannot_be_built(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """A release tag never moves, so each commit needs one of its own; a pattern that is none would hold up pushes."""
    for key, raw in _mapping(manifest.get("images")).items():
        image = _mapping(raw)
        tag, watch = image.get("tag"), image.get("watch")
        if "build" in image and isinstance(tag, str) and "{commit}" not in tag:
            yield Problem(
                ("images", key, "tag"),
                '"tag" is the same for every commit, and a tag that was released never moves',
                'put the commit into it, for example tag: "{commit}"',
            )
        for index, pattern in enumerate(watch if isinstance(watch, list) else []):
            if isinstance(pattern, str) and not _is_pattern(pattern):
                yield Problem(
                    ("images", key, "watch", index),
                    f'"watch" holds no path pattern: {shown(pattern)}',
                    "write patterns as in a .gitignore, for example backend/**",
                )


def _is_pattern(text: str) -> bool:
    try:
        touched([text], ())
    except BadManifestError:
        return False
    return True


def _unknown_images(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    images = _mapping(manifest.get("images"))
    for path, raw in _services_and_overrides(manifest):
        image = raw.get("image")
        if isinstance(image, str) and image not in images:
            yield Problem(
                (*path, "image"),
                f'"image" names no image of the manifest: {shown(image)}',
                suggestion(image, images, otherwise=_named(images, "images")),
            )


def _unknown_overrides(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    services = _mapping(manifest.get("services"))
    for name, raw in _mapping(manifest.get("environments")).items():
        for key in _mapping(_mapping(raw).get("services")):
            if key not in services:
                yield Problem(
                    ("environments", name, "services", key),
                    f"{shown(key)} is no service of the manifest, so there is nothing to override",
                    suggestion(key, services, otherwise=_named(services, "services")),
                )


def _services_and_overrides(manifest: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for key, raw in _mapping(manifest.get("services")).items():
        yield ("services", key), _mapping(raw)
    for name, environment in _mapping(manifest.get("environments")).items():
        for key, raw in _mapping(_mapping(environment).get("services")).items():
            yield ("environments", name, "services", key), _mapping(raw)


def _same_ecs_names(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """ECS service names are unique within a cluster, and an environment is one cluster.

    Environments are not compared with one another: they may be clusters of one name in two accounts.
    """
    reported: set[Path] = set()
    services = _mapping(manifest.get("services"))
    for name, raw in _mapping(manifest.get("environments")).items():
        environment = _mapping(raw)
        overrides = _mapping(environment.get("services"))
        first: dict[str, str] = {}
        for key, base in services.items():
            path, ecs_name = _ecs_name(name, key, _mapping(base), _mapping(overrides.get(key)))
            other = first.setdefault(ecs_name, key)
            if other == key or path in reported:
                continue
            reported.add(path)
            yield Problem(
                path,
                f"services {shown(other)} and {shown(key)} have one ECS service name, {shown(ecs_name)},"
                f" in one cluster, {shown(environment.get('cluster'))} of {shown(name)}",
                'give each service a name of its own with "service"',
            )


def _ecs_name(
    environment: str, key: str, base: Mapping[str, Any], override: Mapping[str, Any]
) -> tuple[Path, str]:
    """A service's name in an environment, and where that is written."""
    if isinstance(override.get("service"), str):
        return ("environments", environment, "services", key, "service"), override["service"]
    if isinstance(base.get("service"), str):
        return ("services", key, "service"), base["service"]
    return ("services", key), key


def _database(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    raw = manifest.get("database")
    if isinstance(raw, dict) and ("cluster" in raw) == ("instance" in raw):
        said = "both a cluster and an instance" if "cluster" in raw else "neither a cluster nor an instance"
        yield Problem(
            ("database",), f'"database" names {said}', "name one: {cluster: ...} or {instance: ...}"
        )


def _migrations(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    raw = manifest.get("migrations")
    if not isinstance(raw, dict):
        return
    services = _mapping(manifest.get("services"))
    service = raw.get("service")
    if isinstance(service, str) and service not in services:
        yield Problem(
            ("migrations", "service"),
            f'"service" names no service of the manifest: {shown(service)}',
            suggestion(service, services, otherwise=_named(services, "services")),
        )
    image, images = raw.get("image"), _mapping(manifest.get("images"))
    if isinstance(image, str) and image not in images:
        yield Problem(
            ("migrations", "image"),
            f'"image" names no image of the manifest: {shown(image)}',
            suggestion(image, images, otherwise=_named(images, "images")),
        )
    if raw.get("runner", "task") == "task":
        yield from _task_runner(raw)
    elif raw.get("runner") == "sql":
        yield from _sql_runner(raw, images)
    if raw.get("snapshot") == "before" and "database" not in manifest:
        yield Problem(
            ("migrations", "snapshot"),
            '"snapshot" needs to know the database, and the manifest names none',
            "add database: {cluster: ...} or {instance: ...}, or use snapshot: none",
        )


def _task_runner(raw: Mapping[str, Any]) -> Iterator[Problem]:
    if "service" not in raw:
        yield Problem(
            ("migrations", "service"),
            '"service" is missing: the runner task uses a service\'s task definition, roles and network',
            "add it, with the key of one of the services",
        )
    if raw.get("command") in (None, []):
        yield Problem(
            ("migrations", "command"),
            '"command" is missing: the runner task has nothing to run',
            "add it as a list of words, for example [litestar, database, upgrade]",
        )
    if "image" in raw:
        yield Problem(
            ("migrations", "image"),
            '"image" has no meaning for the runner task, which runs the image of its service',
            "remove it, or use runner: sql",
        )


def _sql_runner(raw: Mapping[str, Any], images: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("command", "verify"):
        if raw.get(name):
            yield Problem(
                ("migrations", name),
                f'"{name}" has no meaning for the runner sql',
                "remove it, or use runner: task",
            )
    if "secret" not in raw:
        yield Problem(
            ("migrations", "secret"),
            '"secret" is missing: the runner sql has no credential for the database',
            "add the name of a secret of Secrets Manager with engine, host, port, username, password and dbname",
        )
    if "image" not in raw and len(images) != 1:
        yield Problem(
            ("migrations", "image"),
            '"image" is missing: the manifest has several images' if images else '"image" is missing',
            "add the key of the image that holds the SQL files",
        )


def _secrets(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    for name, raw in _mapping(manifest.get("secrets")).items():
        path: Path = ("secrets", name)
        secret = _mapping(raw)
        kind = secret.get("kind")
        fitting = STRATEGIES.get(kind) if isinstance(kind, str) else None
        if fitting is None:
            continue
        strategy = secret.get("strategy", fitting[0])
        if not isinstance(strategy, str) or strategy not in _USERS:
            continue
        if strategy not in fitting:
            yield Problem(
                (*path, "strategy"),
                f'"strategy" {shown(strategy)} does not fit a secret of kind {kind}',
                f"use {one_of(fitting)}",
            )
            continue
        yield from _secret_users(path, secret, strategy)
        if strategy == "alternating" and "admin" not in secret:
            yield Problem(
                (*path, "admin"),
                '"admin" is missing: neither of two alternating users may change the other\'s password',
                "add the name of the secret of a user that may",
            )
        admin = secret.get("admin")
        if isinstance(admin, str) and any(
            in_environment(admin, place) == in_environment(name, place) for place in _places(manifest)
        ):
            yield Problem((*path, "admin"), '"admin" is the secret itself', "name the secret of another user")
        every, overlap = _duration(secret.get("every")), _duration(secret.get("overlap", "30s"))
        if every is not None and overlap is not None and every <= overlap:
            yield Problem(
                (*path, "every"),
                '"every" is not longer than "overlap": the next rotation would come before the last one is over',
                "make it longer, for example 30d",
            )
        elif every is not None and every % timedelta(minutes=1):
            yield Problem(
                (*path, "every"), '"every" is not a whole number of minutes', "write it as 90m, 12h or 30d"
            )


def _same_secrets(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Two names that `{environment}` makes one. One problem a name is enough."""
    reported: set[str] = set()
    for place in _places(manifest):
        first: dict[str, str] = {}
        for name in _mapping(manifest.get("secrets")):
            other = first.setdefault(in_environment(name, place), name)
            if other == name or name in reported:
                continue
            reported.add(name)
            yield Problem(
                ("secrets", name),
                f"{shown(name)} and {shown(other)} are one secret in the environment {shown(place)}",
                "keep one of them",
            )


def _places(manifest: Mapping[str, Any]) -> list[str]:
    """The environments' names, as far as they are text."""
    return [name for name in _mapping(manifest.get("environments")) if isinstance(name, str)]


def _secret_users(path: Path, secret: Mapping[str, Any], strategy: str) -> Iterator[Problem]:
    users = secret.get("users")
    if not isinstance(users, list) or not users:
        return
    expected = _USERS[strategy]
    if strategy == "alternating" and len(users) == expected and users[0] == users[1]:
        yield Problem(
            (*path, "users", 1), '"users" names one user twice', "name two users, or leave users out"
        )
    if (strategy == "alternating" and len(users) != expected) or len(users) > expected:
        needs = {0: "no user", 1: "one user at most", 2: "exactly two users"}[expected]
        yield Problem(
            (*path, "users"),
            f'"users" must name {needs} for the strategy {strategy}, not {len(users)}',
            "leave users out for the default" if expected else "remove it",
        )


def _duration(value: object) -> timedelta | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _empty_windows(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    for name, raw in _mapping(manifest.get("environments")).items():
        windows = _mapping(raw).get("freeze")
        for index, window in enumerate(windows if isinstance(windows, list) else []):
            start, end = _mapping(window).get("from"), _mapping(window).get("to")
            if isinstance(start, str) and start == end:
                yield Problem(
                    ("environments", name, "freeze", index, "to"),
                    '"to" is the same moment as "from"',
                    "end the window at another time; to stop everything use tidegate freeze",
                )


def _residency(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    allowed = manifest.get("residency")
    if not isinstance(allowed, list) or not allowed or any(region not in REGIONS for region in allowed):
        return
    for name, raw in _mapping(manifest.get("environments")).items():
        region = _mapping(raw).get("region")
        if isinstance(region, str) and region not in allowed:
            yield Problem(
                ("environments", name, "region"),
                f'"region" is outside the system\'s residency: {shown(region)}',
                f"use {one_of(allowed)}, or let residency name this region as well",
            )


def _order_of_environments(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Cycles of `after`. A name that is no environment here may be one of another account's manifest."""
    environments = _mapping(manifest.get("environments"))
    pairs = ((name, _mapping(raw).get("after")) for name, raw in environments.items())
    before = {name: after for name, after in pairs if isinstance(after, str)}
    settled: set[str] = set()
    for name in before:
        chain = [name]
        while chain[-1] not in settled and (following := before.get(chain[-1])) is not None:
            if following in chain:
                cycle = [*chain[chain.index(following) :], following]
                yield Problem(
                    ("environments", following, "after"),
                    f'"after" leads back to where it started: {" after ".join(shown(one) for one in cycle[:10])}',
                    "let one of them come first, without after",
                )
                break
            chain.append(following)
        settled.update(chain)
