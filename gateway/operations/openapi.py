"""The OpenAPI document of a version: asked for when its code is started the first time."""

import asyncio

import structlog

from gateway.errors import SandgateError
from gateway.operations.openapi_text import read_document
from gateway.operations.ports import Services
from gateway.store.documents import DocumentStore, StoredDocument
from sandbox.types import Lease, SandboxError

_log = structlog.get_logger(__name__)

_NOTE_CHARACTERS = 400


async def captured(services: Services, lease: Lease) -> StoredDocument:
    """What the app in this sandbox says of itself; there is always a note when it is nothing."""
    try:
        said = await services.sandboxes.document(lease.sandbox_id)
    except SandboxError:
        _log.warning("document_not_asked_for", sandbox_id=lease.sandbox_id, exc_info=True)
        return StoredDocument(None, "the sandbox could not be asked")
    if said.text:
        # half a megabyte from a stranger is no work for the event loop
        return await asyncio.to_thread(read_document, said.text)
    note = said.note.replace("\0", "").encode("utf-8", "replace").decode()
    return StoredDocument(None, note[:_NOTE_CHARACTERS] or "the app has no document")


async def keep(services: Services, version_id: str, found: StoredDocument) -> None:
    """Store it with its version. A version is worth more than its document: failures are logged."""
    try:
        await DocumentStore(services.database).put(version_id, found)
    except SandgateError:
        _log.warning("document_not_stored", version_id=version_id, exc_info=True)
