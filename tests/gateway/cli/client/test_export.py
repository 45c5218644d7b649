"""Writing an API as a ZIP."""

from pathlib import Path

import pytest

from tests.support.client_command import Command
from tests.support.client_server import World, problem


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_file_is_named_after_the_slug(signed_in: Command, world: World) -> None:
    api = world.make_api("cats")
    result = signed_in("export", "cats")
    assert result.exit_code == 0
    assert Path(f"{api['slug']}.zip").read_bytes() == b"PK zip"
    assert world.requests[-1] == ("GET", f"/api/apis/{api['id']}/export")


def test_a_file_that_is_there_is_kept_unless_forced(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    Path("mine.zip").write_text("mine")
    assert signed_in("export", "cats", "-o", "mine.zip").exit_code != 0
    assert Path("mine.zip").read_text() == "mine"
    assert signed_in.json("export", "cats", "-o", "mine.zip", "--force")["bytes"] == 6


def test_a_problem_writes_nothing(signed_in: Command, world: World) -> None:
    api = world.make_api("cats")
    world.answer = problem(404, "version_not_found", "There is no version 9.")
    result = signed_in("export", api["id"], "--version", "9")
    assert result.exit_code != 0
    assert list(Path().glob("*.zip")) == []


def test_a_file_that_cannot_be_written_is_said(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("export", "cats", "-o", "nowhere/cats.zip")
    assert "cannot be written" in result.stderr
