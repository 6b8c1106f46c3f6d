"""What every test of the template starts from."""

import pytest

from tests.template.loading import Stack, load


@pytest.fixture(scope="session")
def stack() -> Stack:
    return load()
