"""OpenAPI documents of versions in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.store.database import SERVICE, Database, Filter

Json = Mapping[str, Any]  # `Any`: JSON


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A version's document, or why it has none; neither, when nobody has asked its app."""

    document: Json | None
    note: str | None = None


class DocumentStore:
    """Reads and writes them as the service; a document never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, version_id: str) -> StoredDocument | None:
        """None when there is no such version."""
        rows = await self._database.select(
            "api_versions",
            identity=SERVICE,
            columns="openapi,openapi_note",
            where=[Filter("id", "eq", version_id)],
            limit=1,
        )
        return StoredDocument(rows[0]["openapi"], rows[0]["openapi_note"]) if rows else None

    async def put(self, version_id: str, found: StoredDocument) -> None:
        """Write it once; what is there already stays."""
        arguments = {"p_version_id": version_id}
        value = {"p_document": found.document} if found.document else {"p_note": found.note}
        await self._database.rpc("set_version_openapi", arguments | value, identity=SERVICE)
