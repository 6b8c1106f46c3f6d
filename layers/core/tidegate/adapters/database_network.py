"""What connections to databases have in common below their protocols: a socket that stays open, who is trusted, and
words for what went wrong that tell no address."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from tidegate.domain.credentials import Credential

TRY_SECONDS: Final = 10.0
# An invocation of Lambda ends after 900 s: a server that says nothing for this long is not going to be heard.
ANSWER_SECONDS: Final = 870.0
RDS_AUTHORITIES: Final = Path(__file__).with_name("rds-ca-bundle.pem")
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, whose text shows the address.
OTHER_NAME: Final = frozenset({62, 64})

# Beside SO_KEEPALIVE, in seconds: a NAT gateway forgets a silent connection after 350.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class NotReadyError(Exception):
    """The text says what was seen, without an address."""


def connected(credential: Credential) -> socket.socket:
    """Raises NotReadyError."""
    try:
        opened = socket.create_connection((credential.host, credential.port), TRY_SECONDS)
    except (OSError, UnicodeError) as error:
        raise NotReadyError(reason_of(error, "it broke off")) from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):  # macOS names some of them otherwise
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened


def reason_of(error: BaseException, otherwise: str) -> str:
    """Never the error's own text: drivers and the resolver put the address into it. `otherwise` is for what is no fault
    of the network."""
    match error:
        case TimeoutError():
            return f"no answer within {TRY_SECONDS:g} s"
        case socket.gaierror() | UnicodeError():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "it closed the connection"
        case OSError():
            return error.strerror or "the network failed"
        case _:
            return otherwise
