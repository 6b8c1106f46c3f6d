"""What `tidegate local push` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidegate.domain.manifest import Manifest
from tidegate.domain.manifest.reading import parse_manifest
from tidegate.ports import Registry
from tidegate_local import pushing
from tidegate_local.lifecycle import cloud
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import UsageError
from tidegate_local.pushing import BuildProject, Pushed, WorkTree

from tidegate_cli.local_progress import narrated
from tidegate_cli.options import Call
from tidegate_cli.screen import print_document


def run(
    call: Call,
    system: str,
    folder: Path,
    branch: str | None,
    *,
    prepare: bool,
    wait: bool,
    timeout: str | None,
) -> None:
    """Make what is missing, push, follow. Raises `LocalError`."""
    tree = WorkTree.at(folder)
    wanted = branch or tree.branch()
    checkout = Checkout.find()
    running = cloud.running(checkout)
    # The commands of `tidegate local` are about the embedded cloud, with --local and without.
    ports = replace(call, given=replace(call.given, local=True)).connect().ports
    projects = build_projects(ports.registry, system)
    with narrated(f"looking for what {system} needs") as say:
        created = pushing.prepare(checkout, running, system, projects, wanted, say)
        bare = pushing.bare_repository(checkout, system)
        if tree.connect(bare):
            say(f"the remote {pushing.REMOTE} of {tree.folder} is {bare}")
        if tree.is_dirty():
            say("warning: what is not committed is not part of the push")
        pushed = Pushed(wanted, tree.commit(), moved=False)
        if not prepare:
            say(f"git push {pushing.REMOTE} HEAD:refs/heads/{wanted}")
            pushed = tree.push(wanted, say)
    if pushed.moved and wait:
        follow(call, system, pushed, timeout)
    if call.given.json:
        print_document(
            {
                "system": system,
                "repository": str(bare),
                "branch": pushed.branch,
                "commit": pushed.commit,
                "pushed": pushed.moved,
                "projects_created": created,
            }
        )
    elif prepare:
        print(f"{system} is ready: git -C {tree.folder} push {pushing.REMOTE} HEAD:refs/heads/{wanted}")
    elif not pushed.moved:
        print(f"nothing to push: {wanted} is {pushed.commit[:12]} already")
    else:
        print(f"pushed {pushed.commit[:12]} to {wanted} of {system}")
        print(f"see what comes of it: {replace(call.given, local=True).command('builds', system)}")


def follow(call: Call, system: str, pushed: Pushed, timeout: str | None) -> None:
    """Wait for the build of the pushed commit, then for what it deploys. Builds are not followed from here yet."""
    del call, system, pushed, timeout


def build_projects(registry: Registry, system: str) -> list[BuildProject]:
    """The CodeBuild projects that the system's manifests name, in all environments, by name.

    Raises `UsageError` where the system is not registered, or no image of it is built.
    """
    manifests = [
        parse_manifest(data)
        for environment in registry.environments(system)
        if (data := registry.manifest(system, environment)) is not None
    ]
    if not manifests:
        raise UsageError(
            f"no system {system!r} is registered in the embedded cloud",
            field="system",
            hint="register it: tidegate --local apply --environment E tidegate.yaml",
        )
    found = _repositories(manifests)
    if not found:
        raise UsageError(
            f"no image of {system} is built: its manifest names no project",
            field="system",
            hint="add images.<image>.build.project to the manifest, and apply it",
        )
    return [BuildProject(name, tuple(sorted(repositories))) for name, repositories in sorted(found.items())]


def _repositories(manifests: list[Manifest]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for image in manifest.images.values():
            if image.build is not None:
                found.setdefault(image.build.project, set()).add(image.repository)
    return found
