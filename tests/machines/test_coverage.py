"""No catcher and no transition of the machines without a test here."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.machines.case import Case
from tests.machines.stage import MACHINES, definition
from tests.machines.test_paths import CASES
from tests.template.walking import Flow, flow_of, following

FLOWS = {machine: list(flow_of(machine, definition(machine)).all()) for machine in MACHINES}


def walked(flow: Flow, path: list[str]) -> set[tuple[str, str]]:
    """The steps of a path on one level."""
    own = [name for name in path if name in flow.states]
    return set(pairwise(own))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_catcher_has_a_case(machine: str) -> None:
    covered = {case.caught for case in CASES if case.machine == machine and case.caught is not None}
    assert covered == {
        (name, place)
        for flow in FLOWS[machine]
        for name, state in flow.states.items()
        for place, _ in enumerate(state.get("Catch", []))
    }


@pytest.mark.parametrize("case", [case for case in CASES if case.caught is not None], ids=str)
def test_a_case_of_a_catcher_goes_where_it_leads(case: Case) -> None:
    assert case.caught is not None
    for flow in FLOWS[case.machine]:
        name, place = case.caught
        if name in flow.states:
            to = flow.states[name]["Catch"][place]["Next"]
            assert (name, to) in walked(flow, case.path)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_transition_is_walked(machine: str) -> None:
    for flow in FLOWS[machine]:
        possible = {(name, to) for name, state in flow.states.items() for to in following(state)}
        steps = {step for case in CASES if case.machine == machine for step in walked(flow, case.path)}
        # A path through a Map's iterations runs on from one into the next, so there may be more than possible.
        assert possible - steps == set()
