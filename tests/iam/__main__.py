"""Takes each permission of each function away in turn, and looks which scenario breaks.

    python -m tests.iam                        all of them: about half an hour
    python -m tests.iam --only wake sweep      of these functions
    python -m tests.iam --only wake/ssm:GetParameter
    python -m tests.iam --likely               only the scenario that is likely to break, and no others

Prints `role | action | broke` as it goes, and ends with exit code 1 if the loss of some permission broke nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.e2e import scenarios, support
from tests.e2e.support import SampleCloud, sample_cloud
from tests.iam.cloud import Roles, denials, forget
from tests.iam.permissions import AWS_ONLY, Pair, pairs
from tests.iam.plan import order
from tests.template.loading import load

# With nothing missing a step of a scenario takes a few seconds; most of a run is waiting for what does not come.
PATIENCE = 15.0


def main() -> int:
    arguments = _arguments()
    chosen = [pair for pair in pairs(load()) if _chosen(pair, arguments.only)]
    scenarios.PATIENCE = support.ARRIVES_SECONDS = support.ENDS_SECONDS = PATIENCE
    nothing_broke = []
    with tempfile.TemporaryDirectory() as folder, sample_cloud(Path(folder) / "state") as cloud:
        roles = Roles(cloud)
        scenarios.listen(cloud)
        forget(cloud)
        sound = _sound(
            cloud, [order(pair) for pair in chosen if pair.action not in AWS_ONLY], arguments.likely
        )
        _say("role", "action", "broke")
        _say("---", "---", "---")
        for pair in chosen:
            if pair.action in AWS_ONLY:
                _say(pair.role, pair.action, f"aws only: {AWS_ONLY[pair.action]['page']}")
                continue
            began = time.monotonic()
            names = [name for name in order(pair)[: 1 if arguments.likely else None] if name in sound]
            broken = _broken(pair, roles, cloud, names)
            took = f"{time.monotonic() - began:.0f} s"
            _say(pair.role, pair.action, f"{broken} ({took})" if broken else f"NOTHING ({took})")
            if broken is None:
                nothing_broke.append(pair)
    _say(
        str(len(chosen)), "permissions", f"{len(nothing_broke)} of them broke nothing when they were missing"
    )
    return 1 if nothing_broke else 0


def _sound(cloud: SampleCloud, orders: list[list[str]], likely: bool) -> set[str]:
    """The scenarios that pass with every permission in place: only of those does it mean something to break."""
    sound = set()
    for name in dict.fromkeys(name for names in orders for name in (names[:1] if likely else names)):
        try:
            scenarios.run(name, cloud)
        except Exception as error:  # noqa: BLE001 - as below
            _say("nothing taken away", name, f"BROKEN ALL THE SAME: {str(error)[:200]}")
            forget(cloud)
        else:
            sound.add(name)
    return sound


def _broken(pair: Pair, roles: Roles, cloud: SampleCloud, names: list[str]) -> str | None:
    """The first scenario that breaks, and how."""
    for name in names:
        said = _play(pair, roles, cloud, name)
        if said is not None:
            return f"{name}: {said}"
    return None


def _play(pair: Pair, roles: Roles, cloud: SampleCloud, name: str) -> str | None:
    began = time.time()
    # What was heard in an earlier play proves nothing in this one.
    scenarios._announcements(cloud)
    scenarios._heard_so_far.clear()
    try:
        with roles.lacking(pair):
            scenarios.run(name, cloud)
        refused = denials(cloud, began)
        assert not refused, refused[0]
    except Exception as error:  # noqa: BLE001 - whatever a scenario raises, it is broken
        forget(cloud)
        place = traceback.extract_tb(error.__traceback__)[-1].line
        return (str(error).splitlines()[0] if str(error) else f"{type(error).__name__}: {place}")[:160]
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.iam", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="FUNCTION[/ACTION]")
    parser.add_argument(
        "--likely", action="store_true", help="play only the scenario that is likely to break"
    )
    return parser.parse_args()


def _chosen(pair: Pair, only: list[str]) -> bool:
    return not only or pair.function in only or f"{pair.function}/{pair.action}" in only


def _say(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
