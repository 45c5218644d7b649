"""Every row that can be tried from inside, on every runtime, beside a neighbour."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from sandbox.probes.escape import Seen, examine
from sandbox.probes.judge import Ground, Verdict
from sandbox.probes.report import judge_row
from sandbox.probes.row import Row
from sandbox.probes.rows import INSIDE
from sandbox.types import Tier
from tests.support.residue import cgroups, containers
from tests.support.runtimes import EVERY, new_installation, prepared, short_folder

# all of it is tried once a runtime, in the first test that asks
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@dataclass(frozen=True, slots=True)
class Tried:
    """What was seen on a runtime, and what was left when it was over."""

    tier: Tier
    missing: tuple[str, ...]
    seen: Seen
    left: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EVERY)
async def tried(request: pytest.FixtureRequest) -> AsyncIterator[Tried]:
    installation = new_installation()
    async with short_folder() as folder:
        async with prepared(request.param, installation) as runtime:
            seen = await examine(runtime, folder, installation)
            tier, missing = runtime.tier, await runtime.check()
        left = [*containers(installation), *cgroups(installation)]
        left += os.listdir(folder)
    yield Tried(tier, missing, seen, left)


@pytest.mark.parametrize("row", INSIDE, ids=lambda row: str(row.number))
async def test_every_row_holds(tried: Tried, row: Row) -> None:
    judged = judge_row(row, tried.seen, Ground(tried.tier, tried.missing))
    assert judged.verdict is not Verdict.NOT_APPLICABLE or tried.tier in row.absent
    assert judged.verdict in (Verdict.HELD, Verdict.NOT_APPLICABLE), judged.detail


@pytest.mark.parametrize("name", ["heap", "mapping", "memory_files"])
async def test_who_takes_all_memory_is_told_so(tried: Tried, name: str) -> None:
    # gVisor's own processes end, and what the kernel says of them does not always arrive
    words = {"memory", ""} if tried.tier is Tier.GVISOR else {"memory"}
    assert tried.seen.hogs[name]["end"]["end"] in words


@pytest.mark.parametrize("name", ["spin", "spin-loop"])
async def test_who_spins_is_told_so(tried: Tried, name: str) -> None:
    end = tried.seen.hogs[name]["end"]
    assert end["end"] in ("cpu", "deadline")
    assert end["reason"]


async def test_nothing_is_left(tried: Tried) -> None:
    assert tried.left == []
