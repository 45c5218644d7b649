"""A row made by hand that is no route takes no serving API out, and brings no paused one back."""

import json
from collections.abc import Callable
from dataclasses import replace

import asyncpg
import pytest

from gateway.proxy.resolve import Resolver, shared
from gateway.store.call_settings import CallSettings
from gateway.store.database import Database
from gateway.store.route_check import BrokenRouteError
from gateway.store.routes import Instances, RouteStore
from tests.support.factories import MadeApi, make_api, make_user


class News:
    """Tells what the test says."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[str, str], None]] = []

    def subscribe(self, callback: Callable[[str, str], None]) -> None:
        self.callbacks.append(callback)

    def tell(self, kind: str, identifier: str) -> None:
        for callback in self.callbacks:
            callback(kind, identifier)


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def resolver(database: Database, news: News) -> Resolver:
    return Resolver(RouteStore(database), news)


async def ruin(owner: asyncpg.Connection, api: MadeApi, **columns: object) -> None:
    """As somebody does who has the owner's rights and no care."""
    checks = await owner.fetch(
        "select conname from pg_constraint where conrelid = 'public.apis'::regclass"
        " and contype = 'c'"
    )
    for check in checks:
        await owner.execute(f"alter table public.apis drop constraint {check['conname']}")
    for name, value in columns.items():
        kind = "jsonb" if isinstance(value, dict) else "text"
        stored = json.dumps(value) if isinstance(value, dict) else value
        await owner.execute(
            f"update public.apis set {name} = $1::text::{kind} where id = $2::uuid",
            stored,
            api.id,
        )


async def test_the_old_one_goes_on_serving_and_the_reason_is_shown(
    api: MadeApi, resolver: Resolver, news: News, owner: asyncpg.Connection
) -> None:
    before = await resolver.find(api.id)
    await ruin(owner, api, resources={"memory_mb": "much"})
    news.tell("api", api.id)
    assert await resolver.find(api.id) is before
    assert "memory_mb" in resolver.broken[api.id]


async def test_a_repaired_row_is_served_and_no_longer_shown(
    api: MadeApi, resolver: Resolver, news: News, owner: asyncpg.Connection
) -> None:
    await resolver.find(api.id)
    await ruin(owner, api, resources={"memory_mb": -1})
    news.tell("api", api.id)
    await resolver.find(api.id)
    await ruin(owner, api, resources={"memory_mb": 128})
    news.tell("api", api.id)
    assert (await resolver.find(api.id)).route.resources.memory_mb == 128
    assert resolver.broken == {}


async def test_a_paused_api_with_a_broken_row_is_not_served(
    api: MadeApi, resolver: Resolver, news: News, owner: asyncpg.Connection
) -> None:
    await resolver.find(api.id)
    await ruin(owner, api, status="paused", resources={"memory_mb": None})
    news.tell("api", api.id)
    with pytest.raises(BrokenRouteError):
        await resolver.find(api.id)


async def test_what_was_never_good_is_not_served(
    api: MadeApi, resolver: Resolver, owner: asyncpg.Connection
) -> None:
    await ruin(owner, api, instances={"min": 2, "max": 1, "concurrency": 1})
    with pytest.raises(BrokenRouteError):
        await resolver.find(api.id)
    assert api.id in resolver.broken


async def test_each_of_several_gateways_takes_its_share(api: MadeApi, resolver: Resolver) -> None:
    route = replace(
        (await resolver.find(api.id)).route,
        instances=Instances(0, 2, 9),
        settings=CallSettings(max_concurrency=1),
    )
    assert shared(route, 1) is route
    assert shared(route, 4).instances == Instances(0, 2, 2)
    assert shared(route, 4).settings.max_concurrency == 1
