"""The worker process: drains the journal, keeps partitions ahead, forgets what is over."""

import asyncio
import datetime
import signal
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import SandgateError
from gateway.logs import configure
from gateway.metering.drain import Drain
from gateway.settings import Settings
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase

HOUSEKEEPING_SECONDS = 3600.0
RETRY_SECONDS = 5.0
MONTHS_AHEAD = 3

log = structlog.get_logger("worker")


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM; what is left in the journal is drained once more before the end."""
    configure("worker")
    asyncio.run(work(settings))


async def work(settings: Settings) -> None:
    """Everything this process does."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    postgres = EmbeddedPostgres(settings.data_dir)
    async with await PostgresDatabase.connect(postgres.socket_dir, connections=2) as database:
        drain = Drain(settings.data_dir / "journal", database, seconds=settings.journal_seconds)
        tasks = [
            asyncio.create_task(drain.run(), name="drain"),
            asyncio.create_task(again_and_again(lambda: housekeeping(database)), name="house"),
        ]
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done - {stopped}:
            task.result()  # a task of ours never ends by itself: show why, and be restarted
        await drain.once()


async def again_and_again(action: Callable[[], Awaitable[None]]) -> None:
    """Hourly while it works, soon again while the database is away."""
    while True:
        try:
            await action()
        except SandgateError as error:
            log.warning("housekeeping is put off", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)


def months_to_keep(today: datetime.date) -> list[datetime.date]:
    """First days of last month up to three months ahead: where usage may be written."""
    first = today.year * 12 + today.month - 1
    return [
        datetime.date(number // 12, number % 12 + 1, 1)
        for number in range(first - 1, first + MONTHS_AHEAD + 1)
    ]


async def housekeeping(database: Database) -> None:
    """Partitions for the months around now; counters that no window looks at any more go."""
    now = datetime.datetime.now(datetime.UTC)
    for month in months_to_keep(now.date()):
        await database.rpc(
            "ensure_usage_partition", {"p_month": month.isoformat()}, identity=SERVICE
        )
    await database.rpc("purge_rate_limits", {"p_now": now.timestamp()}, identity=SERVICE)
