"""Bodies in both directions: streamed, bounded, at the pace of the slower side."""

import asyncio

import pytest

from gateway.proxy.connection import HIGH_WATER
from gateway.server import connection
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import echo, head, never, ok, read_answer, read_request

MEGABYTE = 1024 * 1024


async def test_a_body_arrives_as_it_was_sent(path: DataPath) -> None:
    """With its Content-Length."""
    route, key = path.serve(echo)
    answer = await path.call(f"/{route.api_id}/x", key, method="PUT", body=b"\0binary\xff")
    assert answer.body.endswith(b"\r\n\r\n\0binary\xff")
    assert b"content-length: 8\r\n" in answer.body.lower()
    (record,) = path.records()
    assert record["request_size_bytes"] == 8


async def test_a_chunked_body_stays_chunked(path: DataPath) -> None:
    """The app sees no length that the caller did not tell."""
    route, key = path.serve(echo)
    request = head(route.api_id, key, "Transfer-Encoding: chunked")
    answer = await path.raw(request + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in answer.body
    assert b"content-length" not in answer.body
    (record,) = path.records()
    assert record["request_size_bytes"] == 7


async def test_an_empty_chunked_body_ends(path: DataPath) -> None:
    """No chunk at all is a body too."""
    route, key = path.serve(echo)
    answer = await path.raw(head(route.api_id, key, "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert (answer.status, answer.body[-9:]) == (200, b"\r\n\r\n0\r\n\r\n")


async def test_a_large_body_is_passed_on_while_it_arrives(path: DataPath) -> None:
    """The sandbox sees the first half before the second was sent."""
    half_seen = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(MEGABYTE)
        half_seen.set()
        await reader.readexactly(MEGABYTE)
        writer.write(ok(b"both"))

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, f"Content-Length: {2 * MEGABYTE}") + b"a" * MEGABYTE)
    async with asyncio.timeout(20):
        await half_seen.wait()
    writer.write(b"b" * MEGABYTE)
    assert (await read_answer(reader, "POST")).body == b"both"
    writer.close()


async def test_a_sandbox_that_does_not_read_holds_the_caller_back(path: DataPath) -> None:
    """Not the gateway's memory: the upload stops until the sandbox goes on."""
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        await reader.readexactly(10 * MEGABYTE)
        writer.write(ok(b"all of it"))

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.transport.set_write_buffer_limits(high=0)
    writer.write(head(route.api_id, key, f"Content-Length: {10 * MEGABYTE}"))
    sent = 0

    async def send_until_held() -> None:
        nonlocal sent
        while sent < 10 * MEGABYTE:
            writer.write(b"x" * 65536)
            sent += 65536
            async with asyncio.timeout(0.5):
                await writer.drain()

    with pytest.raises(TimeoutError):
        await send_until_held()
    assert sent < 10 * MEGABYTE
    go_on.set()
    while sent < 10 * MEGABYTE:
        writer.write(b"x" * min(65536, 10 * MEGABYTE - sent))
        sent += 65536
        await writer.drain()
    assert (await read_answer(reader, "POST")).body == b"all of it"
    writer.close()


async def test_a_told_length_over_the_cap_is_413_before_anything_is_sent() -> None:
    """Nothing is counted, no sandbox is started, and the caller sees the answer."""
    async with data_path(body_bytes=1000) as path:
        route, key = path.serve(echo)
        answer = await path.call(f"/{route.api_id}", key, method="POST", body=b"x" * 1_000_000)
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert answer.is_whole
        assert path.sandboxes.started == []
        assert path.records() == []
        assert (
            await path.call(f"/{route.api_id}", key, method="POST", body=b"x" * 1000)
        ).status == 200


async def test_an_untold_length_over_the_cap_is_413_midway() -> None:
    """The sandbox's connection dies, so that it cannot take the part for the whole."""
    async with data_path(body_bytes=100_000) as path:
        begun, cut = asyncio.Event(), asyncio.Event()
        seen = b""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            await reader.readuntil(b"x")
            begun.set()
            try:
                seen = await reader.read()
            finally:
                cut.set()

        route, key = path.serve(handle)
        chunk = b"c350\r\n" + b"x" * 50_000 + b"\r\n"
        reader, writer = await path.connect()
        writer.write(head(route.api_id, key, "Transfer-Encoding: chunked") + chunk)
        async with asyncio.timeout(20):
            await begun.wait()
            writer.write(chunk * 10 + b"0\r\n\r\n")
            answer = await read_answer(reader, "POST")
            await cut.wait()
        writer.close()
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert not seen.endswith(b"0\r\n\r\n")
        (record,) = path.records()
        assert (record["status_code"], record["error_code"]) == (413, "body_too_large")


async def test_an_upload_without_end_is_closed_after_its_413(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is swallowed so that the answer can be seen is bounded too."""
    monkeypatch.setattr(connection, "LINGER_BYTES", 200_000)
    async with data_path(body_bytes=1000) as path:
        route, key = path.serve(never)
        _, writer = await path.connect()
        writer.write(head(route.api_id, key, "Transfer-Encoding: chunked"))

        async def send_forever() -> None:
            while True:
                writer.write(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
                await writer.drain()

        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                await send_forever()
        writer.close()


async def test_an_early_answer_is_passed_on_while_the_upload_goes_on(path: DataPath) -> None:
    """An app may refuse a body without reading it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 422 No\r\ncontent-length: 5\r\n\r\nearly")
        await reader.read()

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, f"Content-Length: {MEGABYTE}") + b"only a part")
    answer = await read_answer(reader, "POST")
    assert (answer.status, answer.body) == (422, b"early")
    writer.close()
    assert (await path.call(f"/{route.api_id}", key)).status == 422  # on a new connection


async def test_expect_100_is_told_to_go_on_only_when_admitted(path: DataPath) -> None:
    """A refused call does not ask for its body."""
    route, key = path.serve(echo)
    request = head(route.api_id, key, "Content-Length: 4", "Expect: 100-continue")
    reader, writer = await path.connect()
    writer.write(request)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"body")
    assert (await read_answer(reader, "POST")).body.endswith(b"body")
    writer.close()
    reader, writer = await path.connect()
    writer.write(request.replace(key.encode(), b"junk"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
    writer.close()


async def test_a_large_answer_is_streamed_whole(path: DataPath) -> None:
    """50 MB; the record has its size and was written before its last byte left."""
    size = 50 * MEGABYTE

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(50):
            writer.write(b"x" * MEGABYTE)
            await writer.drain()
        await reader.read()

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    await reader.readuntil(b"\r\n\r\n")
    got = 0
    while got < size - 1:
        got += len(await reader.read(min(MEGABYTE, size - 1 - got)))
    assert await reader.readexactly(1) == b"x"
    (record,) = path.records()
    assert (record["status_code"], record["response_size_bytes"]) == (200, size)
    writer.close()


async def test_a_slow_caller_holds_the_sandbox_back(path: DataPath) -> None:
    """The gateway keeps little more than its high-water mark of an answer."""
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (200 * MEGABYTE))
        writer.transport.set_write_buffer_limits(high=0)
        for _ in range(3200):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 100 * HIGH_WATER
    writer.close()


async def test_chunks_reach_the_caller_as_they_come(path: DataPath) -> None:
    """An event stream is not held back."""
    step = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for word in (b"one", b"two"):
            writer.write(b"3\r\n" + word + b"\r\n")
            await step.wait()
            step.clear()
        writer.write(b"0\r\n\r\n")

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    async with asyncio.timeout(20):
        assert b"one" in await reader.readuntil(b"one\r\n")
        step.set()
        assert b"two" in await reader.readuntil(b"two\r\n")
        step.set()
        assert await reader.readuntil(b"\r\n\r\n") == b"0\r\n\r\n"
    writer.close()
