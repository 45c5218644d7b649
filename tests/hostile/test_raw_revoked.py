"""A key that is taken back in the middle of an answer without end, over real sockets."""

import asyncio
from collections import Counter

from gateway.auth.keys import hash_key
from tests.support.datapath import SECRET, data_path
from tests.support.rawhttp import head, read_request
from tests.support.waiting import until

PACE = 0.01  # seconds between two chunks
CHUNK = b"1\r\nx\r\n"


async def test_a_stream_of_a_revoked_key_is_cut_and_that_of_another_goes_on() -> None:
    """It is left visibly broken, its sandbox is let go, and the record says why."""
    ended: list[bytes] = []
    sent: Counter[bytes] = Counter()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whose = (await read_request(reader)).split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(CHUNK)
                sent[whose] += 1
                await writer.drain()
                await asyncio.sleep(PACE)
        finally:
            ended.append(whose)

    async with data_path() as path, asyncio.timeout(30):
        route, revoked = path.serve(endless)
        kept = path.store.add_key(route)
        cut, cut_writer = await path.connect()
        other, other_writer = await path.connect()
        cut_writer.write(head(f"{route.api_id}/cut", revoked, method="GET"))
        other_writer.write(head(f"{route.api_id}/other", kept, method="GET"))
        await until(lambda: len(path.streams) == 2)
        row = path.store.keys[hash_key(revoked, SECRET)]
        row["revoked_at"] = "2026-01-01T00:00:00+00:00"
        path.news.publish("key", row["key_id"])
        answer = await cut.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not answer.endswith(b"0\r\n\r\n")
        await until(lambda: ended == [b"/cut"])
        assert [record["error_code"] for record in path.records()] == ["stream_ended"]
        await other.readuntil(b"\r\n\r\n")
        more = sent[b"/other"] + 10  # than had been sent when the other was cut
        assert await other.readexactly(more * len(CHUNK)) == CHUNK * more
        assert ended == [b"/cut"]
        for writer in (cut_writer, other_writer):
            writer.close()
