"""Asks a service over HTTP until it answers well; in a VPC, where an environment has a runner.

The step is `tidegate.steps.smoke`, its events are in `events/smoke/`, its permissions in `infrastructure/runner.yaml`
and in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.smoke import run

# The stack of a runner has no table.
lambda_handler = handler(run, table=False)
