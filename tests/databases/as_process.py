"""A step in a process of its own: `python -m tests.databases.as_process '{"secret", "files", "payload"}'`."""

from __future__ import annotations

import json
import sys

from tidegate.steps.migrate_sql import run

from tests.databases.stage import Patience, Secrets, ports_of

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    files = {name: content.encode() for name, content in given["files"].items()}
    answer = run(given["payload"], ports_of(Secrets(given["secret"]), files, Patience()))
    sys.stdout.write(json.dumps(answer))
