"""The audit log: what is entered, what it says, and how it is read."""

import csv
import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from gateway.operations import audit
from gateway.operations.audit import safe_cell
from sandbox.types import LogLine
from tests.gateway.control.test_admin_routes import routes
from tests.support.control import World
from tests.support.factories import Person, add_member, make_api, make_feedback, make_tenant
from tests.support.problems import assert_problem

WHY = {"reason": "they asked for it"}


async def log(world: World, **params: Any) -> list[dict[str, Any]]:
    async with world.admin() as client:
        answer = await client.get("/api/admin/audit", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


Body = dict[str, Any]
# every route of administrators that changes something, with a request that succeeds
FEEDBACK = "0a0a0a0a-0000-4000-8000-000000000001"
CHANGES: dict[str, Callable[[Person, str], tuple[str, Body, str]]] = {
    "PATCH /api/admin/users/{user_id}": lambda p, _: (
        f"/api/admin/users/{p.id}", {"is_admin": True, **WHY}, "user.set_admin"),
    "POST /api/admin/tenants": lambda p, _: (
        "/api/admin/tenants", {"name": "x", "owner_id": p.id}, "tenant.create"),
    "PATCH /api/admin/tenants/{tenant_id}": lambda p, _: (
        f"/api/admin/tenants/{p.tenant_id}", {"plan": "pro"}, "tenant.update"),
    "PATCH /api/admin/tenants/{tenant_id}/caps": lambda p, _: (
        f"/api/admin/tenants/{p.tenant_id}/caps", {"job_nano_usd": 5}, "tenant.set_caps"),
    "POST /api/admin/tenants/{tenant_id}/suspend": lambda p, _: (
        f"/api/admin/tenants/{p.tenant_id}/suspend", WHY, "tenant.suspend"),
    "POST /api/admin/tenants/{tenant_id}/restore": lambda p, _: (
        f"/api/admin/tenants/{p.tenant_id}/restore", WHY, "tenant.restore"),
    "POST /api/admin/tenants/{tenant_id}/credit": lambda p, _: (
        f"/api/admin/tenants/{p.tenant_id}/credit",
        {"amount_nano_usd": 5, "idempotency_key": "k"}, "credit.grant"),
    "POST /api/admin/api-keys": lambda p, api: (
        "/api/admin/api-keys", {"tenant_id": p.tenant_id, "api_ids": [api]}, "key.create"),
    "PATCH /api/admin/feedback/{feedback_id}": lambda *_: (
        f"/api/admin/feedback/{FEEDBACK}", {"status": "closed"}, "feedback.answer"),
    "PUT /api/admin/switches/{switch}": lambda *_: (
        "/api/admin/switches/publishing", {"stopped": True, **WHY}, "switch.stop"),
    "POST /api/admin/users/{user_id}/impersonate": lambda p, _: (
        f"/api/admin/users/{p.id}/impersonate", WHY, "impersonation.start"),
    "POST /admin/reload/{api_id}": lambda _, api: (f"/admin/reload/{api}", {}, "api.reload"),
}  # fmt: skip
ELSEWHERE = {
    "POST /admin/reload",  # an entry for each API that it reloads
    "DELETE /api/admin/impersonations/{impersonation_id}",  # test_impersonation.py
}


async def test_every_change_by_an_administrator_is_an_entry(world: World) -> None:
    changing = {
        f"{method} {route.path}"
        for route in routes(world)
        for method in (route.methods or set()) - {"GET"}
    }
    assert changing - ELSEWHERE == set(CHANGES), "the table has a row for each"
    person, admin = await world.person(), await world.person(is_admin=True)
    api = await make_api(world.database, person.tenant_id)
    await make_feedback(world.database, person.id, id=FEEDBACK)
    for route, request in CHANGES.items():
        path, body, action = request(person, api.id)
        async with world.client(admin) as client:
            headers = {} if "reason" in body else {"X-Audit-Reason": "they%20asked for it"}
            answer = await client.request(route.split()[0], path, json=body, headers=headers)
        assert answer.is_success, answer.text
        (entry,) = await log(world, request_id=answer.headers["x-request-id"])
        who = (entry["action"], entry["actor"], entry["actor_id"])
        assert who == (action, admin.email, admin.id)
        assert (entry["address"], entry["reason"]) == ("127.0.0.1", WHY["reason"])


class TestReads:
    async def reads(self, world: World, reader: Person | None, api_id: str) -> list[str]:
        """What is entered when somebody reads code and logs of this API."""
        world.sandboxes.lines[api_id] = [LogLine(1.0, "stdout", "one")]
        client = world.admin() if reader is None else world.client(reader)
        async with client:
            for path in ("versions/1", "logs", "sandboxes", "versions", ""):
                answer = await client.get(f"/api/apis/{api_id}/{path}".rstrip("/"))
                assert answer.status_code == 200, answer.text
        entries = await log(world, target_id=api_id, action="api.")
        return [e["action"] for e in entries if e["action"].startswith("api.read")]

    async def test_code_and_logs_of_somebody_else_are_entries(self, world: World) -> None:
        person, admin = await world.person(), await world.person(is_admin=True)
        expected = ["api.read_sandboxes", "api.read_logs", "api.read_code"]
        for reader in (admin, None):
            api = await make_api(world.database, person.tenant_id)
            assert await self.reads(world, reader, api.id) == expected
        (entry,) = await log(world, actor_id=admin.id, action="api.read_code")
        assert entry["detail"] == {"tenant_id": person.tenant_id}
        assert entry["request_id"]

    async def test_what_is_ones_own_is_none(self, world: World) -> None:
        person, admin = await world.person(), await world.person(is_admin=True)
        team = await make_tenant(world.database, person)
        await add_member(world.database, team, admin.id, "viewer")
        api = await make_api(world.database, team)
        assert await self.reads(world, admin, api.id) == []
        assert await self.reads(world, person, api.id) == []

    async def test_nothing_is_read_when_it_cannot_be_entered(
        self, world: World, owner: Any
    ) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        await owner.execute("revoke insert on public.audit_log from service_role")
        async with world.admin() as client:
            answer = await client.get(f"/api/apis/{api.id}/versions/1")
        assert_problem(answer, 500, "internal_error")


class TestReading:
    async def test_200_filters_and_pages(self, world: World) -> None:
        people = [await world.person() for _ in range(3)]
        async with world.admin() as client:
            for person in people:
                await client.get(f"/api/admin/users/{person.id}")
                await client.get(f"/api/admin/tenants/{person.tenant_id}")
            first = (await client.get("/api/admin/audit?limit=2&action=user.")).json()
            path = f"/api/admin/audit?limit=2&action=user.&before={first['next']}"
            second = (await client.get(path)).json()
        read = [entry["target_id"] for entry in [*first["items"], *second["items"]]]
        assert read == [person.id for person in reversed(people)]
        assert second["next"] is None
        at = first["items"][0]["at"]
        assert len(await log(world, since=at, action="user.")) == 1
        tenants = await log(world, action="tenant.read")
        assert [entry["target_id"] for entry in tenants] == [p.tenant_id for p in people[::-1]]
        assert len(await log(world, until=at, action="user.read")) == 2
        assert await log(world, actor="somebody else") == []

    async def test_200_csv_has_every_entry(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit, "EXPORT_PAGE", 2)
        person = await world.person()
        async with world.admin() as client:
            for _ in range(5):
                await client.get(f"/api/admin/users/{person.id}")
            answer = await client.get("/api/admin/audit.csv?action=user.read")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["target_id"] for row in rows] == [person.id] * 5
        (export,) = await log(world, action="audit.export")
        assert export["detail"] == {"action": "user.read"}

    async def test_422_filters_that_are_none(self, world: World) -> None:
        cases: list[dict[str, Any]] = [
            {"action": "Robert'); drop"},
            {"since": "yesterday"},
            {"since": "2026-11-22T00:00:00"},
            {"actor_id": "me"},
            {"target_id": "a\x00"},
        ]
        async with world.admin() as client:
            for path in ("/api/admin/audit", "/api/admin/audit.csv"):
                for params in cases:
                    assert_problem(await client.get(path, params=params), 422, "invalid_input")
            first = await client.get("/api/admin/audit", params={"before": 0})
            assert_problem(first, 422, "invalid_input")
        for text in ("' or 1=1 --", '"', "%", "\\", str(uuid4())):
            assert await log(world, actor=text) == []


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\n"],
)
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a=1", "1-1", "", "plain", '{"a": 1}'])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text
