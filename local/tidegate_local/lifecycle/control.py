"""The control endpoints of a running cloud, with errors a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate_local.control import Control, ControlError, NotRunningError
from tidegate_local.lifecycle.errors import LocalError, NotUpError, UsageError
from tidegate_local.lifecycle.record import Cloud


@contextmanager
def of(cloud: Cloud) -> Iterator[Control]:
    """Raises `UsageError` for what the cloud refuses, `NotUpError` when it no longer answers."""
    try:
        yield Control(cloud.endpoint_url)
    except ControlError as error:
        kind = UsageError if error.status < 500 else LocalError
        raise kind(str(error), hint=error.hint, field=error.field, code=error.code) from error
    except NotRunningError as error:
        raise NotUpError(str(error)) from error
