"""Starts one service's ECS deployment, waits for it, and reports why it failed.

The step is `tidegate.steps.roll_service`, its events are in `events/roll_service/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.roll_service import run

lambda_handler = handler(run)
