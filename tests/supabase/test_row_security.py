"""Who sees which row: one matrix over every table and every kind of actor."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import ANONYMOUS, SERVICE, Database, DatabaseError, Filter, Identity
from gateway.store.kv import KvStore
from tests.support.factories import (
    MadeApi,
    add_member,
    make_api,
    make_feedback,
    make_secret,
    make_tenant,
    make_upload,
    make_user,
    usage_call,
)

Sight = Literal["sees", "empty", "denied"]
ACTORS = ("owner", "member", "stranger", "anonymous", "service")

# The row belongs to the owner, or to the owner's team, in which `member` is a mere viewer.
MATRIX: Mapping[str, tuple[Sight, Sight, Sight, Sight, Sight]] = {
    "plans": ("sees", "sees", "sees", "sees", "sees"),
    "user_profiles": ("sees", "empty", "empty", "denied", "sees"),
    "public_profiles": ("sees", "empty", "empty", "empty", "sees"),
    "tenants": ("sees", "sees", "empty", "denied", "sees"),
    "tenant_members": ("sees", "empty", "empty", "denied", "sees"),
    "apis": ("sees", "sees", "empty", "denied", "sees"),
    "api_versions": ("sees", "sees", "empty", "denied", "sees"),
    "deployments": ("sees", "sees", "empty", "denied", "sees"),
    "api_kv": ("sees", "sees", "empty", "denied", "sees"),
    "api_kv_totals": ("sees", "sees", "empty", "denied", "sees"),
    "consumer_api_keys": ("sees", "sees", "empty", "denied", "sees"),
    "consumer_api_key_apis": ("sees", "sees", "empty", "denied", "sees"),
    "api_usage": ("sees", "sees", "empty", "denied", "sees"),
    "rate_limit_usage": ("sees", "sees", "empty", "denied", "sees"),
    "audit_log": ("sees", "empty", "empty", "denied", "sees"),
    "ledger": ("sees", "sees", "empty", "denied", "sees"),
    "ledger_balances": ("sees", "sees", "empty", "denied", "sees"),
    "api_secrets": ("sees", "sees", "empty", "denied", "sees"),
    "feedback": ("sees", "empty", "empty", "denied", "sees"),
    "uploads": ("sees", "sees", "empty", "denied", "sees"),
}
WHOLE_TABLES = [table for table in MATRIX if table != "plans"]


@dataclass(frozen=True, slots=True)
class Scene:
    """A team with an API that was called once, and everybody who might look."""

    identities: Mapping[str, Identity]
    columns: Mapping[str, str]
    rows: Mapping[str, tuple[str, str]]  # table: how to find the row in question
    api: MadeApi


@pytest.fixture
async def scene(database: Database, dsn: str) -> Scene:
    owner, member, stranger = [await make_user(dsn) for _ in range(3)]
    team = await make_tenant(database, owner)
    await add_member(database, team, member.id, "viewer")
    api = await make_api(database, team, created_by=owner.id)
    theirs = await make_api(database, stranger.tenant_id, created_by=stranger.id)
    call = usage_call(api, time.time(), limits=[[f"tenant:{team}", "hour"]])
    paid = usage_call(api, time.time(), tenant_id=str(uuid4()), price_nano_usd=5)
    await database.rpc("record_usage", {"p_calls": [call, paid]}, identity=SERVICE)
    for api_id in (api.id, theirs.id):
        await make_secret(database, api_id, "TOKEN", hosts=None)
        await KvStore(database).set(api_id, "key", "1")
    await make_feedback(database, owner.id)
    await make_upload(database, team, "api_icon", api.id, owner.id)
    return Scene(
        identities={
            "owner": owner.identity,
            "member": member.identity,
            "stranger": stranger.identity,
            "anonymous": ANONYMOUS,
            "service": SERVICE,
        },
        columns={
            "consumer_api_keys": "id,name,display",
            "api_secrets": "api_id,name,hosts,created_at,updated_at",
            "feedback": "id,title,text,answer",
        },
        rows={
            "plans": ("name", "free"),
            "user_profiles": ("id", owner.id),
            "public_profiles": ("id", owner.id),
            "tenants": ("id", team),
            "tenant_members": ("user_id", owner.id),
            "apis": ("id", api.id),
            "api_versions": ("api_id", api.id),
            "deployments": ("api_id", api.id),
            "api_kv": ("api_id", api.id),
            "api_kv_totals": ("api_id", api.id),
            "consumer_api_keys": ("id", api.key.id),
            "consumer_api_key_apis": ("key_id", api.key.id),
            "api_usage": ("api_id", api.id),
            "rate_limit_usage": ("subject", f"tenant:{team}"),
            "audit_log": ("target_id", api.id),
            "ledger": ("account", team),
            "ledger_balances": ("account", team),
            "api_secrets": ("api_id", api.id),
            "feedback": ("user_id", owner.id),
            "uploads": ("api_id", api.id),
        },
        api=api,
    )


async def sight_of(database: Database, scene: Scene, table: str, actor: str) -> Sight:
    column, value = scene.rows[table]
    try:
        rows = await database.select(
            table,
            identity=scene.identities[actor],
            columns=scene.columns.get(table, "*"),
            where=[Filter(column, "eq", value)],
        )
    except DatabaseError as error:
        if error.sqlstate != "42501":
            raise
        return "denied"
    return "sees" if rows else "empty"


@pytest.mark.parametrize("table", MATRIX)
async def test_who_sees_the_row(database: Database, scene: Scene, table: str) -> None:
    seen = {actor: await sight_of(database, scene, table, actor) for actor in ACTORS}
    assert seen == dict(zip(ACTORS, MATRIX[table], strict=True))


@pytest.mark.parametrize("table", WHOLE_TABLES)
async def test_a_stranger_sees_own_rows_only(
    database: Database, scene: Scene, owner: asyncpg.Connection, table: str
) -> None:
    columns = scene.columns.get(table, "*")
    everything = await owner.fetchval(f"select count(*) from public.{table}")
    own = await database.select(table, identity=scene.identities["stranger"], columns=columns)
    assert len(own) < everything


async def test_the_key_hash_is_readable_by_the_gateway_alone(
    database: Database, scene: Scene
) -> None:
    for actor in ("owner", "member", "stranger", "anonymous"):
        for columns in ("key_hash", "*"):
            with pytest.raises(DatabaseError) as caught:
                await database.select(
                    "consumer_api_keys", identity=scene.identities[actor], columns=columns
                )
            assert caught.value.sqlstate == "42501"


@pytest.mark.parametrize("columns", ["value", "name,value", "placeholder", "bytes", "*"])
@pytest.mark.parametrize("actor", ["owner", "member", "stranger", "anonymous"])
async def test_what_a_secret_is_is_readable_by_the_gateway_alone(
    database: Database, scene: Scene, actor: str, columns: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        await database.select("api_secrets", identity=scene.identities[actor], columns=columns)
    assert caught.value.sqlstate == "42501"


@pytest.mark.parametrize("actor", ["owner", "member", "stranger", "anonymous"])
@pytest.mark.parametrize("function", ["gateway_bundle", "gateway_surroundings"])
async def test_nobody_else_calls_what_answers_secrets(
    database: Database, scene: Scene, actor: str, function: str
) -> None:
    argument = "p_version_id" if function == "gateway_bundle" else "p_api_id"
    value = scene.api.version_id if function == "gateway_bundle" else scene.api.id
    with pytest.raises(DatabaseError) as caught:
        await database.rpc(function, {argument: value}, identity=scene.identities[actor])
    assert caught.value.sqlstate == "42501"


async def test_a_partition_cannot_be_addressed_past_its_parent(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    partitions = await owner.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'public.api_usage'::regclass"
    )
    assert partitions
    for row in partitions:
        for role in ("anon", "authenticated", "service_role"):
            for right in ("select", "insert", "update", "delete"):
                asked = "select has_table_privilege($1, $2, $3)"
                assert not await owner.fetchval(asked, role, row["name"], right)


async def test_membership_that_ends_ends_the_sight(database: Database, scene: Scene) -> None:
    where = [Filter("tenant_id", "eq", scene.api.tenant_id), Filter("role", "eq", "viewer")]
    await database.delete("tenant_members", where=where, identity=SERVICE)
    assert await sight_of(database, scene, "api_versions", "member") == "empty"


async def test_unknown_user_sees_nothing(database: Database, scene: Scene) -> None:
    nobody = Identity("authenticated", f'{{"sub":"{uuid4()}","role":"authenticated"}}')
    for table in WHOLE_TABLES:
        columns = scene.columns.get(table, "*")
        assert await database.select(table, identity=nobody, columns=columns) == []


async def test_claims_without_a_user_see_nothing(database: Database, scene: Scene) -> None:
    assert await database.select("apis", identity=Identity("authenticated", "{}")) == []
