"""What a release must pass before it goes out: all gates in one place, one reason for each refusal.

A rollback passes every gate: it is the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tidegate.domain.errors import RefusalError, SupersededError
from tidegate.domain.freeze import ends, window_at
from tidegate.domain.manifest import Environment, EnvironmentView
from tidegate.domain.release import Verdict, release_name
from tidegate.domain.request import DeployRequest
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import iso
from tidegate.ports import Ports
from tidegate.steps.images import ResolvedImage

# ECR API reference, FindingSeverity, worst first.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")
_FREEZE_HINT = "release when it is over; a rollback passes"


@dataclass(frozen=True, slots=True)
class Gate:
    """`refusal` is None where the release passes; `asks` is what the manifest asks for, in its words."""

    name: str
    asks: str
    refusal: RefusalError | None = None


def pass_gates(
    ports: Ports,
    view: EnvironmentView,
    request: DeployRequest,
    commit: str | None,
    images: Mapping[str, ResolvedImage],
) -> None:
    """Raises the first refusal."""
    for gate in gates(ports, view, request, commit, images):
        if gate.refusal is not None:
            raise gate.refusal


def gates(
    ports: Ports,
    view: EnvironmentView,
    request: DeployRequest,
    commit: str | None,
    images: Mapping[str, ResolvedImage],
) -> Iterator[Gate]:
    """Those that the environment has, one after the other: who stops at a refusal does not ask the rest."""
    yield from freezes(ports, view)
    if request.restart is not None:
        return
    ledger = Ledger(ports.store, ports.clock)
    digests = {key: image.digest for key, image in images.items()}
    known = ledger.release_of(view.system, commit, digests)
    number = None if known is None else known.number
    if request.by_event:
        yield Gate("order", "a push that is not older than what was released", _late(ledger, view, request))
        yield Gate("repeated", "an event brings nothing back", _repeated(ledger, view, number))
    if view.settings.after is not None:
        yield Gate("after", view.settings.after, _not_yet(ledger, view, view.settings.after, number))
    if view.settings.scan is not None:
        found = ((key, view.images[key].repository, image.digest) for key, image in images.items())
        reason = scan_refusal(ports, view.settings, found)
        hint = "see the findings in ECR, mend the image, release again"
        refusal = None if reason is None else RefusalError(reason, field="scan", hint=hint)
        yield Gate("scan", f"fail_on {view.settings.scan.fail_on}", refusal)


def freezes(ports: Ports, view: EnvironmentView) -> Iterator[Gate]:
    """A freeze that a person has set, and those of the manifest."""
    now = ports.clock.now()
    frozen = Interventions(ports.store, ports.clock).freeze(view.system, view.name)
    if frozen is not None and frozen.holds(now):
        until = f"until {frozen.until}" if frozen.until else "until it is lifted"
        said = f"{view.system}/{view.name} is frozen {until} by {frozen.by}: {frozen.reason}"
        hint = f"{_FREEZE_HINT}, and tidegate unfreeze {view.system} {view.name} lifts it"
        yield Gate("freeze", said, RefusalError(said, field="freeze", hint=hint))
    if not view.settings.freeze:
        return
    window = window_at(view.settings.freeze, now)
    windows = "; ".join(f"{one.start} to {one.end} {one.timezone}" for one in view.settings.freeze)
    if window is None:
        yield Gate("freeze", windows)
        return
    said = (
        f"{view.name} is frozen from {window.start} to {window.end} ({window.timezone}),"
        f" until {iso(ends(window, now))}"
    )
    yield Gate("freeze", windows, RefusalError(said, field="freeze", hint=_FREEZE_HINT))


def _late(ledger: Ledger, view: EnvironmentView, request: DeployRequest) -> RefusalError | None:
    """An older commit never overtakes a newer one: the push that a build recorded decides, however late it is ready."""
    current = ledger.current(view.system, view.name)
    if current is None or not request.order or request.order >= current.order:
        return None
    return SupersededError(
        f"a later push was released to {view.name} before ({release_name(current.release)} runs there)",
        field="commit",
        hint=f"a person may still release it: tidegate deploy {view.system} {view.name} --commit …",
    )


def _repeated(ledger: Ledger, view: EnvironmentView, number: int | None) -> RefusalError | None:
    """An event must not bring back what a person, or a failure, took away: only a person may."""
    if number is None:
        return None
    standing = ledger.standing(view.system, view.name, number)
    current = ledger.current(view.system, view.name)
    if standing is None or (current is not None and current.release == number):
        return None
    said = {
        Verdict.ROLLED_BACK: "was rolled back",
        Verdict.FAILED: "failed",
        Verdict.SUCCEEDED: "was released before, and a newer one runs",
    }
    name = release_name(number)
    return RefusalError(
        f"{name} {said[standing.verdict]} in {view.name} (deployment {standing.deployment})",
        field="commit",
        hint=f"a person may still release it: tidegate deploy {view.system} {view.name} --release {name}",
    )


def _not_yet(ledger: Ledger, view: EnvironmentView, after: str, number: int | None) -> RefusalError | None:
    """Releases are the same where commit and digests are: what was built anew has to pass anew."""
    standing = None if number is None else ledger.standing(view.system, after, number)
    if standing is not None and standing.verdict is Verdict.SUCCEEDED:
        return None
    what = "this release" if number is None else release_name(number)
    said = f"{what} has not succeeded in {after}, after which {view.name} comes"
    if standing is not None:
        became = {Verdict.ROLLED_BACK: "was rolled back", Verdict.FAILED: "failed"}[standing.verdict]
        said = f"{what} {became} in {after}, after which {view.name} comes"
    return RefusalError(
        said, field="after", hint=f"release it there first: tidegate deploy {view.system} {after} …"
    )


def scan_refusal(ports: Ports, settings: Environment, images: Iterable[tuple[str, str, str]]) -> str | None:
    """Why ECR's scans of `images` (key, repository, digest) refuse a release here; None where they do not.

    A scan that is missing, failed or not finished refuses: nobody knows what it would have found.
    """
    if settings.scan is None:
        return None
    counted = SEVERITIES[: SEVERITIES.index(settings.scan.fail_on) + 1]
    for key, repository, digest in images:
        scan = ports.images.scan(repository, digest)
        if scan is None or not scan.complete:
            said = "was not scanned" if scan is None else f"has a scan that is {scan.status}"
            return f"image {key} {said} by ECR, and this environment releases only what was"
        found = {severity: scan.findings[severity] for severity in counted if scan.findings.get(severity)}
        if found:
            told = ", ".join(f"{count} {severity}" for severity, count in found.items())
            return f"image {key}: ECR's scan found {told} (fail_on: {settings.scan.fail_on})"
    return None
