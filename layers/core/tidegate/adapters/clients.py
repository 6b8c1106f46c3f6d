"""Clients of one session: credentials, service models and connections are loaded once.

One session for all clients instead of one each saves a third of the time that four clients take to create, and
botocore without boto3 another 5 % of a cold start; so in a function the session is botocore's, and boto3's where a
caller (the command line) brings one.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidegate import __version__
from tidegate.adapters.errors import asking

if TYPE_CHECKING:
    import boto3
    import botocore.session
    from botocore.config import Config

CONNECT_SECONDS = 2
READ_SECONDS = 6
ATTEMPTS = 3  # worst case for one call: 3 * (2 + 6) s and the back-off, inside a function's 30 s


class Clients:
    """`arn` is any ARN of the account that calls (a function's own): it names the partition and the account.

    Without it they are asked of STS when they are first needed.
    """

    def __init__(self, region: str, *, arn: str | None = None, session: boto3.Session | None = None) -> None:
        self.region = region
        self._arn = arn
        self._given = session
        self._made: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """The client of a service (boto3's name of it) in this or another region; created once."""
        key = (service, region or self.region)
        if key not in self._made:
            with asking(f"making the client of {service}"):
                self._made[key] = self._create(*key)
        return self._made[key]

    @property
    def partition(self) -> str:
        return self._identity.split(":")[1]

    @property
    def account(self) -> str:
        return self._identity.split(":")[4]

    @cached_property
    def _identity(self) -> str:
        if self._arn is not None:
            return self._arn
        with asking("sts:GetCallerIdentity"):
            return str(self.client("sts").get_caller_identity()["Arn"])

    def _create(self, service: str, region: str) -> Any:
        if self._given is not None:
            return self._given.client(service, region_name=region, config=_config())  # type: ignore[call-overload]
        return self._session.create_client(service, region_name=region, config=_config())

    @cached_property
    def _session(self) -> botocore.session.Session:
        from botocore.session import Session  # noqa: PLC0415 - the larger part of a cold start, paid when needed

        return Session()


def _config() -> Config:
    from botocore.config import Config  # noqa: PLC0415 - as above

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={
            "mode": "standard",
            "total_max_attempts": ATTEMPTS,
        },  # `max_attempts` would not count the first
        user_agent_extra=f"tidegate/{__version__}",
    )
