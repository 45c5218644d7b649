"""`sandgate export-tenant` and `sandgate delete-tenant`."""

import json
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from gateway.cli.admin import running_postgres
from gateway.cli.backup import Say, fresh, size_text
from gateway.cli.disks import explained
from gateway.cli.failures import CommandError
from gateway.cli.tenant_files import take_away, write_files
from gateway.settings import Settings
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.open_blobs import open_blobs
from gateway.store.postgres import PostgresDatabase
from gateway.store.project import project_of
from gateway.store.project_auth import ProjectAuth
from gateway.store.tenant_data import TenantData
from gateway.store.tenant_data_project import ProjectTenantData
from gateway.store.tenant_tables import Holdings, TenantStore

_DEFLATED = zipfile.ZIP_DEFLATED
_AS_CSV = {"api_usage", "usage_days", "ledger"}  # long ones
KEPT = (
    "kept for the books: ledger entries and balances, calls without their paths and sums by day "
    "(the ledger is checked against them), and the audit log"
)
_TITLE = "Everything that Sandgate has of one tenant"
_SECONDS = 120.0  # for one statement
_README = """\
tenant.json   which tenant, when, by which release
data/         one file a table: a list of rows (JSON) or rows with a line of names (CSV);
              times in UTC, money in nano-USD
code/         <slug>/v<n>.py, the code of each version of each API
files/        what was uploaded, each named by its SHA-256, which is `digest` in
              data/uploads.json; check them with: cd files && sha256sum -c SHA256SUMS.
              What was lost before is listed in MISSING

Not in here, because nobody can read them: keys (only hashes are stored) and the values of
secrets (their names are in data/api_secrets.json).
"""


async def export_tenant(
    settings: Settings, tenant_id: UUID, target: Path, *, overwrite: bool, say: Say
) -> None:
    """Write a ZIP with all of it; it is there whole, or not at all."""
    with explained(target, "nothing was exported", settings.data_dir):
        async with opened(settings) as (data, _), open_blobs(settings) as blobs:
            await write_export(data, blobs, tenant_id, target, overwrite=overwrite, say=say)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[TenantStore, Database]]:
    """The tenants of the project, or of our own database, which runs meanwhile."""
    project = project_of(settings)
    if project is not None:
        async with project.database(connections=1, seconds=_SECONDS) as theirs:
            yield ProjectTenantData(theirs, ProjectAuth(project)), theirs
        return
    async with (
        running_postgres(settings.data_dir) as server,
        TenantData.connect(server) as data,
        await PostgresDatabase.connect(server.socket_dir, connections=1) as ours,
    ):
        yield data, ours


async def write_export(
    data: TenantStore,
    blobs: BlobStore,
    tenant_id: UUID,
    target: Path,
    *,
    overwrite: bool,
    say: Say,
) -> None:
    """The same from a database that is open."""
    async with data.moment():
        found = _found(await data.holdings(tenant_id), tenant_id)
        with fresh(target, overwrite) as file, zipfile.ZipFile(file, "w", _DEFLATED) as archive:
            moment = "of one moment" if data.is_of_one_moment else "read page by page"
            archive.writestr("README.txt", f"{_TITLE}, {moment}.\n\n{_README}")
            archive.writestr("tenant.json", json.dumps(_about(found), indent=2) + "\n")
            for table in await data.tables():
                as_csv = table.name in _AS_CSV
                name = f"data/{table.name}.{'csv' if as_csv else 'json'}"
                with archive.open(name, "w", force_zip64=True) as entry:
                    if as_csv:
                        await data.write_csv(table, tenant_id, entry)
                    else:
                        await data.write_json(table, tenant_id, entry)
                say(f"  {name}  {size_text(archive.getinfo(name).file_size)}")
            versions = 0
            async for code in data.codes(tenant_id):
                archive.writestr(f"code/{code.slug}/v{code.n}.py", code.code)
                versions += 1
            say(f"  code/  {versions} versions")
            await write_files(archive, await data.files(tenant_id), blobs, say)


async def delete_tenant(
    settings: Settings,
    tenant_id: UUID,
    *,
    person: bool,
    confirm: Callable[[str], str],
    say: Say,
) -> None:
    """Delete it after its name was typed; may be repeated when it was cut off."""
    with explained(settings.data_dir, "repeat the command to finish"):
        async with opened(settings) as (data, database), open_blobs(settings) as blobs:
            await erase(data, database, blobs, tenant_id, person=person, confirm=confirm, say=say)


async def erase(
    data: TenantStore,
    database: Database,
    blobs: BlobStore,
    tenant_id: UUID,
    *,
    person: bool,
    confirm: Callable[[str], str],
    say: Say,
) -> None:
    """The same in a database that is open."""
    found = await data.holdings(tenant_id)
    if found is None and await data.was_there(tenant_id):
        say("this tenant was deleted before; finishing what is left")
    else:
        found = _found(found, tenant_id)
        _require_fitting(found, person=person)
        for line in _consequences(found):
            say(line)
        if confirm(f"To delete it for ever, type its name ({found.name})") != found.name:
            raise CommandError("that is not its name; nothing was deleted")
        await data.erase(tenant_id, person=person)
        say("deleted; its keys stop within a second, its sandboxes within a minute")
    blanked = 0
    while some := await data.blank_paths(tenant_id):
        blanked += some
        say(f"  paths taken out of {blanked} calls")
    await take_away(database, blobs, say)
    say(KEPT)


def _found(found: Holdings | None, tenant_id: UUID) -> Holdings:
    if found is None:
        raise CommandError(
            f"there is no tenant {tenant_id}; GET /api/admin/tenants?query=… finds it by its name"
        )
    return found


def _require_fitting(found: Holdings, *, person: bool) -> None:
    if found.kind == "personal" and not person:
        raise CommandError(
            f"{found.name} is the personal tenant of {found.owner}, and goes with the person "
            "only: add --person to delete both"
        )
    if found.kind != "personal" and person:
        raise CommandError(f"{found.name} is a team, not a person's own; leave --person out")


def _consequences(found: Holdings) -> list[str]:
    lines = [
        f"{found.kind} tenant {found.name} ({found.id}), owner {found.owner or 'unknown'}",
        f"deleted: {found.apis} APIs with code, versions, data and secrets; {found.keys} keys; "
        f"{found.members} memberships; {found.files} files that were uploaded; the paths of "
        f"{found.calls} calls",
    ]
    if found.kind == "personal":
        lines.append(
            f"deleted as well: the account of {found.owner}. Teams it owns go on under their most "
            "senior member; those without another member are deleted"
        )
    return [*lines, KEPT]


def _about(found: Holdings) -> dict[str, str]:
    return {
        "id": str(found.id),
        "name": found.name,
        "kind": found.kind,
        "owner": found.owner,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sandgate": version("sandgate"),
    }
