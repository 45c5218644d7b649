"""How many calls of one API may run, and how many may wait; others never notice."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gateway.store.call_settings import CallSettings
from gateway.store.routes import ActiveVersion, Instances
from tests.gateway.proxy.test_slots import Desk, ask
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import serve_forever
from tests.support.waiting import until


def busy(desk: Desk, calls: int) -> Callable[[], bool]:
    """Until that many are being answered."""
    return lambda: len(desk.under_way) == calls


async def test_no_more_calls_run_than_the_api_allows(path: DataPath) -> None:
    """However many its sandboxes could take; the others wait and are served in order."""
    desk = Desk()
    route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=3))
    calls = []
    for n in range(8):
        calls.append(ask(path, route.api_id, key, n))
        await until(lambda: len(desk.under_way) + path.leases.waiting == len(calls))
    assert (len(desk.under_way), path.leases.waiting) == (3, 5)
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert (desk.most, desk.order) == (3, [f"/{n}" for n in range(8)])


async def test_no_further_sandbox_is_started_for_calls_that_may_not_run(path: DataPath) -> None:
    desk = Desk()
    route, key = path.serve(
        desk.handle, instances=Instances(0, 5, 1), settings=CallSettings(max_concurrency=2)
    )
    calls = [ask(path, route.api_id, key, n) for n in range(5)]
    await until(busy(desk, 2))
    assert (len(path.sandboxes.started), path.leases.waiting) == (2, 3)
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}
    assert len(path.sandboxes.started) == 2


async def test_the_bound_holds_over_all_versions_and_each_gets_its_turn(path: DataPath) -> None:
    """A pinned version counts with the others."""
    desk = Desk()
    route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=1))
    second = ActiveVersion("second-version", 2, 0)
    path.store.pins[(route.api_id, 2)] = second
    path.sandboxes.handlers[second.version_id] = desk.handle
    calls = [ask(path, f"{route.api_id}@2", key, 0)]  # both have a sandbox
    await until(busy(desk, 1))
    desk.answer()
    await asyncio.gather(*calls)
    first = ask(path, route.api_id, key, 0)
    await until(busy(desk, 1))
    rest = [ask(path, route.api_id, key, n) for n in (1, 2)]
    rest += [ask(path, f"{route.api_id}@2", key, n) for n in (3, 4)]
    await until(lambda: path.leases.waiting == 4)
    for _ in range(5):
        await until(busy(desk, 1))
        desk.answer()
    assert {(await call).status for call in (first, *rest)} == {200}
    assert desk.most == 1
    assert {"/3", "/4"} & set(desk.order[2:5])


async def test_a_full_queue_is_503_and_other_apis_are_served(path: DataPath) -> None:
    desk = Desk()
    settings = CallSettings(max_concurrency=1, queue=2)
    route, key = path.serve(desk.handle, settings=settings)
    other, others_key = path.serve(serve_forever)
    calls = [ask(path, route.api_id, key, 0)]
    await until(busy(desk, 1))
    calls += [ask(path, route.api_id, key, n) for n in (1, 2)]
    await until(lambda: path.leases.waiting == 2)
    refused = await path.call(f"/{route.api_id}/late", key)
    assert (refused.status, refused.json()["code"]) == (503, "queue_full")
    assert refused.header(b"retry-after") == b"1"
    assert (await path.call(f"/{other.api_id}", others_key)).status == 200
    for _ in calls:
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert {(await call).status for call in calls} == {200}


async def test_who_left_makes_room_in_the_queue(path: DataPath) -> None:
    desk = Desk()
    route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=1, queue=1))
    first = ask(path, route.api_id, key, 0)
    await until(busy(desk, 1))
    target = await path.resolver.target(await path.resolver.find(route.api_id), None)
    second = asyncio.create_task(path.leases.borrow(target))
    await until(lambda: path.leases.waiting == 1)
    second.cancel()
    await until(lambda: path.leases.waiting == 0)
    third = ask(path, route.api_id, key, 2)
    await until(lambda: path.leases.waiting == 1)
    for _ in range(2):
        await until(lambda: bool(desk.under_way))
        desk.answer()
    assert ((await first).status, (await third).status) == (200, 200)


async def test_where_none_may_wait_the_first_call_still_starts_a_sandbox(path: DataPath) -> None:
    route, key = path.serve(serve_forever, settings=CallSettings(queue=0))
    refused = await path.call(f"/{route.api_id}", key)
    assert (refused.status, refused.json()["code"]) == (503, "queue_full")
    await until(lambda: len(path.leases) == 1)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert len(path.sandboxes.started) == 1


async def test_a_call_that_waits_is_late_like_any_other() -> None:
    async with data_path(call_seconds=0.3) as path:
        desk = Desk()
        route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=1))
        first = ask(path, route.api_id, key, 0)
        await until(busy(desk, 1))
        late = await path.call(f"/{route.api_id}/late", key)
        assert (late.status, late.json()["code"]) == (504, "api_timeout")
        first.cancel()


async def test_a_bound_that_changes_holds_for_the_next_call(path: DataPath) -> None:
    desk = Desk()
    route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=1))
    calls = [ask(path, route.api_id, key, n) for n in range(2)]
    await until(lambda: path.leases.waiting == 1 and desk.under_way != [])
    path.change(replace(route, settings=CallSettings()))
    desk.answer()
    await until(busy(desk, 1))
    calls += [ask(path, route.api_id, key, n) for n in (2, 3)]
    await until(busy(desk, 3))
    for _ in range(3):
        desk.answer()
    assert [(await call).status for call in calls] == [200] * 4


async def test_a_sandbox_given_up_counts_until_its_calls_are_over(path: DataPath) -> None:
    desk = Desk()
    route, key = path.serve(desk.handle, settings=CallSettings(max_concurrency=1))
    first = ask(path, route.api_id, key, 0)
    await until(busy(desk, 1))
    (held,) = path.leases.now_held()
    siblings = held.siblings
    siblings.held.remove(held)
    siblings.crowd.leaving.append(held)
    second = asyncio.create_task(path.call(f"/{route.api_id}/1", key))
    await until(lambda: path.leases.waiting == 1)
    assert siblings.crowd.is_full
    desk.answer()
    await until(lambda: bool(desk.under_way))
    desk.answer()
    assert ((await first).status, (await second).status) == (200, 200)
    assert siblings.crowd.leaving == []
