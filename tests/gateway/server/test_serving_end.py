"""The end of the server: nobody who was taken is left without an answer."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from gateway.server.serving import Server
from tests.gateway.server.test_serving import GET, LAST, App, Running, running
from tests.support.rawhttp import read_answer
from tests.support.waiting import until


@pytest.fixture
async def it() -> AsyncIterator[Running]:
    async with running() as one:
        yield one


async def test_a_drain_lets_the_call_under_way_end(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(GET % b"/wait")
    await until(lambda: it.app.arrived == 1)
    draining = asyncio.create_task(it.server.drain(10))
    await until(lambda: it.server.is_draining)
    it.app.gate.set()
    answer = await read_answer(reader, "GET")
    assert (answer.status, answer.header(b"connection")) == (200, b"close")
    await draining
    writer.close()


async def test_until_the_notice_is_over_a_drain_changes_nothing(it: Running) -> None:
    draining = asyncio.create_task(it.server.drain(10, notice=3600))
    await asyncio.sleep(0)
    assert (await it.ask(GET % b"/new")).header(b"connection") is None
    draining.cancel()


async def test_a_drain_still_answers_on_connections_that_are_open(it: Running) -> None:
    reader, writer = await it.connect()
    draining = asyncio.create_task(it.server.drain(10))
    await until(lambda: it.server.is_draining)
    writer.write(GET % b"/last")
    answer = await read_answer(reader, "GET")
    assert (answer.status, answer.header(b"connection")) == (200, b"close")
    await draining
    writer.close()


async def test_a_drain_tells_streams_and_then_accepts_nothing(it: Running) -> None:
    told: list[bool] = []

    async def tell() -> None:
        told.append(it.server.is_draining)

    await it.server.drain(10, tell=tell)
    assert told == [True]
    with pytest.raises(ConnectionError):
        await it.connect()


async def test_what_outlasts_the_drain_is_cut(it: Running) -> None:
    reader, writer = await it.connect()
    writer.write(GET % b"/wait")
    await until(lambda: it.app.arrived == 1)
    await it.server.drain(0.05)
    assert (await read_answer(reader, "GET")).status == 0
    writer.close()


def test_a_drain_leaves_no_connection_between_two_gateways() -> None:
    """However far its way in has come: who accepted it answers it, or it waits for the next."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the gateway's
        for turns in range(8):
            assert runner.run(_answered_as_a_drain_begins(turns)) == 1, turns


async def _answered_as_a_drain_begins(turns: int) -> int:
    """By the one that drains, up to its end, and by the next one."""
    apps = App(), App()
    old, new = map(Server, apps)
    listener = socket.create_server(("127.0.0.1", 0))
    heir = listener.dup()
    await old.start([listener])
    client = socket.create_connection(listener.getsockname())
    client.sendall(LAST)
    for _ in range(turns):
        await asyncio.sleep(0)
    await old.drain(10)
    answered = apps[0].arrived
    await new.start([heir])
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        async with asyncio.timeout(2):
            await read_answer(reader, "GET")
    except TimeoutError:
        return 0
    finally:
        writer.close()
        await new.close()
    return answered + apps[1].arrived
