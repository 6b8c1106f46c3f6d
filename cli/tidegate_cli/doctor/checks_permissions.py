"""May the caller do what the commands need?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidegate.adapters.errors import asking
from tidegate.domain.errors import TidegateError, TransientError
from tidegate.ports import Key

from tidegate_cli.doctor.findings import Finding, error, ok, skipped
from tidegate_cli.doctor.inspection import Inspection

# Names an item and an execution that nobody makes.
_NOTHING = "doctor"
_READER = "docs/install.md names what a person's role needs"


def caller(inspection: Inspection) -> Iterator[Finding]:
    """Without an answer here no other check can say anything: never merely skipped."""
    name = "credentials"
    try:
        with asking("sts:GetCallerIdentity"):
            identity = inspection.client("sts").get_caller_identity()
    except TransientError as problem:
        hint = "check the network, --region and AWS_ENDPOINT_URL; for the embedded cloud: tidegate local up"
        yield error(name, problem.message, hint)
        return
    except TidegateError as problem:
        yield error(name, problem.message, problem.hint or "sign in, or name a profile")
        return
    yield ok(name, f"{identity['Arn']} in account {identity['Account']}, region {inspection.region}")


def table(inspection: Inspection) -> Iterator[Finding]:
    yield _tried(
        "permission: ledger",
        "the table can be read",
        lambda: inspection.ports.store.get(Key(_NOTHING, _NOTHING)),
    )


def index(inspection: Inspection) -> Iterator[Finding]:
    yield _tried(
        "permission: index",
        "the table's index can be queried",
        lambda: next(iter(inspection.ports.store.query_kind(_NOTHING)), None),
    )


def registry(inspection: Inspection) -> Iterator[Finding]:
    yield _tried(
        "permission: registry",
        "the parameters under /tidegate/ can be read",
        inspection.ports.registry.systems,
    )


def executions(inspection: Inspection) -> Iterator[Finding]:
    """Asked about an execution that is not there: who may not look is told so all the same."""
    name = "permission: executions"
    found = inspection.installation
    machine = None if found is None else found.outputs.get("DeployMachineArn")
    if machine is None:
        yield skipped(name, "there is no machine to ask about")
        return
    execution = f"{machine.replace(':stateMachine:', ':execution:', 1)}:{_NOTHING}"
    yield _tried(name, "executions can be followed", lambda: inspection.ports.executions.describe(execution))


def _tried(name: str, can: str, ask: Callable[[], object]) -> Finding:
    try:
        ask()
    except TransientError as problem:
        return skipped(name, f"AWS did not answer: {problem.message}", "try again")
    except TidegateError as problem:
        return error(name, problem.message, problem.hint or _READER)
    return ok(name, can)
