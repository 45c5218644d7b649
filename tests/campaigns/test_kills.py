"""kill -9 of every process under load: each comes back, nothing is left, no answered call is lost.

A call counts as answered when its whole answer reached the caller. Its record must then be in
`api_usage` exactly once, by request id.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from gateway.cli.files import installation_id
from gateway.store.embedded import EmbeddedPostgres
from sandbox.paths import runtime_dir
from tests.campaigns import redis_in_use
from tests.campaigns.conftest import Note
from tests.campaigns.reconciled import reconciled
from tests.journeys import apps
from tests.journeys.callers import crowd
from tests.support import residue
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_blocking

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1800)]

CALLERS = 8
NAMES = ("worker", "postgres", "manager", "gateway", "door")
HARMLESS = ("worker", "postgres", "door", "redis")  # no call may notice when one of them dies


@dataclass(slots=True)
class Ledger:
    """What the callers saw."""

    request_ids: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    looks: int = 0  # calls that only looked whether it is back and were not answered with 200

    def failures(self) -> int:
        """Everything that was not a 200."""
        return self.broken + self.statuses.total() - self.statuses[200]


async def call_until(
    stop: asyncio.Event, client: aiohttp.ClientSession, path: str, ledger: Ledger
) -> None:
    """One caller in a closed loop."""
    while not stop.is_set():
        try:
            async with client.get(path) as answer:
                value = await answer.json(content_type=None)
        except aiohttp.ClientError:
            ledger.broken += 1
            continue
        ledger.statuses[answer.status] += 1
        if answer.status == 200:
            ledger.request_ids.append(answer.headers["x-request-id"])
        else:
            ledger.codes[value["code"]] += 1
            await asyncio.sleep(0.02)


async def back_again(
    made: Installation,
    name: str,
    old: int,
    client: aiohttp.ClientSession,
    path: str,
    ledger: Ledger,
) -> float:
    """Seconds until the process lives again, everything is ready and a call answers 200."""
    begin = time.monotonic()
    async with asyncio.timeout(60):
        while made.processes().get(name, old) == old:
            await asyncio.sleep(0.02)
        while not await looks_well(client, path, ledger):
            await asyncio.sleep(0.05)
    return time.monotonic() - begin


async def looks_well(client: aiohttp.ClientSession, path: str, ledger: Ledger) -> bool:
    """Whether all is ready and a call answers 200; that call is in the ledger too."""
    try:
        async with client.get("/ready") as ready, client.get(path) as answer:
            await answer.read()
    except aiohttp.ClientError:
        ledger.looks += 1
        return False
    if answer.status == 200:
        ledger.request_ids.append(answer.headers["x-request-id"])
    else:
        ledger.looks += 1
    return (ready.status, answer.status) == (200, 200)


async def recorded(made: Installation, api_id: str) -> Counter[str]:
    """How often each request id of the API stands in the usage table."""
    connection = await asyncpg.connect(EmbeddedPostgres(made.data_dir).dsn("postgres"))
    try:
        rows = await connection.fetch(
            "select request_id::text as id from api_usage where api_id = $1", api_id
        )
    finally:
        await connection.close()
    return Counter(row["id"].replace("-", "") for row in rows)


async def all_recorded(made: Installation, api_id: str, answered: set[str]) -> Counter[str]:
    """Wait for the worker to drain the journal; the last look is returned either way."""
    deadline = time.monotonic() + 30
    while True:
        found = await recorded(made, api_id)
        if answered <= set(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


@contextmanager
def under_campaign(runtime: str) -> Iterator[tuple[Installation, RedisServer]]:
    """An installation, with a Redis when limits can be shared."""
    with redis_in_use.server() as redis:
        # a gateway that was killed counts as another one for a while
        environment = {"REDIS_URL": redis.url, "LIMIT_FAILURE": "estimate"}
        with installation(SANDBOX_RUNTIME=runtime, **environment) as made:
            yield made, redis


@pytest.mark.parametrize("runtime", ["bubblewrap", "docker"])
async def test_each_process_killed_under_load(runtime: str, rounds: int, note: Note) -> None:
    require(runtime)
    with under_campaign(runtime) as (made, redis):
        api = made.deploy("campaign", apps.USER_APP)
        redis_in_use.set_wide_limits(made, api["tenant_id"])
        path = f"/{api['id']}"
        names = (*NAMES, "redis")
        ledgers = {name: Ledger() for name in names}
        async with crowd(made.url, api["api_key"]) as client:
            for name in names * rounds:
                took = await killed_under_load(made, redis, name, ledgers[name], client, path)
                print(f"{runtime}: {name} killed, back after {took:.2f} s", flush=True)
        await every_answer_is_recorded(made, api["id"], ledgers, note, runtime)
        reconciled(made)
        for name in set(HARMLESS) & set(names):
            assert ledgers[name].failures() == 0, f"{name}: {ledgers[name]}"
        label, run_dir = installation_label(made), runtime_dir(made.data_dir)
        made.stop()
        nothing_left(made, label, run_dir)
        note(f"{runtime}: kills", len(names) * rounds)


async def every_answer_is_recorded(
    made: Installation, api_id: str, ledgers: dict[str, Ledger], note: Note, runtime: str
) -> None:
    """Once each; what was recorded beyond that is at most what broke on its way to the caller."""
    answered = [i.replace("-", "") for ledger in ledgers.values() for i in ledger.request_ids]
    found = await all_recorded(made, api_id, set(answered))
    for name, ledger in ledgers.items():
        print(f"{runtime}: {name}: {ledger.statuses} broken={ledger.broken} {ledger.codes}")
    missing = set(answered) - set(found)
    note(f"{runtime}: answered", len(answered))
    note(f"{runtime}: recorded", found.total())
    note(f"{runtime}: answered and not recorded", len(missing))
    note(f"{runtime}: recorded twice", found.total() - len(found))
    assert not missing
    assert max(found.values()) == 1
    beyond = len(set(found) - set(answered))
    assert beyond <= sum(each.failures() + each.looks for each in ledgers.values())


async def killed_under_load(
    made: Installation,
    redis: RedisServer,
    name: str,
    ledger: Ledger,
    client: aiohttp.ClientSession,
    path: str,
) -> float:
    """Kill one process while callers call; answers how long it took to come back."""
    stop = asyncio.Event()
    callers = [asyncio.create_task(call_until(stop, client, path, ledger)) for _ in range(CALLERS)]
    try:
        await asyncio.sleep(0.3)
        if name == "redis":
            return await redis_in_use.killed_and_started(made, redis)
        return await back_again(made, name, made.kill(name), client, path, ledger)
    finally:
        stop.set()
        await asyncio.gather(*callers)


def installation_label(made: Installation) -> str:
    """The label that everything of this installation carries."""
    return installation_id(made.data_dir)


def nothing_left(made: Installation, label: str, run_dir: Path) -> None:
    """Within 15 s no container, process, control group or socket remains."""

    def clean() -> bool:
        return not (
            residue.containers(label)
            or residue.processes(made.data_dir)
            or residue.cgroups(label)
            or residue.sockets(run_dir)
        )

    until_blocking(clean, 15)


@pytest.mark.parametrize("runtime", ["bubblewrap", "docker"])
def test_killed_supervisor_leaves_nothing(runtime: str) -> None:
    require(runtime)
    with installation(SANDBOX_RUNTIME=runtime) as made:
        made.deploy("campaign", apps.USER_APP)
        label, run_dir = installation_label(made), runtime_dir(made.data_dir)
        made.stop(9)
        nothing_left(made, label, run_dir)
