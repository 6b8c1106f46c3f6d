"""Resource types of CloudFormation that MiniStack lacks.

AWS: has them (CloudFormation template reference). MiniStack: "Unrecognized resource types".
Mended by handlers that call MiniStack's own API where it has the service, and by others that only record the
resource: `tidegate_local.resources`. Any other type still fails the stack, by its name.
"""

from ministack.services.cloudformation import provisioners

from tidegate_local.resources import called, scaling
from tidegate_local.resources.called import CALLED
from tidegate_local.resources.recorded import RECORDED
from tidegate_local.seam import MendDoesNotFitError, expect_attributes

KINDS = {**CALLED, **RECORDED, **scaling.KINDS}


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    called.check()
    for name, kind in KINDS.items():
        if name in provisioners._RESOURCE_HANDLERS:
            raise MendDoesNotFitError("provisioners._RESOURCE_HANDLERS", f"no {name}", "one of its own")
        provisioners._RESOURCE_HANDLERS[name] = kind.handlers()
