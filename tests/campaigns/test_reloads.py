"""100 reloads a second under load: no call fails, no WebSocket drops, nothing grows.

WebSockets of other APIs notice nothing. Those of the API that is reloaded are told 1012, between
two messages, when their sandbox goes; connecting again works at once and no echo is missing.
A reload is asked for every 10 ms, whether or not the last one is done. Those that meet one on its
way are answered with its outcome: a fresh sandbox every 10 ms would measure the sandboxes.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import psutil
import pytest
import websockets

from tests.benchmarks.rig import gateway_pids
from tests.campaigns.conftest import Note
from tests.campaigns.redis_in_use import set_wide_limits
from tests.campaigns.workers import several_workers
from tests.journeys.callers import crowd, while_doing
from tests.support.engines import require
from tests.support.installation import Installation

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]

A_SECOND = 100
IN_FLIGHT = 600  # more would be a queue of their own
MOST_GROWTH_MB = 20.0
MOST_DESCRIPTORS = 16
ECHO = """
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from user API"}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        return
"""


@dataclass(slots=True)
class Reloads:
    """What the administrator saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    generations: set[int] = field(default_factory=set)
    texts: Counter[str] = field(default_factory=Counter)
    missed: int = 0  # could not be asked for because too many were on their way


async def reload_once(admin: aiohttp.ClientSession, api_id: str, seen: Reloads) -> None:
    """One reload, noted."""
    async with admin.post(f"/admin/reload/{api_id}") as answer:
        value = await answer.json()
    seen.statuses[answer.status] += 1
    if answer.status == 200:
        seen.generations.add(value["generation"])
    else:
        seen.texts[f"{value.get('code')}: {value.get('detail')}"[:200]] += 1


async def reload_at_rate(
    admin: aiohttp.ClientSession, api_id: str, seconds: float, seen: Reloads
) -> None:
    """One every 10 ms; whoever is late does not slow down the next."""
    begin, tasks = time.monotonic(), set[asyncio.Task[None]]()
    for number in range(int(seconds * A_SECOND)):
        await asyncio.sleep(max(0.0, begin + number / A_SECOND - time.monotonic()))
        if len(tasks) >= IN_FLIGHT:
            seen.missed += 1
            continue
        task = asyncio.create_task(reload_once(admin, api_id, seen))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


class Socket:
    """One WebSocket that is asked something all the time."""

    def __init__(self) -> None:
        self.echoes = 0
        self.told = 0  # how often 1012 said that it should connect again
        self.dropped = ""

    async def run(self, made: Installation, api: dict[str, str], stop: asyncio.Event) -> None:
        """Until told to stop."""
        while not stop.is_set() and not self.dropped:
            try:
                await self._ask(made, api, stop)
            except websockets.exceptions.ConnectionClosed as error:
                close = error.rcvd
                if close is None or close.code != websockets.CloseCode.SERVICE_RESTART:
                    self.dropped = str(error)
                self.told += 1
            except websockets.exceptions.InvalidStatus as error:
                self.dropped = str(error)

    async def _ask(self, made: Installation, api: dict[str, str], stop: asyncio.Event) -> None:
        url = made.url.replace("http", "ws", 1) + f"/{api['id']}/echo"
        headers = {"X-API-Key": api["api_key"]}
        async with websockets.connect(url, additional_headers=headers) as socket:
            while not stop.is_set():
                await socket.send(f"{self.echoes}")
                assert await socket.recv() == f"{self.echoes}"
                self.echoes += 1
                await asyncio.sleep(0.01)


def rss_mb(made: Installation) -> float:
    """Memory of all gateways and the manager."""
    pids = [*gateway_pids(made), made.processes()["manager"]]
    return sum(float(psutil.Process(pid).memory_info().rss) for pid in pids) / 1e6


def descriptors(made: Installation) -> int:
    """Open descriptors of the same."""
    pids = [*gateway_pids(made), made.processes()["manager"]]
    return sum(int(psutil.Process(pid).num_fds()) for pid in pids)


async def test_100_reloads_a_second_under_load(seconds: float, note: Note) -> None:
    require("bubblewrap")
    seen, stop = Reloads(), asyncio.Event()
    other, reloaded = Socket(), Socket()
    with several_workers() as made:
        api, untouched = made.deploy("reloaded", ECHO), made.deploy("untouched", ECHO)
        set_wide_limits(made, api["tenant_id"])
        async with (
            crowd(made.url, made.first["admin_api_key"], IN_FLIGHT) as admin,
            crowd(made.url, api["api_key"]) as client,
        ):
            await reload_at_rate(admin, api["id"], min(2.0, seconds), Reloads())  # all is warm
            before, open_before = rss_mb(made), descriptors(made)
            sockets = [
                asyncio.create_task(other.run(made, untouched, stop)),
                asyncio.create_task(reloaded.run(made, api, stop)),
            ]

            async def reload() -> None:
                await reload_at_rate(admin, api["id"], seconds, seen)

            begin = time.monotonic()
            calls = await while_doing(client, f"/{api['id']}", reload)
            took = time.monotonic() - begin
            stop.set()
            await asyncio.gather(*sockets)
        grown, opened = rss_mb(made) - before, descriptors(made) - open_before
    note("reloads, asked for a second", round(seen.statuses.total() / seconds, 1))
    note("reloads, answered", dict(seen.statuses))
    note("reloads, fresh generations a second", round(len(seen.generations) / took, 1))
    note("reloads, calls meanwhile", dict(calls.statuses))
    note("reloads, calls that broke", dict(calls.broken))
    note("reloads, echoes on the WebSocket of another API", other.echoes)
    note("reloads, echoes on that of the reloaded one", reloaded.echoes)
    note("reloads, it was told to connect again", reloaded.told)
    note("reloads, MB grown", round(grown, 1))
    note("reloads, descriptors grown", opened)
    assert seen.missed == 0
    assert set(seen.statuses) == {200}, seen.texts
    assert set(calls.statuses) == {200}, calls.bodies
    assert not calls.broken
    assert (other.dropped, other.told) == ("", 0)
    assert not reloaded.dropped
    assert grown <= MOST_GROWTH_MB
    assert opened <= MOST_DESCRIPTORS
