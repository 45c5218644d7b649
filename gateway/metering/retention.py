"""Calls older than some months become sums by day; their months are dropped.

Days that are over of APIs that are called much are summed up beside their calls.
"""

import datetime

import structlog

from gateway.store import usage
from gateway.store.database import Database

_log = structlog.get_logger("retention")


def first_kept(today: datetime.date, months: int) -> datetime.date:
    """First day of the oldest month whose calls stay: `months` before the one of `today`."""
    number = today.year * 12 + today.month - 1 - months
    return datetime.date(number // 12, number % 12 + 1, 1)


async def retire(database: Database, months: int, today: datetime.date | None = None) -> int:
    """Move and drop what is older, bit by bit; answers how many calls were moved.

    May be ended at any moment and run by several at once: each bit is one transaction.
    """
    keep = first_kept(today or datetime.datetime.now(datetime.UTC).date(), months)
    moved = 0
    while (step := await usage.retire(database, keep)) is not None:
        moved += step["moved"]
        if step["moved"] == 0:
            _log.info("usage_month_dropped", month=step["month"])
    return moved


async def keep_sums(database: Database, months: int) -> None:
    """What is too old is moved, then what is over is summed up."""
    await retire(database, months)
    await roll_up(database, months)


async def roll_up(database: Database, months: int, today: datetime.date | None = None) -> int:
    """Sum up what was not yet, a day and some APIs at a time; answers how many rows were made."""
    since = first_kept(today or datetime.datetime.now(datetime.UTC).date(), months)
    made = 0
    while (step := await usage.roll_up(database, since)) is not None:
        made += step["apis"]
    return made
