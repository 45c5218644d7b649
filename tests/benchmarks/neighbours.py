"""How much longer calls of a well-behaved API take while one in another sandbox misbehaves.

A whole installation; one client calls at a steady pace and counts from when it meant to call.
"""

import asyncio
import os
import statistics
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
_TURN_SECONDS = 2
_SETTLE_SECONDS = 0.3
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
    """Milliseconds of calls alone and beside one misdeed, turn by turn."""

    misdeed: str
    alone: list[list[float]]
    beside: list[list[float]]

    def ratio(self, share: float) -> float:
        """Of the times below which this share of the calls of a turn stayed."""
        return middle(self.beside, share) / middle(self.alone, share)


def middle(turns: list[list[float]], share: float) -> float:
    """The median turn's: what else the machine does comes in bursts and spoils some of them."""
    return statistics.median(percentile(turn, share) for turn in turns)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(runtime: str, seconds: int) -> list[Beside]:
    """Each misdeed for so many seconds; fails when a call of the well-behaved API does."""
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
    """Alone and beside it in turns, so that what else the machine does is felt by both."""
    found = Beside(misdeed, [], [])
    with deployed(made, f"bad {misdeed}", BAD_CODE) as bad:
        for _ in range(max(1, seconds // _TURN_SECONDS)):
            for on, times in ((True, found.beside), (False, found.alone)):
                await _turn(session, bad, misdeed, on=on)
                await asyncio.sleep(_SETTLE_SECONDS)
                times.append(await _steady(session, good, _TURN_SECONDS))
    return found


async def _turn(session: aiohttp.ClientSession, bad: Deployed, misdeed: str, *, on: bool) -> None:
    """Its sandbox may have ended for what it did: then the next call starts another one."""
    headers, query = {"X-API-Key": bad.key}, {"on": str(on)}
    async with asyncio.timeout(_CALL_SECONDS):
        while True:
            with suppress(aiohttp.ClientError):
                path = f"/{bad.id}/{misdeed}"
                async with session.get(path, headers=headers, params=query) as answer:
                    await answer.read()
                    if answer.status == 200:
                        return
            await asyncio.sleep(_SETTLE_SECONDS)


async def _steady(session: aiohttp.ClientSession, good: Deployed, seconds: float) -> list[float]:
    """Calls at a steady pace, whether or not earlier ones were answered; all must be."""
    times: list[float] = []
    path, headers = f"/{good.id}/", {"X-API-Key": good.key}

    async def call(meant: float) -> None:
        async with session.get(path, headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()
        times.append((perf_counter() - meant) * 1000)

    begin = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * PACE)):
            meant = begin + number / PACE
            await asyncio.sleep(max(0.0, meant - perf_counter()))
            group.create_task(call(meant))
    return times


def typical(found: list[Beside]) -> tuple[float, float]:
    """Median and 99th percentile of calls that were alone."""
    turns = [turn for each in found for turn in each.alone]
    return middle(turns, 0.5), middle(turns, 0.99)
