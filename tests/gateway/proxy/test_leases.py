"""Sandboxes are started once, kept while used, replaced when they die, given up when unwanted."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.proxy import leases
from gateway.store.database import DatabaseUnavailableError
from gateway.store.routes import ActiveVersion, Instances, Route
from sandbox.types import StartFailedError, StartFailure
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import ok, read_request, replies, serve_forever
from tests.support.waiting import until


def change(path: DataPath, route: Route, **changes: Any) -> Route:
    """The route changes; its versions are good sandboxes."""
    changed = replace(route, **changes)
    for version in changed.versions:
        path.sandboxes.handlers[version.version_id] = serve_forever
    return path.change(changed)


async def test_a_thousand_first_calls_start_one_sandbox(path: DataPath) -> None:
    """None fails, and the code is read once."""
    route, key = path.serve(serve_forever)
    path.sandboxes.gate.clear()
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(1000)]
    await until(lambda: path.leases.waiting == 1000)
    path.sandboxes.gate.set()
    answers = await asyncio.gather(*calls)
    assert [answer.status for answer in answers] == [200] * 1000
    assert len(path.sandboxes.started) == 1
    assert [what for what, _ in path.store.reads].count("bundle") == 1
    assert len(path.records()) == 1000


async def test_more_than_the_queue_holds_are_503(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with Retry-After; those in the queue are served."""
    monkeypatch.setattr(leases, "MAX_WAITING", 5)
    route, key = path.serve(serve_forever)
    path.sandboxes.gate.clear()
    waiting = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(5)]
    await until(lambda: path.leases.waiting == 5)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "queue_full")
    assert answer.header(b"retry-after") is not None
    path.sandboxes.gate.set()
    assert {(await call).status for call in waiting} == {200}


async def test_who_waits_too_long_for_a_start_gets_504_and_the_start_goes_on() -> None:
    """The next call finds the sandbox."""
    async with data_path(call_seconds=0.3) as path:
        route, key = path.serve(serve_forever)
        path.sandboxes.gate.clear()
        answer = await path.call(f"/{route.api_id}", key)
        assert (answer.status, answer.json()["code"]) == (504, "api_timeout")
        path.sandboxes.gate.set()
        assert (await path.call(f"/{route.api_id}", key)).status == 200
        assert len(path.sandboxes.started) == 1


async def test_a_living_sandbox_is_found_without_reading_its_code(path: DataPath) -> None:
    """After a restart of the gateway, say; so it works while the database is down."""
    route, key = path.serve(serve_forever)
    target = await path.resolver.target(await path.resolver.find(route.api_id), None)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    held = path.leases.at_once(target)
    assert held is not None
    path.leases.drop(held)
    path.store.down = DatabaseUnavailableError("down")
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    assert len(path.sandboxes.started) == 1


async def test_after_a_crash_the_next_call_starts_a_fresh_sandbox(path: DataPath) -> None:
    """And succeeds, because nothing of it had reached the dead one."""
    route, key = path.serve(serve_forever)
    for starts in range(1, 6):
        assert (await path.call(f"/{route.api_id}", key)).status == 200
        assert len(path.sandboxes.started) == starts
        await path.sandboxes.kill(path.sandboxes.started[-1])


async def test_a_manager_that_does_not_know_of_a_crash_yet_is_asked_again(path: DataPath) -> None:
    """It still names the dead sandbox for a while."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    spec = path.sandboxes.started[0]
    dead = path.sandboxes.living[spec]
    await path.sandboxes.kill(spec)
    path.sandboxes.living[spec] = dead
    found = len(path.sandboxes.found)
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: len(path.sandboxes.found) > found + 1)
    del path.sandboxes.living[spec]
    assert (await call).status == 200


async def test_a_sandbox_that_always_dies_is_502(path: DataPath) -> None:
    """Attempts are counted."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    spec = path.sandboxes.started[0]
    dead = path.sandboxes.living[spec]
    await path.sandboxes.kill(spec)
    path.sandboxes.living[spec] = dead
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (502, "api_died")
    del path.sandboxes.living[spec]


async def test_a_start_that_failed_is_not_repeated_by_every_call(path: DataPath) -> None:
    """For two seconds its failure is the answer."""
    route, key = path.serve(serve_forever)
    path.sandboxes.fails = StartFailedError(StartFailure.EXCEPTION, "boom")
    for _ in range(5):
        answer = await path.call(f"/{route.api_id}", key)
        assert (answer.status, answer.json()["code"]) == (502, "api_start_failed")
        assert "boom" in answer.json()["detail"]
    assert len(path.sandboxes.found) == 1


async def test_a_new_version_takes_over_without_a_failed_call(path: DataPath) -> None:
    """20 changes under load; the old sandboxes are retired."""
    route, key = path.serve(serve_forever)
    statuses: list[int] = []
    done = False

    answered = asyncio.Event()

    async def load() -> None:
        while not done:
            statuses.append((await path.call(f"/{route.api_id}", key)).status)
            answered.set()

    callers = [asyncio.create_task(load()) for _ in range(8)]
    for n in range(2, 22):
        answered.clear()
        await answered.wait()
        route = change(path, route, versions=(ActiveVersion(f"{route.api_id}-{n}", n, 100),))
    await until(lambda: len(path.sandboxes.retired) == len(path.sandboxes.started) - 1 > 5)
    done = True
    await asyncio.gather(*callers)
    assert set(statuses) == {200}
    assert len(path.leases) == 1


async def test_a_sandbox_whose_route_changed_while_it_started_is_retired(path: DataPath) -> None:
    """The news came when there was nothing to give up yet."""
    route, key = path.serve(serve_forever)
    path.sandboxes.gate.clear()
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await until(lambda: path.leases.waiting == 1)
    change(path, route, versions=(ActiveVersion(f"{route.api_id}-2", 2, 100),))
    path.sandboxes.gate.set()
    assert (await call).status == 200
    await until(lambda: len(path.sandboxes.retired) == 1)


async def test_a_call_under_way_ends_before_its_sandbox_is_retired(path: DataPath) -> None:
    """A reload loses nothing."""
    go_on = asyncio.Event()
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await go_on.wait()
        writer.write(ok(b"old"))

    route, key = path.serve(handle)
    call = asyncio.create_task(path.call(f"/{route.api_id}", key))
    await arrived.wait()
    change(path, route, generation=2)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    await asyncio.sleep(leases.QUIET_SECONDS + 0.3)
    assert path.sandboxes.retired == []
    go_on.set()
    assert (await call).body == b"old"
    await until(lambda: len(path.sandboxes.retired) == 1)


async def test_a_paused_apis_sandbox_is_retired(path: DataPath) -> None:
    """It is not wanted any more."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    change(path, route, status="paused")
    await until(lambda: len(path.sandboxes.retired) == 1)


async def test_a_deleted_apis_sandbox_is_retired(path: DataPath) -> None:
    """Also when the news only say that something was missed."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    del path.store.routes[route.api_id]
    path.news.publish("all", "")
    await until(lambda: len(path.sandboxes.retired) == 1)
    assert (await path.call(f"/{route.api_id}", key)).json()["code"] == "api_not_found"


async def test_a_pinned_call_keeps_a_replaced_version_alive(path: DataPath) -> None:
    """Whoever pins it wants it."""
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    target = await path.resolver.target(await path.resolver.find(route.api_id), None)
    held = path.leases.at_once(target)
    assert held is not None
    change(path, route, versions=(ActiveVersion(f"{route.api_id}-2", 2, 100),))
    await until(lambda: held.siblings.is_unwanted)
    assert (await path.call(f"/{route.api_id}@1", key)).status == 200
    assert not held.siblings.is_unwanted
    assert len(path.sandboxes.started) == 1


async def test_connections_to_one_sandbox_are_bounded_and_queued(path: DataPath) -> None:
    """More calls wait their turn; none is lost."""
    open_now = most = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            await serve_forever(reader, writer)
        finally:
            open_now -= 1

    route, key = path.serve(handle)
    answers = await asyncio.gather(*(path.call(f"/{route.api_id}", key) for _ in range(400)))
    assert {answer.status for answer in answers} == {200}
    assert most <= 100


async def test_who_waits_too_long_for_a_connection_gets_504() -> None:
    """And leaves the queue in order."""
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await go_on.wait()
            writer.write(ok())

    async with data_path(call_seconds=1.0) as path:
        route, key = path.serve(handle, instances=Instances(concurrency=2))
        calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(4)]
        answers = await asyncio.gather(*calls)
        assert {answer.json()["code"] for answer in answers} == {"api_timeout"}
        go_on.set()
        assert (await path.call(f"/{route.api_id}", key)).status == 200


async def test_two_apis_never_share_a_connection(path: DataPath) -> None:
    """Each sandbox is reached only over its own socket."""
    first, first_key = path.serve(replies(ok(b"first"), ok(b"first")))
    second, second_key = path.serve(replies(ok(b"second"), ok(b"second")))
    for _ in range(2):
        assert (await path.call(f"/{first.api_id}", first_key)).body == b"first"
        assert (await path.call(f"/{second.api_id}", second_key)).body == b"second"
