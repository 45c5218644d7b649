"""Files leave with their tenant, and go with it, wherever they lie."""

import hashlib
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from starlette.responses import PlainTextResponse

from gateway.cli.failures import CommandError
from gateway.cli.tenant_data import erase, write_export
from gateway.store.blob_bucket import open_bucket
from gateway.store.blob_folder import BlobFolder
from gateway.store.blobs import Blob, BlobMissingError, BlobStore
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from gateway.store.tenant_data import TenantData
from tests.support.factories import make_api, make_tenant, make_upload, make_user
from tests.support.one_database import one_database
from tests.support.storage_server import StorageServer, storage_server

OWN = Blob.of(b"\x89PNG that nobody else has")
SHARED = Blob.of(b"\x89PNG that a stranger has too")


@dataclass(frozen=True, slots=True)
class Scene:
    """A team with two files, one of which a stranger has as well."""

    server: EmbeddedPostgres
    database: PostgresDatabase
    database_name: str
    team: str
    blobs: BlobStore

    def opened(self) -> AbstractAsyncContextManager[TenantData]:
        return TenantData.connect(self.server, self.database_name)

    async def export(self, target: Path) -> tuple[dict[str, bytes], list[str]]:
        said: list[str] = []
        async with self.opened() as data:
            await write_export(
                data, self.blobs, UUID(self.team), target, overwrite=False, say=said.append
            )
        with zipfile.ZipFile(target) as archive:
            return {name: archive.read(name) for name in archive.namelist()}, said

    async def erase(self) -> list[str]:
        said: list[str] = []
        async with self.opened() as data:
            await erase(
                data,
                self.database,
                self.blobs,
                UUID(self.team),
                person=False,
                confirm=lambda _: "Ants",
                say=said.append,
            )
        return said

    async def there(self) -> set[str]:
        found = set()
        for blob in (OWN, SHARED):
            try:
                await self.blobs.get(blob.digest)
            except BlobMissingError:
                continue
            found.add(blob.digest)
        return found


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def storage() -> AsyncIterator[StorageServer]:
    async with storage_server() as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
async def blobs(
    request: pytest.FixtureRequest, tmp_path: Path, storage: StorageServer
) -> AsyncIterator[BlobStore]:
    if request.param == "folder":
        yield BlobFolder(tmp_path / "uploads", keep_free=0)
        return
    async with open_bucket(f"{storage.url}/storage/v1/files", storage.key) as bucket:
        yield bucket


@pytest.fixture
async def scene(
    postgres: EmbeddedPostgres,
    database_name: str,
    database: PostgresDatabase,
    dsn: str,
    owner: asyncpg.Connection,
    blobs: BlobStore,
) -> Scene:
    await owner.execute("delete from public.uploads")
    await owner.execute("delete from private.blobs")
    person, stranger = [await make_user(dsn) for _ in range(2)]
    team = await make_tenant(database, person, name="Ants")
    for tenant, user, blob in (
        (team, person, OWN),
        (team, person, SHARED),
        (stranger.tenant_id, stranger, SHARED),
    ):
        await blobs.put(blob)
        api = await make_api(database, tenant)
        await make_upload(database, tenant, "api_icon", api.id, user.id, digest=blob.digest)
    return Scene(postgres, database, database_name, team, blobs)


async def let_go(owner: asyncpg.Connection) -> None:
    """The time of every hold is over."""
    await owner.execute("update private.blobs set held_until = clock_timestamp()")


async def test_an_export_has_the_files_with_their_sums(scene: Scene, tmp_path: Path) -> None:
    found, _ = await scene.export(tmp_path / "a.zip")
    sums = [line.split("  ") for line in found["files/SHA256SUMS"].decode().splitlines()]
    assert {digest for digest, _ in sums} == {OWN.digest, SHARED.digest}
    for digest, name in sums:
        assert name == f"{digest}.png"
        assert hashlib.sha256(found[f"files/{name}"]).hexdigest() == digest


async def test_a_lost_file_is_named_and_the_rest_exported(scene: Scene, tmp_path: Path) -> None:
    await scene.blobs.delete(OWN.digest)
    found, said = await scene.export(tmp_path / "a.zip")
    assert found["files/MISSING"].decode().split() == [OWN.digest]
    assert f"files/{SHARED.digest}.png" in found
    assert any("warning" in line and OWN.digest in line for line in said)


async def test_files_go_with_their_tenant_unless_another_has_them(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    await let_go(owner)
    said = await scene.erase()
    assert await scene.there() == {SHARED.digest}
    assert "files taken away: 1" in said


async def test_what_is_held_goes_when_the_command_is_repeated(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    said = await scene.erase()
    assert await scene.there() == {OWN.digest, SHARED.digest}
    assert any("1 more are held" in line for line in said)
    await let_go(owner)
    assert "files taken away: 1" in await scene.erase()
    assert await scene.there() == {SHARED.digest}


@pytest.mark.parametrize("blobs", ["bucket"], indirect=True)
async def test_a_bucket_that_is_away_is_told_and_repeated(
    scene: Scene, owner: asyncpg.Connection, storage: StorageServer
) -> None:
    await let_go(owner)
    storage.failure = PlainTextResponse("down", 503)
    with pytest.raises(CommandError, match="repeat the command"):
        await scene.erase()
    storage.failure = None
    await scene.erase()
    assert await scene.there() == {SHARED.digest}


@pytest.mark.parametrize("blobs", ["bucket"], indirect=True)
async def test_no_export_without_the_bucket(
    scene: Scene, tmp_path: Path, storage: StorageServer
) -> None:
    storage.failure = PlainTextResponse("down", 503)
    with pytest.raises(Exception, match="cannot be reached"):
        await scene.export(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
