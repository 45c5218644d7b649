"""A version's document is written once."""

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError
from gateway.store.documents import DocumentStore, StoredDocument
from tests.support.factories import MadeApi, make_api, make_user

FIRST = StoredDocument({"z": 1, "a": [1.5, None, "é"]})


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    person = await make_user(dsn)
    return await make_api(database, person.tenant_id, created_by=person.id)


async def version_of(database: Database, api: MadeApi) -> str:
    arguments = {"p_api_id": api.id, "p_n": 1}
    found = await database.rpc("gateway_version", arguments, identity=SERVICE)
    return str(found["version_id"])


async def test_a_fresh_version_has_neither_document_nor_note(
    database: Database, api: MadeApi
) -> None:
    store = DocumentStore(database)
    assert await store.of(await version_of(database, api)) == StoredDocument(None)
    assert await store.of(api.id) is None


@pytest.mark.parametrize("first", [FIRST, StoredDocument(None, "it has none")])
async def test_what_was_written_first_stays(
    database: Database, api: MadeApi, first: StoredDocument
) -> None:
    store, version = DocumentStore(database), await version_of(database, api)
    await store.put(version, first)
    await store.put(version, StoredDocument({"second": True}))
    found = await store.of(version)
    assert found == first
    assert found is not None
    assert list(found.document or ()) == list(first.document or ())


async def test_nobody_overwrites_it(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    version = await version_of(database, api)
    await DocumentStore(database).put(version, FIRST)
    with pytest.raises(asyncpg.PostgresError, match="A version never changes"):
        await owner.execute(
            "update public.api_versions set openapi = '{}' where id = $1::uuid", version
        )


async def test_either_a_document_or_a_note(database: Database, api: MadeApi) -> None:
    arguments = {"p_version_id": await version_of(database, api)}
    with pytest.raises(DatabaseError) as caught:
        await database.rpc("set_version_openapi", arguments, identity=SERVICE)
    assert (caught.value.status, caught.value.code) == (422, "invalid_input")
