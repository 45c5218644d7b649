"""One database for many tests: emptied after each, for those who cannot follow to a new one."""

from dataclasses import dataclass

import asyncpg

_TABLES = """
select format('%I.%I', nspname, relname) as name
  from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
 where nspname in ('public', 'auth') and relkind in ('r', 'p') and not relispartition
"""


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
