"""Routes of APIs."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.auth.keys import hash_key
from gateway.store.database import SERVICE
from sandbox.types import CapacityError, ManagerUnavailableError
from tests.support.control import BASE, KEY_SECRET, World
from tests.support.factories import Person, add_member, make_tenant
from tests.support.problems import assert_problem
from tests.support.sandboxes import BROKEN, GOOD


async def created(world: World, person: Person, **more: Any) -> dict[str, Any]:
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "Cat facts", "code": GOOD, **more})
    assert answer.status_code == 201, answer.text
    value: dict[str, Any] = answer.json()
    return value


async def rows(world: World, table: str) -> int:
    return len(await world.database.select(table, identity=SERVICE))


class TestCreate:
    async def test_201_with_everything_needed_to_call_it(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person, description="Random facts")
        assert made["endpoint_url"] == f"{BASE}/{made['id']}"
        assert (made["slug"], made["status"], made["version"]) == ("cat-facts", "active", 1)
        assert (made["tenant_id"], made["description"]) == (person.tenant_id, "Random facts")
        assert made["api_key"].startswith("sg_live_")
        assert made["key_display"] != made["api_key"]
        assert made["created_by"] == person.id

    async def test_201_key_is_stored_as_hash_and_opens_this_api(self, world: World) -> None:
        made = await created(world, await world.person())
        found = await world.database.rpc(
            "gateway_key", {"p_key_hash": hash_key(made["api_key"], KEY_SECRET)}, identity=SERVICE
        )
        assert (found["key_id"], found["api_ids"]) == (made["key_id"], [made["id"]])
        assert found["tenant_id"] == made["tenant_id"]

    async def test_201_sandbox_of_the_rehearsal_is_the_one_that_serves(self, world: World) -> None:
        made = await created(world, await world.person(), resources={"memory_mb": 128})
        route = await world.database.rpc("gateway_route", {"p_ref": made["id"]}, identity=SERVICE)
        (spec,) = world.sandboxes.of(made["id"])
        assert spec.version_id == route["versions"][0]["version_id"]
        assert (spec.generation, spec.resources.memory_mb) == (route["generation"], 128)

    async def test_201_name_whose_slug_is_taken_gets_another_slug(self, world: World) -> None:
        first = await created(world, await world.person())
        second = await created(world, await world.person())
        assert first["slug"] != second["slug"]
        assert second["slug"].startswith("cat-facts-")

    async def test_201_into_a_team_as_developer(self, world: World) -> None:
        owner, developer = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, developer.id, "developer")
        assert (await created(world, developer, tenant_id=team))["tenant_id"] == team

    async def test_201_admin_key_names_the_tenant(self, world: World) -> None:
        person = await world.person()
        body = {"name": "x", "code": GOOD, "tenant_id": person.tenant_id}
        async with world.admin() as client:
            answer = await client.post("/api/apis", json=body)
        assert (answer.status_code, answer.json()["created_by"]) == (201, None)

    async def test_401_without_session_starts_nothing(self, world: World) -> None:
        async with world.client() as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
        assert_problem(answer, 401, "unauthorized")
        assert world.sandboxes.acquired == []

    async def test_403_viewer_of_the_team(self, world: World) -> None:
        owner, viewer = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, viewer.id, "viewer")
        async with world.client(viewer) as client:
            answer = await client.post(
                "/api/apis", json={"name": "x", "code": GOOD, "tenant_id": team}
            )
        assert_problem(answer, 403, "forbidden")
        assert world.sandboxes.acquired == []

    async def test_403_suspended_tenant(self, world: World) -> None:
        person = await world.person()
        async with world.admin() as client:
            await client.patch(
                f"/api/admin/tenants/{person.tenant_id}", json={"status": "suspended"}
            )
        async with world.client(person) as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
        assert_problem(answer, 403, "tenant_suspended")

    async def test_404_tenant_of_strangers_or_nobody(self, world: World) -> None:
        person, stranger = await world.person(), await world.person()
        async with world.client(stranger) as client:
            for tenant in (person.tenant_id, str(uuid4())):
                body = {"name": "x", "code": GOOD, "tenant_id": tenant}
                assert_problem(await client.post("/api/apis", json=body), 404, "tenant_not_found")

    async def test_409_name_taken_leaves_neither_row_nor_sandbox(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            answer = await client.post("/api/apis", json={"name": "Cat facts", "code": GOOD})
        assert_problem(answer, 409, "name_taken")
        assert {spec.api_id for spec in world.sandboxes.running} == {made["id"]}
        assert await rows(world, "apis") == 1

    async def test_413_code_over_its_cap(self, world: World) -> None:
        person = await world.person()
        async with world.client(person) as client:
            answer = await client.post(
                "/api/apis", json={"name": "x", "code": "#" * (world.services.code_bytes + 1)}
            )
        assert_problem(answer, 413, "code_too_large")

    async def test_422_code_that_does_not_start_says_where_and_why(self, world: World) -> None:
        person = await world.person()
        async with world.client(person) as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": BROKEN})
        problem = assert_problem(answer, 422, "api_start_failed")
        failure = problem["failure"]
        assert (failure["kind"], failure["file"], failure["line"]) == ("syntax_error", "app.py", 1)
        assert failure["reason"] == "invalid syntax"
        assert "SyntaxError" in failure["traceback"]
        assert failure["log"] == "a line ? of its own"
        assert problem["detail"] == "app.py, line 1: invalid syntax"
        assert await rows(world, "apis") == 0
        assert await rows(world, "consumer_api_keys") == 0

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "invalid_input"),
            ({"name": "x"}, "invalid_input"),
            ({"name": "x", "code": GOOD, "surprise": 1}, "invalid_input"),
            ({"name": 7, "code": GOOD}, "invalid_input"),
            ({"name": "", "code": GOOD}, "invalid_name"),
            ({"name": "x" * 81, "code": GOOD}, "invalid_name"),
            ({"name": "a\0b", "code": GOOD}, "invalid_name"),
            ({"name": "x", "code": ""}, "invalid_code"),
            ({"name": "x", "code": "a\0b"}, "invalid_code"),
            ({"name": "x", "code": GOOD, "description": "\0"}, "invalid_text"),
            ({"name": "x", "code": GOOD, "tenant_id": "nobody"}, "invalid_input"),
            ({"name": "x", "code": GOOD, "limits": {"hour": 0}}, "invalid_input"),
            ({"name": "x", "code": GOOD, "limits": {"hour": -1}}, "invalid_input"),
            ({"name": "x", "code": GOOD, "limits": {"week": 1}}, "invalid_input"),
            ({"name": "x", "code": GOOD, "limits": [1]}, "invalid_input"),
            ({"name": "x", "code": GOOD, "resources": {"memory_mb": 9}}, "invalid_input"),
            ({"name": "x", "code": GOOD, "resources": {"cpus": 99}}, "invalid_input"),
        ],
    )
    async def test_422_values_that_are_not_acceptable(
        self, world: World, body: dict[str, object], code: str
    ) -> None:
        async with world.client(await world.person()) as client:
            answer = await client.post("/api/apis", json=body)
        assert_problem(answer, 422, code)
        assert world.sandboxes.acquired == []

    async def test_422_admin_key_without_tenant(self, world: World) -> None:
        async with world.admin() as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
        assert_problem(answer, 422, "tenant_required")

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (CapacityError("full"), "no_capacity"),
            (ManagerUnavailableError("gone"), "sandboxes_unavailable"),
        ],
    )
    async def test_503_no_sandbox_to_be_had(
        self, world: World, error: CapacityError | ManagerUnavailableError, code: str
    ) -> None:
        world.sandboxes.fails = error
        async with world.client(await world.person()) as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
        assert_problem(answer, 503, code)
        assert int(answer.headers["retry-after"]) > 0
        assert await rows(world, "apis") == 0


class TestRead:
    async def test_200_by_id_and_by_slug(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            for ref in (made["id"], made["slug"]):
                api = (await client.get(f"/api/apis/{ref}")).json()
                assert (api["id"], api["tenant_id"]) == (made["id"], person.tenant_id)
                assert api["versions"] == [{"version": 1, "weight": 100}]
                assert "api_key" not in api

    async def test_200_list_has_own_apis_only_newest_first(self, world: World) -> None:
        person, stranger = await world.person(), await world.person()
        for name in ("one", "two", "three"):
            await created(world, person, name=name)
        await created(world, stranger, name="theirs")
        async with world.client(person) as client:
            names = [api["name"] for api in (await client.get("/api/apis")).json()["items"]]
            page = (await client.get("/api/apis?limit=1&offset=1")).json()
        assert names == ["three", "two", "one"]
        assert [api["name"] for api in page["items"]] == ["two"]

    async def test_200_admin_reads_any_and_lists_by_tenant(self, world: World) -> None:
        person, admin = await world.person(), await world.person(is_admin=True)
        made = await created(world, person)
        async with world.client(admin) as client:
            assert (await client.get(f"/api/apis/{made['id']}")).status_code == 200
            assert (await client.get("/api/apis")).json()["items"] == []
            theirs = await client.get(f"/api/apis?tenant_id={person.tenant_id}")
            assert [api["id"] for api in theirs.json()["items"]] == [made["id"]]
        async with world.admin() as client:
            assert len((await client.get("/api/apis")).json()["items"]) == 1

    async def test_200_tenant_of_strangers_lists_nothing(self, world: World) -> None:
        person, stranger = await world.person(), await world.person()
        await created(world, person)
        async with world.client(stranger) as client:
            answer = await client.get(f"/api/apis?tenant_id={person.tenant_id}")
        assert answer.json()["items"] == []

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "offset=-1", "tenant_id=x"])
    async def test_422_page_out_of_bounds(self, world: World, query: str) -> None:
        async with world.client(await world.person()) as client:
            assert_problem(await client.get(f"/api/apis?{query}"), 422, "invalid_input")

    @pytest.mark.parametrize("ref", [str(UUID(int=0)), "no-such", "A B", "%00", "x" * 300])
    async def test_404_unknown(self, world: World, ref: str) -> None:
        async with world.client(await world.person()) as client:
            assert_problem(await client.get(f"/api/apis/{ref}"), 404, "api_not_found")


class TestChange:
    async def test_200_next_call_already_sees_it(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        world.changes.published.clear()
        body = {
            "name": "Dog facts",
            "description": "New",
            "limits": {"minute": 5, "hour": None},
            "resources": {"memory_mb": 512},
        }
        async with world.client(person) as client:
            changed = (await client.patch(f"/api/apis/{made['id']}", json=body)).json()
        assert (changed["name"], changed["description"]) == ("Dog facts", "New")
        assert changed["limits"] == {"minute": 5, "hour": None}
        assert (changed["resources"]["memory_mb"], changed["slug"]) == (512, made["slug"])
        assert ("api", made["id"]) in world.changes.published

    async def test_200_paused_api_holds_no_sandbox_and_resumes(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            path = f"/api/apis/{made['id']}"
            assert (await client.patch(path, json={"status": "paused"})).json()[
                "status"
            ] == "paused"
            assert world.sandboxes.of(made["id"]) == []
            assert (await client.patch(path, json={"status": "active"})).json()[
                "status"
            ] == "active"

    async def test_200_nothing_named_changes_nothing(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        world.changes.published.clear()
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={})
        assert (answer.status_code, answer.json()["name"]) == (200, "Cat facts")
        assert world.changes.published == []

    async def test_409_name_of_another_api(self, world: World) -> None:
        person = await world.person()
        await created(world, person, name="one")
        made = await created(world, person, name="two")
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={"name": "one"})
        assert_problem(answer, 409, "name_taken")

    async def test_409_suspended_api_is_not_resumed_by_its_owner(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        arguments = {"p_api_id": made["id"], "p": {"status": "suspended"}, "p_actor": None}
        await world.database.rpc("update_api", arguments, identity=SERVICE)
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={"status": "active"})
        assert_problem(answer, 409, "api_suspended")
        async with world.admin() as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={"status": "active"})
        assert (answer.status_code, answer.json()["status"]) == (200, "active")

    @pytest.mark.parametrize(
        "body",
        [
            {"status": "suspended"},
            {"status": None},
            {"name": None},
            {"name": ""},
            {"slug": "new"},
            {"limits": {"hour": 0}},
            {"limits": None},
            {"resources": {"memory_mb": 4096}},
            {"resources": {"memory_mb": 64.5}},
            [],
        ],
    )
    async def test_422_values_that_are_not_acceptable(self, world: World, body: object) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json=body)
        assert answer.json()["code"] in {"invalid_input", "invalid_name"}
        assert_problem(answer, 422, answer.json()["code"])


class TestDelete:
    async def test_204_sandboxes_and_keys_are_gone(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            assert (await client.delete(f"/api/apis/{made['id']}")).status_code == 204
            assert_problem(await client.get(f"/api/apis/{made['id']}"), 404, "api_not_found")
        assert world.sandboxes.of(made["id"]) == []
        found = await world.database.rpc(
            "gateway_key", {"p_key_hash": hash_key(made["api_key"], KEY_SECRET)}, identity=SERVICE
        )
        assert found["revoked_at"] is not None
        assert ("api", made["id"]) in world.changes.published

    async def test_403_developer_may_not_delete(self, world: World) -> None:
        owner, developer = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, developer.id, "developer")
        made = await created(world, developer, tenant_id=team)
        async with world.client(developer) as client:
            assert_problem(await client.delete(f"/api/apis/{made['id']}"), 403, "forbidden")
