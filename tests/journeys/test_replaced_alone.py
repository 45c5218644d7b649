"""The only gateway, its limits in memory, is replaced: nothing is admitted twice or refused."""

import asyncio
import signal
from collections.abc import Iterator

import aiohttp
import psutil
import pytest

from tests.journeys import apps
from tests.journeys.callers import Seen, one
from tests.journeys.test_limits import new_tenant
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.waiting import until

LIMIT = 300


@pytest.fixture(scope="module")
def alone() -> Iterator[Installation]:
    require("bubblewrap")
    with installation(SANDBOX_RUNTIME="bubblewrap") as made:
        yield made


async def test_a_limit_holds_while_the_only_gateway_is_replaced(alone: Installation) -> None:
    """Half of the limit is used up just before, and callers go on all the while."""
    with new_tenant(alone, "alone@example.com") as person:
        api = person.post("/api/apis", json={"name": "x", "code": apps.USER_APP}).json()
        alone.set_limits(api["tenant_id"], {"hour": LIMIT})
    seen, old = Seen(), alone.processes()["gateway"]
    async with aiohttp.ClientSession(
        alone.url,
        headers={"Authorization": f"Bearer {api['api_key']}"},
        connector=aiohttp.TCPConnector(limit=20, force_close=True),
        timeout=aiohttp.ClientTimeout(total=60),
    ) as caller:
        for _ in range(LIMIT // 2):
            await one(caller, f"/{api['id']}", seen)
        alone.tell(signal.SIGHUP)
        while psutil.pid_exists(old):
            await one(caller, f"/{api['id']}", seen)
            await asyncio.sleep(0.02)
        await until(lambda: alone.processes().get("gateway") not in (None, old))
        for _ in range(LIMIT):
            await one(caller, f"/{api['id']}", seen)
    assert not seen.broken
    assert set(seen.statuses) == {200, 429}
    assert seen.statuses[200] == LIMIT
