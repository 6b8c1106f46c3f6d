"""Looks at a database and runs a release's SQL files in it; in a VPC, where an environment has a runner.

The step is `tidegate.steps.migrate_sql`, its events are in `events/migrate_sql/`, its permissions in
`infrastructure/runner.yaml` and in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.migrate_sql import run

# The stack of a runner has no table.
lambda_handler = handler(run, table=False)
