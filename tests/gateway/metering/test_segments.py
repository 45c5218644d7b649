"""What `/ready` says of usage that waits on the disk."""

import time
from pathlib import Path

import pytest

from gateway.metering.journal import SUFFIX
from gateway.metering.segments import waiting_words


def segment(folder: Path, age: float, text: str) -> None:
    (folder / f"{int((time.time() - age) * 1e9)}-1{SUFFIX}").write_text(text)


@pytest.mark.parametrize(("age", "text"), [(5, "x"), (500, "")], ids=["young", "empty"])
def test_nothing_is_said_of_what_waits_for_a_moment(tmp_path: Path, age: float, text: str) -> None:
    segment(tmp_path, age, text)
    assert waiting_words(tmp_path) == ""


def test_the_oldest_that_waits_long_is_told(tmp_path: Path) -> None:
    segment(tmp_path, 5, "x")
    segment(tmp_path, 500, "x")
    assert waiting_words(tmp_path).startswith("usage of 500 s is not stored yet")


def test_no_folder_yet(tmp_path: Path) -> None:
    assert waiting_words(tmp_path / "journal") == ""
