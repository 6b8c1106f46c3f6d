"""Does what people ask for: abort, approve, reject, freeze, unfreeze, unlock.

The step is `tidegate.steps.control`, its events are in `events/control/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.control import run

lambda_handler = handler(run)
