"""A running gateway for the tests of the call path."""

from collections.abc import AsyncIterator

import pytest

from tests.support.datapath import DataPath, data_path


@pytest.fixture
async def path() -> AsyncIterator[DataPath]:
    """With the limits of production."""
    async with data_path() as opened:
        yield opened
