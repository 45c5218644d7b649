"""Numbers for anybody are found out once for many who ask."""

import asyncio

import asyncpg
import pytest

from gateway.operations.public_numbers import Remembered
from gateway.store import apis
from gateway.store.database import DatabaseUnavailableError
from gateway.store.postgres import PostgresDatabase
from tests.support.factories import make_api, make_user


class Store:
    """Counts who asks; answers what it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.is_away = False
        self.number = 3
        self.remembered = Remembered[int](60, lambda: self.now)

    async def find_out(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise DatabaseUnavailableError
        return self.number

    async def get(self) -> int:
        return await self.remembered.get(self.find_out)


async def test_many_who_ask_at_once_and_later_ask_the_store_once() -> None:
    store = Store()
    assert await asyncio.gather(*(store.get() for _ in range(50))) == [3] * 50
    assert await store.get() == 3
    assert store.asked == 1


async def test_after_its_time_it_is_asked_again() -> None:
    store = Store()
    await store.get()
    store.now, store.number = 61, 5
    assert await store.get() == 5


async def test_while_the_store_is_away_the_last_number_is_told() -> None:
    store = Store()
    await store.get()
    store.now, store.is_away = 61, True
    assert [await store.get() for _ in range(20)] == [3] * 20
    assert store.asked == 2


async def test_what_was_never_known_is_an_error_until_it_is() -> None:
    store = Store()
    store.is_away = True
    with pytest.raises(DatabaseUnavailableError):
        await store.get()
    store.is_away = False
    assert await store.get() == 3


async def test_one_who_leaves_takes_the_answer_from_nobody() -> None:
    store = Store()
    first, second = asyncio.create_task(store.get()), asyncio.create_task(store.get())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 3


async def test_only_active_ones_count_and_more_than_a_page_of_them(
    database: PostgresDatabase,
    dsn: str,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apis, "_PAGE", 2)
    person, other = await make_user(dsn), await make_user(dsn)
    made = [
        await make_api(database, who.tenant_id) for who in (person, other, person, other, person)
    ]
    await owner.execute("update public.apis set status = 'active'")
    await owner.execute("update public.apis set status = 'paused' where id = $1", made[0].id)
    assert await apis.count_active(database) == 4
