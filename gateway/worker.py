"""The worker process: drains the journal, makes APIs, keeps house, forgets what is over."""

import asyncio
import datetime
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from gateway.data.server import serving_data
from gateway.errors import SandgateError
from gateway.metering.drain import Drain
from gateway.metering.retention import keep_sums
from gateway.operations.blob_collection import collect
from gateway.reporting import reporting
from gateway.settings import Settings
from gateway.store import impersonations
from gateway.store.auth_users import AuthUsers
from gateway.store.blobs import BlobStore
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.jobs import purge as purge_jobs
from gateway.store.kv import KvStore
from gateway.store.open_blobs import open_blobs
from gateway.store.project import opened, project_of
from gateway.store.staged_kv import StagedKvStore
from sandbox.paths import RunPaths

HOUSEKEEPING_SECONDS = 3600.0
RETRY_SECONDS = 5.0
MONTHS_AHEAD = 3
# the code in a sandbox waits ten seconds for its data, so a hung database is told of before
DATA_SECONDS = 3.0
DATA_CONNECTIONS = 4

log = structlog.get_logger("worker")


def run_worker(settings: Settings, run_dir: Path | None = None) -> None:
    """Work until SIGTERM; what is left in the journal is drained once more before the end.

    With `run_dir` it also serves the data of APIs to their sandboxes.
    """
    with reporting("worker", settings):
        asyncio.run(work(settings, run_dir))


async def work(settings: Settings, run_dir: Path | None = None) -> None:
    """Everything this process does."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(settings, connections=2))
        if run_dir is not None:
            await _serve_data(stack, settings, run_dir)
        blobs = await stack.enter_async_context(open_blobs(settings))
        drain = Drain(settings.data_dir / "journal", database, seconds=settings.journal_seconds)
        tasks = [
            asyncio.create_task(drain.run(), name="drain"),
            asyncio.create_task(again_and_again(lambda: housekeeping(database)), name="house"),
            asyncio.create_task(
                again_and_again(lambda: keep_sums(database, settings.usage_months)),
                name="retention",
            ),
            asyncio.create_task(
                again_and_again(lambda: purge_files(database, blobs)), name="files"
            ),
        ]
        purging_jobs = again_and_again(lambda: purge_jobs(database, settings.job_days))
        tasks.append(asyncio.create_task(purging_jobs, name="old jobs"))
        if run_dir is not None and settings.generation_jobs:
            # after the data of APIs is served: calls wait for that, and nobody for this
            from gateway.wiring_generate import making

            parts = await making(stack, settings, run_dir)
            tasks.append(asyncio.create_task(parts.jobs.run(), name="jobs"))
            if parts.desk is not None:
                answering = parts.desk.run(RunPaths(run_dir).models_socket)
                tasks.append(asyncio.create_task(answering, name="models"))
        if project_of(settings) is None:  # a project cleans up its sessions itself
            users = await AuthUsers.connect(EmbeddedPostgres(settings.data_dir).socket_dir, size=1)
            stack.push_async_callback(users.close)
            purging = again_and_again(lambda: purge_sessions(users))
            tasks.append(asyncio.create_task(purging, name="sessions"))
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done - {stopped}:
            task.result()  # a task of ours never ends by itself: show why, and be restarted
        await drain.once()


async def _serve_data(stack: AsyncExitStack, settings: Settings, run_dir: Path) -> None:
    """Over connections of its own, so that a flood of requests never holds up the drain."""
    database = await stack.enter_async_context(
        opened(settings, connections=DATA_CONNECTIONS, seconds=DATA_SECONDS)
    )
    await stack.enter_async_context(
        serving_data(RunPaths(run_dir).data_socket, StagedKvStore(database))
    )


async def again_and_again(action: Callable[[], Awaitable[object]]) -> None:
    """Hourly while it works, soon again while the database is away."""
    while True:
        try:
            await action()
        except SandgateError as error:
            log.warning("housekeeping_is_put_off", error=str(error))
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
    """Partitions for the months around now; what is over goes: counters, expired keys."""
    now = datetime.datetime.now(datetime.UTC)
    for month in months_to_keep(now.date()):
        await database.rpc(
            "ensure_usage_partition", {"p_month": month.isoformat()}, identity=SERVICE
        )
    await database.rpc("purge_rate_limits", {"p_now": now.timestamp()}, identity=SERVICE)
    await impersonations.sweep(database)
    while await KvStore(database).purge():
        pass  # some APIs at a time, so that no statement is a long one


async def purge_files(database: Database, blobs: BlobStore) -> None:
    """Bytes of uploads that nobody has any more."""
    if gone := await collect(database, blobs):
        log.info("files_removed", quantity=gone)


async def purge_sessions(users: AuthUsers) -> None:
    """Sessions past their end go, and refresh tokens that were rotated long ago."""
    await users.purge(datetime.datetime.now(datetime.UTC))
