"""The whole orchestrator, with IAM enforced, in an embedded cloud whose tasks are containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.runtime.composition import connect
from tidegate_local import engine
from tidegate_local.lifecycle import cloud as life
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.settings import cloud_id

from tests.e2e.support import ROOT, EmbeddedSession, SampleCloud
from tests.support.leftovers import free_port


class Orchestrator(SampleCloud):
    """Without the sample in it: each test brings a system of its own."""

    @property
    def endpoint_url(self) -> str:
        return self.cloud.endpoint_url

    @property
    def registry(self) -> str:
        return self.cloud.options.registry

    @property
    def container_label(self) -> str:
        """What Docker finds its containers by."""
        return f"{engine.CLOUD_LABEL}={cloud_id(self.checkout.server)}"


@contextmanager
def running_orchestrator(state: Path) -> Iterator[Orchestrator]:
    """Start one with its own state folder and port, stop it."""
    checkout = Checkout(ROOT, state)
    said: list[str] = []
    cloud = life.up(checkout, life.Wanted(port=free_port(), docker="require"), said.append)
    try:
        session = EmbeddedSession(cloud)
        yield Orchestrator(checkout, cloud, session, connect(session, cloud.options.stack))
    finally:
        life.down(checkout, said.append)
