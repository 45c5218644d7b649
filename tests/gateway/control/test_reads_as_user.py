"""What a person reads is read as that person: every GET route, asked who it reads as."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.control.build import ROUTERS
from gateway.control.subject import administrator
from gateway.operations.file_urls import url_key
from gateway.operations.uploads import UploadParts
from gateway.store.blob_folder import BlobFolder
from gateway.store.database import SERVICE, Database, Filter, Identity, Row
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.factories import (
    Person,
    add_member,
    make_api,
    make_feedback,
    make_tenant,
    make_upload,
    usage_call,
)
from tests.support.jobs import make_origin, queue_edit
from tests.support.templates import BODY, CONTRACT

# Reads that a person causes and that run as the service: for each route what, and why.
SERVICE_READS: Mapping[str, Mapping[str, str]] = {
    "/api/stats": {"select apis": "how many there are; anybody may know"},
    "/api/tenants/{tenant_id}/members": {
        "rpc tenant_people": "a person's own row only is theirs to read; membership is checked"
    },
    "/api/uploads": {"rpc upload_bytes": "one sum of a tenant; membership is checked"},
    "/api/tenants/{tenant_id}/usage": {
        "rpc tenant_calls": "sums over the calls of a tenant; membership is checked"
    },
}
# What a developer may not read, and what needs no person at all: they have tests of their own.
ELSEWHERE = {
    "/api/tenants/{tenant_id}/invitations",  # for owners and admins
    "/api/uploads/{upload_id}/content",  # who has the signed address may read it
}
# Routes that never end by themselves: they are left after this many seconds.
STREAMS: Mapping[str, float] = {"/api/jobs/{job_id}/events": 0.1}


class RecordingDatabase(Database):
    """Passes everything on and remembers who asked for what."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.asked: list[tuple[str, Identity]] = []

    def by_service(self) -> set[str]:
        """What was read with all rights."""
        return {what for what, identity in self.asked if identity.role == "service_role"}

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
        """Rows."""
        self.asked.append((f"select {table}", identity))
        return await self._inner.select(
            table,
            identity=identity,
            columns=columns,
            where=where,
            order=order,
            limit=limit,
            offset=offset,
        )

    async def insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], *, identity: Identity
    ) -> list[Row]:
        """New rows."""
        self.asked.append((f"insert {table}", identity))
        return await self._inner.insert(table, rows, identity=identity)

    async def upsert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        on_conflict: Sequence[str],
        identity: Identity,
    ) -> list[Row]:
        """New or changed rows."""
        self.asked.append((f"upsert {table}", identity))
        return await self._inner.upsert(table, rows, on_conflict=on_conflict, identity=identity)

    async def update(
        self,
        table: str,
        values: Mapping[str, Any],
        *,
        where: Sequence[Filter],
        identity: Identity,
    ) -> list[Row]:
        """Changed rows."""
        self.asked.append((f"update {table}", identity))
        return await self._inner.update(table, values, where=where, identity=identity)

    async def delete(self, table: str, *, where: Sequence[Filter], identity: Identity) -> list[Row]:
        """Rows that are gone."""
        self.asked.append((f"delete {table}", identity))
        return await self._inner.delete(table, where=where, identity=identity)

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """What a function answers."""
        self.asked.append((f"rpc {function}", identity))
        return await self._inner.rpc(function, arguments, identity=identity)


def reading_routes() -> Iterator[APIRoute]:
    """All GET routes below /api that are not for administrators."""
    for router in ROUTERS:
        for route in router.routes:
            if (
                isinstance(route, APIRoute)
                and "GET" in (route.methods or ())
                and route.path.startswith("/api/")
                and not _is_for_administrators(route.dependant)
                and route.path not in ELSEWHERE
            ):
                yield route


def _is_for_administrators(dependant: Dependant) -> bool:
    return any(
        one.call is administrator or _is_for_administrators(one) for one in dependant.dependencies
    )


async def of_a_developer(world: World) -> tuple[Person, Mapping[str, str]]:
    """A developer of somebody's team, and what stands for each parameter of a route."""
    files = UploadParts(
        BlobFolder(Path("nowhere"), keep_free=0), lambda: [url_key(b"secret")], 1, 1
    )
    world.app.state.control = replace(world.app.state.control, uploads=files)
    owner, developer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, developer.id, "developer")
    api = await make_api(world.database, team, created_by=owner.id)
    call = usage_call(api, time.time())
    await world.database.rpc("record_usage", {"p_calls": [call]}, identity=SERVICE)
    document = {"p_version_id": api.version_id, "p_document": {"paths": {}}}
    await world.database.rpc("set_version_openapi", document, identity=SERVICE)
    public = {"p_user_id": developer.id, "p": {"is_public": True}}
    await world.database.rpc("update_profile", public, identity=SERVICE)
    feedback = await make_feedback(world.database, developer.id)
    upload = await make_upload(world.database, team, "api_icon", api.id, owner.id)
    await make_origin(world.dsn, api, CONTRACT, BODY)
    job = await queue_edit(world.database, owner, api)
    deployments = await world.database.select("deployments", identity=SERVICE)
    return developer, {
        "job_id": str(job),
        "service_id": str(job),
        "deployment_id": next(one["id"] for one in deployments if one["api_id"] == api.id),
        "api_id": api.id,
        "ref": api.id,
        "n": "1",
        "key_id": api.key.id,
        "tenant_id": team,
        "user_id": developer.id,
        "feedback_id": feedback,
        "upload_id": upload,
        "slug": "todo-list",
    }


def addresses(route: APIRoute, values: Mapping[str, str]) -> Iterator[str]:
    """With and without what may be asked about."""
    missing = set(re.findall(r"{(\w+)", route.path)) - values.keys()
    assert not missing, f"say in of_a_developer what {missing} of {route.path} is"
    path = re.sub(r"{(\w+)[^}]*}", lambda found: values[found[1]], route.path)
    names = [one.name for one in route.dependant.query_params if one.name in values]
    yield path
    if names:
        yield f"{path}?" + "&".join(f"{name}={values[name]}" for name in names)


async def read(client: httpx.AsyncClient, route: APIRoute, address: str) -> None:
    """To the end, or for as long as a stream is looked at."""
    try:
        async with asyncio.timeout(STREAMS.get(route.path, 30)):
            answer = await client.get(address)
    except TimeoutError:
        assert route.path in STREAMS, f"{route.path} does not end: say so in STREAMS"
    else:
        assert answer.status_code == 200, f"{address}: {answer.text}"


async def test_what_a_person_reads_is_read_as_that_person(
    database: PostgresDatabase, dsn: str
) -> None:
    recorder = RecordingDatabase(database)
    world = World(recorder, dsn)
    developer, values = await of_a_developer(world)
    past_security: dict[str, set[str]] = {}
    async with world.client(developer) as client:
        for route in reading_routes():
            recorder.asked.clear()
            for address in addresses(route, values):
                await read(client, route, address)
            if recorder.by_service():
                past_security[route.path] = recorder.by_service()
    explained: dict[str, set[str]] = {path: set(reasons) for path, reasons in SERVICE_READS.items()}
    assert past_security == explained, "read as the person, or give the reason in SERVICE_READS"


async def test_a_stranger_reads_nothing_by_any_route(database: PostgresDatabase, dsn: str) -> None:
    world = World(database, dsn)
    _, values = await of_a_developer(world)
    stranger = await world.person()
    async with world.client(stranger) as client:
        for route in reading_routes():
            for address in addresses(route, values):
                named = ("api_id", "tenant_id", "job_id", "deployment_id")
                if any(values[name] in address for name in named):
                    answer = await client.get(address)
                    found = answer.json()
                    assert answer.status_code == 404 or found["items"] == [], address
