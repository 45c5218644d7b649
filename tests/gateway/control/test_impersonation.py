"""Looking through somebody's eyes: what is seen, what is refused, when it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from gateway.auth.impersonation import ImpersonatingSessions
from gateway.control.build import build_control
from gateway.control.services import ControlServices
from gateway.metrics import Metrics
from gateway.store.postgres import PostgresDatabase
from tests.support.control import ADMIN_KEY, World
from tests.support.factories import Person, make_api
from tests.support.problems import assert_problem

WHY = {"reason": "a ticket says that the list is empty"}
HEADER = "x-sandgate-impersonating"


@dataclass
class LivingSessions:
    """Sessions of administrators live until they are ended here."""

    ended: set[UUID] = field(default_factory=set)

    async def session_alive(self, session_id: UUID, user_id: UUID, now: datetime) -> bool:
        return session_id not in self.ended


@dataclass
class Scene:
    """An administrator who may look, somebody to look at, and a stranger."""

    world: World
    living: LivingSessions
    admin: Person
    person: Person
    client: Callable[[str], httpx.AsyncClient]

    async def begin(self, **body: Any) -> dict[str, Any]:
        async with self.client(self.admin.id) as client:
            path = f"/api/admin/users/{self.person.id}/impersonate"
            answer = await client.post(path, json={**WHY, **body})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def entries(self) -> list[dict[str, Any]]:
        """Newest first."""
        async with self.world.admin() as client:
            answer = await client.get("/api/admin/audit?action=impersonation.")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest.fixture
async def scene(database: PostgresDatabase, dsn: str) -> Scene:
    world, living = World(database, dsn), LivingSessions()
    sessions = ImpersonatingSessions(
        world.sessions, sessions=living, database=database, clock=lambda: world.now
    )
    app = build_control(
        ControlServices(
            operations=world.services,
            sessions=sessions,
            admin_key=ADMIN_KEY,
            metrics=Metrics(),
            version="0.0.1",
        )
    )

    def client(token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://sandgate.test",
            headers={"Authorization": f"Bearer {token}"},
        )

    admin, person = await world.person(is_admin=True), await world.person()
    return Scene(world, living, admin, person, client)


async def test_200_it_sees_what_the_person_sees_and_says_so(scene: Scene) -> None:
    mine = await make_api(scene.world.database, scene.person.tenant_id)
    theirs = await make_api(scene.world.database, (await scene.world.person()).tenant_id)
    made = await scene.begin()
    async with scene.client(made["access_token"]) as client:
        me = await client.get("/api/me")
        listed = await client.get("/api/apis")
        read = await client.get(f"/api/apis/{mine.id}/versions/1")
        hidden = await client.get(f"/api/apis/{theirs.id}")
        closed = await client.get("/api/admin/users")
    assert (me.json()["user_id"], me.json()["is_admin"]) == (scene.person.id, False)
    assert [item["id"] for item in listed.json()["items"]] == [mine.id]
    assert read.status_code == 200
    assert_problem(hidden, 404, "api_not_found")
    assert_problem(closed, 403, "forbidden")
    for answer in (me, listed, read, hidden, closed):
        assert answer.headers[HEADER] == scene.person.id
    async with scene.client(scene.admin.id) as client:
        assert HEADER not in (await client.get("/api/me")).headers
        found = await client.get("/api/admin/audit?action=api.read_code")
    (entry,) = found.json()["items"]
    assert entry["actor_id"] == scene.admin.id
    assert entry["detail"]["as_user_id"] == scene.person.id


async def test_403_every_write_is_refused(scene: Scene) -> None:
    api = await make_api(scene.world.database, scene.person.tenant_id)
    made = await scene.begin()
    writes = [
        ("POST", "/api/apis"),
        ("PATCH", f"/api/apis/{api.id}"),
        ("DELETE", f"/api/apis/{api.id}"),
        ("POST", f"/api/apis/{api.id}/keys"),
        ("PUT", f"/api/apis/{api.id}/secrets/TOKEN"),
        ("DELETE", f"/api/keys/{api.key.id}"),
        ("POST", f"/api/admin/users/{scene.person.id}/impersonate"),
    ]
    async with scene.client(made["access_token"]) as client:
        for method, path in writes:
            answer = await client.request(method, path, json={})
            assert_problem(answer, 403, "impersonation_read_only")
            assert answer.headers[HEADER] == scene.person.id
    assert scene.world.changes.published == []


async def test_it_ends_when_it_is_ended(scene: Scene) -> None:
    made = await scene.begin()
    async with scene.client(scene.admin.id) as client:
        ended = await client.delete(f"/api/admin/impersonations/{made['id']}")
        again = await client.delete(f"/api/admin/impersonations/{made['id']}")
    assert ended.status_code == 204
    assert_problem(again, 404, "impersonation_not_found")
    async with scene.client(made["access_token"]) as client:
        assert_problem(await client.get("/api/me"), 401, "invalid_session")
    end, start = await scene.entries()
    assert (end["action"], start["action"]) == ("impersonation.end", "impersonation.start")
    assert (start["reason"], start["target_id"]) == (WHY["reason"], scene.person.id)
    assert (end["detail"]["impersonation_id"], end["actor_id"]) == (made["id"], scene.admin.id)


async def test_it_ends_with_the_session_of_the_administrator(scene: Scene) -> None:
    made = await scene.begin()
    scene.living.ended.add(scene.world.user(scene.admin).session_id)
    async with scene.client(made["access_token"]) as client:
        assert_problem(await client.get("/api/me"), 401, "invalid_session")
        scene.living.ended.clear()
        assert_problem(await client.get("/api/me"), 401, "invalid_session")
    assert (await scene.entries())[0]["detail"]["how"] == "the administrator's session ended"


async def test_it_ends_with_its_time_and_with_the_rights(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    late, powerless = await scene.begin(minutes=1), await scene.begin()
    await owner.execute(
        "update private.impersonations set expires_at = now() - interval '1 s' where id = $1",
        UUID(late["id"]),
    )
    async with scene.client(late["access_token"]) as client:
        assert_problem(await client.get("/api/me"), 401, "invalid_session")
    await owner.execute(
        "update public.user_profiles set is_admin = false where id = $1", UUID(scene.admin.id)
    )
    async with scene.client(powerless["access_token"]) as client:
        assert_problem(await client.get("/api/me"), 401, "invalid_session")
    ends = {e["detail"]["impersonation_id"]: e["detail"]["how"] for e in await scene.entries()
            if e["action"] == "impersonation.end"}  # fmt: skip
    assert ends == {
        late["id"]: "its time was over",
        powerless["id"]: "the administrator or the user is none any more",
    }


async def test_who_may_not_begin(scene: Scene) -> None:
    path = f"/api/admin/users/{scene.person.id}/impersonate"
    async with scene.world.admin() as client:
        assert_problem(await client.post(path, json=WHY), 403, "session_required")
    async with scene.client(scene.admin.id) as client:
        own = await client.post(f"/api/admin/users/{scene.admin.id}/impersonate", json=WHY)
        assert_problem(own, 422, "invalid_input")
        nobody = await client.post(f"/api/admin/users/{uuid4()}/impersonate", json=WHY)
        assert_problem(nobody, 404, "user_not_found")
        for body in ({}, {"reason": ""}, {**WHY, "minutes": 61}, {**WHY, "minutes": 0}):
            assert_problem(await client.post(path, json=body), 422, "invalid_input")
    for junk in ("sg_imp_", "sg_imp_" + "a" * 43, "sg_imp_" + "a" * 5000):
        async with scene.client(junk) as client:
            assert_problem(await client.get("/api/me"), 401, "invalid_session")


async def test_where_sessions_are_a_projects_nothing_is_begun_or_entered(scene: Scene) -> None:
    control = scene.world.app.state.control
    services = replace(control.operations, impersonates=False)
    scene.world.app.state.control = replace(control, operations=services)
    async with scene.world.client(scene.admin) as client:
        answer = await client.post(f"/api/admin/users/{scene.person.id}/impersonate", json=WHY)
    assert_problem(answer, 403, "impersonation_unavailable")
    assert await scene.entries() == []
