"""Many WebSockets that are open and idle: what memory each of them takes in the gateway."""

import asyncio
import base64
import os

import uvloop

from tests.benchmarks import apps
from tests.benchmarks.processes import rss_mb
from tests.benchmarks.rig import Deployed, Rig, gateway_pids
from tests.benchmarks.table import Bar, Report, Row

_AT_ONCE = 20
_OF_ONE_API = 400  # each of them holds one of the slots that a sandbox has for calls
_SLOTS = {"concurrency": 1000}
_SECTION = "idle WebSockets"


class NotTakenError(Exception):
    """The gateway takes no WebSockets yet."""


def measure(rig: Rig, report: Report) -> None:
    """Open them, look, ask each one something, close them."""
    count = rig.sizes["websockets"]
    with rig.ours(CALL_CPU_SECONDS="3600") as made:
        apis = [
            rig.deploy(made, f"sockets-{number}", apps.ECHO, instances=_SLOTS)
            for number in range(-(-count // _OF_ONE_API))
        ]
        rig.pin(made)
        pids = gateway_pids(made)
        try:
            before, after, echoed = uvloop.run(_open_all(apis, pids, count))
        except NotTakenError:
            report.note("WebSockets: the gateway does not take any yet")
            return
    each = (after - before) * 1e6 / 1024 / count
    report.add(Row(_SECTION, "Sandgate", {"open": count, "KB each": round(each, 1),
                                          "echoed": echoed}))  # fmt: skip
    report.judge(
        Bar(f"KB for each of {count} idle WebSockets", each, 64),
        Bar("idle WebSockets that still echo", echoed, count, at_most=False),
    )


async def _open_all(apis: list[Deployed], pids: list[int], count: int) -> tuple[float, float, int]:
    """Memory before and with all of them, and how many echo."""
    gate = asyncio.Semaphore(_AT_ONCE)
    warm = [await _open(each, gate) for each in apis for _ in range(4)]
    before = rss_mb(pids)
    opened = await asyncio.gather(
        *(_open(apis[number % len(apis)], gate) for number in range(count))
    )
    after = rss_mb(pids)
    echoed = sum(await asyncio.gather(*(_echoes(stream, gate) for stream in opened)))
    for _, writer in [*warm, *opened]:
        writer.transport.abort()
    return before, after, echoed


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open(deployed: Deployed, gate: asyncio.Semaphore) -> Stream:
    key = base64.b64encode(os.urandom(16)).decode()
    async with gate, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", deployed.port)
        writer.write(
            f"GET {deployed.path}echo HTTP/1.1\r\nHost: bench\r\nX-API-Key: {deployed.key}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 501"):
        raise NotTakenError
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"answered {head[:300]!r}")
    return reader, writer


async def _echoes(stream: Stream, gate: asyncio.Semaphore) -> bool:
    """One masked text frame there, one plain one back."""
    reader, writer = stream
    mask, text = b"mask", b"hi"
    masked = bytes(byte ^ mask[i] for i, byte in enumerate(text))
    async with gate, asyncio.timeout(30):
        writer.write(b"\x81" + bytes([0x80 | len(text)]) + mask + masked)
        return await reader.readexactly(2 + len(text)) == b"\x81\x02hi"
