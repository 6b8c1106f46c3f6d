"""Where each item of the table lives (docs/architecture.md, "The table")."""

from __future__ import annotations

from tidegate.ports import Key

# Attribute `kind` puts an item into the index by time: what is still open (the sweep reads all of it every
# minute), and which deployments there were (the 3 a.m. question).
OPEN = "OPEN"
DEPLOYMENTS = "DEPLOYMENT"
BUILDS = "BUILD"
COMMANDS = "COMMAND"


def place(system: str, environment: str) -> str:
    return f"SYSTEM#{system}#ENV#{environment}"


def release(system: str, number: int) -> Key:
    return Key(f"SYSTEM#{system}", f"RELEASE#{number:06d}")


def release_hash(system: str, hash_: str) -> Key:
    return Key(f"SYSTEM#{system}", f"HASH#{hash_}")


def standing(system: str, environment: str, number: int) -> Key:
    return Key(place(system, environment), f"RELEASE#{number:06d}")


def current(system: str, environment: str) -> Key:
    return Key(place(system, environment), "CURRENT")


def deployment(system: str, environment: str, deployment_id: str) -> Key:
    return Key(place(system, environment), f"DEPLOYMENT#{deployment_id}")


def whereabouts(deployment_id: str) -> Key:
    """Says which system and environment a deployment belongs to, for those who know only its id."""
    return Key(f"DEPLOYMENT#{deployment_id}", "WHERE")


def line(deployment_id: str, at: str, number: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", f"{at}#{number}")


def rollout(deployment_id: str, service: str, direction: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", f"ROLLOUT#{service}#{direction}")


def report(deployment_id: str, service: str, direction: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", f"REPORT#{service}#{direction}")


def migration(deployment_id: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", "MIGRATION")


def rotation(deployment_id: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", "ROTATION")


def secret(system: str, environment: str, name: str) -> Key:
    return Key(place(system, environment), f"SECRET#{name}")


def secrets_seen(system: str, environment: str) -> Key:
    """When the secrets that are to be rotated by themselves were first seen."""
    return Key(place(system, environment), "SECRETS")


def secret_version(version: str) -> Key:
    """A version of a secret that a rotation wrote."""
    return Key(f"VERSION#{version}", "VERSION")


def schema(system: str, environment: str) -> Key:
    return Key(place(system, environment), "SCHEMA")


def image_folder(repository: str, digest: str, directory: str) -> Key:
    """What a folder of an image says; an image never changes."""
    return Key(f"IMAGE#{repository}@{digest}", f"FOLDER#{directory}")


def build(system: str, build_id: str) -> Key:
    return Key(f"SYSTEM#{system}", f"BUILD#{build_id}")


def build_whereabouts(build_id: str) -> Key:
    """Says which system a build belongs to, for those who know only its id."""
    return Key(f"BUILD#{build_id}", "WHERE")


def build_image(build_id: str, image: str) -> Key:
    return Key(f"BUILD#{build_id}", f"IMAGE#{image}")


def last_build(system: str, ref: str, repository: str | None = None) -> Key:
    """Branches of one name in two repositories have nothing in common."""
    return Key(f"SYSTEM#{system}", f"LAST#{ref}" if repository is None else f"LAST#{repository}#{ref}")


def lock(system: str, environment: str) -> Key:
    return Key(f"LOCK#{system}#{environment}", "LOCK")


def waiter(system: str, environment: str, seq: int, urgent: bool = False) -> Key:
    """The order of the keys is the order of the queue: `!` comes before every digit."""
    return Key(f"LOCK#{system}#{environment}", f"WAIT#{'!' if urgent else ''}{seq:09d}")


def approval(system: str, environment: str, deployment_id: str) -> Key:
    return Key(f"LOCK#{system}#{environment}", f"APPROVAL#{deployment_id}")


def abort(deployment_id: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment_id}", "ABORT")


def freeze(system: str, environment: str) -> Key:
    return Key(place(system, environment), "FREEZE")


def command(system: str, environment: str, command_id: str) -> Key:
    return Key(place(system, environment), f"COMMAND#{command_id}")


def guard(alarm: str, system: str, environment: str) -> Key:
    """An environment has one guard; a later success takes its place."""
    return Key(f"GUARD#{alarm}", f"{system}#{environment}")


def token(awaited: str, execution: str) -> Key:
    return Key(f"TOKEN#{awaited}", execution)


def token_of(deployment_id: str, awaited: str, execution: str) -> Key:
    """Under the deployment that waits: who stops it must find all that it waits for."""
    return Key(f"DEPLOYMENT#{deployment_id}", f"TOKEN#{awaited}#{execution}")


def seen(hash_: str) -> Key:
    return Key(f"SEEN#{hash_}", "SEEN")


def duplicate(execution: str, event_id: str) -> Key:
    """An event that asked for what an execution does already; the deployment of that may not be recorded yet."""
    return Key(f"DUPLICATE#{execution}", event_id)
