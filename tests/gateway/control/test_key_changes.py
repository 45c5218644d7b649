"""Keys that are narrowed, changed and rotated."""

from datetime import UTC, datetime, timedelta

from gateway.auth.keys import hash_key
from gateway.auth.verified import VerifiedKey
from gateway.limits.plan import limits_of
from gateway.store.database import SERVICE
from tests.support.control import KEY_SECRET, World
from tests.support.factories import MadeApi, Person, add_member, make_api, make_tenant
from tests.support.problems import assert_problem

NARROW = {
    "scopes": {"methods": ["GET"], "paths": ["/items", "/open/*"]},
    "allowed_addresses": ["192.0.2.7", "2001:db8::/32"],
}


async def made(world: World) -> tuple[Person, MadeApi]:
    person = await world.person()
    return person, await make_api(world.database, person.tenant_id)


async def as_seen_by_calls(world: World, text: str) -> VerifiedKey:
    row = await world.database.rpc(
        "gateway_key", {"p_key_hash": hash_key(text, KEY_SECRET)}, identity=SERVICE
    )
    return VerifiedKey.from_row(row)


async def test_201_a_key_may_be_narrow(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/keys", json=NARROW)
        listed = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"][0]
    key = answer.json()
    assert answer.status_code == 201
    for view in (key, listed):
        assert view["scopes"] == NARROW["scopes"]
        assert view["allowed_addresses"] == ["192.0.2.7/32", "2001:db8::/32"]
    restriction = (await as_seen_by_calls(world, key["key"])).restriction
    assert restriction is not None
    assert restriction.refusal("GET", b"/open/a", "192.0.2.7") is None
    assert restriction.refusal("GET", b"/closed", "192.0.2.7") is not None


async def test_200_what_changes_is_announced_and_the_rest_stays(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        key = (await client.post(f"/api/apis/{api.id}/keys", json=NARROW)).json()
        path = f"/api/keys/{key['id']}"
        first = await client.patch(path, json={"limits": {"minute": 5}, "name": "phone"})
        second = await client.patch(path, json={"scopes": {}, "allowed_addresses": []})
        third = await client.patch(path, json={"expires_at": "2090-01-01T00:00:00Z"})
        fourth = await client.patch(path, json={"expires_at": None})
    assert (first.status_code, first.json()["name"]) == (200, "phone")
    assert first.json()["scopes"] == NARROW["scopes"]
    assert first.json()["limits"] == second.json()["limits"] == {"minute": 5}
    assert (second.json()["scopes"], second.json()["allowed_addresses"]) == ({}, [])
    assert third.json()["expires_at"].startswith("2090-01-01")
    assert fourth.json()["expires_at"] is None
    assert world.changes.published == [("key", key["id"])] * 4
    assert fourth.json()["generation"] > third.json()["generation"] > first.json()["generation"]
    assert (await as_seen_by_calls(world, key["key"])).restriction is None


async def test_409_a_revoked_key_cannot_be_changed_or_rotated(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        await client.delete(f"/api/keys/{api.key.id}")
        changed = await client.patch(f"/api/keys/{api.key.id}", json={"name": "again"})
        rotated = await client.post(f"/api/keys/{api.key.id}/rotate")
        listed = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"]
    assert_problem(changed, 409, "key_revoked")
    assert_problem(rotated, 409, "key_revoked")
    assert len(listed) == 1
    assert listed[0]["revoked_reason"] == "revoked by hand"


async def test_201_the_successor_is_the_same_key_with_another_text(world: World) -> None:
    person, api = await made(world)
    wanted = {**NARROW, "name": "phone", "limits": {"minute": 3}}
    wanted["expires_at"] = "2090-01-01T00:00:00+00:00"
    async with world.client(person) as client:
        old = (await client.post(f"/api/apis/{api.id}/keys", json=wanted)).json()
        answer = await client.post(f"/api/keys/{old['id']}/rotate", json={"overlap_seconds": 600})
        listed = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"]
    new = answer.json()
    assert answer.status_code == 201
    assert new["key"] != old["key"]
    for member in ("name", "limits", "scopes", "allowed_addresses", "expires_at", "api_ids"):
        assert new[member] == old[member], member
    assert (new["replaces"], new["ends_at"], new["replaced_by"]) == (old["id"], None, None)
    stored = next(key for key in listed if key["id"] == old["id"])
    assert (stored["replaced_by"], stored["ends_at"]) == (new["id"], new["replaces_until"])
    left = datetime.fromisoformat(stored["ends_at"]) - datetime.now(UTC)
    assert timedelta(seconds=500) < left < timedelta(seconds=700)
    assert world.changes.published == [("key", old["id"]), ("key", new["id"])]


async def test_a_rotation_gives_no_fresh_quota(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        first = (await client.post(f"/api/apis/{api.id}/keys", json={"limits": {"day": 9}})).json()
        second = (await client.post(f"/api/keys/{first['id']}/rotate")).json()
        third = (await client.post(f"/api/keys/{second['id']}/rotate")).json()
    subjects = set()
    for key in (first, second, third):
        verified = await as_seen_by_calls(world, key["key"])
        subjects |= {limit.subject for limit in limits_of(verified, api.id, {})}
    assert subjects == {f"tenant:{person.tenant_id}", f"key:{first['id']}"}


async def test_the_old_key_never_outlives_its_own_expiry(world: World) -> None:
    person, api = await made(world)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    world.now = datetime.now(UTC).timestamp()
    async with world.client(person) as client:
        old = (await client.post(f"/api/apis/{api.id}/keys", json={"expires_at": soon})).json()
        new = (await client.post(f"/api/keys/{old['id']}/rotate")).json()
        sooner = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        changed = await client.patch(f"/api/keys/{old['id']}", json={"expires_at": sooner})
        longer = await client.patch(f"/api/keys/{old['id']}", json={"expires_at": None})
    assert new["replaces_until"] == old["expires_at"]
    assert changed.json()["ends_at"] == changed.json()["expires_at"]
    assert longer.json()["ends_at"] == changed.json()["ends_at"]  # it stays, whatever expiry says


async def test_an_overlap_of_nothing_ends_the_old_key_at_once(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        old = (await client.post(f"/api/apis/{api.id}/keys", json={})).json()
        await client.post(f"/api/keys/{old['id']}/rotate", json={"overlap_seconds": 0})
    refusal = (await as_seen_by_calls(world, old["key"])).refusal(datetime.now(UTC).timestamp())
    assert refusal is not None
    assert (refusal.status, refusal.code) == (401, "key_replaced")


async def test_409_a_rotated_key_names_its_successor(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        new = (await client.post(f"/api/keys/{api.key.id}/rotate")).json()
        again = await client.post(f"/api/keys/{api.key.id}/rotate")
    assert_problem(again, 409, "key_replaced")
    assert new["id"] in again.json()["detail"]


async def test_409_an_expired_key_is_not_rotated(world: World) -> None:
    person, api = await made(world)
    world.now = datetime.now(UTC).timestamp() - 1000
    past = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()
    async with world.client(person) as client:
        old = (await client.post(f"/api/apis/{api.id}/keys", json={"expires_at": past})).json()
        answer = await client.post(f"/api/keys/{old['id']}/rotate")
    assert_problem(answer, 409, "key_expired")


async def test_404_and_403_for_those_who_may_not(world: World) -> None:
    owner, member, stranger = [await world.person() for _ in range(3)]
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, member.id, "viewer")
    api = await make_api(world.database, team)
    for person, status, code in ((stranger, 404, "key_not_found"), (member, 403, "forbidden")):
        async with world.client(person) as client:
            rotated = await client.post(f"/api/keys/{api.key.id}/rotate")
            changed = await client.patch(f"/api/keys/{api.key.id}", json={"name": "x"})
        assert_problem(rotated, status, code)
        assert_problem(changed, status, code)
    assert world.changes.published == []


async def test_409_a_request_that_is_repeated_makes_one_key(world: World) -> None:
    person, api = await made(world)
    other = await make_api(world.database, person.tenant_id)
    once = {"Idempotency-Key": "4711"}
    async with world.client(person) as client:
        first = await client.post(f"/api/apis/{api.id}/keys", json={}, headers=once)
        again = await client.post(f"/api/apis/{api.id}/keys", json={}, headers=once)
        elsewhere = await client.post(f"/api/apis/{other.id}/keys", json={}, headers=once)
        empty = await client.post(
            f"/api/apis/{api.id}/keys", json={}, headers={**once, "Idempotency-Key": ""}
        )
        items = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"]
    assert (first.status_code, elsewhere.status_code) == (201, 201)
    assert_problem(again, 409, "key_exists")
    assert again.json()["key_id"] == first.json()["id"]
    assert first.json()["key"] not in again.text
    assert_problem(empty, 422, "invalid_input")
    assert len(items) == 2


WRONG: list[tuple[dict[str, object], str]] = [
    ({"scopes": {"methods": []}}, "invalid_scopes"),
    ({"scopes": {"methods": ["get"]}}, "invalid_scopes"),
    ({"scopes": {"methods": ["CONNECT"]}}, "invalid_scopes"),
    ({"scopes": {"paths": ["items"]}}, "invalid_scopes"),
    ({"scopes": {"paths": ["/a/../b"]}}, "invalid_scopes"),
    ({"scopes": {"paths": ["/a%2fb"]}}, "invalid_scopes"),
    ({"scopes": {"paths": ["/a*"]}}, "invalid_scopes"),
    ({"scopes": {"paths": ["/a"] * 51}}, "invalid_input"),
    ({"scopes": {"hosts": ["a"]}}, "invalid_input"),
    ({"scopes": []}, "invalid_input"),
    ({"allowed_addresses": ["10.0.0.1/8"]}, "invalid_addresses"),
    ({"allowed_addresses": ["example.com"]}, "invalid_addresses"),
    ({"allowed_addresses": ["10.0.0.1"] * 101}, "invalid_input"),
    ({"allowed_addresses": "10.0.0.1"}, "invalid_input"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiry"),
]


async def test_422_values_that_are_not_acceptable(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        for body, code in WRONG:
            created = await client.post(f"/api/apis/{api.id}/keys", json=body)
            changed = await client.patch(f"/api/keys/{api.key.id}", json=body)
            assert_problem(created, 422, code)
            assert_problem(changed, 422, code)
        for seconds in (-1, 2_592_001, 1.5, "60"):
            overlap = {"overlap_seconds": seconds}
            answer = await client.post(f"/api/keys/{api.key.id}/rotate", json=overlap)
            assert_problem(answer, 422, "invalid_input")
