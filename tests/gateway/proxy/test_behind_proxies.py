"""Behind trusted proxies every request has an address of its own, also on one connection."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.proxy.forwarded import sender_behind
from gateway.server.serving import Server
from tests.support.datapath import DataPath
from tests.support.rawhttp import read_answer, serve_forever

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.1"


@pytest.fixture
async def behind(path: DataPath) -> AsyncIterator[DataPath]:
    """The gateway again, on a port where loopback is a trusted proxy."""
    listener = socket.create_server(("127.0.0.1", 0))
    path.port = listener.getsockname()[1]
    server = Server(path.endpoint, path.endpoint.at_once, sender=sender_behind("127.0.0.0/8"))
    await server.start([listener])
    yield path
    await server.close()
    listener.close()


async def statuses(path: DataPath, target: str, key: str, *headers: str) -> list[int]:
    """One connection, as a proxy keeps it, and one call for each of these header lines."""
    reader, writer = await path.connect()
    seen = []
    for line in headers:
        lines = [f"GET {target} HTTP/1.1", "Host: x", f"X-API-Key: {key}"]
        writer.write("\r\n".join([*lines, *([line] if line else []), "", ""]).encode())
        seen.append((await read_answer(reader)).status)
    writer.close()
    return seen


async def test_each_call_is_judged_by_its_own_address(behind: DataPath) -> None:
    route, _ = behind.serve(serve_forever)
    key = behind.store.add_key(route, allowed_addresses=["192.0.2.0/24"])
    told = [f"X-Forwarded-For: {address}" for address in (INSIDE, OUTSIDE, INSIDE, OUTSIDE)]
    assert await statuses(behind, f"/{route.api_id}", key, *told) == [200, 403, 200, 403]
    told = [f"Forwarded: for={address}" for address in (INSIDE, OUTSIDE, INSIDE)]
    assert await statuses(behind, f"/{route.api_id}", key, *told) == [200, 403, 200]


async def test_what_a_caller_adds_before_the_proxy_does_not_count(behind: DataPath) -> None:
    route, _ = behind.serve(serve_forever)
    key = behind.store.add_key(route, allowed_addresses=["192.0.2.0/24"])
    forged = [
        f"X-Forwarded-For: {INSIDE}, {OUTSIDE}",
        f"X-Forwarded-For: {OUTSIDE}\r\nForwarded: for={INSIDE}",
        f"X-Forwarded-For: {INSIDE}\r\nX-Forwarded-For: {OUTSIDE}",
        "X-Forwarded-For: ",
        f"X-Real-IP: {INSIDE}",
        "",
    ]
    assert await statuses(behind, f"/{route.api_id}", key, *forged) == [403] * 6


async def test_an_unknown_address_still_gets_an_answer(behind: DataPath) -> None:
    """The app is told `unknown`, not something that breaks the line it is told in."""
    route, key = behind.serve(serve_forever)
    async with asyncio.timeout(10):
        told = ["X-Forwarded-For: nonsense", "X-Forwarded-For: unknown", "Forwarded: for=_x"]
        assert await statuses(behind, f"/{route.api_id}", key, *told) == [200] * 3
