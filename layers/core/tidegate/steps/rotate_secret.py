"""Function `rotate_secret`: replaces the value of a secret, one step of a rotation at a time.

It runs in the environment's VPC, and has no table: all it knows is its payload, the secret and the database. Values
live inside one call; what goes out are ids of versions and names of users. Each step may run twice: what it finds
decides, never what an earlier invocation said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.domain.errors import BadInputError, ConflictError, NotFoundError, OutsideError, TransientError
from tidegate.domain.ids import content_hash
from tidegate.domain.redaction import redacted
from tidegate.domain.rotation import (
    ABANDON,
    ADOPT,
    ADOPTION,
    CURRENT,
    PENDING,
    PRECHECK,
    PREVIOUS,
    PROMOTE,
    RESTORE,
    RETIRE,
    SET,
    STAGE,
    TEST,
    TOKEN,
    version_of,
)
from tidegate.domain.secret_rotation import SecretRotation
from tidegate.ports import MovedError, Ports, SecretState
from tidegate.steps.rotating import FailedError, Kind, Versions, moved
from tidegate.steps.rotating_logins import LoginRotation
from tidegate.steps.rotating_tokens import RETIRED, TokenRotation

# How each step says that it could not be done.
_NOT: Final[Mapping[str, Mapping[str, Any]]] = {
    PRECHECK: {
        "outcome": "NotReady",
        "previous": None,
        "user": "",
        "next_user": "",
        "created_at": None,
        "sessions": 0,
    },
    RETIRE: {"outcome": "Failed", "version": None},
    ADOPTION: {"outcome": "Adoption", "statements": [], "hash": None},
}
_FAILED: Final = {"outcome": "Failed"}

Answer = Mapping[str, Any]


def run(event: Mapping[str, Any], ports: Ports) -> Answer:
    """`domain.secret_rotation` has the payload. Gives, with a `reason` each but Abandon

    - Precheck: `{"outcome": "Ready" | "NotReady", "previous", "user", "next_user", "created_at", "sessions"}`
    - Stage: `{"outcome": "Staged" | "Failed"}`
    - Set: `{"outcome": "Set" | "Failed"}`
    - Test: `{"outcome": "Tested" | "Failed"}`
    - Promote: `{"outcome": "Promoted" | "Moved"}`
    - Retire: `{"outcome": "Retired" | "Failed", "version"}`, the version that is current then
    - Restore: `{"outcome": "Restored" | "NotPromoted" | "Moved"}`
    - Abandon: `{"outcome": "Abandoned"}`
    - Adoption: `{"outcome": "Adoption", "statements", "hash"}`; where it cannot be said, `hash` is null
    - Adopt: `{"outcome": "Adopted" | "Changed" | "Failed"}`

    Raises BadInputError for another payload, TransientError where asking again may help, OutsideError for a secret that
    is missing, a permission or a certificate that is wrong.
    """
    request = SecretRotation.from_payload(event)
    try:
        return _STEPS[request.step](request, ports)
    except FailedError as error:
        return {**_NOT.get(request.step, _FAILED), "reason": redacted(error.reason)}
    except NotFoundError as error:
        raise OutsideError(error.message, field=error.field, hint=error.hint) from None
    except BadInputError as error:
        said = error.message if error.hint is None else f"{error.message}: {error.hint}"
        return {**_NOT.get(request.step, _FAILED), "reason": redacted(said)}


def _precheck(request: SecretRotation, ports: Ports) -> Answer:
    current = Versions(request, ports).current()
    if current.version == request.version:
        raise FailedError("the version that this rotation would write is current already")
    found = _kind(request, ports).look(current)
    pending = _state(request, ports).version_with(PENDING)
    foreign = pending is not None and pending not in (request.version, current.version)
    return {
        "outcome": "Ready",
        "reason": f"version {pending}, which somebody else has made {PENDING}, loses that label"
        if foreign
        else "",
        "previous": current.version,
        "user": found.user,
        "next_user": found.next_user,
        "created_at": current.created_at,
        "sessions": found.sessions,
    }


def _stage(request: SecretRotation, ports: Ports) -> Answer:
    """Once: the database may have the first value by now."""
    if ports.secrets.version(request.secret, request.version) is None:
        text = _kind(request, ports).successor(Versions(request, ports).before().text)
        try:
            ports.secrets.put_pending(request.secret, request.version, text)
        except ConflictError:
            # It was written before, and could not be seen just now: that one counts.
            return {"outcome": "Staged", "reason": "it was written before"}
    return {"outcome": "Staged", "reason": ""}


def _set(request: SecretRotation, ports: Ports) -> Answer:
    _kind(request, ports).set()
    return {"outcome": "Set", "reason": ""}


def _test(request: SecretRotation, ports: Ports) -> Answer:
    _kind(request, ports).test()
    return {"outcome": "Tested", "reason": ""}


def _promote(request: SecretRotation, ports: Ports) -> Answer:
    version, state = request.version, _state(request, ports)
    if state.stages.get(version, frozenset()).isdisjoint((CURRENT, PENDING)):
        if state.version_with(PENDING) is not None:
            return {"outcome": "Moved", "reason": f"somebody else has made another version {PENDING}"}
        # Not seen yet; or abandoned, and this invocation comes late.
        raise TransientError(f"the new version is not seen as {PENDING}")
    try:
        ports.secrets.move_current(request.secret, to=version, from_=request.previous or "")
    except (MovedError, TransientError) as error:
        state = _state(request, ports)
        if state.version_with(CURRENT) != version:
            if isinstance(error, MovedError):
                return {"outcome": "Moved", "reason": moved(state.version_with(CURRENT))}
            raise
        # Current and pending at once makes Secrets Manager's own rotation believe that one is under way.
        ports.secrets.drop_pending(request.secret, version)
    return {"outcome": "Promoted", "reason": ""}


def _retire(request: SecretRotation, ports: Ports) -> Answer:
    try:
        version = _kind(request, ports).retire()
    except MovedError:
        raise FailedError(moved(Versions(request, ports).current().version)) from None
    return {"outcome": "Retired", "reason": "", "version": version}


def _restore(request: SecretRotation, ports: Ports) -> Answer:
    state = _state(request, ports)
    current = state.version_with(CURRENT)
    if current == request.version and request.previous is not None:
        try:
            ports.secrets.move_current(request.secret, to=request.previous, from_=request.version)
        except MovedError:
            return {"outcome": "Moved", "reason": moved(_state(request, ports).version_with(CURRENT))}
        return {"outcome": "Restored", "reason": ""}
    # What was current is AWSPREVIOUS when it is no more.
    was_current = current == request.version or PREVIOUS in state.stages.get(request.version, frozenset())
    if was_current and current != request.previous:
        return {"outcome": "Moved", "reason": moved(current)}
    # Somebody else's value is theirs to look after, as long as ours never was current; and an earlier invocation may
    # have brought the old one back.
    return {"outcome": "Restored" if was_current else "NotPromoted", "reason": ""}


def _abandon(request: SecretRotation, ports: Ports) -> Answer:
    ports.secrets.drop_pending(request.secret, request.version)
    if request.kind == TOKEN:
        ports.secrets.drop_pending(request.secret, version_of(request.deployment, RETIRED))
    return {"outcome": "Abandoned"}


def _adoption(request: SecretRotation, ports: Ports) -> Answer:
    statements = _kind(request, ports).adoption()
    return {
        "outcome": "Adoption",
        "statements": statements,
        "hash": content_hash(statements),
        "reason": "" if statements else "nothing is to be prepared",
    }


def _adopt(request: SecretRotation, ports: Ports) -> Answer:
    """Statements that ran are asked for no more: none are left where an earlier invocation came to its end."""
    kind = _kind(request, ports)
    statements = kind.adoption()
    if not statements:
        return {"outcome": "Adopted", "reason": "nothing is left to be prepared"}
    if content_hash(statements) != request.statements:
        return {"outcome": "Changed", "reason": "the database asks for other statements than those agreed to"}
    kind.adopt(statements)
    return {"outcome": "Adopted", "reason": ""}


def _kind(request: SecretRotation, ports: Ports) -> Kind:
    versions = Versions(request, ports)
    if request.kind == TOKEN:
        return TokenRotation(request, ports, versions)
    return LoginRotation(request, ports, versions, ports.clock.now())


def _state(request: SecretRotation, ports: Ports) -> SecretState:
    state = ports.secrets.describe(request.secret)
    if state is None:
        raise OutsideError("there is no such secret, or it is being deleted", field="secret")
    return state


_STEPS: Final = {
    PRECHECK: _precheck,
    STAGE: _stage,
    SET: _set,
    TEST: _test,
    PROMOTE: _promote,
    RETIRE: _retire,
    RESTORE: _restore,
    ABANDON: _abandon,
    ADOPTION: _adoption,
    ADOPT: _adopt,
}
