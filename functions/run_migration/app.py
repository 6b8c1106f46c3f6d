"""What of a migration ECS, RDS and the ledger do.

The step is `tidegate.steps.run_migration`, its events are in `events/run_migration/`, its permissions in
`template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.run_migration import run

lambda_handler = handler(run)
