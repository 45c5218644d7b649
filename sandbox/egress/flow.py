"""Moving bytes within bounds: how many, and for how long none."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sandbox.egress.refusals import Code, RefusedError
from sandbox.egress.streams import Stream

T = TypeVar("T")


class Flow:
    """The bytes of one connection. `sent` left the sandbox, `received` came back."""

    def __init__(self, most_bytes: int, idle_seconds: float) -> None:
        self.sent = 0
        self.received = 0
        self._most = most_bytes
        self._idle = idle_seconds
        self._moved_at = asyncio.get_running_loop().time()

    def send(self, data: bytes) -> bytes:
        """The bytes again, counted on their way out; RefusedError when they are too many."""
        self.sent += len(data)
        return self._counted(data)

    def receive(self, data: bytes) -> bytes:
        """The bytes again, counted on their way in."""
        self.received += len(data)
        return self._counted(data)

    def _counted(self, data: bytes) -> bytes:
        if self.sent + self.received > self._most:
            raise RefusedError(Code.LIMIT, f"more than {self._most} bytes over one connection")
        self._moved_at = asyncio.get_running_loop().time()
        return data

    async def watch(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; RefusedError when nothing moved for too long."""
        loop = asyncio.get_running_loop()
        self._moved_at = loop.time()
        task = asyncio.create_task(work)
        try:
            while not task.done():
                left = self._moved_at + self._idle - loop.time()
                if left <= 0:
                    raise RefusedError(Code.TIMEOUT, f"nothing moved for {self._idle:g} seconds")
                await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def tunnel(self, client: Stream, upstream: Stream) -> None:
        """Bytes both ways until both sides have said their last."""
        await self.watch(self._both(client, upstream))

    async def _both(self, client: Stream, upstream: Stream) -> None:
        await both(self._out(client, upstream), self._in(client, upstream))

    async def _out(self, client: Stream, upstream: Stream) -> None:
        while data := await client.read():
            await upstream.write(self.send(data))
        await upstream.end()

    async def _in(self, client: Stream, upstream: Stream) -> None:
        while data := await upstream.read():
            await client.write(self.receive(data))
        await client.end()


async def both(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Run both to their ends; the first error ends the other one as well."""
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
