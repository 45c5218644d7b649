"""One connection out of a sandbox: requests in, answers out, as they are done."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.data import wire
from gateway.data.bucket import LONGEST_WAIT, Bucket, price
from gateway.data.perform import perform
from gateway.store.kv import KvStore

IN_FLIGHT = 16  # requests of one sandbox, over all its connections
IDLE_SECONDS = 300.0
FRAME_SECONDS = 10.0  # a request that has begun to arrive, an answer that is being taken

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Party:
    """On whose behalf: fixed by the listener that the connection came through."""

    api_id: str
    store: KvStore
    bucket: Bucket
    slots: asyncio.Semaphore
    say: Callable[[str], None]


class Connection:
    """Serves until the other end leaves, talks nonsense or says nothing for too long."""

    def __init__(self, party: Party, reader: StreamReader, writer: StreamWriter) -> None:
        self._party = party
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until it ends; being cancelled ends it with everything in flight."""
        self._reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait({self._reading})
            await self._say_bye()
        finally:
            self._reading.cancel()
            for task in self._tasks:
                task.cancel()
            self._writer.transport.abort()

    def leave(self) -> None:
        """Read no further; what is in flight is answered, then it ends."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        """Until nothing more is to be read. A silent client is told so, as when we leave."""
        try:
            while True:
                await self._next()
        except wire.BadFrameError as error:
            self._party.say(f"data: connection closed: {error}")
            self._writer.transport.abort()
        except (asyncio.IncompleteReadError, OSError):
            self._writer.transport.abort()  # it left
        except TimeoutError:
            pass

    async def _say_bye(self) -> None:
        """What was not answered before the farewell has not been begun: it can be asked again."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._writer.is_closing():
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(FRAME_SECONDS):
                    self._writer.write(wire.BYE)
                    await self._writer.drain()
                    self._writer.close()
                    await self._writer.wait_closed()

    async def _next(self) -> None:
        async with asyncio.timeout(IDLE_SECONDS):
            header = await self._reader.readexactly(wire.HEADER.size)
        length = wire.body_length(header)
        # the slot comes before the bytes: what a sandbox can make us hold is bounded
        await self._party.slots.acquire()
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                body = await self._reader.readexactly(length)
            number, message = wire.decode(body)
            task = asyncio.create_task(self._answer(number, message, length))
        except BaseException:
            self._party.slots.release()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._party.slots.release()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, OSError | TimeoutError):
                _log.error("a_data_request_failed", exc_info=error)
            self._writer.transport.abort()

    async def _answer(self, number: int, message: wire.Json, size: int) -> None:
        answer: dict[str, Any] = {"id": number}
        try:
            answer["ok"] = await self._perform(message, size)
        except wire.RefusedError as error:
            answer["error"] = {"code": error.code, "message": error.message}
        frame = wire.encode(answer)
        self._party.bucket.charge(price(len(frame)) - 1)
        # one write per frame, so frames of parallel answers never mix
        self._writer.write(frame)
        async with asyncio.timeout(FRAME_SECONDS):
            await self._writer.drain()

    async def _perform(self, message: wire.Json, size: int) -> Any:
        wait = self._party.bucket.take(price(size))
        # whoever is refused waits as well, so that asking again at once is of no use
        await asyncio.sleep(LONGEST_WAIT if wait is None else wait)
        if wait is None:
            raise wire.RefusedError("busy", "this API asks too much of its store; slow down")
        request = wire.parse(message)
        return await perform(self._party.store, self._party.api_id, request)
