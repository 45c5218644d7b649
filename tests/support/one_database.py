"""One migrated database for many tests.

As it is, for those that only look at what they made themselves; emptied after each with `Fresh`,
for those who cannot follow to a new one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from gateway.store.embedded import EmbeddedPostgres
from tests.conftest import TEMPLATE

_TABLES = """
select format('%I.%I', nspname, relname) as name
  from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
 where nspname in ('public', 'auth') and relkind in ('r', 'p') and not relispartition
"""


@contextmanager
def one_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Its name; it is gone at the end."""
    name = f"test_{uuid4().hex[:12]}"
    asyncio.run(
        _administer(postgres, f"create database {name} template {TEMPLATE} strategy file_copy")
    )
    try:
        yield name
    finally:
        asyncio.run(_administer(postgres, f"drop database {name} with (force)"))


async def _administer(postgres: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(postgres.dsn("supabase_admin"))
    try:
        await connection.execute(command)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Fresh:
    """The statements that make a migrated database again what it was before it was used."""

    statements: str

    @classmethod
    async def of(cls, dsn: str) -> "Fresh":
        """Look at a database that nobody has used; `dsn` is the superuser's."""
        connection = await asyncpg.connect(dsn)
        try:
            names = [row["name"] for row in await connection.fetch(_TABLES)]
            lines = [f"delete from {name}" for name in names]
            for name in names:
                insert = await connection.fetchval(
                    f"select format($1, json_agg(t)::text) from {name} t having count(*) > 0",
                    f"insert into {name} select * from json_populate_recordset(null::{name}, %L)",
                )
                lines += [insert] if insert else []
        finally:
            await connection.close()
        return cls("; ".join(["set session_replication_role = replica", *lines]))

    async def restore(self, dsn: str) -> None:
        """As it was, in one transaction."""
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(self.statements)
        finally:
            await connection.close()
