"""Routes of money."""

import time

import pytest

from gateway.store.database import SERVICE
from tests.support.control import World
from tests.support.factories import Person, add_member, make_api, make_tenant, usage_call
from tests.support.problems import assert_problem


def credit(tenant_id: str) -> str:
    return f"/api/admin/tenants/{tenant_id}/credit"


async def give(world: World, person: Person, amount: int, key: str = "k") -> dict[str, int]:
    body = {"amount_nano_usd": amount, "idempotency_key": key, "note": "a gift"}
    async with world.admin() as client:
        answer = await client.post(credit(person.tenant_id), json=body)
    assert answer.status_code == 200, answer.text
    value: dict[str, int] = answer.json()
    return value


async def pay(world: World, buyer: Person, price: int) -> Person:
    """A paid call; answers who earned."""
    seller = await world.person()
    api = await make_api(world.database, seller.tenant_id)
    call = usage_call(
        api, time.time(), caller_tenant_id=buyer.tenant_id, price_nano_usd=price, limits=[]
    )
    await world.database.rpc("record_usage", {"p_calls": [call]}, identity=SERVICE)
    return seller


async def test_200_credit_is_given_once_for_a_key_and_announced(world: World) -> None:
    person = await world.person()
    for _ in range(2):
        given = await give(world, person, 10**12)
    assert given == {
        "tenant_id": person.tenant_id,
        "granted_nano_usd": 10**12,
        "spent_nano_usd": 0,
        "earned_nano_usd": 0,
        "balance_nano_usd": 10**12,
    }
    assert ("credit", person.tenant_id) in world.changes.published


async def test_200_what_is_left_and_what_was_earned(world: World) -> None:
    buyer = await world.person()
    await give(world, buyer, 100)
    seller = await pay(world, buyer, 30)
    async with world.client(buyer) as client:
        assert (await client.get("/api/credit")).json()["balance_nano_usd"] == 70
    async with world.client(seller) as client:
        earned = (await client.get("/api/credit")).json()
    assert (earned["earned_nano_usd"], earned["balance_nano_usd"]) == (30, 0)


async def test_200_movements_newest_first_page_by_page(world: World) -> None:
    buyer = await world.person()
    await give(world, buyer, 100)
    await pay(world, buyer, 30)
    async with world.client(buyer) as client:
        items = (await client.get("/api/ledger")).json()["items"]
        second = (await client.get("/api/ledger?limit=1&offset=1")).json()["items"]
    assert {(item["kind"], item["amount_nano_usd"]) for item in items} == {
        ("credit", 100), ("call", -30)
    }  # fmt: skip
    assert [item["at"] for item in items] == sorted((i["at"] for i in items), reverse=True)
    assert second == items[1:]


async def test_200_a_viewer_reads_the_money_of_the_team(world: World) -> None:
    owner, viewer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    async with world.client(viewer) as client:
        for path in ("/api/credit", "/api/ledger"):
            assert (await client.get(f"{path}?tenant_id={team}")).status_code == 200


async def test_404_money_of_strangers(world: World) -> None:
    person, stranger = await world.person(), await world.person()
    async with world.client(stranger) as client:
        for path in ("/api/credit", "/api/ledger"):
            answer = await client.get(f"{path}?tenant_id={person.tenant_id}")
            assert_problem(answer, 404, "tenant_not_found")


async def test_404_credit_for_a_tenant_that_is_not_there(world: World) -> None:
    body = {"amount_nano_usd": 5, "idempotency_key": "k"}
    async with world.admin() as client:
        answer = await client.post(credit("5f0c1d52-8b0e-4c41-9d6c-0a0000000001"), json=body)
    assert_problem(answer, 404, "tenant_not_found")


async def test_409_a_key_does_not_stand_for_two_amounts(world: World) -> None:
    person = await world.person()
    await give(world, person, 5)
    async with world.admin() as client:
        body = {"amount_nano_usd": 6, "idempotency_key": "k"}
        answer = await client.post(credit(person.tenant_id), json=body)
    assert_problem(answer, 409, "idempotency_key_reused")


async def test_422_what_is_no_credit(world: World) -> None:
    person = await world.person()
    bodies: list[dict[str, object]] = [
        {"amount_nano_usd": 0, "idempotency_key": "k"},
        {"amount_nano_usd": 10**15 + 1, "idempotency_key": "k"},
        {"amount_nano_usd": 1.5, "idempotency_key": "k"},
        {"amount_nano_usd": "5", "idempotency_key": "k"},
        {"amount_nano_usd": 5},
        {"amount_nano_usd": 5, "idempotency_key": ""},
        {"amount_nano_usd": 5, "idempotency_key": "a b"},
        {"amount_nano_usd": 5, "idempotency_key": "k", "note": "x" * 501},
    ]
    async with world.admin() as client:
        for body in bodies:
            answer = await client.post(credit(person.tenant_id), json=body)
            assert answer.status_code == 422, body


@pytest.mark.parametrize("path", ["/api/credit", "/api/ledger"])
async def test_422_the_admin_key_names_a_tenant(world: World, path: str) -> None:
    async with world.admin() as client:
        assert_problem(await client.get(path), 422, "tenant_required")
