"""What was there is set aside in one folder, however often a restore was cut off."""

import shutil
from pathlib import Path

import pytest

from gateway.cli.files import STAGING, UNFINISHED
from gateway.cli.taking_place import take_place

NAMES = ("pg/file", "journal/file", "uploads/file", "secrets.json")


def fill(folder: Path, text: str, names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in NAMES if (folder / name).exists()}


def test_what_was_there_is_set_aside(tmp_path: Path) -> None:
    staging = tmp_path / STAGING
    for folder, text in ((tmp_path, "old"), (staging, "new")):
        for name in ("pg", "journal"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(text)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "secrets.json").write_text("kept: the backup has none")
    aside = take_place(tmp_path, staging)
    assert aside is not None
    assert (aside / "pg" / "file").read_text() == "old"
    assert (tmp_path / "pg" / "file").read_text() == "new"
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["journal", "pg", aside.name, "secrets.json"]


@pytest.mark.parametrize("moved", range(9))
def test_cut_off_after_any_move_it_keeps_all_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    staging = tmp_path / STAGING
    fill(tmp_path, "old")
    fill(staging, "new")
    rename, left = Path.rename, moved

    def failing(path: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise InterruptedError
        left -= 1
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    if moved < 2 * len(NAMES):
        with pytest.raises(InterruptedError):
            take_place(tmp_path, staging)
        assert (tmp_path / UNFINISHED).exists()
        monkeypatch.undo()
        shutil.rmtree(staging)
        fill(staging, "newer")
    aside = take_place(tmp_path, staging)
    assert aside is not None
    assert texts(aside) == dict.fromkeys(NAMES, "old")
    wanted = "newer" if moved < 2 * len(NAMES) else "new"
    assert texts(tmp_path) == dict.fromkeys(NAMES, wanted)
    assert [path.name for path in tmp_path.glob("replaced-*")] == [aside.name]


def test_secrets_that_no_backup_brought_stay_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = tmp_path / STAGING
    fill(tmp_path, "old")
    fill(staging, "new", NAMES[:3])
    with monkeypatch.context() as patched:

        def failing(path: Path) -> None:
            raise InterruptedError

        patched.setattr("gateway.cli.taking_place.shutil.rmtree", failing)
        with pytest.raises(InterruptedError):
            take_place(tmp_path, staging)
    fill(staging, "newer", NAMES[:3])
    aside = take_place(tmp_path, staging)
    assert aside is not None
    assert texts(aside) == dict.fromkeys(NAMES[:3], "old")
    assert texts(tmp_path)["secrets.json"] == "old"
