"""Who may ask, over all routes of the app: a new one is in by itself.

`test_who.py` looks at roles; here nobody, a stranger and a person who is no administrator knock at
every door there is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.control.build import ROUTERS
from gateway.control.subject import administrator
from gateway.operations.file_urls import url_key
from gateway.operations.uploads import UploadParts
from gateway.store.blob_folder import BlobFolder
from gateway.store.database import SERVICE
from tests.support.control import World
from tests.support.factories import (
    Person,
    make_api,
    make_feedback,
    make_invitation,
    make_tenant,
    make_upload,
)
from tests.support.jobs import make_origin, queue_edit
from tests.support.openapi_walk import operations
from tests.support.templates import BODY, CONTRACT

# Doors that are open, with the reason.
OPEN: Mapping[str, str] = {
    "GET /health": "a balancer asks",
    "GET /ready": "a balancer asks",
    "GET /api/stats": "how many there are; anybody may know",
    "GET /api/docs": "the description of what is here",
    "POST /api/keys/report": "whoever finds a key reports it; it is limited",
    "GET /api/profile/{user_id}": "what somebody shows is for anybody; what is hidden is not found",
    "GET /api/uploads/{upload_id}/content": "who has the signed address may read it",
}
EVERYBODYS = {
    "GET /api/templates/{slug}": "templates are nobody's; whoever is signed in reads them"
}
UNKNOWN = "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"
PARAMETER = re.compile(r"{(\w+)[^}]*}")


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one route, with the least that its document asks for."""

    method: str
    path: str
    is_for_administrators: bool
    body: Any  # JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, client: httpx.AsyncClient, values: Mapping[str, str]) -> Any:
        """The request, awaited by the caller."""
        path = PARAMETER.sub(lambda found: values.get(found[1], UNKNOWN), self.path)
        return client.request(self.method, path, json=self.body)


def doors(document: Any) -> Iterator[Door]:
    """All of them."""
    bodies = {str(one): one.body for one in operations(document)}
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute), route
            for method in sorted(route.methods or ()):
                body = bodies.get(f"{method} {route.path}")
                if isinstance(body, dict) and "email" in body:
                    body["email"] = "somebody@example.com"
                yield Door(method, route.path, _is_for_administrators(route.dependant), body)


def _is_for_administrators(dependant: Dependant) -> bool:
    return any(
        one.call is administrator or _is_for_administrators(one) for one in dependant.dependencies
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """Every door, and what somebody owns behind them."""

    world: World
    doors: tuple[Door, ...]
    owner: Person
    values: Mapping[str, str]


@pytest.fixture
async def scene(world: World, tmp_path: Path) -> Scene:
    url_keys = (url_key(b"secret"),)
    files = UploadParts(BlobFolder(tmp_path, keep_free=0), lambda: url_keys, 1000, 1000)
    world.app.state.control = replace(world.app.state.control, uploads=files)
    owner = await world.person()
    team = await make_tenant(world.database, owner)
    api = await make_api(world.database, team, created_by=owner.id)
    await make_origin(world.dsn, api, CONTRACT, BODY)
    job = str(await queue_edit(world.database, owner, api))
    deployments = await world.database.select("deployments", identity=SERVICE)
    values = {
        "job_id": job,
        "service_id": job,
        "deployment_id": next(one["id"] for one in deployments if one["api_id"] == api.id),
        "slug": "todo-list",
        "api_id": api.id,
        "ref": api.id,
        "n": "1",
        "key_id": api.key.id,
        "tenant_id": team,
        "user_id": owner.id,
        "name": "TOKEN",
        "switch": "publishing",
        "feedback_id": await make_feedback(world.database, owner.id),
        "upload_id": await make_upload(world.database, team, "api_icon", api.id, owner.id),
        "invitation_id": await make_invitation(world.database, team, "a@b.example", owner),
        "impersonation_id": UNKNOWN,
    }
    async with world.client() as client:
        document = (await client.get("/api/openapi.json")).json()
    return Scene(world, tuple(doors(document)), owner, values)


async def answers(
    scene: Scene, client: httpx.AsyncClient, asked: list[Door]
) -> dict[str, tuple[int, str]]:
    """Status and code by door."""
    found = {}
    for door in asked:
        answer = await door.ask(client, scene.values)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        found[str(door)] = (answer.status_code, answer.json()["code"] if is_problem else "")
    return found


async def test_every_parameter_is_something_that_is_there(scene: Scene) -> None:
    named = {name for door in scene.doors for name in PARAMETER.findall(door.path)}
    assert named - scene.values.keys() == set(), "say in `scene` what it is"
    known = {str(door) for door in scene.doors}
    assert OPEN.keys() - known == set()


async def test_401_nobody_anywhere(scene: Scene) -> None:
    closed = [door for door in scene.doors if str(door) not in OPEN]
    async with scene.world.client() as client:
        found = await answers(scene, client, closed)
    assert {door: said for door, said in found.items() if said != (401, "unauthorized")} == {}


async def test_403_a_person_where_administrators_go(scene: Scene) -> None:
    """They are known by what they ask for, and by their address: one without the other is not."""
    mine = [door for door in scene.doors if door.is_for_administrators]
    by_address = {str(door) for door in scene.doors if re.match(r"/(api/)?admin/", door.path)}
    assert by_address - {str(door) for door in mine} == set()
    async with scene.world.client(scene.owner) as client:
        found = await answers(scene, client, mine)
    assert {door: said for door, said in found.items() if said != (403, "forbidden")} == {}


async def test_404_or_403_a_stranger_at_what_is_somebodys(scene: Scene) -> None:
    theirs = [
        door
        for door in scene.doors
        if PARAMETER.search(door.path)
        and not door.is_for_administrators
        and str(door) not in {**OPEN, **EVERYBODYS}
    ]
    stranger = await scene.world.person()
    async with scene.world.client(stranger) as client:
        found = await answers(scene, client, theirs)
    assert {door: said for door, said in found.items() if said[0] not in (403, 404)} == {}
    assert scene.world.changes.published == []
    async with scene.world.client(scene.owner) as client:
        api = await client.get(f"/api/apis/{scene.values['api_id']}")
        files = await client.get(f"/api/uploads/{scene.values['upload_id']}")
        tenant = await client.get(f"/api/tenants/{scene.values['tenant_id']}")
    assert [one.status_code for one in (api, files, tenant)] == [200, 200, 200]
