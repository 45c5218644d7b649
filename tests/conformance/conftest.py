"""Each runtime in turn, prepared for an installation of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.runtimes.base import Runtime
from tests.support.runtimes import EVERY, new_installation, prepared, short_folder


@pytest.fixture(params=[*EVERY, "fake"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def installation() -> str:
    return new_installation()


@pytest.fixture
async def runtime(name: str, installation: str) -> AsyncIterator[Runtime]:
    async with prepared(name, installation) as runtime:
        yield runtime


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    async with short_folder() as folder:
        yield folder
