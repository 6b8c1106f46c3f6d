"""Selects the images a commit needs and has CodeBuild make them.

The step is `tidegate.steps.build_images`, its events are in `events/build_images/`, its permissions in `template.yaml`.
"""

from tidegate.runtime.handler import handler
from tidegate.steps.build_images import run

lambda_handler = handler(run)
