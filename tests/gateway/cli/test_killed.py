"""Commands that end by `kill -9` at their worst moments: as before, or as after, and repeatable."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.failures import DataDirError
from gateway.cli.files import sole_owner
from gateway.secrets import load_or_create_secrets
from gateway.store.archive import Archive
from tests.support.small_installation import (
    SEGMENT,
    UPLOAD,
    Commands,
    copied,
    make_small_installation,
    tree,
)

OLD, SAVED = b"what was there", b"what was saved"


@dataclass(frozen=True, slots=True)
class Made:
    """Two installations, and a backup of the second; looked at, never worked on."""

    old: Path
    other: Path
    backup: Path
    tenant: str


def _memory() -> Path | None:
    """Copies are many, and nothing here is about the disk."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    folder = Path(tempfile.mkdtemp(prefix="sgk-", dir=_memory()))
    make_small_installation(folder / "old", OLD)
    person = make_small_installation(folder / "other", SAVED)
    Commands(copied(folder / "other", folder / "source")).run("backup", str(folder / "saved"))
    yield Made(folder / "old", folder / "other", folder / "saved", person.tenant_id)
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """Short: the path of a socket has an end."""
    path = Path(tempfile.mkdtemp(prefix="sgk-", dir=_memory()))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("moment", ["subprocess.Popen .*pg_dump", r"os.rename .*\.partial"])
def test_a_killed_backup_leaves_the_older_one_and_is_repeated(
    made: Made, place: Path, moment: str
) -> None:
    commands = Commands(copied(made.other, place / "data"))
    target = place / "out" / "saved"
    target.parent.mkdir()
    target.write_text("the older one")
    commands.killed(moment, "backup", str(target), "--overwrite")
    assert target.read_text() == "the older one"
    commands.run("backup", str(target), "--overwrite")
    with target.open("rb") as file:
        assert b"".join(Archive(file).read(UPLOAD)) == SAVED
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("moment", [r"open .*\.partial", r"os.rename .*\.partial"])
def test_a_killed_export_is_not_there_and_is_repeated(made: Made, place: Path, moment: str) -> None:
    commands = Commands(copied(made.other, place / "data"))
    target = place / "out" / "tenant.zip"
    target.parent.mkdir()
    commands.killed(moment, "export-tenant", made.tenant, str(target))
    assert not target.exists()
    commands.run("export-tenant", made.tenant, str(target))
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("tenant.json"))["id"] == made.tenant
    assert list(target.parent.iterdir()) == [target]


def is_restored(data_dir: Path, made: Made) -> bool:
    return all(
        (data_dir / name).read_bytes() == (made.other / name).read_bytes()
        for name in (UPLOAD, SEGMENT, "secrets.json")
    )


@pytest.mark.parametrize(
    "moment", ["os.mkdir .*restore.new/pg.new", "subprocess.Popen .*pg_restore"]
)
def test_a_restore_killed_while_it_builds_changes_nothing(
    made: Made, place: Path, moment: str
) -> None:
    commands = Commands(copied(made.old, place / "data"))
    before = tree(commands.data_dir)
    commands.killed(moment, "restore", str(made.backup), "--replace")
    after = {n: c for n, c in tree(commands.data_dir).items() if not n.startswith("restore.new")}
    assert after == before
    commands.run("restore", str(made.backup), "--replace")
    assert is_restored(commands.data_dir, made)
    assert not (commands.data_dir / "restore.new").exists()
    [aside] = commands.data_dir.glob("replaced-*")
    kept = {name: content for name, content in before.items() if name.partition("/")[0] != "logs"}
    assert tree(aside) == kept


def test_a_restore_killed_while_it_moves_goes_on_and_keeps_what_was_there(
    made: Made, place: Path
) -> None:
    commands = Commands(copied(made.old, place / "data"))
    before = tree(commands.data_dir)
    half_of_it = "os.rename .*restore.new/uploads'"
    commands.killed(half_of_it, "restore", str(made.backup), "--replace")
    with pytest.raises(DataDirError, match="restore FILE --replace"), sole_owner(commands.data_dir):
        pass
    said = commands.run("restore", str(made.backup), "--replace")
    assert is_restored(commands.data_dir, made)
    [aside] = commands.data_dir.glob("replaced-*")
    assert str(aside) in said
    assert tree(aside) == before
    with sole_owner(commands.data_dir):
        assert not (commands.data_dir / "restore.new").exists()


@pytest.mark.parametrize("nth", [1, 2])
def test_a_killed_rotation_goes_on_with_both_values(made: Made, place: Path, nth: int) -> None:
    commands = Commands(place)
    for name in ("secrets.json", "first-run.json"):
        shutil.copy(made.old / name, place / name)
    old = load_or_create_secrets(place).admin_api_key
    commands.killed("os.rename .*secrets.new", "rotate-secret", "admin-key", nth=nth)
    assert load_or_create_secrets(place).admin_api_key == old
    commands.run("rotate-secret", "admin-key")
    stored = load_or_create_secrets(place)
    assert stored.admin_api_key != old
    assert stored.others["admin_api_key"].value == old.get_secret_value()
    told = json.loads((place / "first-run.json").read_text())
    assert told["admin_api_key"] == stored.admin_api_key.get_secret_value()
    assert {path.name for path in place.iterdir()} == {
        "secrets.json", "secrets.json.lock", "first-run.json",
    }  # fmt: skip


def test_a_killed_change_of_the_sealing_key_goes_on(made: Made, place: Path) -> None:
    commands = Commands(copied(made.old, place / "data"))
    old = load_or_create_secrets(commands.data_dir).secrets_key
    rotate = ("rotate-secret", "secrets-key", "--overlap", "0")
    commands.killed("os.rename .*secrets.new", *rotate, nth=3)
    assert "going on" in commands.run(*rotate)
    stored = load_or_create_secrets(commands.data_dir)
    assert stored.secrets_key != old
    assert not stored.others
