"""Scenarios through real sandboxes and with generated calls; hostile code runs nowhere else."""

from pathlib import Path

import pytest

from generator.gates import GATES
from tests.benchmarks.manager_under_test import under_test
from tests.support.engines import require
from tests.support.sandbox_stage import SandboxStage
from tests.support.scenarios import table
from tests.support.scenarios.playing import play

pytestmark = [pytest.mark.slow, pytest.mark.bubblewrap]
TOO = ("first_try",)


async def test_they_end_as_expected(tmp_path: Path) -> None:
    require("bubblewrap")
    chosen = [one for one in table.ALL if one.is_real or one.name in TOO]
    assert len(chosen) == 4
    async with under_test("bubblewrap", tmp_path, "--blanks", "1", "--start-seconds", "3") as it:
        for scenario in chosen:
            played = await play(scenario, GATES, SandboxStage(it.client))
            played.expect(scenario)
        left = await it.client.status()
        assert [one for one in left.sandboxes if one.status not in {"blank", "starting"}] == []
