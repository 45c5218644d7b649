"""The server on real sockets: connections, bodies, answers, and its end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.server import connection
from gateway.server.connection import ClientConnection, Request
from gateway.server.host import Sender
from gateway.server.request import Head
from gateway.server.serving import Server
from tests.support.rawhttp import Answer, read_answer
from tests.support.waiting import until

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class App:
    """Echoes what it was asked, in the way the path says."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.arrived = 0
        self.left = 0
        self.size = 0  # of the body so far
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.arrived += 1
        self.scopes.append(scope)
        path = scope["raw_path"]
        if path == b"/wait":
            await self.gate.wait()
        if path == b"/until-gone":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left += 1
            return
        if path == b"/fails":
            raise ValueError("as asked")
        body = b"" if path == b"/early" else await self.body(receive)
        await self.answer(path, body, send)

    async def body(self, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            self.size = len(body)
            more = message.get("more_body", False)
        return body

    async def answer(self, path: bytes, body: bytes, send: Send) -> None:
        headers = [] if path == b"/chunks" else [(b"content-length", b"%d" % len(body))]
        if path == b"/short":
            headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": path == b"/chunks"})
        if path == b"/chunks":
            await send({"type": "http.response.body", "body": b"!"})


class Running:
    """A server, its application, and connections to it."""

    def __init__(self, server: Server, app: App, port: int) -> None:
        self.server, self.app, self.port = server, app, port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        reader, writer = await self.connect()
        writer.write(data)
        try:
            async with asyncio.timeout(10):
                return await read_answer(reader, method)
        finally:
            writer.close()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Running]:
    app = App()
    server = Server(app, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start([listener])
    try:
        yield Running(server, app, listener.getsockname()[1])
    finally:
        await server.close()


@pytest.fixture
async def it() -> AsyncIterator[Running]:
    async with running() as one:
        yield one


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read()


def bodies_of(data: bytes) -> list[bytes]:
    """Of answers that follow each other and tell their lengths."""
    bodies = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        bodies.append(data[:length])
        data = data[length:]
    return bodies


async def test_a_connection_is_used_again(it: Running) -> None:
    reader, writer = await it.connect()
    for path in (b"/a", b"/b"):
        writer.write(GET % path)
        assert (await read_answer(reader, "GET")).status == 200
    assert [scope["raw_path"] for scope in it.app.scopes] == [b"/a", b"/b"]
    writer.close()


async def test_requests_that_come_at_once_are_answered_in_turn(it: Running) -> None:
    reader, writer = await it.connect()
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = (
        b"POST /q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
    )
    writer.write(GET % b"/a" + post + chunked + LAST)
    assert bodies_of(await rest(reader)) == [b"", b"abc", b"de", b""]
    writer.close()


async def test_what_arrives_before_its_turn_stays_in_order(it: Running) -> None:
    """The next head is cut where its rest comes while the answer before it ends."""
    made: list[ClientConnection] = []
    loop = asyncio.get_running_loop()

    def client() -> ClientConnection:
        made.append(ClientConnection(it.server, loop))
        return made[-1]

    near, far = socket.socketpair()
    far.setblocking(False)
    transport, connection = await loop.connect_accepted_socket(client, near)
    connection.data_received(GET % b"/wait" + (GET % b"/cut")[:9])
    await until(lambda: it.app.arrived == 1)
    request = connection.request
    assert request is not None
    request.answer(200, b"content-length: 0\r\n", b"")
    connection.data_received((GET % b"/cut")[9:])  # before the loop has taken a turn
    await until(lambda: it.app.arrived == 2)
    assert it.app.scopes[-1]["raw_path"] == b"/cut"
    it.app.gate.set()
    transport.abort()
    far.close()


async def test_a_head_may_come_byte_by_byte(it: Running) -> None:
    reader, writer = await it.connect()
    for byte in GET % b"/slow":
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await read_answer(reader, "GET")).status == 200
    writer.close()


async def test_without_a_length_an_answer_comes_in_chunks(it: Running) -> None:
    answer = await it.ask(
        b"POST /chunks HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "POST"
    )
    assert answer.body == b"ab!"


async def test_a_caller_of_http_1_0_gets_the_end_of_the_connection(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(b"POST /chunks HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")
    answer = await rest(reader)
    assert answer.endswith(b"\r\n\r\nab!")
    assert b"transfer-encoding" not in answer
    writer.close()


async def test_a_head_call_gets_no_body(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(b"HEAD /h HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
    assert (await read_answer(reader, "HEAD")).header(b"content-length") == b"2"
    writer.write(GET % b"/x")
    assert (await read_answer(reader, "GET")).status == 200
    writer.close()


async def test_who_expects_a_word_before_the_body_gets_it(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"a")
    await until(lambda: it.app.size == 1)
    writer.write(b"b")
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")  # and not 100 again
    writer.close()


async def test_an_answer_before_the_body_ends_the_connection_gently(it: Running) -> None:
    """No word to go on is given, and what still comes is read until the caller has seen it."""
    reader, writer = await it.connect()
    writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + b"x" * 9)
    answer = await read_answer(reader, "POST")
    assert (answer.status, answer.header(b"connection")) == (200, b"close")
    writer.write(b"x" * 100_000)
    await writer.drain()
    assert await rest(reader) == b""
    writer.close()


async def test_a_malformed_head_is_answered_and_closed(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n" + GET % b"/smuggled")
    answer = await read_answer(reader, "GET")
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
    assert await rest(reader) == b""
    assert it.app.arrived == 0
    writer.close()


async def test_malformed_chunks_end_the_request(it: Running) -> None:
    answer = await it.ask(
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "POST",
    )
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


async def test_an_answer_shorter_than_it_says_is_broken_off(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(GET % b"/short")
    assert not (await read_answer(reader, "GET")).is_whole
    writer.close()


async def test_a_bug_is_a_500(it: Running) -> None:
    answer = await it.ask(GET % b"/fails")
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")


async def test_an_application_hears_that_its_caller_left(it: Running) -> None:
    _, writer = await it.connect()
    writer.write(GET % b"/until-gone")
    await until(lambda: it.app.arrived == 1)
    writer.close()
    await until(lambda: it.app.left == 1)


async def test_a_head_that_takes_too_long_is_408() -> None:
    async with running(head_seconds=0.01) as one:
        reader, writer = await one.connect()
        writer.write(b"GET / HTTP/1.1\r\nHo")
        answer = await read_answer(reader, "GET")
        assert (answer.status, answer.json()["code"]) == (408, "request_too_slow")
        writer.close()


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with running(keep_alive_seconds=0.01) as one:
        reader, writer = await one.connect()
        assert await rest(reader) == b""
        writer.close()


async def test_an_endless_body_behind_an_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_BYTES", 100_000)
    async with running() as one:
        reader, writer = await one.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n")
        await read_answer(reader, "POST")

        async def send_forever() -> None:
            while True:
                writer.write(b"x" * 50_000)
                await writer.drain()

        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                await send_forever()
        writer.close()


async def test_the_sender_may_be_told_by_who_stands_in_front() -> None:
    def sender(_peer: Sender | None, head: Head) -> tuple[Sender | None, str]:
        return (dict(head.fields)[b"x-from"].decode(), 0), "https"

    async with running(sender=sender) as one:
        await one.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-From: 192.0.2.1\r\n\r\n")
        (scope,) = one.app.scopes
        assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 0), "https")


# --- without a task


async def test_what_is_answered_at_once_needs_no_application() -> None:
    def at_once(request: Request) -> bool:
        if request.head.path != b"/now":
            return False
        request.answer(200, b"content-length: 2\r\n", b"ok")
        return True

    async with running(at_once=at_once) as one:
        reader, writer = await one.connect()
        writer.write(GET % b"/now" + GET % b"/later" + GET % b"/now" + LAST)
        assert bodies_of(await rest(reader)) == [b"ok", b"", b"ok", b""]
        assert one.app.arrived == 2
        writer.close()


async def test_the_same_head_keeps_what_was_noted_about_it() -> None:
    seen: list[object] = []

    def at_once(request: Request) -> bool:
        seen.append(request.remembered)
        request.remember(request.head.path)
        request.answer(200, b"content-length: 0\r\n", b"")
        return True

    async with running(at_once=at_once) as one:
        reader, writer = await one.connect()
        for path in (b"/a", b"/a", b"/b", b"/a"):
            writer.write(GET % path)
            await read_answer(reader, "GET")
        assert seen == [None, b"/a", None, None]
        writer.close()
