"""Takes what GitHub delivers to the function URL, and puts verified pushes on the bus.

The step is `tidegate.steps.webhook`, its events are in `events/webhook/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.webhook import run

lambda_handler = handler(run)
