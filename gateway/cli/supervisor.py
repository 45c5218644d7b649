"""Keeps children alive: starts them in order, restarts what crashes, stops them in reverse."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Protocol

import structlog

from gateway.cli.backoff import Record
from gateway.cli.children import Program, start, stop

log = structlog.get_logger("supervisor")


class Kept(Protocol):
    """Something that runs until it ends by itself or is stopped."""

    name: str

    async def start(self) -> None:
        """Start it; returns when it was started."""
        ...

    async def ended(self) -> str:
        """Wait for its end; answers why, for the log."""
        ...

    async def stop(self) -> None:
        """End it and return when it is gone."""
        ...


class ChildProcess:
    """A program as something to keep."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self._program = program
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the program."""
        self._process = await start(self._program)

    async def ended(self) -> str:
        """Wait for the exit; negative status is the signal that ended it."""
        assert self._process is not None
        return f"exit status {await self._process.wait()}"

    async def stop(self) -> None:
        """Terminate, then kill."""
        if self._process is not None:
            await stop(self._process, self._program.stop_seconds)


class Supervisor:
    """Owns a list of kept things. Use as an async context manager."""

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._kept: list[list[tuple[Kept, asyncio.Task[None]]]] = []  # what ends together

    async def __aenter__(self) -> "Supervisor":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def keep(self, *things: Kept, together: bool = False) -> None:
        """Start each one now and restart it whenever it ends.

        Each is stopped before those that were started earlier; things kept `together` all at
        once.
        """
        group: list[tuple[Kept, asyncio.Task[None]]] = []
        for thing in things:
            if not together or not group:
                group = []
                self._kept.append(group)
            await thing.start()
            group.append((thing, asyncio.create_task(self._watch(thing), name=thing.name)))

    async def _watch(self, thing: Kept) -> None:
        record, since = Record(), monotonic()
        while True:
            reason = await thing.ended()
            record = record.after_crash(monotonic() - since)
            log.warning("child_ended", child=thing.name, reason=reason, wait=record.wait_seconds)
            since = await self._restart(thing, record)

    async def _restart(self, thing: Kept, record: Record) -> float:
        while True:
            await self._sleep(record.wait_seconds)
            try:
                await thing.start()
            except Exception as error:
                record = record.after_crash(0)
                log.exception("child_does_not_start", child=thing.name, error=str(error))
            else:
                return monotonic()

    async def stop(self) -> None:
        """End everything, last started first; safe to call twice."""
        kept, self._kept = self._kept, []
        for group in reversed(kept):
            await asyncio.gather(*(self._end(thing, watcher) for thing, watcher in group))

    async def _end(self, thing: Kept, watcher: asyncio.Task[None]) -> None:
        watcher.cancel()
        try:
            await watcher
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("child_was_not_watched_any_more", child=thing.name)
        await thing.stop()

    @property
    def names(self) -> Sequence[str]:
        """What is kept, in the order it was started."""
        return [thing.name for group in self._kept for thing, _ in group]
