"""Pairs of connections: whole bytes, half-closes, bounds, and what happens when one side goes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.channel import bind
from sandbox.relay import Relay
from tests.support.runtimes import short_folder
from tests.support.waiting import until

SECONDS = 10.0


class Side:
    """Both ends of what a relay joins."""

    def __init__(self, folder: Path) -> None:
        self.public = folder / "public.sock"
        self.calls = folder / "calls.sock"

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As the gateway does."""
        return await asyncio.open_unix_connection(self.public)

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As the runner does."""
        return await asyncio.open_unix_connection(self.calls)


@contextlib.asynccontextmanager
async def relaying(pairs: int = 4, spares: int = 2) -> AsyncIterator[Side]:
    async with short_folder() as folder:
        side = Side(folder)
        with bind(side.public) as public, bind(side.calls) as calls:
            relay = Relay(public, calls, pairs=pairs, spares=spares)
        task = asyncio.create_task(relay.run())
        try:
            yield side
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_one_that_never_began_lets_go_of_what_it_holds(tmp_path: Path) -> None:
    with bind(tmp_path / "public") as public, bind(tmp_path / "calls") as calls:
        relay = Relay(public, calls)
    task = relay.start()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert (relay._public.fileno(), relay._calls.fileno()) == (-1, -1)


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    async with relaying() as side, asyncio.timeout(SECONDS):
        yield side


async def closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_call_and_its_answer_go_through_whole(side: Side) -> None:
    size = 3_000_000
    from_call, to_runner = await side.call()
    from_runner, to_call = await side.dial()
    to_runner.write(b"q" * size)
    to_runner.write_eof()
    assert await from_runner.read(-1) == b"q" * size
    to_call.write(b"a" * size)
    to_call.write_eof()
    assert await from_call.read(-1) == b"a" * size
    await closed(to_runner, to_call)


async def test_a_caller_that_has_said_all_still_hears(side: Side) -> None:
    from_call, to_runner = await side.call()
    from_runner, to_call = await side.dial()
    to_runner.write(b"question")
    to_runner.write_eof()
    assert await from_runner.read(-1) == b"question"
    for part in (b"one", b"two"):
        to_call.write(part)
        await to_call.drain()
        assert await from_call.readexactly(3) == part
    await closed(to_runner, to_call)


async def test_calls_wait_for_a_runner_that_dials_late(side: Side) -> None:
    _, to_runner = await side.call()
    to_runner.write(b"early")
    await to_runner.drain()
    from_runner, to_call = await side.dial()
    assert await from_runner.readexactly(5) == b"early"
    await closed(to_runner, to_call)


async def test_a_caller_that_says_nothing_takes_no_connection_of_the_runner(side: Side) -> None:
    _, silent = await side.call()
    from_runner, to_call = await side.dial()
    await closed(silent)
    _, to_runner = await side.call()
    to_runner.write(b"real")
    assert await from_runner.readexactly(4) == b"real"
    await closed(to_runner, to_call)


async def test_a_connection_the_runner_gave_up_is_not_used(side: Side) -> None:
    _, gone = await side.dial()
    await closed(gone)
    from_runner, to_call = await side.dial()
    _, to_runner = await side.call()
    to_runner.write(b"call")
    assert await from_runner.readexactly(4) == b"call"
    await closed(to_runner, to_call)


async def test_what_speaks_before_it_is_asked_is_not_used(side: Side) -> None:
    """An answer that lies ready could be taken for the one to somebody's call."""
    from_liar, liar = await side.dial()
    liar.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await liar.drain()
    from_call, to_runner = await side.call()
    to_runner.write(b"call")
    assert await read_end(from_liar) == b""
    from_honest, honest = await side.dial()
    assert await from_honest.readexactly(4) == b"call"
    honest.write(b"answer")
    honest.write_eof()
    assert await from_call.read(-1) == b"answer"
    await closed(liar, honest, to_runner)


async def read_end(reader: asyncio.StreamReader) -> bytes:
    """What is left to be read; a connection that was cut off has nothing."""
    try:
        return await reader.read(-1)
    except ConnectionError:
        return b""


async def test_a_caller_that_goes_away_ends_the_call_for_the_app(side: Side) -> None:
    _, to_runner = await side.call()
    from_runner, to_call = await side.dial()
    to_runner.write(b"call")
    assert await from_runner.readexactly(4) == b"call"
    to_runner.transport.abort()
    assert await read_end(from_runner) == b""
    await closed(to_call)


async def test_an_app_that_dies_ends_the_call_for_the_caller(side: Side) -> None:
    from_call, to_runner = await side.call()
    from_runner, to_call = await side.dial()
    to_runner.write(b"call")
    assert await from_runner.readexactly(4) == b"call"
    to_call.transport.abort()
    assert await read_end(from_call) == b""
    await closed(to_runner)


async def test_a_sandbox_cannot_pile_up_connections(side: Side) -> None:
    dialled = [await side.dial() for _ in range(5)]
    ends = [asyncio.create_task(read_end(reader)) for reader, _ in dialled]
    await until(lambda: sum(end.done() for end in ends) == 3)
    for end in ends:
        end.cancel()
    await closed(*(writer for _, writer in dialled))


async def test_callers_beyond_the_bound_wait_and_are_served_then() -> None:
    async with relaying(pairs=1) as side, asyncio.timeout(SECONDS):
        first_from, first_to = await side.call()
        runner_from, runner_to = await side.dial()
        first_to.write(b"1")
        assert await runner_from.readexactly(1) == b"1"
        second_from, second_to = await side.call()
        second_to.write(b"2")
        later_from, later_to = await side.dial()
        await closed(first_to, runner_to)
        assert await later_from.readexactly(1) == b"2"
        await closed(second_to, later_to)
        assert await read_end(first_from) == b""
        assert await read_end(second_from) == b""


async def test_a_reader_that_stops_holds_back_the_writer(side: Side) -> None:
    """No more is kept than a chunk and what the sockets hold."""
    size = 8_000_000
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(side.public))
        caller.send(b"x")
        from_runner, to_call = await side.dial()
        assert await from_runner.readexactly(1) == b"x"
        to_call.write(b"y" * size)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(to_call.drain(), 0.3)
        assert to_call.transport.get_write_buffer_size() > size / 2
    to_call.transport.abort()


async def test_when_it_ends_nothing_stays_open() -> None:
    async with relaying() as side:
        from_call, to_runner = await side.call()
        from_runner, to_call = await side.dial()
        to_runner.write(b"call")
        assert await from_runner.readexactly(4) == b"call"
    assert await read_end(from_call) == b""
    assert await read_end(from_runner) == b""
    await closed(to_runner, to_call)
