"""`tidegate doctor`: what is wrong, and how to mend it. Reads only."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence

import typer

from tidegate_cli.doctor import (
    checks_alerts,
    checks_drift,
    checks_functions,
    checks_installation,
    checks_ledger,
    checks_lifecycle,
    checks_permissions,
    checks_systems,
)
from tidegate_cli.doctor.findings import Check, Finding, Status, carried_out, error, skipped
from tidegate_cli.doctor.inspection import Inspection
from tidegate_cli.failures import UNEXPECTED, failure_of
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.rendering.doctor import print_findings
from tidegate_cli.screen import console, print_document

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

CHECKS: Sequence[tuple[str, Check]] = (
    ("installation", checks_installation.stack),
    ("template", checks_installation.template),
    ("state machines", checks_installation.machines),
    ("table", checks_installation.table),
    ("control", checks_functions.control),
    ("smoke checks", checks_functions.smoke),
    ("reach", checks_installation.reach),
    ("permission: ledger", checks_permissions.table),
    ("permission: index", checks_permissions.index),
    ("permission: registry", checks_permissions.registry),
    ("permission: executions", checks_permissions.executions),
    ("waiting tasks", checks_ledger.tokens),
    ("runs", checks_ledger.runs),
    ("locks", checks_ledger.locks),
    ("dead letters", checks_alerts.dead_letters),
    ("alarms", checks_alerts.alarms),
    ("systems", checks_systems.manifests),
    ("what runs", checks_drift.drift),
    ("lifecycle policies", checks_lifecycle.lifecycle),
)


@app.command(
    epilog="[bold]Examples[/bold]\n\ntidegate doctor\n\ntidegate --local doctor\n\ntidegate doctor --json"
)
@with_global_options
def doctor(call: Call) -> int:
    """Look for what is wrong, and say how to mend it.

    The installation and its parameters, your permissions, what is stuck, dead letters, alarms, whether each registered
    manifest still says what is there, whether what was released still runs and infrastructure as code would leave it
    so, and ECR lifecycle policies that would delete an image that a release needs.
    With --local also the embedded cloud and Docker. Changes nothing. Exit code 1 when there is an error; warnings
    and checks that had to be skipped leave it 0.
    """
    findings = list(_findings(call))
    fine = all(finding.status is not Status.ERROR for finding in findings)
    if call.given.json:
        print_document({"checks": [finding.to_json() for finding in findings], "ok": fine})
    else:
        print_findings(console(), findings)
    return 0 if fine else UNEXPECTED


def _findings(call: Call) -> Iterator[Finding]:
    if call.given.local:
        try:
            yield from importlib.import_module("tidegate_cli.doctor.checks_local").local_findings()
        except Exception as problem:  # noqa: BLE001 - a check; told as what it is
            yield _failed("embedded cloud", problem)
    try:
        connection = call.connect()
    except Exception as problem:  # noqa: BLE001 - as above
        yield _failed("connection", problem)
        yield _nothing_more()
        return
    inspection = Inspection(
        connection.ports, connection.client, connection.stack, connection.region, call.given
    )
    who = list(carried_out("credentials", checks_permissions.caller, inspection))
    yield from who
    if any(finding.status is Status.ERROR for finding in who):
        yield _nothing_more()
        return
    told: dict[str, str] = {}
    for name, check in CHECKS:
        for finding in carried_out(name, check, inspection):
            yield _once(finding, told)


def _once(finding: Finding, told: dict[str, str]) -> Finding:
    """What cannot be looked at for a reason that was told already names the line that told it."""
    if finding.status is not Status.SKIPPED or finding.hint is None:
        return finding
    first = told.setdefault(finding.message, finding.name)
    return finding if first == finding.name else skipped(finding.name, f"not looked at, as {first} was not")


def _failed(name: str, problem: Exception) -> Finding:
    said = failure_of(problem).document["error"]
    return error(name, said["message"], said.get("hint"))


def _nothing_more() -> Finding:
    return skipped("everything else", "cannot be asked without that")
