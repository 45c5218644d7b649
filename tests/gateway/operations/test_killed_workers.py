"""kill -9 of a real worker process in each step: never stuck, never two APIs, the books agree."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from gateway.store import jobs
from gateway.store.database import SERVICE
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.generating import CALL_NANO_USD, Script, able, over, working
from tests.support.job_process import STEPS
from tests.support.jobs import queue

pytestmark = pytest.mark.slow
LOST = {"reserved": CALL_NANO_USD}  # set aside twice as much as a call costs, and never settled


@asynccontextmanager
async def worker_in(
    step: str, postgres: EmbeddedPostgres, name: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has claimed what is queued and stands in this step."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.job_process"),
        *(str(postgres.socket_dir), name, step),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while (line := await process.stdout.readline()) != b"stopped\n":
                assert line, "the worker ended by itself"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def gapless(world: World, job_id: UUID) -> list[str]:
    rows = await jobs.events(world.database, SERVICE, job_id, 0)
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["kind"] for row in rows]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_in_a_step_another_worker_brings_it_to_its_end(
    world: World,
    postgres: EmbeddedPostgres,
    database_name: str,
    owner: asyncpg.Connection,
    step: str,
) -> None:
    person = await world.person()
    job_id = await queue(world.database, person)
    async with worker_in(step, postgres, database_name) as process:
        process.kill()
        await process.wait()
    async with working(able(world.services), Script()):
        row = await over(world.services, job_id)
    assert (row["status"], row["failure"]) == ("succeeded", None)
    assert len(await world.database.select("apis", identity=SERVICE)) == 1
    told = await gapless(world, job_id)
    assert (told.count("version"), told.count("deployed"), told[-1]) == (1, 1, "deployed")
    ledger = await owner.fetchrow(
        "select coalesce(sum(nano_usd), 0)::bigint as spent, count(*) filter (where stop = 'lost')"
        " as lost from public.model_costs"
    )
    assert ledger is not None
    assert (ledger["spent"], ledger["lost"]) == (row["cost_nano_usd"], int(step in LOST))
    assert await owner.fetchval("select count(*) from private.cost_reservations") == 0
