"""A lease is permission for a time: renewed while used, asked for again when it has run out."""

import asyncio

from gateway.store.routes import Instances
from sandbox.types import ManagerUnavailableError
from tests.support.datapath import DataPath
from tests.support.rawhttp import Answer, ok, read_request, serve_forever
from tests.support.waiting import until


async def test_held_sandboxes_answer_while_the_manager_is_down(path: DataPath) -> None:
    """It is not asked on the warm path."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    path.sandboxes.fails = ManagerUnavailableError("down")
    await path.leases.tend()
    assert (await path.call(f"/{route.api_id}", key)).status == 200


async def test_a_used_lease_is_renewed_and_an_unused_one_runs_out(path: DataPath) -> None:
    """Then it is forgotten, and the next call asks again."""
    path.sandboxes.seconds = 0.6
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    await until(lambda: len(path.sandboxes.renewed) == 1)
    await until(lambda: len(path.leases) == 0)
    assert len(path.sandboxes.renewed) == 1
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert len(path.sandboxes.started) == 1


async def test_a_frozen_sandbox_is_thawed_within_the_call(path: DataPath) -> None:
    """After a long quiet the manager has frozen it; asking for it again is enough."""
    path.sandboxes.seconds = 0.2
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    for _ in range(3):
        await until(lambda: len(path.leases) == 0)
        found = len(path.sandboxes.found)
        assert (await path.call(f"/{route.api_id}", key)).status == 200
        assert len(path.sandboxes.found) == found + 1
    assert len(path.sandboxes.started) == 1


async def test_nothing_is_lent_on_a_lease_that_ran_out(path: DataPath) -> None:
    """Not even before it is forgotten, and not for a call that waits in the queue."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    target = await path.resolver.target(await path.resolver.find(route.api_id), None)
    assert path.leases.at_once(target) is not None
    path.ahead = path.sandboxes.seconds
    assert path.leases.at_once(target) is None
    (held,) = path.leases.now_held()
    turn = held.siblings.join_queue()
    held.siblings.hand_over()
    assert (turn.done(), held.in_flight) == (False, 0)


async def test_calls_outlive_every_lease_when_renewals_fail(path: DataPath) -> None:
    """Under load: calls ask for the sandbox again, and none is lost."""
    path.sandboxes.seconds = 0.3
    path.sandboxes.is_renewing = False
    route, key = path.serve(serve_forever)
    statuses: list[int] = []

    async def load() -> None:
        while len(path.sandboxes.found) < 8:
            statuses.append((await path.call(f"/{route.api_id}", key)).status)

    async with asyncio.timeout(60):
        await asyncio.gather(*(load() for _ in range(8)))
    assert set(statuses) == {200}
    assert len(path.sandboxes.started) == 1


async def test_a_manager_that_is_away_while_the_lease_runs_out_is_503(path: DataPath) -> None:
    """With Retry-After, not a hang; and all is well again when it is back."""
    path.sandboxes.seconds = 0.3
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    path.sandboxes.fails = ManagerUnavailableError("down")
    seen: list[Answer] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1].status == 200:
            seen.append(await path.call(f"/{route.api_id}", key))
    assert seen[-1].json()["code"] == "sandboxes_unavailable"
    assert seen[-1].header(b"retry-after") == b"2"
    path.sandboxes.fails = None
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert len(path.sandboxes.started) == 1


async def test_calls_in_a_queue_are_told_when_the_manager_is_away(path: DataPath) -> None:
    """Their sandbox may be busy for longer than its lease lasts."""
    path.sandboxes.seconds = 0.5
    path.sandboxes.is_renewing = False
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await go_on.wait()
        writer.write(ok())
        await writer.drain()

    route, key = path.serve(handle, instances=Instances(0, 1, 1))
    first = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: bool(path.sandboxes.started) and path.leases.waiting == 0)
    path.sandboxes.fails = ManagerUnavailableError("down")
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "sandboxes_unavailable")
    go_on.set()
    assert (await first).status == 200


async def test_a_stream_keeps_its_sandbox(path: DataPath) -> None:
    """Also when nothing else is called."""
    path.sandboxes.seconds = 0.2
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await go_on.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    route, key = path.serve(handle)
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: len(path.sandboxes.renewed) > 5)
    go_on.set()
    answer = await call
    assert (answer.body, answer.is_whole) == (b"x", True)


async def test_many_leases_are_renewed_in_one_request(path: DataPath) -> None:
    """However many sandboxes are in use."""
    path.sandboxes.seconds = 2.0
    served = [path.serve(serve_forever) for _ in range(20)]
    for _ in range(2):  # the first call took the lease, the second one used it
        for route, key in served:
            assert (await path.call(f"/{route.api_id}", key)).status == 200
    await until(lambda: sum(len(ids) for ids in path.sandboxes.renewed) >= 20)
    assert len(path.sandboxes.renewed) <= 5


async def test_a_call_under_way_keeps_its_sandbox(path: DataPath) -> None:
    """However long it takes."""
    path.sandboxes.seconds = 0.2
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await go_on.wait()
        writer.write(ok())

    route, key = path.serve(handle)
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: len(path.sandboxes.renewed) > 3)
    go_on.set()
    assert (await call).status == 200
