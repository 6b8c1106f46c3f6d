"""Requests count as sent by TLS, although the embedded cloud speaks HTTP.

AWS: clients use TLS, and a policy that denies `aws:SecureTransport` false denies none of them (IAM user guide, "AWS
global condition context keys"). MiniStack: the transport is what it is, so a queue or a bucket with that policy refuses
everybody. Mended by calling it secure: it does not leave the machine.
"""

from ministack import app

from tidegate_local.seam import graft


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def pin(source_ip: str, secure_transport: bool) -> None:  # noqa: ARG001 -- the shape of what it replaces
        original(source_ip, True)

    original = graft(
        app, "pin_request_origin", pin, signature="(source_ip: str, secure_transport: bool) -> None"
    )
