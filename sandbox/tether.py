"""What ties us to one sandbox: the channel of its runner, the engine's handle, news of its end."""

import asyncio
from collections.abc import Callable
from typing import Any

from sandbox.channel import Channel, ChannelClosedError, ControlDoor
from sandbox.faults import EndedError
from sandbox.greeting import greet
from sandbox.hearing import Hearing
from sandbox.runner.frames import Message
from sandbox.runtimes.base import Handle, RuntimeUnavailableError
from sandbox.types import AppDocument, EndReason

_DRAIN_SECONDS = 1.0
_DOCUMENT_SECONDS = 8.0  # the runner gives the app five


class Tether:
    """`on_end` is called once when the sandbox ends by itself, whatever it was doing."""

    def __init__(self, hearing: Hearing, on_end: Callable[[], None]) -> None:
        self.handle: Handle | None = None
        self.gone = asyncio.Event()
        self._hearing = hearing
        self._asking = asyncio.Lock()
        self._on_end = on_end
        self._channel: Channel | None = None
        self._reader: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def runner_pid(self) -> int:
        """The runner's process as this host counts; EndedError when it never dialled."""
        if self._channel is None:
            raise EndedError("it never had a runner")
        return self._channel.peer_pid

    def must_live(self) -> None:
        """EndedError when it has ended."""
        if self.gone.is_set():
            raise EndedError(self._hearing.reason or "the sandbox was stopped")

    # --- listening

    async def first_hello(self, door: ControlDoor, handle: Handle) -> None:
        """Wait for the runner of a fresh sandbox."""
        self.handle = handle
        dialled = asyncio.create_task(greet(door, "blank", {}))
        ended = asyncio.create_task(handle.wait())
        try:
            await asyncio.wait({dialled, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not dialled.done():
                raise EndedError("the sandbox ended before its runner reported")
            self.begin(dialled.result(), handle)
        finally:
            await cancelled(dialled, ended)
            if self._channel is None and not dialled.cancelled() and not dialled.exception():
                dialled.result().close()

    def begin(self, channel: Channel, handle: Handle) -> None:
        """Listen to its runner and watch for its end."""
        self._channel = channel
        self.handle = handle
        self._reader = asyncio.create_task(self._read(channel))
        self._watcher = asyncio.create_task(self._watch(handle, self._reader))

    async def _read(self, channel: Channel) -> None:
        try:
            while True:
                self._hearing.hear(await channel.receive())
        except ChannelClosedError as error:
            self.ended(str(error))

    async def _watch(self, handle: Handle, reader: asyncio.Task[None]) -> None:
        try:
            await handle.wait()
        except RuntimeUnavailableError:
            return  # the engine is away, not the sandbox; its channel tells
        await asyncio.wait({reader}, timeout=_DRAIN_SECONDS)
        self.ended("the sandbox ended")

    def ended(self, reason: str) -> None:
        """Somebody saw that it is not there any more."""
        if self.gone.is_set():
            return
        self.gone.set()
        self._hearing.over(reason)
        self._on_end()

    # --- asking

    async def send(self, message: Message, descriptor: int | None = None) -> None:
        """To its runner; ChannelClosedError."""
        if self._channel is None:
            raise ChannelClosedError("it has no runner")
        await self._channel.send(message, descriptor)

    async def document(self) -> AppDocument:
        """What its app says of its interface; one question at a time."""
        async with self._asking:
            answer: asyncio.Future[AppDocument]
            answer = self._hearing.document = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(_DOCUMENT_SECONDS):
                    await self.send({"type": "describe"})
                    return await answer
            except TimeoutError:
                return AppDocument("", "the app did not say what it offers in time")
            except ChannelClosedError:
                return AppDocument("", "the sandbox ended before its app was asked")
            finally:
                self._hearing.document = None

    async def kernels_word(self) -> EndReason | None:
        """What the kernel ended it for, when it did and says so in time."""
        if self.handle is None:
            return None
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                return await self.handle.end_reason()
        except (TimeoutError, RuntimeUnavailableError):
            return None

    async def memory_bytes(self) -> int | None:
        """What it uses now; None when that cannot be known."""
        if self.handle is None:
            return None
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                return await self.handle.memory_bytes()
        except (TimeoutError, RuntimeUnavailableError):
            return None

    # --- the end

    async def stop(self, seconds: float) -> None:
        """Ask it to shut down and wait for so long; ChannelClosedError, TimeoutError."""
        if self._channel is not None and not self.gone.is_set():
            async with asyncio.timeout(seconds + _DRAIN_SECONDS):
                await self._channel.send({"type": "stop", "seconds": seconds})
                await self.gone.wait()

    async def let_go(self) -> None:
        """Stop listening. Never called by one of the listening tasks."""
        self.gone.set()
        await cancelled(self._reader, self._watcher)
        if self._channel is not None:
            self._channel.close()
            self._channel = None


async def cancelled(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel and wait. Never called by one of these tasks itself."""
    living = [task for task in tasks if task is not None]
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)
