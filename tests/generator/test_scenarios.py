"""Every scenario ends as the table says, over a real client, a scripted server and real gates."""

import pytest

from tests.support.scenarios import table
from tests.support.scenarios.base import Scenario
from tests.support.scenarios.playing import Remembering, play
from tests.support.trusted_stage import TrustedStage

SCENARIOS = [
    pytest.param(one, id=one.name, marks=[pytest.mark.slow] * one.is_slow)
    for one in table.ALL
    if not one.is_real
]
GATES = Remembering()


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_it_ends_as_expected(scenario: Scenario) -> None:
    it = await play(scenario, GATES.gates, TrustedStage())
    it.expect(scenario)


def test_the_page_shows_all_of_them() -> None:
    page = table.PAGE.read_text()
    assert table.renewed(page) == page, f"python -m {table.__name__}"


def test_there_are_many_of_each_kind() -> None:
    assert len({one.name for one in table.ALL}) == len(table.ALL)
    assert all(len(group) >= 10 for group in table.GROUPS.values())
