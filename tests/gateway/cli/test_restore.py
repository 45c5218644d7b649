"""What a restore and a backup refuse, before anything is touched."""

import fcntl
from pathlib import Path

import pytest

from gateway.cli.backup import backup, size_text
from gateway.cli.failures import DataDirError
from gateway.cli.files import UNFINISHED, sole_owner
from gateway.cli.restore import restore
from gateway.settings import Settings
from gateway.store.archive import ArchiveWriter, BackupError
from gateway.store.binaries import PostgresStartError
from gateway.store.migrate import read_migrations

KNOWN = [migration.version for migration in read_migrations()]


def quiet(_: str) -> None:
    """Progress that nobody reads."""


def made(path: Path, *, schema: list[str] = KNOWN, postgres: int = 15) -> Path:
    """A backup that is whole, of nothing."""
    with path.open("w+b") as file:
        writer = ArchiveWriter(file)
        writer.add("database.dump", [b"x"])
        writer.finish(
            made_at="2026-11-22", sandgate="9.1.0", postgres=postgres, schema=schema, needs=[]
        )
    return path


def settings_of(folder: Path) -> Settings:
    return Settings(sandgate_data_dir=folder)


async def refused(folder: Path, source: Path, *, replace: bool = False) -> str:
    with pytest.raises(BackupError) as caught:
        await restore(settings_of(folder), source, replace=replace, say=quiet)
    return caught.value.detail


async def test_a_damaged_file_leaves_no_trace(tmp_path: Path) -> None:
    source = made(tmp_path / "a.backup")
    source.write_bytes(source.read_bytes()[:-1])
    assert "cut off" in await refused(tmp_path / "data", source, replace=True)
    assert not (tmp_path / "data").exists()


async def test_no_file_is_said_so(tmp_path: Path) -> None:
    assert "No such file" in await refused(tmp_path / "data", tmp_path / "none")


async def test_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    newer = "99991231000000"
    told = await refused(tmp_path / "data", made(tmp_path / "b", schema=[*KNOWN, newer]))
    assert newer in told
    assert "9.1.0" in told
    assert "install the release" in told
    assert not (tmp_path / "data").exists()


async def test_a_newer_postgres_is_refused_with_what_to_do(tmp_path: Path) -> None:
    told = await refused(tmp_path / "data", made(tmp_path / "b", postgres=99))
    assert "Postgres 99" in told
    assert "install the newer one" in told


async def test_onto_something_only_with_replace(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secrets.json").write_text("mine")
    (data / "layers").mkdir()
    (data / "layers" / "one").touch()
    assert "--replace" in await refused(data, made(tmp_path / "b"))
    assert sorted(path.name for path in data.iterdir()) == ["layers", "secrets.json"]


async def test_not_while_sandgate_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    source = made(tmp_path / "b")
    with sole_owner(data), pytest.raises(DataDirError, match="stop it first"):
        await restore(settings_of(data), source, replace=True, say=quiet)


async def test_not_while_a_command_runs_the_database(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (data / "pg.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "stop Sandgate" in await refused(data, made(tmp_path / "b"), replace=True)


def test_after_a_cut_off_restore_only_a_restore_goes_on(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).touch()
    with pytest.raises(DataDirError, match="--replace"), sole_owner(tmp_path):
        pass
    with sole_owner(tmp_path, unfinished=True):
        pass


async def test_a_backup_overwrites_only_when_told(tmp_path: Path) -> None:
    target = tmp_path / "old"
    target.write_text("old")
    with pytest.raises(BackupError, match="--overwrite"):
        await backup(settings_of(tmp_path), target, with_secrets=True, overwrite=False, say=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


async def test_a_backup_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="SANDGATE_DATA_DIR"):
        await backup(
            settings_of(tmp_path / "none"),
            tmp_path / "b",
            with_secrets=True,
            overwrite=False,
            say=quiet,
        )


async def test_a_backup_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    target = tmp_path / "old"
    target.write_text("old")
    data = tmp_path / "data"
    (data / "pg").mkdir(parents=True)  # no cluster: the database does not start
    with pytest.raises(PostgresStartError, match="not a Postgres cluster"):
        await backup(settings_of(data), target, with_secrets=True, overwrite=True, say=quiet)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "old"]


@pytest.mark.parametrize(
    ("size", "text"), [(7, "7 bytes"), (1234, "1.23 KB"), (5_600_000, "5.6 MB")]
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
