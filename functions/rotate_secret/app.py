"""Replaces the value of a secret, and what a database knows of it; in a VPC, where an environment has a runner.

The step is `tidegate.steps.rotate_secret`, its events are in `events/rotate_secret/`, its permissions in
`infrastructure/runner.yaml` and in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.rotate_secret import run

# The stack of a runner has no table.
lambda_handler = handler(run, table=False)
