"""Backup and restore of a whole installation: the same again elsewhere."""

import asyncio
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.backup import backup
from gateway.cli.restore import restore
from gateway.secrets import load_or_create_secrets
from gateway.settings import Settings
from gateway.store import binaries
from gateway.store.archive import Archive, ArchiveWriter, BackupError
from gateway.store.database import SERVICE
from gateway.store.embedded import SUPERUSER, EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase
from tests.support.factories import make_api, make_secret, make_user, usage_call

FAST = {"fsync": "off", "shared_buffers": "16MB"}


def quiet(_: str) -> None:
    """Progress that nobody reads."""


def settings_of(folder: Path) -> Settings:
    return Settings(sandgate_data_dir=folder)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in sorted(folder.rglob("*"))
        if path.name != "postmaster.pid"
    }


def export(server: EmbeddedPostgres) -> bytes:
    """The database as text, schema, rights and rows."""
    program = str(binaries.installed() / "bin" / "pg_dump")
    command = [program, f"--dbname={server.dsn(SUPERUSER)}", "--restrict-key=same"]
    return subprocess.run(command, capture_output=True, check=True).stdout


async def exported(folder: Path) -> bytes:
    server = EmbeddedPostgres(folder, settings=FAST)
    await server.start()
    try:
        return await asyncio.to_thread(export, server)
    finally:
        await server.stop()


async def populate(server: EmbeddedPostgres) -> None:
    """A person, an API with a secret, calls that were paid for."""
    await migrate(server.socket_dir)
    person, caller = [await make_user(server.dsn("postgres")) for _ in range(2)]
    async with await PostgresDatabase.connect(server.socket_dir) as database:
        api = await make_api(database, person.tenant_id)
        await make_secret(database, api.id, "TOKEN", value=bytes(range(256)), hosts=None)
        calls = [
            usage_call(
                api, time.time(), path=path, price_nano_usd=7, caller_tenant_id=caller.tenant_id
            )
            for path in ("/", '/é"\\', "/\u2028")
        ]
        await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sgb-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def saved(place: Path) -> tuple[Path, bytes]:
    """A backup made beside a running server, and the export of that server."""

    async def make() -> tuple[Path, bytes]:
        data = place / "first"
        (data / "journal").mkdir(parents=True)
        (data / "journal" / "1-1-a.jsonl").write_text('{"whole": 1}\n{"to')
        (data / "uploads" / "ab").mkdir(parents=True)
        (data / "uploads" / "ab" / "abcd").write_bytes(b"\x89PNG")
        load_or_create_secrets(data)
        (data / "first-run.json").write_text("{}")
        server = EmbeddedPostgres(data, settings=FAST)
        await server.start()
        try:
            await populate(server)
            target = place / "saved.backup"
            settings = settings_of(data)
            await backup(settings, target, with_secrets=True, overwrite=False, say=quiet)
            return target, await asyncio.to_thread(export, server)
        finally:
            await server.stop()

    return asyncio.run(make())


async def test_a_restored_installation_is_the_same_byte_for_byte(
    place: Path, saved: tuple[Path, bytes]
) -> None:
    source, before = saved
    target = place / "second"
    await restore(settings_of(target), source, replace=False, say=quiet)
    assert await exported(target) == before
    first = place / "first"
    for name in ("secrets.json", "first-run.json", "uploads/ab/abcd"):
        assert (target / name).read_bytes() == (first / name).read_bytes()
    assert stat.S_IMODE((target / "secrets.json").stat().st_mode) == 0o600
    assert (target / "journal" / "1-1-a.jsonl").read_text() == '{"whole": 1}\n'
    assert not (target / "restore.new").exists()
    with pytest.raises(BackupError, match="not empty"):
        await restore(settings_of(target), source, replace=False, say=quiet)


async def test_what_was_there_stays_when_the_dump_is_broken(
    place: Path, saved: tuple[Path, bytes]
) -> None:
    source, _ = saved
    target = place / "third"
    (target / "journal").mkdir(parents=True)
    (target / "journal" / "old.jsonl").write_text("old\n")
    (target / "secrets.json").write_text("old")
    with source.open("rb") as file:
        found = Archive(file).manifest
    broken = place / "broken.backup"
    with broken.open("w+b") as file:
        writer = ArchiveWriter(file)
        writer.add("database.dump", [b"PGDMP is not all of it"])
        writer.finish(made_at="", sandgate="", postgres=18, schema=found.schema, needs=[])
    there = tree(target)
    with pytest.raises(BackupError, match="cannot be restored"):
        await restore(settings_of(target), broken, replace=True, say=quiet)
    assert tree(target) == there | {"serve.lock": tree(target)["serve.lock"], "pg.lock": b""}
