"""A tenant in the embedded database: read past row-level security, and deleted."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO
from uuid import UUID

import asyncpg

from gateway.store.driver import translated
from gateway.store.embedded import SUPERUSER, EmbeddedPostgres
from gateway.store.tenant_tables import MEMBERS, Code, File, Holdings, Table, TenantStore, shares

_IDS = {
    "apis": "select id from public.apis where tenant_id = $1",
    "keys": "select id from public.consumer_api_keys where tenant_id = $1",
}
_AS_TEXT = {("audit_log", "target_id")}
_MEMBERS = """
select profile.email, member.role, member.created_at
  from public.tenant_members as member
  join public.user_profiles as profile on profile.id = member.user_id
 where member.tenant_id = $1
 order by member.created_at, profile.email
"""


class TenantData(TenantStore):
    """One connection past row-level security."""

    is_of_one_moment = True

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, server: EmbeddedPostgres, database: str = "postgres"
    ) -> AsyncIterator["TenantData"]:
        """Open it for the time of one command."""
        with translated():
            connection = await asyncpg.connect(server.dsn(SUPERUSER, database), timeout=10)
        try:
            yield cls(connection)
        finally:
            await connection.close(timeout=5)

    async def holdings(self, tenant_id: UUID) -> Holdings | None:
        """What there is; None when there is no such tenant."""
        with translated():
            text = await self._connection.fetchval(
                "select public.tenant_holdings($1)::text", tenant_id
            )
        return None if text is None else Holdings.of(json.loads(text))

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """All that is read inside is of one moment."""
        transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
        with translated():
            await transaction.start()
        try:
            yield  # what fails here is not the database's
        finally:
            with translated():
                await transaction.rollback()

    async def tables(self) -> list[Table]:
        """Tables with something of tenants, in a fixed order of tables and rows."""
        with translated():
            text = await self._connection.fetchval("select public.readable_tables()::text")
        return shares(json.loads(text))

    async def write_csv(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows with a line of names."""

        async def write(piece: bytes) -> None:
            file.write(piece)

        with translated():
            await self._connection.copy_from_query(
                _query(table), tenant_id, output=write, format="csv", header=True
            )

    async def write_json(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows as a list, one a line."""
        count = 0
        with translated():
            rows = self._connection.cursor(
                " ".join(("select to_json(row)::text from (", _query(table), ") as row")),
                tenant_id,
                prefetch=200,
            )
            async for row in rows:
                file.write((",\n" if count else "[\n").encode() + row[0].encode())
                count += 1
        file.write(b"\n]\n" if count else b"[]\n")

    async def codes(self, tenant_id: UUID) -> AsyncIterator[Code]:
        """The code of every version of every API."""
        with translated():
            async for row in self._connection.cursor(
                "select api.slug, version.n, version.code from public.api_versions as version"
                " join public.apis as api on api.id = version.api_id"
                " where api.tenant_id = $1 order by api.slug, version.n",
                tenant_id,
                prefetch=10,
            ):
                yield Code(row["slug"], row["n"], row["code"])

    async def files(self, tenant_id: UUID) -> list[File]:
        """Each content that was uploaded, once."""
        with translated():
            rows = await self._connection.fetch(
                "select digest, min(media_type) as media_type from public.uploads"
                " where tenant_id = $1 group by digest order by digest",
                tenant_id,
            )
        return [File(row["digest"], row["media_type"]) for row in rows]

    async def erase(self, tenant_id: UUID, *, person: bool) -> None:
        """Delete it, or the person it belongs to."""
        with translated():
            await self._connection.execute("select public.erase_tenant($1, $2)", tenant_id, person)

    async def blank_paths(self, tenant_id: UUID) -> int:
        """Some of the paths that are left in calls to it; 0 when none are."""
        with translated():
            return int(await self._connection.fetchval("select public.blank_paths($1)", tenant_id))

    async def was_there(self, tenant_id: UUID) -> bool:
        """Whether a tenant of this id was erased."""
        with translated():
            return bool(
                await self._connection.fetchval(
                    "select exists (select from public.audit_log"
                    " where action = 'tenant.erase' and target_id = $1)",
                    str(tenant_id),
                )
            )


def _query(table: Table) -> str:
    """Names come from the catalogue; they are quoted all the same."""
    if table.name == MEMBERS:
        return _MEMBERS
    shown, by = (", ".join(map(_quoted, names)) for names in (table.columns, table.order))
    where = " or ".join(_condition(table.name, column, of) for column, of in table.owned)
    parts = ("select", shown, "from", f"public.{_quoted(table.name)}")
    return " ".join((*parts, "where", where, "order by", by))


def _condition(table: str, column: str, of: str) -> str:
    cast = "::text" if (table, column) in _AS_TEXT else ""
    if of == "tenant":
        return f"{_quoted(column)} = $1::uuid{cast}"
    return " ".join((_quoted(column), "in (select id" + cast, "from (", _IDS[of], ") as ids)"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
