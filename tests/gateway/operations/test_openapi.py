"""A version keeps what its app said when it was started first."""

import json

from gateway.operations.apis import NewApi, create_api
from gateway.operations.versions import NewVersion, add_version
from gateway.store.documents import DocumentStore, StoredDocument
from sandbox.types import AppDocument, ManagerUnavailableError
from tests.support.control import World
from tests.support.sandboxes import GOOD

DOCUMENT = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}


async def kept(world: World, version_id: str) -> StoredDocument | None:
    return await DocumentStore(world.database).of(version_id)


async def test_both_ways_to_a_version_keep_its_document(world: World) -> None:
    subject = world.user(await world.person())
    world.sandboxes.document_said = AppDocument(json.dumps(DOCUMENT))
    made = await create_api(world.services, subject, NewApi("x", GOOD))
    first = world.sandboxes.of(made.api.id)[0].version_id
    added = await add_version(world.services, subject, made.api.id, NewVersion(GOOD, deploy=False))
    assert await kept(world, first) == StoredDocument(DOCUMENT)
    assert await kept(world, added.id) == StoredDocument(DOCUMENT)


async def test_a_version_without_a_document_is_stored_with_the_reason(world: World) -> None:
    subject = world.user(await world.person())
    world.sandboxes.document_said = AppDocument("", "app.openapi() raised\0 \ud800")
    made = await create_api(world.services, subject, NewApi("x", GOOD))
    world.sandboxes.document_said = AppDocument("[]")
    second = await add_version(world.services, subject, made.api.id, NewVersion(GOOD))
    world.sandboxes.document_fails = ManagerUnavailableError("gone")
    third = await add_version(world.services, subject, made.api.id, NewVersion(GOOD))
    first = next(s.version_id for s in world.sandboxes.acquired if s.api_id == made.api.id)
    notes = [await kept(world, version) for version in (first, second.id, third.id)]
    assert notes == [
        StoredDocument(None, "app.openapi() raised ?"),
        StoredDocument(None, "the app's document was not kept: it is no JSON object"),
        StoredDocument(None, "the sandbox could not be asked"),
    ]
