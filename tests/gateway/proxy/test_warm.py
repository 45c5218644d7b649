"""Calls that are answered without a task: each once, in order, and by nobody else's answer."""

import asyncio

import pytest

from gateway.auth.keys import hash_key
from gateway.proxy import forwarding
from tests.support.datapath import SECRET, DataPath
from tests.support.rawhttp import head, ok, read_answer, read_request
from tests.support.waiting import until


async def test_a_sandbox_that_closes_what_is_idle_answers_nobody_twice(path: DataPath) -> None:
    """The next call of the same caller is under way then, on another connection."""
    first_is_over, second_came, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not first_is_over.is_set():
            for body in (b"start", b"first"):
                await read_request(reader)
                writer.write(ok(body))
            await first_is_over.wait()
            await second_came.wait()
            return  # closes
        await read_request(reader)
        second_came.set()
        await go_on.wait()
        writer.write(ok(b"second"))

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    call = head(route.api_id, key, method="GET")
    for body in (b"start", b"first"):
        writer.write(call)
        assert (await read_answer(reader)).body == body
    held = path.leases.now_held()[0]
    idle = held.upstream.at_once()  # it stays idle: the second call gets a connection of its own
    assert idle is not None
    first_is_over.set()
    writer.write(call)
    await second_came.wait()
    await until(lambda: not idle.is_alive())
    go_on.set()
    assert (await read_answer(reader)).body == b"second"
    assert [record["response_size_bytes"] for record in path.records()] == [5, 5, 6]
    writer.close()


async def test_calls_at_once_on_one_connection_are_answered_in_order(path: DataPath) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            writer.write(ok(request.split(b" ")[1]))

    route, key = path.serve(handle)
    await path.call(f"/{route.api_id}", key)
    calls = [
        f"GET /{route.api_id}/{n} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n"
        f"{'Connection: close' if n == 9 else 'X-N: 1'}\r\n\r\n"
        for n in range(10)
    ]
    reader, writer = await path.connect()
    writer.write("".join(calls).encode())
    async with asyncio.timeout(20):
        data = await reader.read()
    assert [data.count(f"\r\n\r\n/{n}".encode()) for n in range(10)] == [1] * 10
    writer.close()


async def test_the_head_of_an_answer_does_not_wait_for_its_body(path: DataPath) -> None:
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
        await go_on.wait()
        writer.write(b"late")

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        go_on.set()
        assert await reader.readexactly(4) == b"late"
    writer.close()


@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["a stream", "a short answer"])
async def test_a_stream_ends_with_its_key_and_a_short_answer_does_not(
    path: DataPath, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(forwarding, "STREAM_SECONDS", seconds)
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n..")
        await go_on.wait()
        writer.write(b"..")

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    async with asyncio.timeout(20):
        await reader.readuntil(b"\r\n\r\n..")
        if not seconds:
            await until(lambda: len(path.streams) == 1)
        path.store.keys[hash_key(key, SECRET)]["revoked_at"] = "2026-01-01T00:00:00+00:00"
        path.news.publish("all", "")
        if not seconds:
            await until(lambda: len(path.streams) == 0)
        go_on.set()
        rest = await read_on(reader)
    assert rest == (b"" if not seconds else b"..")
    assert path.records()[0]["error_code"] == (None if seconds else "stream_ended")
    writer.close()


async def read_on(reader: asyncio.StreamReader) -> bytes:
    """Two more bytes, or what comes before the end."""
    try:
        return await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
