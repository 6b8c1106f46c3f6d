"""git's post-receive: tells the embedded cloud what a push changed, and the person who pushed what comes of it.

Called by git in the bare repository with one line for each reference on standard input,
`<old> <new> <name>` (githooks, "post-receive"); what it prints reaches the pusher after `remote: `.
A push is stored by then and cannot be refused any more: whatever goes wrong here is only said.
"""

import sys
from collections.abc import Iterable

from tidegate_local.control import Control, ControlError, NotRunningError


def main(endpoint_url: str, repository: str, lines: Iterable[str]) -> None:
    """Report the push and print what was done with it."""
    changes = [dict(zip(("old", "new", "reference"), line.split(maxsplit=2), strict=True)) for line in lines]
    try:
        told = Control(endpoint_url, timeout=60.0).report_push(repository, changes)
    except (ControlError, NotRunningError) as error:
        print(f"the push is stored, but no event was sent: {error}")
        return
    for line in told:
        print(line)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], (line.strip() for line in sys.stdin))
