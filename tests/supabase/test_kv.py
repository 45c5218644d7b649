"""The store of each API: as a dictionary would do it, within its quota, whoever comes at once."""

import asyncio

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from gateway.store.kv import MAX_BYTES, MAX_KEYS, MAX_VALUE_BYTES, Found, KvStore
from tests.support.factories import MadeApi, make_api, make_user
from tests.support.refusals import refusal


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def store(database: Database) -> KvStore:
    return KvStore(database)


async def totals(database: Database, api: MadeApi) -> tuple[int, int]:
    rows = await database.select(
        "api_kv_totals", identity=SERVICE, where=[Filter("api_id", "eq", api.id)]
    )
    return (rows[0]["keys"], rows[0]["bytes"]) if rows else (0, 0)


async def really(owner: asyncpg.Connection, api: MadeApi) -> tuple[int, int]:
    row = await owner.fetchrow(
        "select count(*), coalesce(sum(octet_length(key) + octet_length(value::text)), 0) as bytes"
        "  from public.api_kv where api_id = $1",
        api.id,
    )
    assert row is not None
    return row["count"], row["bytes"]


async def fill(owner: asyncpg.Connection, api: MadeApi, keys: int, size: int) -> None:
    """Keys that were there before, without a call for each."""
    await owner.execute(
        "insert into public.api_kv (api_id, key, value, bytes)"
        " select $1, 'full' || n, to_json(repeat('x', $3 - 2)), octet_length('full' || n) + $3"
        "   from generate_series(1, $2) as n",
        api.id,
        keys,
        size,
    )
    await owner.execute(
        "insert into public.api_kv_totals (api_id, keys, bytes)"
        " select $1, count(*), sum(bytes) from public.api_kv where api_id = $1",
        api.id,
    )


async def expire(owner: asyncpg.Connection, api: MadeApi, key: str = "%") -> None:
    await owner.execute(
        "update public.api_kv set expires_at = now() - interval '1 second'"
        " where api_id = $1 and key like $2",
        api.id,
        key,
    )


# --- the quota ----------------------------------------------------------------------------


async def test_a_key_too_many_is_refused_and_others_can_still_change(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await fill(owner, api, MAX_KEYS, 10)
    with refusal("quota_exceeded"):
        await store.set(api.id, "one", "1")
    with refusal("quota_exceeded"):
        await store.increment(api.id, "one")
    assert await store.set(api.id, "full1", '"longer than before"')
    assert await store.delete(api.id, "full2")
    assert await store.set(api.id, "one", "1")


async def test_bytes_too_many_are_refused_and_may_be_given_back(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await fill(owner, api, 40, MAX_BYTES // 40)  # with their keys a little over
    with refusal("quota_exceeded"):
        await store.set(api.id, "one", "1")
    assert await store.set(api.id, "full1", "1")
    assert await store.set(api.id, "one", "1")


async def test_expired_keys_make_room(
    owner: asyncpg.Connection, store: KvStore, database: Database, api: MadeApi
) -> None:
    await fill(owner, api, MAX_KEYS, 10)
    await expire(owner, api)
    assert await store.set(api.id, "full7", "1")  # one of the expired ones itself
    assert await store.set(api.id, "one", "1")
    assert await totals(database, api) == await really(owner, api) == (2, 10)


async def test_racing_writers_stay_within_the_quota(
    owner: asyncpg.Connection, store: KvStore, database: Database, api: MadeApi
) -> None:
    await fill(owner, api, MAX_KEYS - 5, 10)
    answers = await asyncio.gather(
        *(store.set(api.id, f"new{n}", "1") for n in range(20)), return_exceptions=True
    )
    assert answers.count(True) == 5
    refused = [one for one in answers if isinstance(one, DatabaseError)]
    assert [one.code for one in refused] == ["quota_exceeded"] * 15
    assert (await totals(database, api)) == (await really(owner, api))
    assert (await totals(database, api))[0] == MAX_KEYS


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("", "1", "invalid_key"),
        ("é" * 257, "1", "invalid_key"),
        ("k", f'"{"x" * (MAX_VALUE_BYTES - 1)}"', "value_too_large"),
    ],
)
async def test_what_is_too_large_is_refused(
    store: KvStore, api: MadeApi, key: str, value: str, code: str
) -> None:
    with refusal(code):
        await store.set(api.id, key, value)


async def test_the_largest_key_and_value_are_kept(store: KvStore, api: MadeApi) -> None:
    text = "x" * (MAX_VALUE_BYTES - 2)
    assert await store.set(api.id, "é" * 256, f'"{text}"')
    assert await store.get(api.id, "é" * 256) == Found(text)


# --- at once ------------------------------------------------------------------------------


async def test_increments_at_once_all_count(store: KvStore, api: MadeApi) -> None:
    seen = await asyncio.gather(*(store.increment(api.id, "n") for _ in range(100)))
    assert sorted(seen) == list(range(1, 101))


async def test_of_many_who_come_first_one_wins(store: KvStore, api: MadeApi) -> None:
    won = await asyncio.gather(
        *(store.set(api.id, "lock", str(n), if_absent=True) for n in range(20))
    )
    assert won.count(True) == 1
    assert await store.get(api.id, "lock") == Found(won.index(True))


async def test_of_many_who_saw_the_same_value_one_replaces_it(store: KvStore, api: MadeApi) -> None:
    await store.set(api.id, "list", '{"a": [1, 2], "b": null}')
    seen = '{"b":null,"a":[1,2]}'  # the same, said differently
    won = await asyncio.gather(
        *(store.set(api.id, "list", str(n), if_equals=seen) for n in range(20))
    )
    assert won.count(True) == 1


async def test_deleting_an_api_while_it_writes_takes_its_data_along(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    async def write() -> None:
        with refusal("not_found"):
            while True:
                await store.increment(api.id, "n")

    async with asyncio.timeout(30):
        writers = [asyncio.create_task(write()) for _ in range(4)]
        await store.set(api.id, "k", "1")
        await owner.execute("delete from public.apis where id = $1", api.id)
        await asyncio.gather(*writers)
    assert await really(owner, api) == (0, 0)


# --- time ---------------------------------------------------------------------------------


async def test_an_expired_key_is_gone_at_once(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await store.set(api.id, "k", "1", seconds=60)
    assert await store.get(api.id, "k") == Found(1)
    await expire(owner, api)
    assert await store.get(api.id, "k") is None
    assert (await store.list(api.id)).keys == ()
    assert not await store.delete(api.id, "k")
    assert await store.set(api.id, "k", "2", if_absent=True)


async def test_a_number_keeps_its_time_and_a_new_one_gets_it(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await store.increment(api.id, "n", seconds=60)
    await store.increment(api.id, "n", seconds=6000)
    left = await owner.fetchval("select expires_at - now() from public.api_kv")
    assert left.total_seconds() < 61
    await expire(owner, api)
    assert await store.increment(api.id, "n", 5) == 5
    assert await owner.fetchval("select expires_at from public.api_kv") is None


async def test_writing_without_a_time_makes_it_last(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await store.set(api.id, "k", "1", seconds=60)
    await store.set(api.id, "k", "1")
    assert await owner.fetchval("select expires_at from public.api_kv") is None


async def test_purging_removes_what_has_expired_and_nothing_else(
    owner: asyncpg.Connection, store: KvStore, database: Database, api: MadeApi, dsn: str
) -> None:
    other = await make_api(database, (await make_user(dsn)).tenant_id)
    for each in (api, other):
        await store.set(each.id, "old", "1")
        await store.set(each.id, "kept", "1", seconds=60)
        await expire(owner, each, "old")
    assert await store.purge(1) == 1
    assert await store.purge(1) == 1
    assert await store.purge() == 0
    for each in (api, other):
        assert await totals(database, each) == await really(owner, each) == (1, 5)


# --- pages --------------------------------------------------------------------------------


async def test_pages_follow_one_another_in_the_order_of_bytes(store: KvStore, api: MadeApi) -> None:
    keys = ["B", "a", "a%", "a_", "ab", "b", "é"]
    for key in reversed(keys):
        await store.set(api.id, key, "1")
    seen: list[str] = []
    complete = False
    while not complete:
        page = await store.list(api.id, after=seen[-1] if seen else "", limit=3)
        seen += page.keys
        complete = page.is_complete
    assert seen == keys
    assert (await store.list(api.id, prefix="a_")).keys == ("a_",)


async def test_a_page_with_values_ends_at_about_a_megabyte(
    owner: asyncpg.Connection, store: KvStore, api: MadeApi
) -> None:
    await fill(owner, api, 20, 200_000)
    page = await store.list(api.id, with_values=True)
    assert (len(page.keys), page.is_complete) == (5, False)
    assert page.values is not None
    assert len(page.values) == 5


# --- whose --------------------------------------------------------------------------------


async def test_apis_do_not_see_one_another(
    store: KvStore, database: Database, api: MadeApi
) -> None:
    other = await make_api(database, api.tenant_id)
    await store.set(api.id, "k", "1")
    assert await store.get(other.id, "k") is None
    assert not await store.delete(other.id, "k")
    assert (await store.list(other.id)).keys == ()


async def test_there_is_no_store_without_an_api(store: KvStore) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    with refusal("not_found"):
        await store.set(nobody, "k", "1")
    with refusal("not_found"):
        await store.delete(nobody, "k")
    with refusal("not_found"):
        await store.increment(nobody, "k")
    assert await store.get(nobody, "k") is None
