"""The embedded cloud of this checkout: does it answer, with IAM, with Docker? Loaded only for `--local`."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate_local import engine
from tidegate_local.lifecycle import cloud
from tidegate_local.lifecycle.checkout import Checkout

from tidegate_cli.doctor.findings import Finding, error, ok, warning


def local_findings() -> list[Finding]:
    """Raises the embedded cloud's own error where this is no checkout."""
    try:
        found: engine.Engine | str = engine.find()
    except engine.NoEngineError as problem:
        found = str(problem)
    return list(judged(cloud.status(Checkout.find()), found))


def judged(status: cloud.Status, found: engine.Engine | str) -> Iterator[Finding]:
    """`found` is the Docker engine of this machine, or why there is none."""
    if status.state == "running" and status.cloud is not None:
        yield ok("embedded cloud", f"runs at {status.cloud.endpoint_url}")
    else:
        mend = (
            "tidegate local down, then tidegate local up" if status.state == "broken" else "tidegate local up"
        )
        yield error("embedded cloud", cloud.SAID[status.state], mend)
    if isinstance(found, engine.Engine):
        yield ok("docker", f"engine {found.version} answers at {found.address}")
    else:
        yield warning(
            "docker",
            found,
            "without one tasks are simulated; to use one: start it or set DOCKER_HOST, "
            "then tidegate local up --docker require",
        )
    if status.state == "running" and status.cloud is not None:
        yield from _options(status.cloud.document(), isinstance(found, engine.Engine))


def _options(document: dict[str, object], there: bool) -> Iterator[Finding]:
    again = "tidegate local down, then tidegate local up"
    if document.get("docker"):
        yield ok("containers", "tasks are containers")
    elif there:
        yield warning(
            "containers", "tasks are simulated, although there is an engine", f"{again} --docker auto"
        )
    else:
        yield ok("containers", "tasks are simulated")
    if document.get("iam"):
        yield ok("iam", "policies are enforced")
    else:
        yield warning("iam", "policies are not enforced: what is denied in AWS works here", f"{again} --iam")
