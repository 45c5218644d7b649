"""One of the two implementations of the store, over the same database."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.store.database import Database
from gateway.store.postgrest import PostgrestDatabase
from gateway.store.postgrest_keys import ProjectKeys
from tests.support.postgrest import anon_key, service_key

BOTH = ("postgres", "postgrest")


@asynccontextmanager
async def store_of(
    kind: str, database: Database, address: Callable[[], str]
) -> AsyncIterator[Database]:
    """The direct connection, or one over the PostgREST at this address."""
    if kind == "postgres":
        yield database
        return
    keys = ProjectKeys(service_key(), anon_key())
    async with PostgrestDatabase.connect(address(), keys) as opened:
        yield opened
