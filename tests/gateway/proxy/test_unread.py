"""A call that a sandbox never read is told apart from one that it may have acted on."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.proxy.connection import ONE_PIECE_BYTES, Connection
from gateway.proxy.errors import ApiDiedError, UnreadError

CALL = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"

Ends = tuple[Connection, socket.socket]


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    """A connection and the sandbox's end of it, which reads only when told."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        _, connection = await loop.create_unix_connection(
            lambda: Connection(loop), str(tmp_path / "s")
        )
        there, _ = listener.accept()
        with there:
            yield connection, there
        connection.abort()


def call(connection: Connection, *pieces: bytes) -> asyncio.Future[None]:
    """Send a call in these pieces; the future tells how it went."""
    connection.begin(is_head=False)
    for piece in pieces:
        connection.send(piece)
    connection.sent()
    return connection.news()


async def test_end_with_the_call_unread_says_so(ends: Ends) -> None:
    connection, there = ends
    news = call(connection, CALL)
    there.close()
    with pytest.raises(UnreadError):
        await asyncio.wait_for(news, 5)


async def test_end_after_the_call_was_read_does_not(ends: Ends) -> None:
    connection, there = ends
    news = call(connection, CALL)
    assert there.recv(65536) == CALL
    there.close()
    with pytest.raises(ApiDiedError) as raised:
        await asyncio.wait_for(news, 5)
    assert not isinstance(raised.value, UnreadError)


async def test_end_after_a_part_was_read_does_not(ends: Ends) -> None:
    """What was sent in several pieces may have been read in part."""
    connection, there = ends
    news = call(connection, CALL, b"more")
    assert there.recv(len(CALL)) == CALL
    there.close()
    with pytest.raises(ApiDiedError) as raised:
        await asyncio.wait_for(news, 5)
    assert not isinstance(raised.value, UnreadError)


async def test_large_piece_counts_as_read(ends: Ends) -> None:
    """The kernel may have split it."""
    connection, there = ends
    news = call(connection, CALL + b"x" * ONE_PIECE_BYTES)
    there.close()
    with pytest.raises(ApiDiedError) as raised:
        await asyncio.wait_for(news, 5)
    assert not isinstance(raised.value, UnreadError)


async def test_end_after_a_part_of_the_answer_does_not(ends: Ends) -> None:
    connection, there = ends
    news = call(connection, CALL)
    there.sendall(b"HTTP/1.1 2")
    there.close()
    with pytest.raises(ApiDiedError) as raised:
        await asyncio.wait_for(news, 5)
    assert not isinstance(raised.value, UnreadError)
