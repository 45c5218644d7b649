"""Calls that end early: deadlines, callers who leave, a gateway that stops; and methods."""

import asyncio

import pytest

from gateway.store.call_settings import CallSettings, StreamSettings
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import echo, head, never, ok, read_request, replies
from tests.support.waiting import until

MEGABYTE = 1024 * 1024


async def test_a_sandbox_that_never_answers_is_504() -> None:
    """With the code that blames the API; its connection is not used again."""
    async with data_path(call_seconds=0.3) as path:
        route, key = path.serve(never)
        answer = await path.call(f"/{route.api_id}", key)
        assert (answer.status, answer.json()["code"]) == (504, "api_timeout")
        (record,) = path.records()
        assert (record["status_code"], record["error_code"]) == (504, "api_timeout")


async def test_a_head_that_never_ends_is_504() -> None:
    """Dripping does not buy time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with data_path(call_seconds=0.3) as path:
        route, key = path.serve(drip)
        assert (await path.call(f"/{route.api_id}", key)).json()["code"] == "api_timeout"


async def test_an_upload_that_does_not_come_is_408_and_not_the_apis_fault() -> None:
    """Whether it never starts or stops half way."""
    async with data_path(call_seconds=0.3) as path:
        route, key = path.serve(never)
        request = head(route.api_id, key, "Content-Length: 100")
        for part in (b"", b"half"):
            answer = await path.raw(request + part, "POST")
            assert (answer.status, answer.json()["code"]) == (408, "upload_too_slow")


async def test_an_answer_that_stops_midway_is_broken_off(path: DataPath) -> None:
    """The caller sees it as broken; the record says timeout."""
    half = replies(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
    settings = CallSettings(streams=StreamSettings(idle_seconds=1))
    route, key = path.serve(half, settings=settings)
    answer = await path.call(f"/{route.api_id}", key)
    assert not answer.is_whole
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (504, "api_timeout")


async def test_an_answer_without_end_is_broken_off(path: DataPath) -> None:
    """However lively it is."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    settings = CallSettings(streams=StreamSettings(total_seconds=1))
    route, key = path.serve(endless, settings=settings)
    answer = await path.call(f"/{route.api_id}", key)
    assert not answer.is_whole
    assert path.records()[0]["error_code"] == "api_timeout"


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "during the answer"])
async def test_a_caller_who_leaves_ends_the_call_in_the_sandbox(
    path: DataPath, begun: bool
) -> None:
    """Its connection is closed, and the call recorded as 499."""
    arrived = asyncio.Event()
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if begun:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        arrived.set()
        try:
            await reader.read()
        finally:
            ended.set()

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    async with asyncio.timeout(20):
        await arrived.wait()
        if begun:
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await ended.wait()
    await until(lambda: bool(path.records()))
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (499, "client_gone")


async def test_a_caller_who_leaves_during_the_upload_ends_the_call(path: DataPath) -> None:
    """The sandbox sees a broken body, never a short one."""
    ended = asyncio.Event()
    arrived = asyncio.Event()
    seen = b""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        try:
            seen = await reader.read()
        finally:
            ended.set()

    route, key = path.serve(handle)
    _, writer = await path.connect()
    writer.write(head(route.api_id, key, "Transfer-Encoding: chunked") + b"1\r\nx\r\n")
    async with asyncio.timeout(20):
        await arrived.wait()
        writer.close()
        await ended.wait()
    assert not seen.endswith(b"0\r\n\r\n")
    await until(lambda: bool(path.records()))
    assert path.records()[0]["error_code"] == "client_gone"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_every_method_is_passed_on(path: DataPath, method: str) -> None:
    """As the caller wrote it."""
    route, key = path.serve(echo)
    answer = await path.call(f"/{route.api_id}/x", key, method=method)
    assert answer.body.startswith(method.encode() + b" /x HTTP/1.1\r\n")


async def test_head_keeps_the_length_and_has_no_body(path: DataPath) -> None:
    """And the connection is used again."""
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    route, key = path.serve(replies(raw, chunked, ok(b"third")))
    answer = await path.call(f"/{route.api_id}", key, method="HEAD")
    assert (answer.status, answer.header(b"content-length"), answer.body) == (200, b"5", b"")
    answer = await path.call(f"/{route.api_id}", key, method="HEAD")
    assert (answer.status, answer.header(b"content-length")) == (200, None)
    assert (await path.call(f"/{route.api_id}", key)).body == b"third"


async def test_a_call_cut_off_by_the_gateways_end_is_recorded(path: DataPath) -> None:
    """Recording waits for nothing, so a cancelled call is recorded too."""
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()

    route, key = path.serve(handle)

    _, writer = await path.connect()
    writer.write(f"GET /{route.api_id} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        await arrived.wait()
        await until(lambda: path.server.has_tasks)
    await path.server.close()
    writer.close()
    (record,) = path.records()
    assert record["error_code"] == "gateway_stopped"
