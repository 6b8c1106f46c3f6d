"""Looks once a minute after everything that an event may have missed.

The step is `tidegate.steps.sweep`, its events are in `events/sweep/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.sweep import run

lambda_handler = handler(run)
