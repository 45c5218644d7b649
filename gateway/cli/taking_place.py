"""A restored installation takes the place of what was there, and goes on when it was cut off."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.backup import JOURNAL, SECRETS, UPLOADS, sync_folder
from gateway.cli.files import UNFINISHED, write_private

_PLACES = ("pg", JOURNAL, UPLOADS, *SECRETS)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is moved where; on the disk before anything moves."""

    aside: str | None  # the folder that keeps what was there
    leaving: Sequence[str]
    coming: Sequence[str]


def take_place(data_dir: Path, staging: Path) -> Path | None:
    """Old content aside, new content in; `serve` refuses what a kill in between leaves.

    Answers where the old content is. An attempt that was cut off is gone on with: what was there
    before it is kept in one folder, and what it had brought already is dropped.
    """
    earlier = _earlier(data_dir)
    if earlier is not None:
        _drop_brought(data_dir, earlier)
    plan = _plan(data_dir, staging, None if earlier is None else earlier.aside)
    write_private(data_dir / UNFINISHED, asdict(plan))
    sync_folder(data_dir)
    aside = None if plan.aside is None else data_dir / plan.aside
    if aside is not None:
        aside.mkdir(mode=0o700, exist_ok=True)
    for name in plan.leaving:
        if aside is None:
            (data_dir / name).rmdir()
        else:
            (data_dir / name).rename(aside / name)
    for name in plan.coming:
        (staging / name).rename(data_dir / name)
    sync_folder(data_dir)
    shutil.rmtree(staging)
    (data_dir / UNFINISHED).unlink()
    sync_folder(data_dir)
    return aside


def _plan(data_dir: Path, staging: Path, aside: str | None) -> _Plan:
    coming = [name for name in _PLACES if (staging / name).exists()]
    # secrets stay when the backup brings none
    wanted = [name for name in _PLACES if name in coming or name not in SECRETS]
    leaving = [name for name in wanted if (data_dir / name).exists()]
    if aside is None and any(not is_empty(data_dir / name) for name in leaving):
        aside = f"replaced-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    return _Plan(aside, leaving, coming)


def _earlier(data_dir: Path) -> _Plan | None:
    """The plan of an attempt that was cut off."""
    try:
        return _Plan(**json.loads((data_dir / UNFINISHED).read_text()))
    except (FileNotFoundError, ValueError):  # none, or the mark of a release without plans
        return None


def _drop_brought(data_dir: Path, plan: _Plan) -> None:
    for name in plan.coming:
        was_there = name in plan.leaving
        is_kept = plan.aside is None or (data_dir / plan.aside / name).exists()
        path = data_dir / name
        if was_there and not is_kept:
            continue  # still the old one
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def is_empty(path: Path) -> bool:
    """A folder with nothing in it."""
    return path.is_dir() and not any(path.iterdir())
