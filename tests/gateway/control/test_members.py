"""Tenants and their members over HTTP: who may do what, and what is refused."""

import time
from collections.abc import Iterator
from itertools import product
from uuid import uuid4

import pytest

from gateway.operations.own_tenants import MOST_TENANTS
from gateway.store.database import SERVICE
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.factories import make_api, usage_call
from tests.support.one_database import one_database
from tests.support.problems import assert_problem
from tests.support.teams import Team, make_team

EVERYBODY = ("owner", "admin", "developer", "viewer", "stranger", "key")


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def team(world: World) -> Team:
    return await make_team(world)


async def statuses(team: Team, method: str, path: str, body: object = None) -> dict[str, int]:
    return {who: (await team.ask(who, method, path, body)).status_code for who in EVERYBODY}


# --- tenants of one's own -------------------------------------------------------------------


async def test_201_a_tenant_of_ones_own(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/tenants", json={"name": "  Cats & Co  "})
        made = answer.json()
        read = await client.get(answer.headers["location"])
        listed = (await client.get("/api/tenants")).json()["items"]
        usable = await client.get("/api/ledger", params={"tenant_id": made["id"]})
    assert answer.status_code == 201
    assert (made["name"], made["kind"], made["plan"]) == ("Cats & Co", "team", "free")
    assert (made["role"], made["owner_id"]) == ("owner", person.id)
    assert read.json() == made
    assert [tenant["id"] for tenant in listed] == [person.tenant_id, made["id"]]
    assert usable.status_code == 200


async def test_422_names_nobody_could_read(team: Team) -> None:
    names = ("", " ", "x" * 81, "a\nb", "nul\0", "zero\u200bwidth", 5, None)
    for name, (method, path) in product(names, (("POST", "/api/tenants"), ("PATCH", team.path))):
        async with team.client("owner") as client:
            answer = await client.request(method, path, json={"name": name})
        code = "invalid_name" if isinstance(name, str) else "invalid_input"
        assert_problem(answer, 422, code)


async def test_409_more_tenants_than_one_person_may_own(world: World) -> None:
    async with world.client(await world.person()) as client:
        for number in range(MOST_TENANTS):
            answer = await client.post("/api/tenants", json={"name": f"t{number}"})
            assert answer.status_code == 201
        answer = await client.post("/api/tenants", json={"name": "one more"})
    assert_problem(answer, 409, "too_many_tenants")


async def test_403_the_admin_key_owns_nothing_and_belongs_nowhere(team: Team) -> None:
    async with team.client("key") as client:
        for path in ("/api/tenants", f"{team.path}/leave"):
            answer = await client.post(path, json={"name": "x"})
            assert_problem(answer, 403, "forbidden")


async def test_who_reads_and_who_renames(team: Team) -> None:
    everybody = {"owner": 200, "admin": 200, "developer": 200, "viewer": 200, "key": 200}
    for path in ("", "/members", "/usage"):
        assert await statuses(team, "GET", path) == {**everybody, "stranger": 404}
    renamed = await statuses(team, "PATCH", "", {"name": "new"})
    assert renamed == {
        "owner": 200, "admin": 200, "developer": 403, "viewer": 403, "stranger": 404, "key": 200,
    }  # fmt: skip
    assert (await team.ask("viewer", "GET")).json()["name"] == "new"
    assert (await team.ask("viewer", "GET")).json()["role"] == "viewer"


REQUESTS: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("PATCH", "", {"name": "x"}),
    ("DELETE", "", None),
    ("GET", "/usage", None),
    ("GET", "/members", None),
    ("POST", "/members", {"user_id": str(uuid4()), "role": "viewer"}),
    ("PATCH", f"/members/{uuid4()}", {"role": "viewer"}),
    ("DELETE", f"/members/{uuid4()}", None),
    ("POST", "/transfer", {"user_id": str(uuid4())}),
    ("POST", "/leave", None),
]


async def test_404_strangers_find_nothing(team: Team) -> None:
    async with team.client("stranger") as client:
        for tenant, (method, path, body) in product((team.id, uuid4()), REQUESTS):
            answer = await client.request(method, f"/api/tenants/{tenant}{path}", json=body)
            assert_problem(answer, 404, "tenant_not_found")


async def test_404_administrators_find_what_there_is(team: Team) -> None:
    async with team.client("key") as client:
        for method, path, body in REQUESTS[:-1]:  # who has no person cannot leave
            answer = await client.request(method, f"/api/tenants/{uuid4()}{path}", json=body)
            assert_problem(answer, 404, "tenant_not_found")


async def test_401_nobody_is_asked_to_sign_in(world: World) -> None:
    async with world.client() as nobody:
        for method, path, body in REQUESTS:
            answer = await nobody.request(method, f"/api/tenants/{uuid4()}{path}", json=body)
            assert_problem(answer, 401, "unauthorized")


async def test_members_read_limits_and_what_is_left(team: Team) -> None:
    answer = (await team.ask("viewer", "GET", "/usage")).json()
    hour = next(each for each in answer["windows"] if each["window"] == "hour")
    assert (answer["plan"], answer["limits"]) == ("free", {"hour": 100})
    assert (hour["limit"], hour["remaining"]) == (100, 100)
    assert answer["days"] == []


async def test_members_read_the_calls_of_each_day(team: Team) -> None:
    world, now = team.world, time.time()
    world.now = now
    api = await make_api(world.database, team.id)
    by_others = {"caller_tenant_id": team.people["stranger"].tenant_id}
    calls = [
        usage_call(api, now),
        usage_call(api, now - 2, **by_others),
        usage_call(api, now - 1, status_code=503, **by_others),
        usage_call(api, now - 4 * 86_400),
    ]
    await world.database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
    days = (await team.ask("viewer", "GET", "/usage?days=3")).json()["days"]
    sums = {name: sum(day[name] for day in days) for name in days[0] if name != "day"}
    assert sums == {"calls_made": 1, "calls_received": 3, "errors": 1, "response_bytes": 60}
    all_days = (await team.ask("viewer", "GET", "/usage?days=31")).json()["days"]
    assert [day["day"] for day in all_days] == sorted((d["day"] for d in all_days), reverse=True)
    assert sum(day["calls_received"] for day in all_days) == 4
    for days_asked in ("0", "32", "x"):
        answer = await team.ask("viewer", "GET", f"/usage?days={days_asked}")
        assert_problem(answer, 422, "invalid_input")


# --- members --------------------------------------------------------------------------------


async def test_members_are_listed_with_their_roles_in_pages(team: Team) -> None:
    first = (await team.ask("viewer", "GET", "/members?limit=3")).json()
    rest = (await team.ask("viewer", "GET", "/members?limit=3&offset=3")).json()
    listed = [(member["email"], member["role"]) for member in first["items"] + rest["items"]]
    roles = ("owner", "admin", "developer", "viewer")
    assert listed == [(team.people[role].email, role) for role in roles]


async def test_who_adds_people_unasked(team: Team) -> None:
    body = {"user_id": team.people["stranger"].id, "role": "developer"}
    assert await statuses(team, "POST", "/members", body) == {
        "owner": 403, "admin": 403, "developer": 403, "viewer": 403, "stranger": 404, "key": 201,
    }  # fmt: skip
    assert await team.role_of("stranger") == "developer"
    assert_problem(await team.ask("key", "POST", "/members", body), 409, "already_member")
    unknown = {"user_id": str(uuid4()), "role": "viewer"}
    assert_problem(await team.ask("key", "POST", "/members", unknown), 404, "user_not_found")


async def test_who_changes_roles(team: Team) -> None:
    path = f"/members/{team.people['viewer'].id}"
    assert await statuses(team, "PATCH", path, {"role": "developer"}) == {
        "owner": 200, "admin": 200, "developer": 403, "viewer": 403, "stranger": 404, "key": 200,
    }  # fmt: skip
    assert await team.role_of("viewer") == "developer"


async def test_only_owners_give_and_take_the_role_owner(team: Team) -> None:
    owner, viewer = (f"/members/{team.people[who].id}" for who in ("owner", "viewer"))
    attempts = [
        await team.ask("admin", "PATCH", viewer, {"role": "owner"}),
        await team.ask("admin", "PATCH", owner, {"role": "viewer"}),
        await team.ask("admin", "DELETE", owner),
    ]
    for answer in attempts:
        assert_problem(answer, 403, "forbidden")
    assert (await team.ask("owner", "PATCH", viewer, {"role": "owner"})).status_code == 200
    assert (await team.ask("viewer", "DELETE", owner)).status_code == 204
    assert (await team.ask("viewer", "GET")).json()["owner_id"] == team.people["viewer"].id


async def test_409_the_last_owner_stays(team: Team) -> None:
    path = f"/members/{team.people['owner'].id}"
    for who in ("owner", "key"):
        for answer in (
            await team.ask(who, "PATCH", path, {"role": "admin"}),
            await team.ask(who, "DELETE", path),
        ):
            assert_problem(answer, 409, "last_owner")
    assert_problem(await team.ask("owner", "POST", "/leave"), 409, "last_owner")
    assert await team.role_of("owner") == "owner"


async def test_members_leave_and_are_taken_out(team: Team) -> None:
    own = f"/members/{team.people['developer'].id}"
    assert (await team.ask("developer", "DELETE", own)).status_code == 204
    assert (await team.ask("viewer", "POST", "/leave")).status_code == 204
    admin = f"/members/{team.people['admin'].id}"
    assert (await team.ask("owner", "DELETE", admin)).status_code == 204
    assert await team.roles() == {team.people["owner"].email: "owner"}
    for who in ("developer", "viewer", "admin"):
        assert_problem(await team.ask(who, "GET"), 404, "tenant_not_found")
    assert_problem(await team.ask("owner", "DELETE", admin), 404, "member_not_found")


async def test_422_roles_that_do_not_exist(team: Team) -> None:
    path = f"/members/{team.people['viewer'].id}"
    for role in ("god", "", None, "OWNER", "owner\0", ["owner"]):
        answer = await team.ask("owner", "PATCH", path, {"role": role})
        assert_problem(answer, 422, "invalid_input")


async def test_a_suspended_tenant_is_read_and_left_and_nothing_else(team: Team) -> None:
    suspend = {"status": "suspended"}
    async with team.client("key") as client:
        await client.patch(f"/api/admin/tenants/{team.id}", json=suspend)
    viewer = f"/members/{team.people['viewer'].id}"
    assert (await team.ask("viewer", "GET")).json()["status"] == "suspended"
    assert (await team.ask("viewer", "GET", "/members")).status_code == 200
    for method, path, body in (
        ("PATCH", "", {"name": "x"}),
        ("PATCH", viewer, {"role": "admin"}),
        ("POST", "/transfer", {"user_id": team.people["admin"].id}),
        ("DELETE", "", None),
    ):
        assert_problem(await team.ask("owner", method, path, body), 403, "tenant_suspended")
    assert (await team.ask("developer", "POST", "/leave")).status_code == 204
    assert (await team.ask("owner", "DELETE", viewer)).status_code == 204
