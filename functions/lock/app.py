"""Gives an environment to one deployment at a time.

The step is `tidegate.steps.lock`, its events are in `events/lock/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.lock import run

lambda_handler = handler(run)
