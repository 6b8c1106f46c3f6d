"""Ends a run: what is current now, whose turn is next, who should know.

The step is `tidegate.steps.record`, its events are in `events/record/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.record import run

lambda_handler = handler(run)
