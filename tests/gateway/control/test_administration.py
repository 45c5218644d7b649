"""Routes about people and tenants, for administrators."""

import time
from typing import Any
from uuid import uuid4

from gateway.store.database import SERVICE
from tests.support.control import World
from tests.support.factories import Person, add_member, make_api, make_tenant, usage_call
from tests.support.problems import assert_problem

WHY = {"reason": "spam was sent from here"}


async def get(world: World, path: str, **params: Any) -> dict[str, Any]:
    async with world.admin() as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = answer.json()
    return value


class TestSearch:
    async def test_200_people_by_part_beginning_and_id(self, world: World) -> None:
        people = [await world.person() for _ in range(3)]
        sought = people[1]
        middle, beginning = sought.email[2:10], sought.email[:9].upper()
        for params in (
            {"q": middle},
            {"q": beginning, "match": "prefix"},
            {"q": sought.id},
        ):
            found = await get(world, "/api/admin/users", **params)
            assert [item["id"] for item in found["items"]] == [sought.id], params
        nothing = await get(world, "/api/admin/users", q=middle, match="prefix")
        assert nothing["items"] == []

    async def test_200_pages_by_key_miss_nobody_and_name_nobody_twice(self, world: World) -> None:
        people = {(await world.person()).id for _ in range(5)}
        seen: list[str] = []
        page = await get(world, "/api/admin/users", limit=2)
        while True:
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            await world.person()  # somebody comes while the pages are turned
            page = await get(world, "/api/admin/users", limit=2, after=page["next"])
        assert len(seen) == len(set(seen))
        assert people <= set(seen)

    async def test_422_an_after_that_no_page_gave(self, world: World) -> None:
        async with world.admin() as client:
            for after in ("x", "W10", "WyIxIiwgIjIiXQ", "bnVsbA", "MQ"):
                answer = await client.get("/api/admin/users", params={"after": after})
                assert_problem(answer, 422, "invalid_input")

    async def test_200_tenants_by_the_address_of_their_owner(self, world: World) -> None:
        owner = await world.person()
        team = await make_tenant(world.database, owner, name="Cats")
        both = {team, owner.tenant_id}
        for params, expected in (
            ({"q": owner.email}, both),
            ({"q": owner.email[1:9]}, both),
            ({"q": owner.email[:9], "match": "prefix"}, both),
            ({"q": "cA", "match": "prefix"}, {team}),
            ({"q": "ats", "match": "prefix"}, set()),
            ({"q": team}, {team}),
        ):
            found = await get(world, "/api/admin/tenants", **params)
            assert {item["id"] for item in found["items"]} == expected, params
            assert {item["owner_email"] for item in found["items"]} <= {owner.email}


class TestOne:
    async def test_200_a_tenant_with_members_apis_and_usage(self, world: World) -> None:
        owner, member = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, member.id, "viewer")
        world.now = time.time()
        api = await make_api(world.database, team)
        calls = [
            usage_call(api, world.now - 5, status_code=status) for status in (200, 404, 502)
        ] + [usage_call(api, world.now - 86400 * 31)]
        await world.database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
        found = await get(world, f"/api/admin/tenants/{team}")
        assert [(m["email"], m["role"]) for m in found["members"]] == [
            (owner.email, "owner"), (member.email, "viewer")
        ]  # fmt: skip
        assert [item["id"] for item in found["apis"]] == [api.id]
        assert (found["api_count"], found["key_count"]) == (1, 1)
        assert (found["usage"]["calls"], found["usage"]["errors"]) == (3, 1)

    async def test_200_a_person_with_tenants_apis_and_usage(self, world: World) -> None:
        person, other = await world.person(), await world.person()
        team = await make_tenant(world.database, other)
        await add_member(world.database, team, person.id, "developer")
        mine = await make_api(world.database, person.tenant_id)
        await make_api(world.database, team)
        found = await get(world, f"/api/admin/users/{person.id}")
        assert {(t["id"], t["role"]) for t in found["tenants"]} == {
            (person.tenant_id, "owner"), (team, "developer")
        }  # fmt: skip
        assert [api["id"] for api in found["apis"]] == [mine.id]
        assert (found["email"], found["usage"]["calls"]) == (person.email, 0)

    async def test_404_nobody(self, world: World) -> None:
        async with world.admin() as client:
            path = f"/api/admin/users/{uuid4()}"
            assert_problem(await client.get(path), 404, "user_not_found")
            body = {"is_admin": True, **WHY}
            assert_problem(await client.patch(path, json=body), 404, "user_not_found")


async def suspend(world: World, person: Person, **body: str) -> dict[str, Any]:
    async with world.admin() as client:
        path = f"/api/admin/tenants/{person.tenant_id}/suspend"
        answer = await client.post(path, json=body or WHY)
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = answer.json()
    return value


class TestSuspension:
    async def test_200_the_tenant_is_told_why(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        suspended = await suspend(world, person)
        assert (suspended["status"], suspended["suspended_reason"]) == ("suspended", WHY["reason"])
        assert suspended["suspended_at"] is not None
        assert ("tenant", person.tenant_id) in world.changes.published
        async with world.client(person) as client:
            refused = await client.post(f"/api/apis/{api.id}/keys", json={})
            (own,) = (await client.get("/api/tenants")).json()["items"]
        document = assert_problem(refused, 403, "tenant_suspended")
        assert document["detail"] == WHY["reason"]
        assert own["suspended_reason"] == WHY["reason"]

    async def test_200_restored_it_is_as_before(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        await suspend(world, person)
        async with world.admin() as client:
            path = f"/api/admin/tenants/{person.tenant_id}/restore"
            restored = (await client.post(path, json={"reason": "a mistake"})).json()
        assert (restored["status"], restored["suspended_reason"]) == ("active", None)
        async with world.client(person) as client:
            assert (await client.post(f"/api/apis/{api.id}/keys", json={})).status_code == 201
        await suspend(world, person)
        path = f"/api/admin/tenants/{person.tenant_id}"
        async with world.admin() as client:
            restored = (await client.patch(path, json={"status": "active"})).json()
        assert (restored["suspended_reason"], restored["suspended_at"]) == (None, None)

    async def test_422_no_reason_404_no_tenant(self, world: World) -> None:
        person = await world.person()
        path = f"/api/admin/tenants/{person.tenant_id}/suspend"
        async with world.admin() as client:
            for reason in ("", " ", "x" * 501, "a\x00b", "a\x1b[2Jb"):
                answer = await client.post(path, json={"reason": reason})
                code = "invalid_input" if len(reason) in (0, 501) else "invalid_reason"
                assert_problem(answer, 422, code)
            for act in ("suspend", "restore"):
                answer = await client.post(f"/api/admin/tenants/{uuid4()}/{act}", json=WHY)
                assert_problem(answer, 404, "tenant_not_found")


class TestMaking:
    async def test_201_a_team_for_somebody(self, world: World) -> None:
        owner = await world.person()
        bodies = [
            {"name": "Dogs", "owner_email": owner.email.upper(), "plan": "pro"},
            {"name": "Cats", "owner_id": owner.id, "limits": {"hour": 5}},
        ]
        async with world.admin() as client:
            dogs, cats = [await client.post("/api/admin/tenants", json=b) for b in bodies]
        assert (dogs.status_code, cats.status_code) == (201, 201)
        assert dogs.headers["location"] == f"/api/admin/tenants/{dogs.json()['id']}"
        assert (dogs.json()["plan"], cats.json()["limits"]) == ("pro", {"hour": 5})
        assert [m["role"] for m in cats.json()["members"]] == ["owner"]

    async def test_a_team_that_cannot_be(self, world: World) -> None:
        cases: list[tuple[dict[str, str], int, str]] = [
            ({"name": "x"}, 422, "invalid_input"),
            ({"name": "", "owner_email": "a@b.c"}, 422, "invalid_name"),
            ({"name": "x", "owner_email": "nobody@example.org"}, 404, "user_not_found"),
            ({"name": "x", "owner_email": "a@b.c", "plan": "gold"}, 422, "unknown_plan"),
            ({"name": "x", "owner_id": str(uuid4())}, 404, "user_not_found"),
        ]
        async with world.admin() as client:
            for body, status, code in cases:
                answer = await client.post("/api/admin/tenants", json=body)
                assert_problem(answer, status, code)

    async def test_201_a_key_of_any_tenant_for_what_is_its_own(self, world: World) -> None:
        person, other = await world.person(), await world.person()
        api = await make_api(world.database, person.tenant_id)
        body = {"tenant_id": person.tenant_id, "api_ids": [api.id], "name": "theirs"}
        async with world.admin() as client:
            answer = await client.post("/api/admin/api-keys", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["key"].startswith("sg_live_")
        assert (answer.json()["tenant_id"], answer.json()["api_ids"]) == (
            person.tenant_id,
            [api.id],
        )
        foreign = await make_api(world.database, other.tenant_id)
        bodies = [
            ({"tenant_id": person.tenant_id, "api_ids": [foreign.id]}, "api_not_found"),
            ({"tenant_id": str(uuid4()), "api_ids": [api.id]}, "tenant_not_found"),
        ]
        async with world.admin() as client:
            for refused, code in bodies:
                answer = await client.post("/api/admin/api-keys", json=refused)
                assert_problem(answer, 404, code)


class TestSetAdmin:
    async def test_200_given_and_taken(self, world: World) -> None:
        person = await world.person()
        path = f"/api/admin/users/{person.id}"
        async with world.admin() as client:
            for is_admin in (True, False):
                answer = await client.patch(path, json={"is_admin": is_admin, **WHY})
                assert answer.json()["is_admin"] is is_admin

    async def test_409_nobody_takes_it_from_themselves(self, world: World) -> None:
        admin = await world.person(is_admin=True)
        async with world.client(admin) as client:
            path = f"/api/admin/users/{admin.id}"
            answer = await client.patch(path, json={"is_admin": False, **WHY})
        assert_problem(answer, 409, "own_admin")
