"""A version as a project that runs without us."""

import asyncio
from dataclasses import dataclass

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.apis import with_versions
from gateway.operations.audit import note_read
from gateway.operations.ports import Services
from gateway.operations.templates import contract_of
from gateway.operations.versions import VersionNotFoundError
from gateway.store import versions
from gateway.store.database import Row
from generator.contract import Contract
from generator.export.names import folder_of
from generator.export.project import Source, export


@dataclass(frozen=True, slots=True)
class Exported:
    """A ZIP and the name of its file, which is plain ASCII."""

    file_name: str
    content: bytes


async def export_version(services: Services, subject: Known, ref: str, n: int | None) -> Exported:
    """The version `n`, else the one that answers most calls, for who may read the code."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    number = await _live(services, allowed) if n is None else n
    row = await versions.find(services.database, allowed.identity, allowed.id, number)
    if row is None:
        raise VersionNotFoundError
    said = await versions.document(services.database, allowed.identity, allowed.id, number)
    await note_read(services, subject, allowed, "api.export")
    document = said["openapi"] if said is not None and isinstance(said["openapi"], dict) else {}
    source = Source(
        name=allowed.row["name"],
        summary=allowed.row["description"] or "",
        code=row["code"],
        contract=await _contract(services, allowed, row),
        document=document,
        lock=row["lock"] or "",
    )
    content = await asyncio.to_thread(export, source)
    return Exported(f"{folder_of(allowed.row['name'])}-v{number}.zip", content)


async def _contract(services: Services, allowed: AllowedApi, row: Row) -> Contract | None:
    """The one that the version was made from; uploaded code has one only when it is a template."""
    origin = await versions.origin(services.database, allowed.identity, str(row["id"]))
    if origin is None:
        return contract_of(row["code"])
    return Contract.model_validate(origin["contract"])


async def _live(services: Services, allowed: AllowedApi) -> int:
    """The version that answers most calls; the newest while none does."""
    api = (await with_versions(services, allowed.identity, [allowed.row]))[0]
    if api.versions:
        return max(api.versions, key=lambda one: one.weight).version
    newest: list[Row] = await versions.page(services.database, allowed.identity, allowed.id, 1, 0)
    if not newest:
        raise VersionNotFoundError
    return int(newest[0]["n"])
