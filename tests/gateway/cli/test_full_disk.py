"""Commands on a full disk: nothing half, a line that says so, and a repetition that works."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.secrets import load_or_create_secrets
from gateway.store.archive import Archive
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.small_installation import (
    UPLOAD,
    Commands,
    copied,
    forget_installation,
    make_small_installation,
)


@dataclass(frozen=True, slots=True)
class Made:
    """An installation and a backup of it."""

    data_dir: Path
    backup: Path
    tenant: str


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    folder = Path(tempfile.mkdtemp(prefix="sgf-"))
    person = make_small_installation(folder / "data", b"content")
    Commands(folder / "data").run("backup", str(folder / "saved"))
    yield Made(folder / "data", folder / "saved", person.tenant_id)
    forget_installation(folder)


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    folder = Path(tempfile.mkdtemp(prefix="sgd-"))
    try:
        with small_disk(folder / "disk", "150m") as disk:
            yield disk
    finally:
        forget_installation(folder)


def test_a_backup_and_an_export_onto_it(made: Made, disk: SmallDisk) -> None:
    commands = Commands(made.data_dir)
    disk.fill()
    saved, exported = disk.path / "saved", disk.path / "tenant.zip"
    for command in (("backup", str(saved)), ("export-tenant", made.tenant, str(exported))):
        assert f"The disk of {command[-1]} is full" in commands.refused(*command)
    assert [path.name for path in disk.path.iterdir()] == ["filler"]
    disk.make_room()
    commands.run("backup", str(saved))
    commands.run("export-tenant", made.tenant, str(exported))
    with saved.open("rb") as file:
        assert b"".join(Archive(file).read(UPLOAD)) == b"content"


def test_a_backup_and_an_export_from_it(made: Made, disk: SmallDisk, tmp_path: Path) -> None:
    commands = Commands(copied(made.data_dir, disk.path / "data"))
    disk.fill()
    for command in (("backup", "saved"), ("export-tenant", made.tenant, "tenant.zip")):
        told = commands.refused(*command[:-1], str(tmp_path / command[-1]))
        assert f"The disk of {commands.data_dir} is full" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["20m", "48m"])  # the empty database, the content
def test_a_restore_onto_it(made: Made, disk: SmallDisk, size: str) -> None:
    disk.grow(size)
    commands = Commands(disk.path / "data")
    told = commands.refused("restore", str(made.backup))
    assert f"The disk of {commands.data_dir} is full; nothing was changed" in told
    left = {path.name for path in commands.data_dir.iterdir()}
    assert left <= {"pg.lock", "serve.lock"}
    disk.grow("150m")
    commands.run("restore", str(made.backup))
    assert (commands.data_dir / UPLOAD).read_bytes() == b"content"


@pytest.mark.parametrize("which", ["admin-key", "token-key", "secrets-key"])
def test_a_rotation_on_it(made: Made, disk: SmallDisk, which: str) -> None:
    commands = Commands(copied(made.data_dir, disk.path / "data"))
    before = load_or_create_secrets(commands.data_dir)
    names = {path.name for path in commands.data_dir.iterdir()}
    disk.fill()
    told = commands.refused("rotate-secret", which, "--overlap", "0")
    assert "is full; what was good is good as before" in told
    assert load_or_create_secrets(commands.data_dir) == before
    assert {path.name for path in commands.data_dir.iterdir()} <= names
    disk.make_room()
    commands.run("rotate-secret", which, "--overlap", "0")
    assert load_or_create_secrets(commands.data_dir) != before
