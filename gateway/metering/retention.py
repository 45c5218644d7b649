"""Calls older than some months become sums by day; their months are dropped."""

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
