"""The `Database` over a direct connection."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg

from gateway.store import statements
from gateway.store.audit_context import told
from gateway.store.database import Database, DatabaseError, Filter, Identity, Row
from gateway.store.driver import translated
from gateway.store.schema_cache import CATALOGUE, Function, Schema
from gateway.store.statements import Statement

_UNKNOWN = ("PGRST202", "PGRST205", "42703")  # perhaps only unknown to our copy of the catalogue
_SERVICE_CLAIMS = '{"role":"service_role"}'


class PostgresDatabase(Database):
    """Logs in as `authenticator`, a role without rights, and works as the identity of each call.

    Sessions start as `service_role`, so that the gateway's own calls take one round trip;
    a call for anybody else takes its role for one transaction.
    """

    def __init__(self, pool: asyncpg.Pool, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._schema: Schema | None = None
        self._loading = asyncio.Lock()

    @classmethod
    async def connect(
        cls,
        source: str | Path,
        *,
        database: str = "postgres",
        connections: int = 8,
        seconds: float = 8,
    ) -> Self:
        """Open a pool on a socket directory or an address; connections are made when needed."""
        address: dict[str, Any] = {"host": str(source), "user": "authenticator"}
        address["database"] = database
        if str(source).startswith(("postgres://", "postgresql://")):
            address = {"dsn": str(source)}
        with translated():
            pool = await asyncpg.create_pool(
                **address,
                min_size=0,
                max_size=connections,
                timeout=seconds,
                command_timeout=seconds + 1,  # the server's own limit comes first
                connection_class=_Connection,
                server_settings={
                    "role": "service_role",
                    "request.jwt.claims": _SERVICE_CLAIMS,
                    "search_path": "public",
                    "statement_timeout": str(int(seconds * 1000)),
                    "application_name": "sandgate",
                },
            )
        return cls(pool, seconds)

    async def close(self) -> None:
        """Close all connections; calls that still run get a few seconds."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- the protocol ---------------------------------------------------------------------

    async def select(
        self,
        table: str,
        *,
        identity: Identity,
        columns: str = "*",
        where: Sequence[Filter] = (),
        order: str | None = None,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[Row]:
        """Rows, at most 1000."""
        return await self._rows(
            identity,
            lambda schema: statements.select(
                schema, table, columns=columns, where=where, order=order, limit=limit, offset=offset
            ),
        )

    async def insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], *, identity: Identity
    ) -> list[Row]:
        """Insert rows that all have the same columns; none at all is no statement."""
        if not rows:
            return []
        return await self._rows(identity, lambda schema: statements.insert(schema, table, rows))

    async def upsert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        on_conflict: Sequence[str],
        identity: Identity,
    ) -> list[Row]:
        """Insert, or overwrite the row with the same `on_conflict` columns."""
        if not rows:
            return []
        return await self._rows(
            identity, lambda schema: statements.upsert(schema, table, rows, on_conflict)
        )

    async def update(
        self,
        table: str,
        values: Mapping[str, Any],
        *,
        where: Sequence[Filter],
        identity: Identity,
    ) -> list[Row]:
        """Change rows; an empty `where` is refused."""
        return await self._rows(
            identity, lambda schema: statements.update(schema, table, values, where)
        )

    async def delete(self, table: str, *, where: Sequence[Filter], identity: Identity) -> list[Row]:
        """Remove rows; an empty `where` is refused."""
        return await self._rows(identity, lambda schema: statements.delete(schema, table, where))

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Call a SQL function by argument names."""
        return await self._run(identity, lambda schema: statements.rpc(schema, function, arguments))

    # --- running --------------------------------------------------------------------------

    async def _rows(self, identity: Identity, build: Callable[[Schema], Statement]) -> list[Row]:
        rows: list[Row] = await self._run(identity, build)
        return rows

    async def _run(self, identity: Identity, build: Callable[[Schema], Statement]) -> Any:
        with translated():
            statement = await self._build(build)
            async with self._pool.acquire(timeout=self._seconds) as connection:
                if identity.role == "service_role" and (context := told()) is not None:
                    text = await _told(connection, context, statement)
                elif identity.role == "service_role":
                    text = await connection.fetchval(statement.sql, *statement.parameters)
                else:
                    text = await _as_somebody(connection, identity, statement)
        # a function's own null arrives as the word; no row at all is null as well
        return None if text is None else json.loads(text)

    async def _build(self, build: Callable[[Schema], Statement]) -> Statement:
        schema = self._schema
        if schema is not None:
            try:
                return build(schema)
            except DatabaseError as error:
                if error.sqlstate not in _UNKNOWN:
                    raise
        return build(await self._load(schema))

    async def _load(self, known: Schema | None) -> Schema:
        """Read the catalogue anew, once for all who wait for it."""
        async with self._loading:
            if self._schema is None or self._schema is known:
                async with self._pool.acquire(timeout=self._seconds) as connection:
                    found = json.loads(await connection.fetchval(CATALOGUE))
                self._schema = Schema(
                    tables=found["tables"],
                    functions={
                        name: Function(**signature)
                        for name, signature in found["functions"].items()
                    },
                )
            return self._schema


class _Connection(asyncpg.Connection):
    """Nothing outlives a transaction here, so a returned connection needs no cleaning."""

    def get_reset_query(self) -> str:
        return ""


async def _as_somebody(
    connection: Any,  # what a pool lends: it has all methods of a connection, but not its type
    identity: Identity,
    statement: Statement,
) -> str | None:
    async with connection.transaction():
        await connection.execute(
            "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
            identity.role,
            identity.claims,
        )
        text: str | None = await connection.fetchval(statement.sql, *statement.parameters)
        return text


async def _told(
    connection: Any,  # see above
    context: str,
    statement: Statement,
) -> str | None:
    """As the service, with what audit entries say of the request."""
    async with connection.transaction():
        await connection.execute("select set_config('sandgate.audit', $1, true)", context)
        text: str | None = await connection.fetchval(statement.sql, *statement.parameters)
        return text
