"""Creating an API is all or nothing, whenever it is cut off."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.operations.apis import NewApi, create_api
from gateway.store.database import SERVICE, Database, DatabaseUnavailableError, Identity
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.sandboxes import GOOD


class Interrupting:
    """The database, but `create_api` tells when it begins and ends as the test says."""

    def __init__(self, database: Database, *, then_fail: bool = False) -> None:
        self._database = database
        self._then_fail = then_fail
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        value = await self._database.rpc(function, arguments, identity=identity)
        if function == "create_api":
            self.begun.set()
            await asyncio.wait_for(self.go.wait(), 10)
            if self._then_fail:
                raise DatabaseUnavailableError
        return value


async def nothing_is_left(world: World, database: PostgresDatabase) -> bool:
    apis = await database.select("apis", identity=SERVICE)
    keys = await database.select("consumer_api_keys", identity=SERVICE)
    return not apis and all(key["revoked_at"] for key in keys) and not world.sandboxes.running


async def test_cancelled_while_the_code_starts(world: World, database: PostgresDatabase) -> None:
    subject = world.user(await world.person())
    world.sandboxes.gate.clear()
    task = asyncio.create_task(create_api(world.services, subject, NewApi("x", GOOD)))
    await world.sandboxes.starting.wait()
    task.cancel()
    world.sandboxes.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_is_left(world, database)


async def test_cancelled_while_it_is_stored(world: World, database: PostgresDatabase) -> None:
    subject = world.user(await world.person())
    slow = Interrupting(database)
    services = replace(world.services, database=slow)
    task = asyncio.create_task(create_api(services, subject, NewApi("x", GOOD)))
    await slow.begun.wait()
    task.cancel()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_is_left(world, database)


async def test_connection_lost_after_the_commit(world: World, database: PostgresDatabase) -> None:
    subject = world.user(await world.person())
    slow = Interrupting(database, then_fail=True)
    slow.go.set()
    services = replace(world.services, database=slow)
    with pytest.raises(DatabaseUnavailableError):
        await create_api(services, subject, NewApi("x", GOOD))
    assert await nothing_is_left(world, database)


async def test_same_name_at_once_is_created_once(world: World, database: PostgresDatabase) -> None:
    subject = world.user(await world.person())
    outcomes = await asyncio.gather(
        *(create_api(world.services, subject, NewApi("x", GOOD)) for _ in range(5)),
        return_exceptions=True,
    )
    refused = [getattr(outcome, "code", None) for outcome in outcomes]
    assert sorted(map(str, refused)) == ["None", *["name_taken"] * 4]
    assert len(await database.select("apis", identity=SERVICE)) == 1
    assert len(world.sandboxes.running) == 1
