"""The control plane loads with its first request, once."""

import asyncio
import sys
from subprocess import run

import httpx

from gateway.control.on_demand import OnDemand
from tests.support.control import BASE, World


async def test_first_requests_wait_for_one_application(world: World) -> None:
    app = OnDemand(world.app.state.control)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5


def test_a_gateway_starts_without_its_routes() -> None:
    look = "import sys, gateway.app; print('gateway.control.build' in sys.modules)"
    told = run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
