"""Several sandboxes of one version: slots are a hard cap, handed out first come first served."""

import asyncio

import pytest

from gateway.proxy import leases
from gateway.proxy.siblings import Crowd, Held, Siblings
from gateway.store.routes import Instances
from sandbox.types import CapacityError, Lease, SandboxSpec, StartFailedError, StartFailure, Tier
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import Answer, ok, read_request
from tests.support.waiting import until


class Desk:
    """A sandbox whose calls are answered one by one, when the test says so."""

    def __init__(self) -> None:
        self.under_way: list[tuple[str, asyncio.Event]] = []
        self.order: list[str] = []
        self.most = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            target = (await read_request(reader)).split(b" ")[1].decode()
            entry = (target, asyncio.Event())
            self.under_way.append(entry)
            self.order.append(target)
            self.most = max(self.most, len(self.under_way))
            await entry[1].wait()
            writer.write(ok(target.encode()))
            await writer.drain()

    def answer(self) -> None:
        """The oldest call."""
        self.under_way.pop(0)[1].set()


def ask(path: DataPath, api: str, key: str, n: int) -> "asyncio.Task[Answer]":
    """A call that can be told apart."""
    return asyncio.create_task(path.call(f"/{api}/{n}", key))


async def test_strict_concurrency_serves_one_call_at_a_time_in_order(path: DataPath) -> None:
    """The queue is first come first served."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 1, 1))
    calls = []
    for n in range(6):
        calls.append(ask(path, route.api_id, key, n))
        await until(lambda: len(desk.under_way) + path.leases.waiting == len(calls))
    for _ in calls:
        await until(lambda: len(desk.under_way) == 1)
        desk.answer()
    assert [(await call).status for call in calls] == [200] * 6
    assert desk.order == [f"/{n}" for n in range(6)]
    assert desk.most == 1
    assert len(path.sandboxes.started) == 1


async def test_when_all_are_busy_one_more_is_started_up_to_the_maximum(path: DataPath) -> None:
    """Told apart by their number, and not one for every call that waits."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 3, 2))
    calls = [ask(path, route.api_id, key, n) for n in range(10)]
    await until(lambda: len(desk.under_way) == 6)
    assert [spec.instance for spec in path.sandboxes.started] == [0, 1, 2]
    assert path.leases.waiting == 4
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert len(path.sandboxes.started) == 3
    assert desk.most == 6


async def test_no_storm_while_a_further_one_starts(path: DataPath) -> None:
    """Fifty calls that wait are one start; a slot that becomes free is used meanwhile."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 5, 1))
    calls = [ask(path, route.api_id, key, 0)]
    await until(lambda: len(desk.under_way) == 1)
    path.sandboxes.gate.clear()
    calls += [ask(path, route.api_id, key, n) for n in range(1, 51)]
    await until(lambda: path.leases.waiting == 50 and len(path.sandboxes.started) == 2)
    for _ in range(10):
        desk.answer()
        await until(lambda: len(desk.under_way) == 1)
    assert len(path.sandboxes.started) == 2
    path.sandboxes.gate.set()
    while not all(call.done() for call in calls):
        await until(lambda: bool(desk.under_way) or all(call.done() for call in calls))
        if desk.under_way:
            desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert desk.most <= 5


async def test_a_call_goes_to_the_least_busy_one(path: DataPath) -> None:
    """And without load always to the first, so that the others may go."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 2, 2))
    calls = [ask(path, route.api_id, key, n) for n in range(3)]
    await until(lambda: len(desk.under_way) == 3)
    target = await path.resolver.target(await path.resolver.find(route.api_id), None)
    held = path.leases.at_once(target)
    assert held is not None
    assert (held.spec.instance, held.in_flight) == (1, 1)
    for _ in calls:
        desk.answer()
    await asyncio.gather(*calls)
    await until(lambda: held.in_flight == 0)
    first = path.leases.at_once(target)
    assert first is not None
    assert first.spec.instance == 0


async def test_a_further_one_that_nobody_uses_is_not_renewed(path: DataPath) -> None:
    """The manager freezes it, then ends it; the first one stays while it is called."""
    path.sandboxes.seconds = 0.4
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 2, 1))
    calls = [ask(path, route.api_id, key, n) for n in range(2)]
    await until(lambda: len(desk.under_way) == 2)
    for _ in range(2):
        desk.answer()
    await asyncio.gather(*calls)
    path.sandboxes.renewed.clear()

    async def calling() -> None:
        while True:
            call = ask(path, route.api_id, key, 9)
            await until(lambda: bool(desk.under_way))
            desk.answer()
            await call

    caller = asyncio.create_task(calling())
    await until(lambda: len(path.leases) == 1 and len(path.sandboxes.renewed) > 2)
    caller.cancel()
    assert all(ids == ["box-1"] for ids in path.sandboxes.renewed[1:])
    assert len(path.sandboxes.started) == 2


@pytest.mark.parametrize(
    "error",
    [CapacityError("full"), StartFailedError(StartFailure.EXCEPTION, "boom")],
    ids=["capacity", "start failed"],
)
async def test_a_further_one_that_does_not_start_harms_no_call(
    path: DataPath, error: Exception
) -> None:
    """Those that wait are served by the first, and the start is left alone for a while."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 3, 1))
    path.sandboxes.start_fails[1] = error  # type: ignore[assignment]
    calls = [ask(path, route.api_id, key, n) for n in range(5)]
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert [spec.instance for spec in path.sandboxes.started] == [0, 1]


async def test_calls_in_the_queue_of_a_dead_sandbox_get_a_fresh_one(path: DataPath) -> None:
    """Only the call that was in it is lost."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 1, 1))
    calls = [ask(path, route.api_id, key, 0)]
    await until(lambda: len(desk.under_way) == 1)
    calls += [ask(path, route.api_id, key, n) for n in range(1, 4)]
    await until(lambda: path.leases.waiting == 3)
    desk.under_way.clear()
    await path.sandboxes.kill(path.sandboxes.started[0])
    for _ in range(3):
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert sorted([(await call).status for call in calls]) == [200, 200, 200, 502]
    assert len(path.sandboxes.started) == 2


async def test_callers_who_leave_give_their_place_in_the_queue_back() -> None:
    """Whoever waited too long is not served later."""
    async with data_path(call_seconds=2) as path:
        desk = Desk()
        route, key = path.serve(desk.handle, instances=Instances(0, 1, 1))
        calls = [ask(path, route.api_id, key, 0)]
        await until(lambda: len(desk.under_way) == 1)
        calls += [ask(path, route.api_id, key, n) for n in range(1, 4)]
        assert {(await call).json()["code"] for call in calls} == {"api_timeout"}
        assert path.leases.waiting == 0
        desk.under_way.clear()
        call = ask(path, route.api_id, key, 9)
        await until(lambda: bool(desk.under_way))
        desk.answer()
        assert (await call).status == 200
        assert desk.order[-1] == "/9"


async def test_a_slot_handed_to_somebody_who_has_just_left_goes_on_to_the_next() -> None:
    """The hand-over and the leaving can meet in one turn of the loop."""
    spec = SandboxSpec("api", "version")
    siblings = Siblings(spec, Instances(0, 1, 1), lambda: 0.0, Crowd())
    siblings.held.append(Held(siblings, spec, Lease("box", "/nowhere", 10, "m", Tier.NONE), 0.0))
    first, second = siblings.join_queue(), siblings.join_queue()
    siblings.hand_over()
    assert (first.done(), second.done()) == (True, False)
    siblings.leave_queue(first)
    assert second.done()
    assert (await second).in_flight == 1
    assert not siblings.waiting


async def test_a_changed_maximum_counts_for_the_next_call(path: DataPath) -> None:
    """Without a new sandbox: it is no part of what a sandbox is."""
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 1, 1))
    calls = [ask(path, route.api_id, key, n) for n in range(2)]
    await until(lambda: path.leases.waiting == 1)
    path.change(route, instances=Instances(0, 1, 3))
    calls.append(ask(path, route.api_id, key, 2))
    await until(lambda: len(desk.under_way) == 3)
    for _ in calls:
        desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert len(path.sandboxes.started) == 1


async def test_the_queues_of_all_apis_together_are_bounded(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full one is a 503 at once."""
    monkeypatch.setattr(leases, "MAX_WAITING", 2)
    desk = Desk()
    route, key = path.serve(desk.handle, instances=Instances(0, 1, 1))
    calls = [ask(path, route.api_id, key, 0)]
    await until(lambda: len(desk.under_way) == 1)
    calls += [ask(path, route.api_id, key, n) for n in range(1, 3)]
    await until(lambda: path.leases.waiting == 2)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "queue_full")
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}


async def test_each_start_is_measured_once_and_its_first_byte_too(path: DataPath) -> None:
    """Found sandboxes and later calls measure nothing; a stream counts when it begins."""
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await go_on.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    route, key = path.serve(handle)
    go_on.set()
    for _ in range(3):
        assert (await path.call(f"/{route.api_id}", key)).status == 200
    path.ahead = path.sandboxes.seconds
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert len(path.sandboxes.found) == 2
    text = path.metrics.render().decode()
    for phase in ("queued", "claimed", "code", "ready", "first_byte"):
        assert f'sandgate_start_seconds_count{{phase="{phase}",warm="yes"}} 1.0' in text
    assert 'warm="no"' not in text
