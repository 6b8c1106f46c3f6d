"""What stands between a request and its release: every gate, also behind one that refuses. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from tidegate.domain.errors import RefusalError
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.request import DeployRequest
from tidegate.ports import Ports
from tidegate.steps.gates import Gate, gates
from tidegate.steps.planning import environment_of, images_of, propose_deploy
from tidegate.steps.proposal import Proposal
from tidegate.steps.services import Busy, read_services

_FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Outlook:
    """`proposal` is None where something refuses the release; `refusal` is what does so beside the gates. `approval` is
    `required` or `other` where a person would be asked. `busy` is None where nobody could look."""

    gates: tuple[Gate, ...] = ()
    proposal: Proposal | None = None
    refusal: RefusalError | None = None
    approval: str | None = None
    busy: tuple[Busy, ...] | None = None

    @property
    def first_refusal(self) -> RefusalError | None:
        return next((gate.refusal for gate in self.gates if gate.refusal is not None), self.refusal)


def outlook(ports: Ports, request: DeployRequest) -> Outlook:
    try:
        view = environment_of(ports, request.system, request.environment)
    except RefusalError as error:
        return Outlook(refusal=error)
    approval = _approval(view)
    try:
        images, commit = images_of(ports, view, request)
    except RefusalError as error:
        # Of the gates only the first do not ask about the images.
        frozen = takewhile(lambda gate: gate.name == _FREEZE, gates(ports, view, request, None, {}))
        return Outlook(tuple(frozen), refusal=error, approval=approval)
    passed = tuple(gates(ports, view, request, commit, images))
    try:
        if any(gate.refusal is not None for gate in passed):
            facts = read_services(ports, view)
            busy = tuple(fact.busy for fact in facts.values() if fact.busy is not None)
            return Outlook(passed, approval=approval, busy=busy)
        proposal = propose_deploy(ports, request)
    except RefusalError as error:
        return Outlook(passed, refusal=error, approval=approval)
    asked = None if proposal.nothing_to_do else proposal.approval
    return Outlook(passed, proposal, approval=asked, busy=proposal.busy)


def _approval(view: EnvironmentView) -> str | None:
    wanted = view.settings.approval
    if isinstance(wanted, str):
        return None if wanted == "none" else wanted
    return wanted.by
