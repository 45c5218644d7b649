"""10 000 APIs and 100 000 keys registered: how soon a gateway starts, how much it takes."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from statistics import median

import aiohttp
import asyncpg
import httpx
import psutil
import uvloop

from gateway.store.embedded import SUPERUSER, EmbeddedPostgres
from tests.benchmarks import apps
from tests.benchmarks.latency import in_turns, targets
from tests.benchmarks.processes import rss_mb
from tests.benchmarks.rig import Deployed, Rig, gateway_pids
from tests.benchmarks.table import Bar, Report, Row
from tests.support.installation import Installation
from tests.support.waiting import until_blocking

# As many copies of what one API has: a version, a deployment, keys. Triggers sleep meanwhile.
FILL = """
set session_replication_role = replica;
create temporary table many as
    select gen_random_uuid() as api_id, gen_random_uuid() as version_id, n
      from generate_series(1, {apis}) as n;
insert into apis (id, tenant_id, slug, name, status)
    select many.api_id, api.tenant_id, 'many-' || n, 'many ' || n, 'active'
      from many, apis as api where api.id = '{api_id}';
insert into api_versions (id, api_id, n, code, digest)
    select many.version_id, many.api_id, 1, version.code, version.digest
      from many, api_versions as version where version.api_id = '{api_id}';
insert into deployments (api_id, version_id)
    select api_id, version_id from many;
create temporary table many_keys as
    select gen_random_uuid() as key_id, n from generate_series(1, {keys}) as n;
insert into consumer_api_keys (id, tenant_id, name, key_hash, display)
    select key_id, api.tenant_id, 'many ' || n, 'many-' || md5(n::text), 'sg_…' || n
      from many_keys, apis as api where api.id = '{api_id}';
insert into consumer_api_key_apis (key_id, api_id)
    select key_id, api_id from many_keys
      join many on many.n = 1 + many_keys.n % {apis};
set session_replication_role = origin;
analyze;
"""
_AT_ONCE = 16
_TURNS = 6  # for a round: single turns lie far apart
_SECTION = "{apis} APIs and {keys} keys registered"


def measure(rig: Rig, report: Report) -> None:
    """One installation with them and one without; called in turns, when all routes are known."""
    sizes = {"apis": rig.sizes["apis"], "keys": rig.sizes["keys"]}
    with rig.ours() as small, rig.ours() as large:
        empty, full = rig.deploy(small, "many", apps.BARE), rig.deploy(large, "many", apps.BARE)
        ids = asyncio.run(_fill(large, str(full.api["id"]), sizes))
        ways = {"empty": empty, "full": full}
        rows = {way: {"start s": _started(rig, deployed)} for way, deployed in ways.items()}
        uvloop.run(_visit(full, ids))
        through = {way: targets(deployed)["Sandgate"] for way, deployed in ways.items()}
        p50, p99 = in_turns(through, _TURNS * rig.rounds, rig.seconds / rig.rounds / _TURNS)
        for way, deployed in ways.items():
            rows[way] |= {
                "p50 ms": round(median(p50[way]), 3),
                "p99 ms": round(median(p99[way]), 3),
                "RSS MB": round(rss_mb(gateway_pids(deployed.made)), 1),
            }
    for way, figures in rows.items():
        report.add(Row(_SECTION.format(**sizes), way, dict(figures)))
    ratio = median(b / a for a, b in zip(p50["empty"], p50["full"], strict=True))
    report.judge(
        Bar("start with all of them, seconds to the first answer", rows["full"]["start s"], 2.0),
        Bar("gateway's memory with all of them, MB", rows["full"]["RSS MB"], 150),
        Bar("warm p50 with all of them over without", ratio, 1.1),
    )


def _started(rig: Rig, deployed: Deployed) -> float:
    """Start the gateway anew: seconds."""
    seconds = _restart(deployed)
    deployed.warm()
    rig.pin(deployed.made)
    return round(seconds, 2)


def _restart(deployed: Deployed) -> float:
    """End the gateway; seconds from the birth of the next one to its first answered call."""
    old = gateway_pids(deployed.made)
    for pid in old:
        os.kill(pid, signal.SIGTERM)
    until_blocking(lambda: bool(set(gateway_pids(deployed.made)) - set(old)), 30)
    until_blocking(lambda: _answers(deployed), 60)
    born = min(psutil.Process(pid).create_time() for pid in gateway_pids(deployed.made))
    return time.time() - born


def _answers(deployed: Deployed) -> bool:
    headers = {"X-API-Key": deployed.key}
    with suppress(httpx.TransportError):
        return httpx.get(deployed.url, headers=headers, timeout=10).status_code == 200
    return False


async def _visit(deployed: Deployed, ids: list[str]) -> None:
    """Ask for each API with a key that is not for it: every route has been looked up then."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(client: aiohttp.ClientSession, api_id: str) -> None:
        async with gate, client.get(f"/{api_id}/") as answer:
            if answer.status != 403:
                raise RuntimeError(f"{api_id} answered {answer.status}")

    headers = {"X-API-Key": deployed.key}
    async with aiohttp.ClientSession(deployed.made.url, headers=headers) as client:
        await asyncio.gather(*(ask(client, api_id) for api_id in ids))


async def _fill(made: Installation, api_id: str, sizes: dict[str, int]) -> list[str]:
    """Everything in one transaction; answers the ids of the new APIs."""
    connection = await asyncpg.connect(EmbeddedPostgres(made.data_dir).dsn(SUPERUSER))
    try:
        await connection.execute(FILL.format(api_id=api_id, **sizes), timeout=300)
        rows = await connection.fetch("select id::text from apis where slug like 'many-%'")
    finally:
        await connection.close()
    return [row["id"] for row in rows]
