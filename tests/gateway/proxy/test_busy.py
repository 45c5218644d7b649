"""Overload is nobody's failure: no full sandbox or gateway makes an API unhealthy."""

import asyncio
import errno
from typing import Any

import pytest

from gateway.store.routes import Instances
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import head, ok, read_request, serve_forever


async def test_calls_that_found_no_free_slot_in_time_say_nothing_of_the_version() -> None:
    """The sandbox answers a long call meanwhile, and whoever comes next may have more luck."""
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            target = (await read_request(reader)).split(b" ")[1]
            if target != b"/long":
                writer.write(ok())
                continue
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n..")
            await go_on.wait()
            writer.write(b"..")

    async with data_path(call_seconds=0.3) as path:
        route, key = path.serve(handle, instances=Instances(max=1, concurrency=1))
        reader, writer = await path.connect()
        writer.write(head(f"{route.api_id}/long", key, method="GET"))
        await reader.readuntil(b"..")
        codes = [(await path.call(f"/{route.api_id}", key)).json()["code"] for _ in range(6)]
        assert codes == ["api_timeout"] * 6
        assert path.endpoint.now().breakers == 0
        go_on.set()
        await reader.readuntil(b"..")
        assert (await path.call(f"/{route.api_id}", key)).status == 200
        writer.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_gateway_without_descriptors_blames_no_sandbox(
    path: DataPath, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It says that it is full itself, keeps the lease, and goes on when there is room again."""
    route, key = path.serve(serve_forever)
    loop = asyncio.get_running_loop()

    async def full(*_: Any, **__: Any) -> Any:
        raise OSError(number, "full")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "create_unix_connection", full)
        answers = [await path.call(f"/{route.api_id}", key) for _ in range(6)]
    assert {(each.status, each.json()["code"]) for each in answers} == {(503, "unavailable")}
    assert answers[0].header(b"retry-after") == b"1"
    assert len(path.leases.now_held()) == 1
    assert path.leases.now_held()[0].in_flight == 0
    assert len(path.sandboxes.started) == 1
    assert (await path.call(f"/{route.api_id}", key)).status == 200
