"""Plans a release or a rollback: what would change, and whether it may.

The step is `tidegate.steps.plan_release`, its events are in `events/plan_release/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.plan_release import run

lambda_handler = handler(run)
