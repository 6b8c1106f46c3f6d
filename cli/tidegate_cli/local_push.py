"""What `tidegate local push` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidegate.domain.manifest import Manifest
from tidegate.domain.manifest.reading import parse_manifest
from tidegate.ports import Ports, Registry
from tidegate_local import pushing
from tidegate_local.lifecycle import cloud
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import UsageError
from tidegate_local.pushing import BuildProject, Pushed, WorkTree

from tidegate_cli.build_commands import recorded
from tidegate_cli.local_progress import narrated
from tidegate_cli.options import Call
from tidegate_cli.push_following import Chain, PushFollower
from tidegate_cli.rendering.builds import print_build_outcome
from tidegate_cli.rendering.chain import ChainOnScreen
from tidegate_cli.rendering.incident import print_outcome
from tidegate_cli.screen import console, print_document
from tidegate_cli.waiting import seconds_of


def run(
    call: Call,
    system: str,
    folder: Path,
    branch: str | None,
    *,
    prepare: bool,
    wait: bool,
    timeout: str | None,
) -> int:
    """Make what is missing, push, follow; the exit code. Raises `LocalError` and TidegateError."""
    seconds = seconds_of(timeout, wait)
    tree = WorkTree.at(folder)
    wanted = branch or tree.branch()
    checkout = Checkout.find()
    running = cloud.running(checkout)
    # The commands of `tidegate local` are about the embedded cloud, with --local and without.
    call = replace(call, given=replace(call.given, local=True))
    ports = call.connect().ports
    projects = build_projects(ports.registry, system)
    # Made before the push: older builds of the same commit are not what is followed.
    follower = _follower(call, ports, system, wanted) if wait and not prepare else None
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
    if not call.given.json:
        _print_pushed(call, system, tree, pushed, prepare=prepare, wait=wait)
    chain = follower.follow(pushed.commit, seconds) if pushed.moved and follower is not None else None
    if call.given.json:
        print_document(
            {
                "system": system,
                "repository": str(bare),
                "branch": pushed.branch,
                "commit": pushed.commit,
                "pushed": pushed.moved,
                "projects_created": created,
                **({} if chain is None else chain.to_json()),
            }
        )
    elif chain is not None:
        _print_chain(call, ports, chain)
    return 0 if chain is None else chain.exit_code


def _follower(call: Call, ports: Ports, system: str, branch: str) -> PushFollower:
    screen = console(stderr=call.given.json)
    return PushFollower(
        ports,
        system,
        branch,
        ChainOnScreen(screen, live=screen.is_terminal and not call.given.json),
        call.given.command,
        pause=call.surroundings.pause,
        monotonic=call.surroundings.monotonic,
    )


def _print_pushed(
    call: Call, system: str, tree: WorkTree, pushed: Pushed, *, prepare: bool, wait: bool
) -> None:
    if prepare:
        reference = f"HEAD:refs/heads/{pushed.branch}"
        print(f"{system} is ready: git -C {tree.folder} push {pushing.REMOTE} {reference}")
    elif not pushed.moved:
        print(f"nothing to push: {pushed.branch} is {pushed.commit[:12]} already")
    else:
        print(f"pushed {pushed.commit[:12]} to {pushed.branch} of {system}", flush=True)
        if not wait:
            print(f"see what comes of it: {call.given.command('builds', system)}")


def _print_chain(call: Call, ports: Ports, chain: Chain) -> None:
    screen = console()
    # Where it has started deployments, their own ends say more than the build's.
    if not chain.deployments:
        print_build_outcome(screen, chain.build, recorded(ports, chain.build["build"]), call.given)
    for document in chain.deployments:
        print_outcome(screen, document, call.given)


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
