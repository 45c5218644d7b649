"""An API that takes all of something, again and again: calls of others are answered meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.benchmarks.neighbours import BAD_CODE, MISDEEDS
from tests.journeys import apps
from tests.support.deployed import Deployed, deployed
from tests.support.installation import Installation

CALLS = 60


@pytest.fixture
def good(made: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """Somebody who has nothing to do with it."""
    with deployed(made, f"good {request.node.name}"[:70], apps.USER_APP) as one:
        yield one


@pytest.fixture
def bad(made: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """The offender."""
    with deployed(made, f"bad {request.node.name}"[:70], BAD_CODE) as one:
        yield one


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_calls_of_others_are_answered_meanwhile(
    good: Deployed, bad: Deployed, misdeed: str
) -> None:
    assert bad.ask(f"/{misdeed}") == misdeed
    with good.made.client(Authorization=f"Bearer {good.key}") as client:

        def status(number: int) -> int:
            if number % 10 == 0:
                bad.call(f"/{misdeed}")
            return client.get(f"/{good.id}").status_code

        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(status, range(CALLS))) == {httpx.codes.OK}
    assert {one["end"] for one in good.sandboxes()} == {None}
