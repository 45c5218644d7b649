"""What the metrics say of the call path while calls are under way."""

import asyncio

from gateway.store.call_settings import CallSettings
from tests.support.datapath import DataPath
from tests.support.rawhttp import head, never, ok, read_request, replies, serve_forever
from tests.support.upgrading import accepts, silent, through
from tests.support.waiting import until


def told(path: DataPath, name: str) -> float:
    """The value of one series."""
    for line in path.metrics.render().decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise KeyError(name)


async def test_answers_from_memory_are_counted_and_those_that_are_kept(path: DataPath) -> None:
    """What memory has no part in is neither a hit nor a miss."""
    kept = ok(b"x", b"cache-control: max-age=60")
    route, key = path.serve(replies(kept, ok(), ok()), settings=CallSettings(cache=True))
    for _ in range(3):
        await path.call(f"/{route.api_id}", key)
    await path.call(f"/{route.api_id}/other", key)
    await path.call(f"/{route.api_id}", key, method="POST")
    name = 'sandgate_response_cache_total{result="%s"}'
    assert [told(path, name % each) for each in ("hit", "miss", "stored")] == [2, 2, 1]


async def test_a_websocket_is_open_until_it_ends(path: DataPath) -> None:
    assert told(path, "sandgate_websockets_open") == 0
    async with through(path, accepts(silent)):
        assert told(path, "sandgate_websockets_open") == 1
        assert told(path, "sandgate_streams_open") == 0
    await until(lambda: told(path, "sandgate_websockets_open") == 0)


async def test_an_answer_streams_until_it_ends(path: DataPath) -> None:
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n..")
        await go_on.wait()
        writer.write(b"..")

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    await until(lambda: told(path, "sandgate_streams_open") == 1)
    go_on.set()
    await reader.readuntil(b"....")
    await until(lambda: told(path, "sandgate_streams_open") == 0)
    writer.close()


async def test_calls_wait_until_their_sandbox_is_there(path: DataPath) -> None:
    route, key = path.serve(serve_forever)
    path.sandboxes.gate.clear()
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(3)]
    await until(lambda: told(path, "sandgate_calls_waiting") == 3)
    path.sandboxes.gate.set()
    await asyncio.gather(*calls)
    assert told(path, "sandgate_calls_waiting") == 0


async def test_a_caller_that_leaves_waits_no_more(path: DataPath) -> None:
    route, key = path.serve(never)
    path.sandboxes.gate.clear()
    _, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    await until(lambda: told(path, "sandgate_calls_waiting") == 1)
    writer.close()
    await until(lambda: told(path, "sandgate_calls_waiting") == 0)
    path.sandboxes.gate.set()


async def test_a_version_is_spared_while_it_keeps_failing(path: DataPath) -> None:
    route, key = path.serve(replies(*[b"nonsense\r\n\r\n"] * 9, then_close=True))
    for count in (0, 0, 0, 0, 0):
        assert told(path, "sandgate_breakers_open") == count
        await path.call(f"/{route.api_id}", key)
    assert told(path, "sandgate_breakers_open") == 1
