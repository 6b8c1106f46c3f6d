"""Receives events: starts deployments and resumes those that wait for ECS.

The step is `tidegate.steps.wake`, its events are in `events/wake/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.wake import run

lambda_handler = handler(run)
