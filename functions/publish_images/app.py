"""Tags what was built and starts its releases.

The step is `tidegate.steps.publish_images`, its events are in `events/publish_images/`, its permissions in
`template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.publish_images import run

lambda_handler = handler(run)
