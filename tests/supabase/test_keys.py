"""Keys in SQL: what is refused there as well, what is announced, what never comes back."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError
from tests.support.factories import MadeApi, make_api, make_key, make_user


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


def rotation(key_id: str, **changes: Any) -> dict[str, Any]:
    new = {"key_id": key_id, "id": str(uuid4()), "key_hash": uuid4().hex, "display": "sg…"}
    return {**new, "overlap_seconds": 60, "actor": None, **changes}


async def rotate(database: Database, values: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = await database.rpc("rotate_key", {"p": values}, identity=SERVICE)
    return made


async def test_a_rotation_that_is_sent_twice_is_one(database: Database, api: MadeApi) -> None:
    values = rotation(api.key.id)
    first = await rotate(database, values)
    assert await rotate(database, values) == first
    assert (first["root_id"], first["api_ids"]) == (api.key.id, [api.id])


async def test_rotations_side_by_side_leave_one_successor(database: Database, api: MadeApi) -> None:
    outcomes = await asyncio.gather(
        *(rotate(database, rotation(api.key.id)) for _ in range(5)), return_exceptions=True
    )
    refused = [one.code for one in outcomes if isinstance(one, DatabaseError)]
    assert refused == ["key_replaced"] * 4


async def test_a_rotation_of_nothing(database: Database) -> None:
    with pytest.raises(DatabaseError) as refused:
        await rotate(database, rotation(str(uuid4())))
    assert (refused.value.status, refused.value.code) == (404, "key_not_found")


async def test_nobody_brings_back_a_revoked_key(owner: asyncpg.Connection, api: MadeApi) -> None:
    await owner.execute("update consumer_api_keys set revoked_at = now()")
    for value in ("null", "now() + interval '1 day'"):
        with pytest.raises(asyncpg.PostgresError, match="key_revoked"):
            await owner.execute(f"update consumer_api_keys set revoked_at = {value}")


async def test_the_end_of_a_rotated_key_never_moves_back(
    owner: asyncpg.Connection, database: Database, api: MadeApi
) -> None:
    await rotate(database, rotation(api.key.id))
    for value in ("null", "now() + interval '1 day'"):
        with pytest.raises(asyncpg.PostgresError, match="key_replaced"):
            await owner.execute(
                f"update consumer_api_keys set ends_at = {value} where id = $1",
                api.key.id,
            )


async def test_no_key_ends_after_it_expires(owner: asyncpg.Connection, api: MadeApi) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(
            "update consumer_api_keys set ends_at = now(), expires_at = now() - interval '1 hour'"
        )


SCOPES: list[object] = [
    [],
    {"methods": []},
    {"methods": "GET"},
    {"methods": ["get"]},
    {"methods": [1]},
    {"paths": ["a"]},
    {"paths": ["/a/../b"]},
    {"paths": ["/a/.."]},
    {"paths": ["/a//b"]},
    {"paths": ["/a%2Fb"]},
    {"paths": ["/a%252e"]},
    {"paths": ["/a*"]},
    {"paths": ["/a b"]},
    {"paths": ["/é"]},
    {"paths": ["/" + "a" * 300]},
    {"paths": ["/a"] * 51},
    {"hosts": ["a"]},
]


async def test_scopes_and_addresses_are_checked_here_as_well(
    owner: asyncpg.Connection, database: Database, api: MadeApi
) -> None:
    async def refused(values: dict[str, object]) -> tuple[int, str]:
        arguments = {"p_key_id": api.key.id, "p": values}
        with pytest.raises(DatabaseError) as caught:
            await database.rpc("update_key", arguments, identity=SERVICE)
        return caught.value.status, caught.value.code

    for scopes in SCOPES:
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute("update consumer_api_keys set scopes = $1", json.dumps(scopes))
        assert await refused({"scopes": scopes}) == (422, "invalid_scopes")
    for address in ("10.0.0.1/8", "x", "", True):
        assert await refused({"allowed_addresses": [address]}) == (422, "invalid_addresses")


async def test_every_change_that_calls_must_see_is_announced_and_counted(
    owner: asyncpg.Connection, dsn: str, api: MadeApi
) -> None:
    heard: list[tuple[str, str]] = []

    def hear(_c: object, _p: int, _n: str, payload: object) -> None:
        change = json.loads(str(payload))
        heard.append((change["kind"], change["id"]))

    listener = await asyncpg.connect(dsn)
    await listener.add_listener("sandgate_changes", hear)
    generations = []
    for change in (
        "limits = '{\"hour\": 5}'",
        'scopes = \'{"methods": ["GET"]}\'',
        "allowed_addresses = '{10.0.0.0/8}'",
        "ends_at = now()",
        "revoked_at = now()",
        "last_used_at = now()",  # seen by nobody
        "name = 'other'",
    ):
        await owner.execute(f"update consumer_api_keys set {change}")
        generations.append(await owner.fetchval("select generation from consumer_api_keys"))
    await listener.execute("select 1")  # what was announced comes before this answer
    await listener.close()
    assert heard == [("key", api.key.id)] * 5
    assert generations == [3, 4, 5, 6, 7, 7, 7]


async def test_another_api_makes_a_new_generation(
    owner: asyncpg.Connection, database: Database, api: MadeApi
) -> None:
    key = await make_key(database, api.tenant_id, [api.id])
    asked = "select generation from consumer_api_keys where id = $1"
    before = await owner.fetchval(asked, key.id)
    await owner.execute("delete from consumer_api_key_apis where key_id = $1", key.id)
    assert await owner.fetchval(asked, key.id) == before + 1


async def test_a_report_revokes_what_exists_and_tells_which(
    owner: asyncpg.Connection, database: Database, api: MadeApi
) -> None:
    reports = [
        {"key_hash": api.key.key_hash, "found_at": "https://example.com/a"},
        {"key_hash": api.key.key_hash, "found_at": None},
        {"key_hash": "nobody's", "found_at": None},
    ]
    arguments = {"p_reports": reports, "p_reporter": "somebody"}
    gone = await database.rpc("report_leaked_keys", arguments, identity=SERVICE)
    again = await database.rpc("report_leaked_keys", arguments, identity=SERVICE)
    assert (gone, again) == ([api.key.id], [])
    reason = await owner.fetchval(
        "select revoked_reason from consumer_api_keys where revoked_at is not null"
    )
    assert reason.startswith("reported as leaked by somebody")
    audited = await owner.fetch(
        "select actor, action, target_id from audit_log where action like 'key.r%'"
    )
    assert [tuple(one) for one in audited] == [("leak report", "key.revoke", api.key.id)]


async def test_a_key_whose_last_api_goes_says_why_it_is_revoked(
    owner: asyncpg.Connection, database: Database, api: MadeApi
) -> None:
    await database.rpc("delete_api", {"p_api_id": api.id}, identity=SERVICE)
    reason = await owner.fetchval("select revoked_reason from consumer_api_keys")
    assert reason == "nothing is left that it opened"
