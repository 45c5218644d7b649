"""Everything that belongs to one tenant: read as it may be shown, and deleted.

Which tables have something of a tenant is read from the catalogue, so that a new table is in
by itself; columns that no person may read (hashes, ciphertext) are out in the same way.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any
from uuid import UUID

import asyncpg

from gateway.store.driver import translated
from gateway.store.embedded import SUPERUSER, EmbeddedPostgres

_APIS = "(select id from public.apis where tenant_id = $1)"
_KEYS = "(select id from public.consumer_api_keys where tenant_id = $1)"
_TEXTS = (
    "(select id::text from public.apis where tenant_id = $1 union all"
    " select id::text from public.consumer_api_keys where tenant_id = $1)"
)
# the first column that a table has says which of its rows are the tenant's
_OWNED_BY = {
    "tenant_id": "tenant_id = $1",
    "account": "account = $1",
    "api_id": f"api_id in {_APIS}",
    "key_id": f"key_id in {_KEYS}",
}
_OTHERWISE = {
    "tenants": "id = $1",
    "api_usage": "(tenant_id = $1 or caller_tenant_id = $1)",
    "usage_days": "(tenant_id = $1 or caller_tenant_id = $1)",
    "audit_log": f"target_id = $1::uuid::text or target_id in {_TEXTS}",
}
_ELSEWHERE = {("api_versions", "code"), ("audit_log", "actor"), ("audit_log", "actor_id")}
_MEMBERS = """
select profile.email, member.role, member.created_at
  from public.tenant_members as member
  join public.user_profiles as profile on profile.id = member.user_id
 where member.tenant_id = $1
 order by member.created_at, profile.email
"""
_HOLDINGS = """
select tenant.id, tenant.name, tenant.kind, coalesce(profile.email, '') as owner,
       (select count(*) from public.apis where tenant_id = $1) as apis,
       (select count(*) from public.consumer_api_keys where tenant_id = $1) as keys,
       (select count(*) from public.tenant_members where tenant_id = $1) as members,
       (select count(*) from public.api_usage where tenant_id = $1) as calls,
       (select count(*) from public.uploads where tenant_id = $1) as files
  from public.tenants as tenant
  left join public.user_profiles as profile on profile.id = tenant.owner_id
 where tenant.id = $1
"""
_COLUMNS = """
select c.relname::text as "table",
       array_agg(a.attname::text order by a.attnum) as columns,
       (select array_agg(pa.attname::text order by array_position(i.indkey, pa.attnum))
          from pg_index as i
          join pg_attribute as pa on pa.attrelid = c.oid and pa.attnum = any (i.indkey)
         where i.indrelid = c.oid and i.indisprimary) as key
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
   and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
 group by c.oid, c.relname
 order by c.relname
"""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is of a tenant, for people to read before they decide."""

    id: UUID
    name: str
    kind: str
    owner: str
    apis: int
    keys: int
    members: int
    calls: int
    files: int


@dataclass(frozen=True, slots=True)
class File:
    """The content of an upload, or of several that are the same."""

    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table's share in an export."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class Code:
    """The code of one version."""

    slug: str
    n: int
    code: str


class TenantData:
    """One connection past row-level security; embedded mode only."""

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
            row = await self._connection.fetchrow(_HOLDINGS, tenant_id)
        return None if row is None else Holdings(**dict(row))

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
            rows = await self._connection.fetch(_COLUMNS)
        found = [Table("members", _MEMBERS)]
        for row in rows:
            name, columns = row["table"], row["columns"]
            owned = [rule for column, rule in _OWNED_BY.items() if column in columns]
            where = _OTHERWISE.get(name) or (owned[0] if owned else None)
            if where is not None and name != "tenant_members":
                shown = [column for column in columns if (name, column) not in _ELSEWHERE]
                found.append(Table(name, _select(name, shown, where, row["key"] or shown)))
        return found

    async def write_csv(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows with a line of names."""

        async def write(piece: bytes) -> None:
            file.write(piece)

        with translated():
            await self._connection.copy_from_query(
                table.query, tenant_id, output=write, format="csv", header=True
            )

    async def write_json(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> int:
        """Its rows as a list, one a line; answers how many."""
        count = 0
        with translated():
            rows = self._connection.cursor(
                " ".join(("select to_json(row)::text from (", table.query, ") as row")),
                tenant_id,
                prefetch=200,
            )
            async for row in rows:
                file.write((",\n" if count else "[\n").encode() + row[0].encode())
                count += 1
        file.write(b"\n]\n" if count else b"[]\n")
        return count

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

    async def erase(self, tenant_id: UUID, *, person: bool) -> dict[str, Any]:
        """Delete it, or the person it belongs to; answers what went."""
        with translated():
            text = await self._connection.fetchval(
                "select public.erase_tenant($1, $2)::text", tenant_id, person
            )
        found: dict[str, Any] = json.loads(text)
        return found

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


def _select(name: str, columns: list[str], where: str, order: list[str]) -> str:
    """Names come from the catalogue; they are quoted all the same."""
    shown = ", ".join(map(_quoted, columns))
    by = ", ".join(map(_quoted, order))
    parts = ("select", shown, "from", f"public.{_quoted(name)}", "where", where, "order by", by)
    return " ".join(parts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
