"""How much longer calls of a well-behaved API take while one in another sandbox misbehaves.

A whole installation; one client calls at a steady pace and counts from when it meant to call.
"""

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp

from tests.benchmarks import apps
from tests.support.deployed import Deployed, deployed
from tests.support.installation import Installation, installation

PACE = 100  # calls a second: a tenth of a processor, so that nobody waits for the measuring itself
BAR = 2.0
_NICE = -15  # the caller stands for another machine
_KEEP_SECONDS = 0.5
_SETTLE_SECONDS = 2.0
_CALL_SECONDS = 20.0
BAD_CODE = (Path(__file__).parent / "bad_neighbour.py").read_text("utf-8")
MISDEEDS = {
    "spin": "spins",
    "fork": "forks to its limit",
    "eat": "runs out of memory",
    "fill": "fills /tmp",
    "descriptors": "opens all descriptors",
    "log": "floods its log",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds of calls alone and beside one misdeed."""

    misdeed: str
    alone: list[float]
    beside: list[float]
    failed: int

    def ratio(self, share: float) -> float:
        """Of the times below which this share of the calls stayed."""
        return percentile(self.beside, share) / percentile(self.alone, share)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(runtime: str, seconds: int) -> list[Beside]:
    """Each misdeed in turn, alone before and after it."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    environment = {"SANDBOX_RUNTIME": runtime}
    with installation(**environment) as made, deployed(made, "good", apps.BARE) as good:
        async with _session(made) as session:
            await _steady(session, good, 2)
            return [await _beside(session, made, good, misdeed, seconds) for misdeed in MISDEEDS]


@asynccontextmanager
async def _session(made: Installation) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(made.url, timeout=timeout, connector=connector) as session:
        yield session


async def _beside(
    session: aiohttp.ClientSession, made: Installation, good: Deployed, misdeed: str, seconds: int
) -> Beside:
    before, failed = await _steady(session, good, seconds / 2)
    with deployed(made, f"bad {misdeed}", BAD_CODE) as bad:
        keeping = asyncio.create_task(_keep(session, bad, misdeed))
        try:
            await asyncio.sleep(_SETTLE_SECONDS)
            beside, more = await _steady(session, good, seconds)
        finally:
            keeping.cancel()
            began = await asyncio.gather(keeping, return_exceptions=True)
        if not isinstance(began[0], asyncio.CancelledError):
            print(f"  {misdeed}: {began[0]!r}", file=sys.stderr)
    await asyncio.sleep(_SETTLE_SECONDS)
    after, last = await _steady(session, good, seconds / 2)
    return Beside(misdeed, before + after, beside, failed + more + last)


async def _keep(session: aiohttp.ClientSession, bad: Deployed, misdeed: str) -> None:
    """Its sandbox may end for what it does: then the next call starts another one."""
    headers = {"X-API-Key": bad.key}
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"/{bad.id}/{misdeed}", headers=headers) as answer:
                await answer.read()
        await asyncio.sleep(_KEEP_SECONDS)


async def _steady(
    session: aiohttp.ClientSession, good: Deployed, seconds: float
) -> tuple[list[float], int]:
    """Calls at a steady pace, whether or not earlier ones were answered: times and failures."""
    times: list[float] = []
    failed = 0
    path, headers = f"/{good.id}/", {"X-API-Key": good.key}

    async def call(meant: float) -> None:
        nonlocal failed
        try:
            async with session.get(path, headers=headers) as answer:
                await answer.read()
                failed += answer.status != 200
        except (aiohttp.ClientError, TimeoutError):
            failed += 1
        times.append((perf_counter() - meant) * 1000)

    begin = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * PACE)):
            meant = begin + number / PACE
            await asyncio.sleep(max(0.0, meant - perf_counter()))
            group.create_task(call(meant))
    return times, failed


def typical(found: list[Beside]) -> tuple[float, float]:
    """Median and 99th percentile of all calls that were alone."""
    alone = [one for each in found for one in each.alone]
    return statistics.median(alone), percentile(alone, 0.99)
