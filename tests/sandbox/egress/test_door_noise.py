"""Bytes that nobody thought of, from both sides: an answer or an end, never a broken door."""

import asyncio
import contextlib
import random
from pathlib import Path

from structlog.testing import capture_logs

from tests.sandbox.egress.harness import site
from tests.sandbox.egress.test_hello import real_hello
from tests.support.waiting import until

REQUESTS = (
    b"GET http://a.example/x HTTP/1.0\r\nHost: a.example\r\nX-Key: PH-1\r\n\r\n",
    b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
    b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n"
    b"Expect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n" + real_hello("a.example"),
    b"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\n"
    b"Upgrade: websocket\r\n\r\n",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.0 304 Not Modified\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)


def changed(data: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, lost, doubled or cut off."""
    body = bytearray(data)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(body))
        match dice.randrange(4):
            case 0:
                body[at] = dice.randrange(256)
            case 1:
                del body[at : at + dice.randrange(1, 9)]
            case 2:
                body[at:at] = body[at : at + dice.randrange(1, 9)]
            case _:
                body[at:at] = dice.choice((b"\r\n", b"\0", b" ", b":", b"\xff", b"PH-1"))
        body = body or bytearray(b"\n")
    return bytes(body)


async def test_noise(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with site(tmp_path, head_seconds=0.3, idle_seconds=0.3, sandbox_rate=1e6) as it:
        one = {"PH-1": {"value": "secret", "hosts": ["a.example:80"]}}
        it.open(["a.example"], placeholders=one)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(changed(dice.choice(ANSWERS), dice))

        it.plain.talk = it.secure.talk = talk

        async def client() -> None:
            reader, writer = await it.connect()
            writer.write(changed(dice.choice(REQUESTS), dice))
            if dice.random() < 0.5:
                writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
            writer.close()

        with capture_logs() as logs:
            for _ in range(15):
                await asyncio.gather(*(client() for _ in range(20)))
            await until(lambda: sum(one["event"] == "egress" for one in logs) == 300)
        assert [one for one in logs if one["log_level"] != "info"] == []
        assert {one["verdict"] for one in logs} > {"allowed", "egress_bad_request"}
