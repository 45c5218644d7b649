"""Keys that are taken back while their calls wait: promises hold for those too."""

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from gateway.auth.keys import hash_key
from gateway.proxy import streams
from tests.support.datapath import SECRET, DataPath
from tests.support.rawhttp import head, ok, read_answer, read_request
from tests.support.upgrading import accepts, closed, echo_frames, opened, serve
from tests.support.waiting import until


@pytest.mark.parametrize("kind", ["key", "api"])
async def test_a_call_that_waited_is_looked_at_once_more(
    path: DataPath, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A key that was taken back meanwhile, or an API that was suspended, reaches no sandbox."""
    monkeypatch.setattr(streams, "SURE_SECONDS", 0.0)
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(ok())

    route, key = path.serve(handle)
    path.sandboxes.gate.clear()
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: path.leases.waiting == 1)
    if kind == "key":
        row = path.store.keys[hash_key(key, SECRET)]
        row["revoked_at"] = "2026-01-01T00:00:00+00:00"
        path.news.publish("key", row["key_id"])
    else:
        path.change(route, status="suspended")
    path.sandboxes.gate.set()
    answer = await call
    expected = {"key": (401, "key_revoked"), "api": (403, "api_suspended")}
    assert (answer.status, answer.json()["code"]) == expected[kind]
    assert seen == []
    assert [record["error_code"] for record in path.records()] == [expected[kind][1]]
    assert all(held.in_flight == 0 for held in path.leases.now_held())


async def test_a_body_that_came_late_is_no_way_around_a_revocation(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head was admitted with a key that was good then."""
    monkeypatch.setattr(streams, "SURE_SECONDS", 0.0)
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(ok())

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    counted = path.limiter.decide
    admitted = asyncio.Event()

    def decide(*arguments: Any) -> Any:
        admitted.set()
        return counted(*arguments)

    monkeypatch.setattr(path.limiter, "decide", decide)
    writer.write(head(route.api_id, key, "Content-Length: 2"))
    await admitted.wait()
    row = path.store.keys[hash_key(key, SECRET)]
    row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    path.news.publish("key", row["key_id"])
    writer.write(b"ab")
    answer = await read_answer(reader, "POST")
    writer.close()
    assert (answer.status, answer.json()["code"]) == (401, "key_revoked")
    assert seen == []


async def test_a_websocket_that_waited_is_looked_at_before_its_app_is_asked(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SURE_SECONDS", 0.0)
    asked = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        if await reader.read(1):
            asked += 1

    address, key = serve(path, handle)
    path.sandboxes.gate.clear()
    opening = asyncio.create_task(opened(address, key).__aenter__())
    await until(lambda: path.leases.waiting == 1)
    row = path.store.keys[hash_key(key, SECRET)]
    row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    path.news.publish("key", row["key_id"])
    path.sandboxes.gate.set()
    with pytest.raises(InvalidStatus) as caught:
        await opening
    assert caught.value.response.status_code == 401
    assert asked == 0
    assert all(held.in_flight == 0 for held in path.leases.now_held())


async def test_a_websocket_ends_when_its_key_is_narrowed_to_other_paths(path: DataPath) -> None:
    address, key = serve(path, accepts(echo_frames))
    async with opened(address, key) as socket:
        await socket.send("here")
        assert await socket.recv() == "here"
        row = path.store.keys[hash_key(key, SECRET)]
        row["scopes"] = {"paths": ["/elsewhere"]}
        path.news.publish("key", row["key_id"])
        assert (await closed(socket))[0] == 1008
