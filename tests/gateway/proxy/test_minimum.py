"""Sandboxes that are there before anybody calls, for the APIs that ask for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.proxy import leases, minimum
from gateway.proxy.minimum import Minimum
from gateway.store.database import DatabaseUnavailableError
from gateway.store.routes import ActiveVersion, Instances
from sandbox.types import CapacityError
from tests.support.datapath import DataPath
from tests.support.rawhttp import serve_forever
from tests.support.waiting import until


@pytest.fixture
async def keeper(path: DataPath, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Minimum]:
    """At work, without its pauses."""
    monkeypatch.setattr(minimum, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(leases, "_LONGEST_PAUSE", 0.05)
    keeper = Minimum(path.store, path.leases, path.news)
    task = asyncio.create_task(keeper.run())
    yield keeper
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_minimum_is_started_and_stays_without_calls(
    path: DataPath, keeper: Minimum
) -> None:
    """Renewed, so that it is never frozen; other APIs start nothing."""
    path.sandboxes.seconds = 0.5
    path.serve(serve_forever)
    path.serve(serve_forever, instances=Instances(2, 3, 10))
    path.news.publish("all", "")
    await until(lambda: len(path.sandboxes.renewed) > 6)
    assert [spec.instance for spec in path.sandboxes.started] == [0, 1]
    assert len(path.leases) == 2


async def test_a_first_call_meets_a_running_sandbox(path: DataPath, keeper: Minimum) -> None:
    """That is what it is for."""
    route, key = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    path.sandboxes.gate.clear()
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    text = path.metrics.render().decode()
    assert 'sandgate_start_seconds_count{phase="ready",warm="yes"} 1.0' in text
    assert "first_byte" not in text  # nobody waited for it


async def test_a_kept_sandbox_that_died_is_replaced_without_a_call(
    path: DataPath, keeper: Minimum
) -> None:
    """As soon as its lease is not renewed."""
    path.sandboxes.seconds = 0.3
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    await path.sandboxes.kill(path.sandboxes.started[0])
    await until(lambda: len(path.sandboxes.started) == 2 and len(path.leases) == 1)


async def test_a_new_version_is_kept_instead(path: DataPath, keeper: Minimum) -> None:
    """The old one goes."""
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    fresh = ActiveVersion(f"{route.api_id}-2", 2, 100)
    path.sandboxes.handlers[fresh.version_id] = serve_forever
    path.change(route, versions=(fresh,))
    await until(lambda: path.sandboxes.retired == ["box-1"])
    assert [spec.version_id for spec in path.sandboxes.living] == [fresh.version_id]


async def test_who_asks_for_it_no_longer_is_let_go(path: DataPath, keeper: Minimum) -> None:
    """It is not renewed, which is all there is to it."""
    path.sandboxes.seconds = 0.5
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    path.change(route, instances=Instances(0, 1, 10))
    await until(lambda: len(path.leases) == 0)
    assert path.sandboxes.retired == []


async def test_a_paused_api_keeps_nothing(path: DataPath, keeper: Minimum) -> None:
    """Whatever it asks for."""
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    path.change(route, status="paused")
    await until(lambda: path.sandboxes.retired == ["box-1"])
    assert len(path.leases) == 0


async def test_one_that_does_not_start_is_tried_again_after_a_while(
    path: DataPath, keeper: Minimum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in every round."""
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.sandboxes.start_fails[0] = CapacityError("full")
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.sandboxes.started) == 1)
    for _ in range(5):
        await path.leases.tend()
    assert len(path.sandboxes.started) == 1
    del path.sandboxes.start_fails[0]
    path.ahead = leases.START_AGAIN_SECONDS
    await until(lambda: len(path.leases) == 1)


async def test_while_the_database_is_down_what_is_kept_stays(
    path: DataPath, keeper: Minimum
) -> None:
    """It knows nothing better."""
    path.sandboxes.seconds = 0.3
    route, _ = path.serve(serve_forever, instances=Instances(1, 1, 10))
    path.news.publish("api", route.api_id)
    await until(lambda: len(path.leases) == 1)
    path.store.down = DatabaseUnavailableError("down")
    path.news.publish("all", "")
    reads = len(path.store.reads)
    await until(lambda: ("kept", None) in path.store.reads[reads:])
    renewed = len(path.sandboxes.renewed)
    await until(lambda: len(path.sandboxes.renewed) > renewed + 3)
    assert len(path.leases) == 1
