"""Who still needs which bytes: counted whoever removes what, and never collected too early."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.store import uploads
from gateway.store.database import SERVICE, Database, DatabaseError
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.uploads import Bounds
from tests.support.factories import Person, make_api, make_feedback, make_upload, make_user
from tests.support.one_database import one_database
from tests.support.refusals import refusal

DIGEST = "a" * 64
OTHER = "b" * 64


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Emptied of files before each test."""
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def person(dsn: str, owner: asyncpg.Connection) -> Person:
    await owner.execute("delete from public.uploads")
    await owner.execute("delete from private.blobs")
    return await make_user(dsn)


async def uses(owner: asyncpg.Connection, digest: str = DIGEST) -> int | None:
    found: int | None = await owner.fetchval(
        "select uses from private.blobs where digest = $1", digest
    )
    return found


async def let_go(owner: asyncpg.Connection) -> None:
    """The time of every hold is over."""
    await owner.execute("update private.blobs set held_until = clock_timestamp()")


def icon_of(person: Person, digest: str = DIGEST, size: int = 10) -> dict[str, Any]:
    return {
        "id": person.id,
        "tenant_id": person.tenant_id,
        "created_by": person.id,
        "purpose": "profile_icon",
        "profile_id": person.id,
        "digest": digest,
        "media_type": "image/png",
        "name": "icon.png",
        "bytes": size,
    }


async def test_bytes_are_counted_by_who_has_them(
    database: Database, dsn: str, owner: asyncpg.Connection, person: Person
) -> None:
    other = await make_user(dsn)
    first = await make_upload(
        database, person.tenant_id, "profile_icon", person.id, person.id, digest=DIGEST
    )
    await make_upload(database, other.tenant_id, "profile_icon", other.id, other.id, digest=DIGEST)
    assert await uses(owner) == 2
    await uploads.remove(database, UUID(first), None)
    assert await uses(owner) == 1


async def test_what_goes_with_its_api_its_feedback_or_its_person_is_counted_too(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    api = await make_api(database, person.tenant_id)
    feedback = await make_feedback(database, person.id)
    for purpose, target in (
        ("api_icon", api.id),
        ("attachment", feedback),
        ("profile_icon", person.id),
    ):
        await make_upload(database, person.tenant_id, purpose, target, person.id, digest=DIGEST)
    assert await uses(owner) == 3
    await owner.execute("delete from public.apis where id = $1", api.id)
    assert await uses(owner) == 2
    await owner.execute("delete from public.feedback where id = $1", feedback)
    assert await uses(owner) == 1
    await owner.execute("delete from public.user_profiles where id = $1", person.id)
    assert await uses(owner) == 0


async def test_a_new_icon_gives_back_the_old_one_also_when_it_is_the_same(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    for digest in (DIGEST, OTHER, OTHER):
        await make_upload(
            database, person.tenant_id, "profile_icon", person.id, person.id, digest=digest
        )
    assert (await uses(owner, DIGEST), await uses(owner, OTHER)) == (0, 1)


async def test_nothing_is_collected_that_is_used_or_held(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    await make_upload(
        database, person.tenant_id, "profile_icon", person.id, person.id, digest=DIGEST
    )
    assert await uploads.hold(database, icon_of(person, OTHER), Bounds(100, 5))
    await owner.execute(
        "update private.blobs set held_until = clock_timestamp() where digest = $1", DIGEST
    )
    assert await uploads.take_unused(database, 10) == []


async def test_what_is_being_collected_is_not_used_again_before_it_is_gone(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    icon, bounds = icon_of(person), Bounds(100, 5)
    assert await uploads.hold(database, icon, bounds)
    await let_go(owner)
    assert await uploads.take_unused(database, 10) == [DIGEST]
    assert not await uploads.hold(database, icon, bounds)
    with refusal("upload_too_slow"):
        await uploads.add(database, icon, bounds)
    await uploads.forget(database, [DIGEST])
    assert await uploads.hold(database, icon, bounds)
    await uploads.add(database, icon, bounds)
    assert await uses(owner) == 1


async def test_what_a_dead_collector_left_half_done_comes_again(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    assert await uploads.hold(database, icon_of(person), Bounds(100, 5))
    await let_go(owner)
    assert await uploads.take_unused(database, 10) == [DIGEST]
    assert await uploads.take_unused(database, 10) == [DIGEST]
    await uploads.forget(database, [DIGEST])
    assert await uploads.take_unused(database, 10) == []


async def test_a_hold_whose_time_is_over_is_no_hold(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    icon, bounds = icon_of(person), Bounds(100, 5)
    await uploads.hold(database, icon, bounds)
    await let_go(owner)
    with refusal("upload_too_slow"):
        await uploads.add(database, icon, bounds)


async def test_a_quota_holds_also_at_once(
    database: Database, owner: asyncpg.Connection, person: Person
) -> None:
    feedback = await make_feedback(database, person.id)
    async with owner.transaction():
        await owner.execute("lock table public.uploads in access exclusive mode")
        attempts = [
            asyncio.create_task(_added(database, person, feedback, digest=f"{number}" * 64))
            for number in range(4)
        ]
        await _all_wait(owner, 4)
    results = await asyncio.gather(*attempts)
    assert sorted(results) == ["added", "added", "upload_quota_exceeded", "upload_quota_exceeded"]
    assert await owner.fetchval("select sum(bytes) from public.uploads") == 80


async def test_an_icon_does_not_count_beside_the_one_whose_place_it_takes(
    database: Database, person: Person
) -> None:
    for digest in (DIGEST, OTHER):
        await make_upload(
            database,
            person.tenant_id,
            "profile_icon",
            person.id,
            person.id,
            digest=digest,
            size=80,
            quota=100,
        )
    with refusal("upload_quota_exceeded"):
        await uploads.hold(database, icon_of(person, size=101), Bounds(100, 5))


async def test_404_what_a_file_belongs_to_is_gone(database: Database, person: Person) -> None:
    icon = {**icon_of(person), "profile_id": "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"}
    await uploads.hold(database, icon, Bounds(100, 5))
    with refusal("not_found"):
        await uploads.add(database, icon, Bounds(100, 5))


async def _added(database: Database, person: Person, feedback: str, digest: str) -> str:
    upload = {
        **icon_of(person, digest, 40),
        "id": digest[:8] + person.id[8:],
        "purpose": "attachment",
        "profile_id": None,
        "feedback_id": feedback,
    }
    bounds = {"p_tenant_bytes": 100, "p_attachments": 5}
    try:
        await database.rpc("hold_blob", {"p": upload, **bounds, "p_seconds": 600}, identity=SERVICE)
        await database.rpc("add_upload", {"p": upload, **bounds}, identity=SERVICE)
    except DatabaseError as error:
        return error.code
    return "added"


async def _all_wait(owner: asyncpg.Connection, quantity: int) -> None:
    """Return once so many statements wait for each other."""
    asked = (
        "select count(*) from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database())"
    )
    async with asyncio.timeout(10):
        while await owner.fetchval(asked) < quantity:
            await asyncio.sleep(0.01)
