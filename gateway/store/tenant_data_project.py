"""A tenant in a Supabase project: read page by page through the `Database`, and deleted."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any
from uuid import UUID

from gateway.store.database import SERVICE, Database, Filter, Row
from gateway.store.project_auth import ProjectAuth
from gateway.store.tenant_tables import MEMBERS, Code, File, Holdings, Table, TenantStore, shares

_PAGE = 1000
_CODES = 10
_IDS_AT_ONCE = 100  # they are part of an address
_TABLES = {"apis": "apis", "keys": "consumer_api_keys"}


class ProjectTenantData(TenantStore):
    """Each page is a transaction of its own, so that changes meanwhile may show."""

    is_of_one_moment = False

    def __init__(self, database: Database, auth: ProjectAuth, *, page: int = _PAGE) -> None:
        self._database = database
        self._page = page
        self._auth = auth

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """There is none over HTTP."""
        yield

    async def holdings(self, tenant_id: UUID) -> Holdings | None:
        """What there is; None when there is no such tenant."""
        found = await self._rpc("tenant_holdings", tenant_id)
        return None if found is None else Holdings.of(found)

    async def tables(self) -> list[Table]:
        """Tables with something of tenants, in a fixed order of tables and rows."""
        return shares(await self._database.rpc("readable_tables", {}, identity=SERVICE))

    async def write_csv(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows with a line of names."""
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table.columns)
        async for row in self._rows(table, tenant_id):
            writer.writerow(_cell(row[column]) for column in table.columns)
        text.detach()  # the file is the caller's

    async def write_json(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows as a list, one a line."""
        count = 0
        async for row in self._rows(table, tenant_id):
            file.write((",\n" if count else "[\n").encode())
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
            count += 1
        file.write(b"\n]\n" if count else b"[]\n")

    async def codes(self, tenant_id: UUID) -> AsyncIterator[Code]:
        """The code of every version of every API."""
        of_tenant = [Filter("tenant_id", "eq", str(tenant_id))]
        async for api in self._pages("apis", ("id", "slug"), ("slug", "id"), of_tenant):
            of_api = [Filter("api_id", "eq", api["id"])]
            columns, order = ("n", "code"), ("n",)
            async for row in self._pages("api_versions", columns, order, of_api, _CODES):
                yield Code(api["slug"], row["n"], row["code"])

    async def files(self, tenant_id: UUID) -> list[File]:
        """Each content that was uploaded, once."""
        of_tenant = [Filter("tenant_id", "eq", str(tenant_id))]
        columns = ("digest", "media_type", "id")
        rows = self._pages("uploads", columns, ("digest", "id"), of_tenant)
        found = {row["digest"]: row["media_type"] async for row in rows}
        return [File(digest, media_type) for digest, media_type in found.items()]

    async def erase(self, tenant_id: UUID, *, person: bool) -> None:
        """A person by the project's Auth, which alone may."""
        arguments = {"p_tenant_id": str(tenant_id), "p_person": person}
        owner = await self._database.rpc("erase_project_tenant", arguments, identity=SERVICE)
        if owner is not None:
            await self._auth.remove(UUID(owner))

    async def blank_paths(self, tenant_id: UUID) -> int:
        """Some of the paths that are left in calls to it; 0 when none are."""
        return int(await self._rpc("blank_paths", tenant_id))

    async def was_there(self, tenant_id: UUID) -> bool:
        """Whether a tenant of this id was erased."""
        where = [Filter("action", "eq", "tenant.erase"), Filter("target_id", "eq", str(tenant_id))]
        return bool(
            await self._database.select(
                "audit_log", identity=SERVICE, columns="id", where=where, limit=1
            )
        )

    # --- reading ----------------------------------------------------------------------------

    async def _rows(self, table: Table, tenant_id: UUID) -> AsyncIterator[Row]:
        if table.name == MEMBERS:
            for row in await self._members(tenant_id):
                yield row
            return
        earlier: list[tuple[str, set[str]]] = []  # rows that another column has brought already
        for column, of in table.owned:
            ids = await self._ids(of, tenant_id)
            for start in range(0, len(ids), _IDS_AT_ONCE):
                some = [Filter(column, "in", ids[start : start + _IDS_AT_ONCE])]
                async for row in self._pages(table.name, table.columns, table.order, some):
                    if not any(row[before] in known for before, known in earlier):
                        yield row
            earlier.append((column, set(ids)))

    async def _ids(self, of: str, tenant_id: UUID) -> list[str]:
        if of == "tenant":
            return [str(tenant_id)]
        where = [Filter("tenant_id", "eq", str(tenant_id))]
        return [row["id"] async for row in self._pages(_TABLES[of], ("id",), ("id",), where)]

    async def _members(self, tenant_id: UUID) -> list[Row]:
        where = [Filter("tenant_id", "eq", str(tenant_id))]
        columns = ("user_id", "role", "created_at")
        members = [row async for row in self._pages("tenant_members", columns, ("user_id",), where)]
        addresses: dict[str, str] = {}
        for start in range(0, len(members), _IDS_AT_ONCE):
            ids = [row["user_id"] for row in members[start : start + _IDS_AT_ONCE]]
            some = [Filter("id", "in", ids)]
            async for row in self._pages("user_profiles", ("id", "email"), ("id",), some):
                addresses[row["id"]] = row["email"]
        told = [
            {"email": addresses[row["user_id"]], "role": row["role"], "created_at": at}
            for row in members
            if (at := row["created_at"]) and row["user_id"] in addresses
        ]
        return sorted(told, key=lambda row: (row["created_at"], row["email"]))

    async def _pages(
        self,
        table: str,
        columns: Sequence[str],
        order: Sequence[str],
        where: Sequence[Filter],
        most: int = _PAGE,
    ) -> AsyncIterator[Row]:
        """Each page begins where the one before ended; only rows with the same first value are
        skipped, so that a long table is not read from its beginning for every page."""
        first, after, same = order[0], None, 0
        while True:
            so_far = list[Filter]() if after is None else [Filter(first, "gte", after)]
            rows = await self._database.select(
                table,
                identity=SERVICE,
                columns=",".join(dict.fromkeys((*columns, first))),
                where=[*where, *so_far],
                order=",".join(order),
                limit=min(most, self._page),
                offset=same,
            )
            for row in rows:
                same = same + 1 if row[first] == after else 1
                after = row[first]
                yield {column: row[column] for column in columns}
            if not rows:  # a project may answer with less than a page
                return

    async def _rpc(self, function: str, tenant_id: UUID) -> Any:
        """`Any`: JSON."""
        return await self._database.rpc(function, {"p_tenant_id": str(tenant_id)}, identity=SERVICE)


def _cell(value: object) -> object:
    """As Postgres writes CSV."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value
