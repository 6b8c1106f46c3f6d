"""The embedded cloud of the end-to-end tests, for the fault rows that run against the real machines."""

from tests.e2e.conftest import cloud, shared_cloud

__all__ = ["cloud", "shared_cloud"]
