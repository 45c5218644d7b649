"""Every route against nobody, a stranger and a wrong key."""

import pytest

from tests.support.control import ADMIN_KEY, World
from tests.support.factories import MadeApi, add_member, make_api, make_tenant
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD

NOBODYS = "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"  # no row has this id

API_ROUTES = [
    ("GET", "/api/apis/{id}", None),
    ("PATCH", "/api/apis/{id}", {"name": "mine now"}),
    ("DELETE", "/api/apis/{id}", None),
    ("GET", "/api/apis/{id}/logs", None),
    ("POST", "/api/apis/{id}/versions", {"code": GOOD}),
    ("GET", "/api/apis/{id}/versions", None),
    ("GET", "/api/apis/{id}/versions/1", None),
    ("GET", "/api/apis/{id}/export", None),
    ("POST", "/api/apis/{id}/deployments", {"version": 1}),
    ("GET", "/api/apis/{id}/deployments", None),
    ("POST", "/api/apis/{id}/rollback", None),
    ("POST", "/api/apis/{id}/keys", {}),
    ("GET", "/api/apis/{id}/keys", None),
    ("GET", "/api/api-analytics/{id}", None),
]
PERSON_ROUTES = [
    ("POST", "/api/apis", {"name": "x", "code": GOOD}),
    ("GET", "/api/apis", None),
    ("DELETE", f"/api/keys/{NOBODYS}", None),
    ("GET", "/api/rate-limit/usage", None),
    ("GET", "/api/credit", None),
    ("GET", "/api/ledger", None),
    ("GET", "/api/tenants", None),
    ("GET", "/api/me", None),
    ("POST", "/api/generate", {"prompt": "x"}),
    ("POST", "/api/generate/batch", {"prompts": ["x"]}),
    ("POST", "/api/deploy", {"api_id": NOBODYS}),
    ("GET", f"/api/deployments/{NOBODYS}", None),
    ("GET", f"/api/deployments/{NOBODYS}/events", None),
    ("GET", "/api/jobs", None),
    ("GET", f"/api/jobs/{NOBODYS}", None),
    ("GET", f"/api/jobs/{NOBODYS}/events", None),
    ("GET", f"/api/jobs/{NOBODYS}/costs", None),
    ("POST", f"/api/jobs/{NOBODYS}/cancel", None),
    ("DELETE", f"/api/jobs/{NOBODYS}", None),
    ("POST", f"/api/jobs/{NOBODYS}/approve", {}),
    ("POST", f"/api/jobs/{NOBODYS}/retry", None),
    ("POST", "/api/ideas", {"idea": "x"}),
    ("GET", "/api/services", None),
    ("GET", f"/api/services/{NOBODYS}/summary", None),
    ("GET", "/api/templates", None),
    ("GET", "/api/templates/todo-list", None),
    ("GET", "/api/suggestions", None),
]
ADMIN_ROUTES: list[tuple[str, str, object]] = [
    ("GET", "/api/admin/tenants", None),
    ("GET", f"/api/admin/tenants/{NOBODYS}", None),
    ("PATCH", f"/api/admin/tenants/{NOBODYS}", {}),
    ("POST", f"/api/admin/tenants/{NOBODYS}/credit", {}),
    ("GET", "/api/admin/jobs", None),
    ("GET", "/api/admin/costs", None),
    ("PATCH", f"/api/admin/tenants/{NOBODYS}/caps", {}),
    ("POST", "/admin/reload", None),
    ("POST", "/admin/reload/{id}", None),
    ("GET", "/metrics", None),
]
CHANGES_OF_A_VIEWER = [
    route for route in API_ROUTES if route[0] != "GET" or route[1].endswith("/logs")
]


async def somebodys(world: World) -> MadeApi:
    owner = await world.person()
    return await make_api(world.database, owner.tenant_id)


def name(route: tuple[str, str, object]) -> str:
    return f"{route[0]} {route[1]}"


@pytest.mark.parametrize("route", [*API_ROUTES, *PERSON_ROUTES, *ADMIN_ROUTES], ids=name)
async def test_401_nobody(world: World, route: tuple[str, str, object]) -> None:
    api = await somebodys(world)
    async with world.client() as client:
        answer = await client.request(route[0], route[1].format(id=api.id), json=route[2])
    assert_problem(answer, 401, "unauthorized")


@pytest.mark.parametrize("route", API_ROUTES, ids=name)
async def test_404_api_of_strangers(world: World, route: tuple[str, str, object]) -> None:
    api, stranger = await somebodys(world), await world.person()
    async with world.client(stranger) as client:
        for ref in (api.id, api.slug):
            answer = await client.request(route[0], route[1].format(id=ref), json=route[2])
            assert_problem(answer, 404, "api_not_found")
    assert world.sandboxes.acquired == []
    assert world.changes.published == []


@pytest.mark.parametrize("route", CHANGES_OF_A_VIEWER, ids=name)
async def test_403_viewer_changes_nothing(world: World, route: tuple[str, str, object]) -> None:
    owner, viewer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    api = await make_api(world.database, team)
    async with world.client(viewer) as client:
        answer = await client.request(route[0], route[1].format(id=api.id), json=route[2])
    assert_problem(answer, 403, "forbidden")
    assert world.sandboxes.acquired == []


@pytest.mark.parametrize("route", ADMIN_ROUTES, ids=name)
async def test_403_person_is_no_administrator(world: World, route: tuple[str, str, object]) -> None:
    api, person = await somebodys(world), await world.person()
    async with world.client(person) as client:
        answer = await client.request(route[0], route[1].format(id=api.id), json=route[2])
    assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Bearer junk"}, "unauthorized"),
        ({"Authorization": "Basic dTpw"}, "unauthorized"),
        ({"Authorization": "Bearer"}, "unauthorized"),
        ({"Authorization": ""}, "unauthorized"),
        ({"Authorization": f"Bearer {ADMIN_KEY}x"}, "unauthorized"),
        ({"Authorization": "Bearer sg_live_" + "a" * 38}, "consumer_key"),
        ({"X-API-Key": "sg_live_" + "a" * 38}, "invalid_admin_key"),
        ({"X-API-Key": ""}, "invalid_admin_key"),
        ({"X-API-Key": "junk", "Authorization": f"Bearer {ADMIN_KEY}"}, "invalid_admin_key"),
    ],
)
async def test_401_what_was_presented_is_not_valid(
    world: World, headers: dict[str, str], code: str
) -> None:
    async with world.client() as client:
        assert_problem(await client.get("/api/me", headers=headers), 401, code)


async def test_401_two_authorization_headers(world: World) -> None:
    person = await world.person()
    headers = [("Authorization", f"Bearer {person.id}"), ("Authorization", "Bearer other")]
    async with world.client() as client:
        assert_problem(await client.get("/api/me", headers=headers), 401, "unauthorized")
