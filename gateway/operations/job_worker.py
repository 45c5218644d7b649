"""Takes jobs from the queue, several at a time, and never lets one get stuck.

While a job runs its row is told so every few seconds. A worker that ends hands its jobs back;
one that dies is noticed by any other.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog

from gateway.errors import SandgateError
from gateway.operations.finish import finish
from gateway.operations.job_run import PutBackError
from gateway.store import jobs
from gateway.store.database import Database, Row
from gateway.store.jobs import HeldJob

Work = Callable[[HeldJob, Row], Coroutine[Any, Any, None]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are looked at, in seconds, and how much is done at once."""

    concurrency: int = 2
    tenant_running: int = 2  # jobs of one tenant, over all workers
    attempts: int = 3  # of workers that died
    poll: float = 0.5
    beat: float = 2.0
    dead: float = 20.0  # without a beat
    reclaim: float = 5.0


class JobWorker:
    """One process's share of the queue."""

    def __init__(self, database: Database, work: Work, pace: Pace) -> None:
        self._database = database
        self._work = work
        self._pace = pace
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"[:200]
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; then everything is handed back before it ends."""
        reclaiming = asyncio.create_task(self._reclaim(), name="reclaim")
        try:
            while True:
                if len(self._running) >= self._pace.concurrency or not await self._claim():
                    await self._pause()
        finally:
            reclaiming.cancel()
            for task in self._running:
                task.cancel()
            await finish(_all({reclaiming, *self._running}))

    async def _pause(self) -> None:
        """A moment, or until there is room again."""
        if self._running:
            await asyncio.wait(
                self._running, timeout=self._pace.poll, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(self._pace.poll)

    async def _claim(self) -> bool:
        try:
            row = await self._next()
        except SandgateError as error:
            _log.warning("no_job_claimed", error=str(error))
            return False
        if row is None:
            return False
        task = asyncio.create_task(Keeping(self._held(row), row, self._work, self._pace.beat).run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    async def _next(self) -> Row | None:
        """What is claimed while the end comes is handed back, not left to be found dead."""
        claiming = asyncio.create_task(
            jobs.claim(self._database, self._name, self._pace.tenant_running)
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await finish(self._give_back(claiming))
            raise

    async def _give_back(self, claiming: "asyncio.Task[Row | None]") -> None:
        await asyncio.wait({claiming})
        if claiming.exception() is None and (row := claiming.result()) is not None:
            await self._held(row).put_back(None, [])

    def _held(self, row: Row) -> HeldJob:
        return HeldJob(self._database, UUID(str(row["id"])), int(row["claims"]))

    async def _reclaim(self) -> None:
        while True:
            try:
                count = await jobs.reclaim(self._database, self._pace.dead, self._pace.attempts)
            except SandgateError as error:
                _log.warning("no_job_reclaimed", error=str(error))
            else:
                if count:
                    _log.warning("jobs_reclaimed", quantity=count)
            await asyncio.sleep(self._pace.reclaim)


class Keeping:
    """One job in this worker's hands: the work, and a heart that beats beside it."""

    def __init__(self, held: HeldJob, row: Row, work: Work, beat: float) -> None:
        self._held = held
        self._row = row
        self._work = work
        self._beat = beat
        self._order = "back"  # what is done when the work is cancelled
        self._log = _log.bind(job_id=str(held.id), tenant_id=row["tenant_id"])

    async def run(self) -> None:
        """To the end of the work, whatever kind of end it is."""
        self._log.info("job_claimed", attempt=self._row["attempts"])
        working = asyncio.create_task(self._work(self._held, self._row))
        beating = asyncio.create_task(self._beats(working))
        try:
            await asyncio.wait({working})
        finally:
            working.cancel()
            await finish(_all({working}))
            beating.cancel()
            await finish(self._end(working))

    async def _beats(self, working: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(self._beat)
            try:
                order = await self._held.beat()
            except SandgateError as error:
                self._log.warning("job_beat_missed", error=str(error))
                continue
            if order != "go":
                self._order = order
                working.cancel()
                return

    async def _end(self, working: "asyncio.Task[None]") -> None:
        """Nothing may be left as it was: whoever looks on must see what became of it."""
        try:
            if working.cancelled():
                await self._cancelled()
            elif (error := working.exception()) is not None:
                await self._failed(error)
        except SandgateError as error:
            self._log.warning("job_left_to_others", error=str(error))

    async def _cancelled(self) -> None:
        if self._order == "cancel":
            event = {"kind": "cancelled", "text": "It was cancelled.", "data": {}}
            await self._held.finish("cancelled", None, [event])
        elif self._order == "stop":
            await self._back("An administrator has stopped this for now.", None)
        elif self._order == "back":
            await self._back("Its worker ends; another one goes on.", None)
        self._log.info("job_interrupted", order=self._order)

    async def _failed(self, error: BaseException) -> None:
        if isinstance(error, PutBackError):
            await self._back(error.text, error.waiting_for)
            return
        self._log.error("job_broke", exc_info=error)
        failure = {"code": "internal_error", "reason": "Something broke on our side."}
        event = {"kind": "failed", "text": failure["reason"], "data": failure}
        await self._held.finish("failed", failure, [event])

    async def _back(self, text: str, waiting_for: str | None) -> None:
        kind = "waiting" if waiting_for else "queued"
        data = {"waiting_for": waiting_for} if waiting_for else {}
        await self._held.put_back(waiting_for, [{"kind": kind, "text": text, "data": data}])


async def _all(tasks: set["asyncio.Task[None]"]) -> None:
    """To the end of each, whatever it is."""
    await asyncio.wait(tasks)
