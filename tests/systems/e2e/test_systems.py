"""The five systems, each of their environments, from an empty account of its region to a rotation: `make systems`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.manifest import parse_manifest
from tidegate.domain.outcome import Outcome

from tests.systems.e2e import combinations, logins, proofs
from tests.systems.e2e.account import running_account
from tests.systems.e2e.carried import Carried
from tests.systems.e2e.combinations import Combination
from tests.systems.e2e.rows import PROPERTY, Row
from tests.systems.e2e.sources import AFTER, BEFORE

pytestmark = [pytest.mark.emulator, pytest.mark.systems]


def _parameters() -> Iterator[object]:
    for one in combinations.every():
        marks = [pytest.mark.docker] if one.contained else []
        yield pytest.param(one, id=one.name.replace(" ", "-"), marks=marks)


@pytest.mark.parametrize("combination", list(_parameters()))
def test_a_system_is_carried_from_an_empty_account_to_a_rotation(
    combination: Combination, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    row = Row(combination.name)
    # The same dictionary until the end: what a failure leaves is on the table.
    request.node.user_properties.append((PROPERTY, [row.name, row.cells]))
    with row.opened(
        running_account(tmp_path / "state", combination.region, contained=combination.contained)
    ) as account:
        carried = Carried(account, combination, tmp_path)
        with row.cell("stack"):
            carried.provision()
            _the_stack_registers_and_watches(carried)
        with row.cell("runner"):
            carried.run_functions_there()
        with row.cell("adopt"):
            carried.adopt()
        with row.cell("first push"):
            _the_first_push(carried)
        with row.cell("migration"):
            _a_migration(carried)
        with row.cell("broken"):
            _a_broken_release(carried)
        with row.cell("rollback"):
            _a_rollback(carried)
        with row.cell("rotation"):
            _a_rotation(carried)
        with row.cell("proof"):
            proofs.of(combination.system)(carried)


def _the_stack_registers_and_watches(carried: Carried) -> None:
    account = carried.account
    registered = account.ports.registry.manifest(carried.system, carried.environment)
    assert parse_manifest(registered) == parse_manifest(carried.manifest), (
        "deploying the stack registers the system"
    )
    cloudwatch = account.client("cloudwatch")
    assert cloudwatch.describe_alarms()["MetricAlarms"]
    assert cloudwatch.list_dashboards()["DashboardEntries"]
    carried.running().settle()


def _the_first_push(carried: Carried) -> None:
    if carried.combination.before is None:
        released = carried.release("first", carried.sources.every())
    else:
        released = _the_first_after_another(carried, carried.combination.before)
    carried.succeeded(released)
    carried.first = released
    _what_runs_is(carried, released.release)
    if carried.migrates:
        assert carried.columns() == BEFORE
    _containers_answer(carried, "1.0.0")


def _a_migration(carried: Carried) -> None:
    files = carried.sources.migration() | carried.sources.version("2.0.0")
    released = carried.release("a label", files)
    carried.succeeded(released)
    _what_runs_is(carried, released.release)
    if carried.migrates:
        assert carried.columns() == AFTER
    _containers_answer(carried, "2.0.0")


def _a_broken_release(carried: Carried) -> None:
    running = carried.running()
    before = running.digests()
    service = carried.sources.breakable(contained=carried.account.engine is not None)
    files = carried.sources.version("2.1.0")
    with _fault(carried, running.services[service]):
        if carried.account.engine is not None:
            files |= carried.sources.broken(service)
        released = carried.release("broken", files)
    carried.succeeded(released, Outcome.FAILED_CLEAN)
    assert running.digests() == before, "every service is back on what ran"
    carried.developer.scratch.write(carried.sources.mended(service))


def _a_rollback(carried: Carried) -> None:
    assert carried.first is not None
    done = carried.deployed("rollback", "--reason", "the label is wrong")
    carried.succeeded(done)
    assert done.release == carried.first.release
    _what_runs_is(carried, carried.first.release)
    _containers_answer(carried, "1.0.0")


def _a_rotation(carried: Carried) -> None:
    secret = carried.secret
    before = secret.credential()
    with logins.all_the_time(secret) as loop:
        done = carried.deployed("rotate", secret.name)
    carried.succeeded(done, Outcome.ROTATED)
    assert loop.refused == []
    assert loop.users[0] == before.username
    assert len(loop.users) == 2, "somebody logged in with the one, then with the other"
    assert sorted(carried.order(done)) == _consumers(carried)
    assert carried.first is not None
    _what_runs_is(carried, carried.first.release)
    _containers_answer(carried, "1.0.0")


def _consumers(carried: Carried) -> list[str]:
    """The services whose tasks take the secret: not every service has to."""
    ecs = carried.account.client("ecs")
    found = []
    for key, arn in carried.running().task_definitions().items():
        own = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        containers = own["containerDefinitions"]
        taken = [one["valueFrom"] for container in containers for one in container.get("secrets", [])]
        if any(f":secret:{carried.secret.name}-" in place for place in taken):
            found.append(key)
    assert found
    return sorted(found)


def _the_first_after_another(carried: Carried, before: str) -> Deployment:
    """`after`: what has not succeeded there is refused here, and let in when it has."""
    services = carried.running(before).services
    with _fault(carried, services[list(services)[-1]]):
        build = carried.build("first", carried.sources.every())
        failed = carried.followed(build)
    carried.succeeded(failed, Outcome.FAILED_CLEAN)
    refused = carried.deployed("deploy", "--commit", build.commit)
    carried.succeeded(refused, Outcome.REFUSED)
    assert before in refused.explanation
    succeeded = carried.deployed("deploy", "--commit", build.commit, place=before)
    carried.succeeded(succeeded)
    return carried.promote(succeeded)


def _containers_answer(carried: Carried, version: str) -> None:
    """Where there are containers, all are of that version, log in as whom the secret names, and reach their table."""
    if carried.account.engine is None:
        return
    user = carried.secret.credential().username
    said = carried.answers("/status")
    assert {one["version"] for every in said.values() for one in every} == {version}
    with_database = {key: every for key, every in said.items() if every[0]["database"] is not None}
    assert with_database, "a service of the system takes the secret"
    assert {one["database"] for every in with_database.values() for one in every} == {user}
    items = carried.answers("/items")
    assert all("items" in one for key in with_database for one in items[key]), items


def _what_runs_is(carried: Carried, release: int | None) -> None:
    known = carried.account.ledger.release(carried.system, release or 0)
    assert known is not None
    wanted = {key: known.digests[entry["image"]] for key, entry in carried.manifest["services"].items()}
    assert carried.running().digests() == wanted


@contextmanager
def _fault(carried: Carried, service: str) -> Iterator[None]:
    """New deployments of that ECS service crash, where no container does so by itself."""
    if carried.account.engine is not None:
        yield
        return
    carried.account.control.set_fault(service, "crash")
    try:
        yield
    finally:
        carried.account.control.clear_fault(service)
