"""Calls to something hostile: bounded in time and size, and never an error of ours."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from generator.calls import CallFailed, Reply, Request, call
from generator.texts import BadJsonError


@asynccontextmanager
async def answering(*pieces: bytes, keeps_open: bool = False) -> AsyncIterator[str]:
    """A socket that answers these bytes to everything."""

    answers: list[asyncio.Task[None]] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
            if keeps_open:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            return  # the caller has had enough
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.append(asyncio.create_task(speak(reader, writer)))

    with tempfile.TemporaryDirectory(prefix="sgc-", dir="/tmp") as folder:
        path = str(Path(folder, "s"))
        server = await asyncio.start_unix_server(answer, path)
        try:
            yield path
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*answers)


LARGE = "answer_too_large"


async def failed(*pieces: bytes, keeps_open: bool = False, seconds: float = 5.0) -> str:
    """The rule under which a call fails."""
    async with answering(*pieces, keeps_open=keeps_open) as path:
        with pytest.raises(CallFailed) as caught:
            await call(path, Request("GET", "/"), seconds)
    return caught.value.rule


async def test_an_answer_comes_whole() -> None:
    pieces = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=x\r\n",
        b"Content-Length: 7\r\n\r\n",
        b'{"a":1}',
    )
    async with answering(*pieces) as path:
        reply = await call(path, Request("POST", "/a?b=c", (("X-A", "b"),), b"body"))
    assert (reply.status, reply.media_type, reply.json()) == (200, "application/json", {"a": 1})


@pytest.mark.parametrize(
    ("pieces", "rule"),
    [
        ((b"",), "answer_broken"),
        ((b"no http\r\n\r\n",), "answer_broken"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",), "answer_broken"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",), "answer_broken"),
        ((b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 30_000,), "answer_broken"),
        ((b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"a" * 1_100_000), LARGE),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b"a" * 1_100_000), LARGE),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_is_refused(pieces: tuple[bytes, ...], rule: str) -> None:
    assert await failed(*pieces) == rule


async def test_silence_ends_in_time() -> None:
    assert await failed(b"HTTP/1.1 200 OK\r\n", keeps_open=True, seconds=0.1) == "hangs"


async def test_nobody_is_there() -> None:
    with pytest.raises(CallFailed) as caught:
        await call("/tmp/sgc-nobody", Request("GET", "/"))
    assert caught.value.rule == "connection_closed"


async def test_what_is_no_http_is_not_sent() -> None:
    async with answering() as path:
        with pytest.raises(CallFailed) as caught:
            await call(path, Request("GET", "/a b\n"))
    assert caught.value.rule == "cannot_be_sent"


@pytest.mark.parametrize("body", [b"\xff", b"{", b"[" * 5000, b"1" * 5000, b"NaN"])
def test_what_is_no_json_is_said_so(body: bytes) -> None:
    with pytest.raises(BadJsonError):
        Reply(200, (), body).json()
