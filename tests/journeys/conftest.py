"""A whole installation per runtime, shared by the journeys of one worker."""

from collections.abc import Iterator

import pytest

from tests.support.engines import require
from tests.support.installation import Installation, installation


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("bubblewrap", marks=[pytest.mark.bubblewrap]),
        pytest.param("docker", marks=[pytest.mark.docker]),
    ],
)
def made(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Sandgate as `make run` starts it, on each real runtime."""
    require(request.param)
    with installation(SANDBOX_RUNTIME=request.param, SANDBOX_START_SECONDS="6") as running:
        yield running
