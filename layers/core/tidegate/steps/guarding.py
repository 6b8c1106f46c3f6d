"""The guard: for a time after a success, an alarm that rings rolls the environment back, once.

The release to go back to is named here, so that a rollback which comes late does not go further back than was meant.
"""

from __future__ import annotations

from tidegate.domain.fields import EVENT_TRIGGER
from tidegate.domain.ids import content_hash
from tidegate.domain.release import previous_release, release_name
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Item, Ports
from tidegate.steps.releasing import execution_name

ACTOR = "guard"


def look(ports: Ports, ledger: Ledger, guard: Item) -> bool:
    """Whether a rollback was started. CloudWatch's own word on the alarms decides, whoever says it is time to look.

    While somebody holds the lock nothing is done: a deployment may be the mend. The sweep looks again.
    """
    place = guard["system"], guard["environment"]
    current = ledger.current(*place)
    if guard["until"] <= ledger.now() or current is None or current.deployment != guard["deployment"]:
        ledger.end_guard(guard)
        return False
    ringing = ports.alarms.in_alarm(guard["alarms"])
    if not ringing or not Locks(ports.store, ports.clock).read(*place).free:
        return False
    before = previous_release(ledger.standings(*place), current.release)
    if before is None:
        ledger.tell(guard["deployment"], "its guard rang in vain", detail="there is no release before it")
        ledger.end_guard(guard)
        return False
    # A name that works once: however often the alarm rings, and whoever looks at the same time.
    hash_ = content_hash(["guard", *place, guard["deployment"]])[:32]
    names = ", ".join(ringing)
    asked = {
        "system": place[0],
        "environment": place[1],
        "to": release_name(before.release),
        "reason": f"guard: {names} in ALARM after {release_name(current.release)}",
        "actor": ACTOR,
        "trigger": EVENT_TRIGGER,
    }
    started = ports.executions.start("rollback", execution_name("-".join(place), hash_), asked)
    if started.new:
        ledger.tell(guard["deployment"], "its guard rang", detail=f"{names}: rolling back")
    ledger.end_guard(guard)
    return started.new
