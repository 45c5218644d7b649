"""Handing files to the users of the processes."""

import os
from pathlib import Path

import pytest

from gateway.cli import files
from gateway.users import ProcessUser


def test_what_goes_away_while_it_is_handed_over_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker of a killed supervisor may still drain, and remove what it has drained."""
    data, run = tmp_path / "data", tmp_path / "run"
    (data / "journal").mkdir(parents=True)
    run.mkdir()
    for name in ("1.journal", "2.journal"):
        (data / "journal" / name).touch()
    given: list[str] = []

    def chown(path: Path, *_: int, follow_symlinks: bool) -> None:
        assert not follow_symlinks
        if path.name == "1.journal":
            raise FileNotFoundError(path)
        given.append(path.name)

    monkeypatch.setattr(os, "chown", chown)
    files.hand_over(data, run)
    assert "2.journal" in given
    assert "gateways" in given


def test_uploads_are_handed_over_once_and_the_folder_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data / "journal", data / "uploads" / "ab", run):
        folder.mkdir(parents=True)
    (data / "uploads" / "ab" / "blob").touch()
    given: list[str] = []
    monkeypatch.setattr(os, "chown", lambda path, *_, **__: given.append(path.name))
    files.hand_over(data, run)
    assert [name for name in given if name in ("uploads", "ab", "blob")] == [
        "blob",
        "ab",
        "uploads",
    ]
    given.clear()
    monkeypatch.setattr(files, "GATEWAY", ProcessUser("gateway", os.getuid()))
    files.hand_over(data, run)
    assert not {"uploads", "ab", "blob"} & set(given)
