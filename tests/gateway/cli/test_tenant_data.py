"""A tenant leaves with everything that is its own, or goes but for the books."""

import csv
import io
import json
import stat
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from gateway.cli.failures import CommandError
from gateway.cli.tenant_data import erase, opened, write_export
from gateway.settings import Settings
from gateway.store.archive import BackupError
from gateway.store.blob_folder import BlobFolder
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.kv import KvStore
from gateway.store.postgres import PostgresDatabase
from gateway.store.project import project_of
from gateway.store.project_auth import ProjectAuth
from gateway.store.tenant_data import TenantData
from gateway.store.tenant_data_project import ProjectTenantData
from gateway.store.tenant_tables import TenantStore
from tests.support.factories import (
    MadeApi,
    Person,
    add_usage_day,
    add_version,
    make_api,
    make_secret,
    make_tenant,
    make_user,
    usage_call,
)
from tests.support.supabase_project import supabase_project

CODE = "print('é')\r\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """A team with an API that was called and paid for, and a stranger with the same."""

    opened: Callable[[], AbstractAsyncContextManager[TenantStore]]
    database: Database
    person: Person
    team: str
    api: MadeApi
    other: MadeApi
    blobs: BlobFolder

    async def export(self, target: Path, tenant_id: str) -> dict[str, bytes]:
        async with self.opened() as data:
            await write_export(
                data, self.blobs, UUID(tenant_id), target, overwrite=False, say=lambda _: None
            )
        with zipfile.ZipFile(target) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    async def erase(self, tenant_id: str, *, typed: str, person: bool = False) -> list[str]:
        said: list[str] = []
        async with self.opened() as data:
            await erase(
                data,
                self.database,
                self.blobs,
                UUID(tenant_id),
                person=person,
                confirm=lambda _: typed,
                say=said.append,
            )
        return said


@asynccontextmanager
async def in_project(postgres: EmbeddedPostgres, name: str) -> AsyncIterator[Settings]:
    async with supabase_project(postgres.socket_dir, name) as running:
        key = SecretStr(running.environment()["SUPABASE_SECRET_KEY"])
        yield Settings(supabase_url=running.url, supabase_secret_key=key)


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    database_name: str,
    database: PostgresDatabase,
    dsn: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Scene]:
    made = await make_scene(database, dsn, tmp_path_factory.mktemp("uploads"))
    if getattr(request, "param", "own") == "own":
        yield replace(made, opened=lambda: TenantData.connect(postgres, database_name))
        return
    async with (
        in_project(postgres, database_name) as settings,
        opened(settings) as (data, theirs),
    ):
        yield replace(made, opened=lambda: nullcontext(data), database=theirs)


async def make_scene(database: Database, dsn: str, folder: Path) -> Scene:
    person, stranger = [await make_user(dsn) for _ in range(2)]
    team = await make_tenant(database, person, name="Ant & Sons")
    api = await make_api(database, team, code=CODE)
    await add_version(database, api, code="second = 2\n")
    other = await make_api(database, stranger.tenant_id, name="not theirs")
    for made in (api, other):
        await make_secret(database, made.id, "TOKEN", value=b"the-ciphertext")
        await KvStore(database).set(made.id, "note", '"kept"')
    now = time.time()
    calls = [
        usage_call(api, now, path="/of-team", caller_tenant_id=other.tenant_id, price_nano_usd=9),
        usage_call(other, now, path="/of-stranger"),
        usage_call(other, now, path="/by-team", caller_tenant_id=team),
    ]
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
    await add_usage_day(dsn, api)
    return Scene(never, database, person, team, api, other, BlobFolder(folder, keep_free=0))


def never() -> AbstractAsyncContextManager[TenantStore]:
    raise AssertionError


in_both = pytest.mark.parametrize("scene", ["own", "project"], indirect=True)


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


async def test_an_export_has_everything_of_the_tenant(scene: Scene, tmp_path: Path) -> None:
    found = await scene.export(tmp_path / "a.zip", scene.team)
    listed: dict[str, Any] = {
        name: json.loads(content) for name, content in found.items() if name.endswith(".json")
    }
    assert listed["tenant.json"]["name"] == "Ant & Sons"
    assert [row["id"] for row in listed["data/apis.json"]] == [scene.api.id]
    assert {row["n"] for row in listed["data/api_versions.json"]} == {1, 2}
    assert [row["name"] for row in listed["data/api_secrets.json"]] == ["TOKEN"]
    assert [row["value"] for row in listed["data/api_kv.json"]] == ["kept"]
    assert [row["email"] for row in listed["data/members.json"]] == [scene.person.email]
    assert [row["id"] for row in listed["data/consumer_api_keys.json"]] == [scene.api.key.id]
    assert {row["path"] for row in rows(found["data/api_usage.csv"])} == {"/of-team", "/by-team"}
    assert [row["calls"] for row in rows(found["data/usage_days.csv"])] == ["1"]
    assert [row["amount_nano_usd"] for row in rows(found["data/ledger.csv"])] == ["9"]
    slug = scene.api.slug
    assert found[f"code/{slug}/v1.py"] == CODE.encode()
    assert found[f"code/{slug}/v2.py"] == b"second = 2\n"
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o600


async def test_an_export_has_nothing_secret_and_nothing_of_others(
    scene: Scene, tmp_path: Path
) -> None:
    everything = b"".join((await scene.export(tmp_path / "a.zip", scene.team)).values())
    for secret in (scene.api.key.key_hash, "the-ciphertext", b"the-ciphertext".hex()):
        assert secret.encode() not in everything
    for strange in ("not theirs", "/of-stranger", scene.other.key.key_hash):
        assert strange.encode() not in everything


async def test_of_a_project_it_has_the_same(
    scene: Scene, postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> None:
    """Read in pages of two rows, which begin in the middle of equal values."""
    own = await scene.export(tmp_path / "own.zip", scene.team)
    async with (
        in_project(postgres, database_name) as settings,
        opened(settings) as (_, theirs),
    ):
        project = project_of(settings)
        assert project is not None
        data = ProjectTenantData(theirs, ProjectAuth(project), page=2)
        of_project = replace(scene, opened=lambda: nullcontext(data))
        there = await of_project.export(tmp_path / "project.zip", scene.team)
    assert there.keys() == own.keys()
    for name in own.keys() - {"README.txt", "tenant.json"}:
        if name.endswith(".json"):
            assert listed(there[name]) == listed(own[name]), name
        elif name.endswith(".csv"):
            assert timeless(there[name]) == timeless(own[name]), name
        else:
            assert there[name] == own[name]


def listed(content: bytes) -> list[str]:
    """Rows, in an order of their own: one with two ids may come with either."""
    return sorted(json.dumps(row, sort_keys=True) for row in json.loads(content))


def timeless(content: bytes) -> list[str]:
    """The same, without times: each says them in its way."""
    times = ("at", "created_at")
    told = [{n: v for n, v in row.items() if n not in times} for row in rows(content)]
    return sorted(json.dumps(row, sort_keys=True) for row in told)


async def test_an_export_never_overwrites_unasked(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("old")
    with pytest.raises(BackupError, match="--overwrite"):
        await scene.export(tmp_path / "a.zip", scene.team)
    assert (tmp_path / "a.zip").read_text() == "old"


async def test_an_unknown_tenant_leaves_no_file(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no tenant"):
        await scene.export(tmp_path / "a.zip", str(uuid4()))
    assert list(tmp_path.iterdir()) == []


async def test_another_name_deletes_nothing(scene: Scene, owner: asyncpg.Connection) -> None:
    with pytest.raises(CommandError, match="nothing was deleted"):
        await scene.erase(scene.team, typed="Ant and Sons")
    assert await owner.fetchval("select count(*) from public.apis") == 2


@in_both
async def test_a_deleted_tenant_leaves_what_the_books_need(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    said = await scene.erase(scene.team, typed="Ant & Sons")
    assert "1 APIs" in said[1]
    assert "kept for the books" in said[-1]
    left = {
        table: await owner.fetchval(f"select count(*) from public.{table}")
        for table in ("tenants", "apis", "consumer_api_keys", "api_secrets", "api_kv", "ledger")
    }
    assert left == {
        "tenants": 2, "apis": 1, "consumer_api_keys": 1, "api_secrets": 1, "api_kv": 1, "ledger": 2,
    }  # fmt: skip
    paths = await owner.fetchval("select array_agg(path order by path) from public.api_usage")
    assert paths == ["", "/by-team", "/of-stranger"]
    entry = await owner.fetchrow("select * from public.audit_log where action = 'tenant.erase'")
    assert entry is not None
    assert (entry["actor"], entry["target_id"]) == ("operator", scene.team)


async def test_deleting_that_was_cut_off_is_finished_by_repeating_it(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    await owner.execute("select public.erase_tenant($1)", UUID(scene.team))
    said = await scene.erase(scene.team, typed="never asked")
    assert "finishing" in said[0]
    left = await owner.fetchval("select count(*) from public.api_usage where path = '/of-team'")
    assert left == 0


@in_both
async def test_a_personal_tenant_goes_with_its_person_only(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    personal = scene.person.tenant_id
    with pytest.raises(CommandError, match="--person"):
        await scene.erase(personal, typed="whatever")
    name = await owner.fetchval("select name from public.tenants where id = $1", UUID(personal))
    await scene.erase(personal, typed=name, person=True)
    asked = "select count(*) from public.user_profiles where id = $1"
    assert await owner.fetchval(asked, UUID(scene.person.id)) == 0
    assert await owner.fetchval("select count(*) from public.tenants") == 1  # the stranger's own


async def test_paths_of_a_living_tenant_stay(scene: Scene, owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.PostgresError, match="tenant_exists"):
        await owner.execute("select public.blank_paths($1)", UUID(scene.team))
