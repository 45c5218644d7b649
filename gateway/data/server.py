"""Accepts on the data listeners that the manager hands over, one per sandbox."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from gateway.data.bucket import Bucket
from gateway.data.connection import IN_FLIGHT, Connection, Party
from gateway.store.kv import KvStore
from sandbox.outlet_server import serving_outlet
from sandbox.paths import make_private

CONNECTIONS = 32  # of one sandbox; more wait in the backlog of its listener
LINES = 20  # that one sandbox may cause in its owner's log
FINISH_SECONDS = 3.0
_AFTER_FAULT = 0.5

_log = structlog.get_logger(__name__)


class DataServer:
    """An `OutletHandler`: whose data a connection is about depends on its listener alone."""

    def __init__(self, store: KvStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._sandboxes: dict[str, _Sandbox] = {}
        self._buckets: dict[str, Bucket] = {}

    def opened(
        self,
        sandbox_id: str,
        api_id: str,
        listener: socket.socket,
        detail: dict[str, Any],  # noqa: ARG002 - the protocol's; there is nothing to know
        say: Callable[[str], None],
    ) -> None:
        """Serve a sandbox. One that is known keeps its connections when a manager comes back."""
        known = self._sandboxes.get(sandbox_id)
        if known is not None and known.party.api_id != api_id:
            self.closed(sandbox_id)
            known = None
        if known is None:
            slots = asyncio.Semaphore(IN_FLIGHT)
            party = Party(api_id, self._store, self._bucket(api_id), slots, _limited(say))
            known = self._sandboxes[sandbox_id] = _Sandbox(party)
        known.accept_from(listener)

    def updated(self, api_id: str, detail: dict[str, Any]) -> None:
        """Nothing about its data can change."""

    def closed(self, sandbox_id: str) -> None:
        """End what a sandbox has open."""
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is not None:
            sandbox.cut()

    async def close(self) -> None:
        """Answer what is in flight, then end everything."""
        await asyncio.gather(*(sandbox.finish() for sandbox in self._sandboxes.values()))
        for sandbox_id in list(self._sandboxes):
            self.closed(sandbox_id)

    def _bucket(self, api_id: str) -> Bucket:
        """One for all sandboxes of an API; those that nobody draws from go."""
        for other in [name for name, bucket in self._buckets.items() if bucket.is_full]:
            if not any(one.party.api_id == other for one in self._sandboxes.values()):
                del self._buckets[other]
        return self._buckets.setdefault(api_id, Bucket(self._clock))


class _Sandbox:
    """One listener and the connections that came through it."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._accepting: asyncio.Task[None] | None = None
        self._serving: dict[asyncio.Task[None], Connection | None] = {}

    def accept_from(self, listener: socket.socket) -> None:
        self._stop_accepting()
        self._accepting = asyncio.create_task(self._accept(listener))
        self._accepting.add_done_callback(lambda _: listener.close())

    def cut(self) -> None:
        self._stop_accepting()
        for task in self._serving:
            task.cancel()

    async def finish(self) -> None:
        """Take nothing more, and wait a little for what is in flight."""
        self._stop_accepting()
        for connection in self._serving.values():
            if connection is not None:
                connection.leave()
        if self._serving:
            _, unfinished = await asyncio.wait(self._serving, timeout=FINISH_SECONDS)
            if unfinished:
                _log.info("data_requests_were_cut_off", api_id=self.party.api_id)

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            await self._room.acquire()
            try:
                sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                self._room.release()
                _log.warning("accepting_failed", api_id=self.party.api_id, error=str(error))
                await asyncio.sleep(_AFTER_FAULT)
                continue
            except asyncio.CancelledError:
                self._room.release()
                raise
            task = asyncio.create_task(self._serve(sock))
            self._serving[task] = None
            task.add_done_callback(partial(self._ended, sock))

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        connection = Connection(self.party, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = connection
        await connection.serve()

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        if self._serving.pop(task, None) is None:
            sock.close()  # ended before anything else owned it
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a_data_connection_failed", exc_info=error)


def _limited(say: Callable[[str], None]) -> Callable[[str], None]:
    """The owner reads the first lines; a flood of them is only ours to bear."""
    left = LINES

    def limited(text: str) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            say(text)

    return limited


@asynccontextmanager
async def serving_data(
    path: Path, store: KvStore, allowed_uids: Collection[int] = ()
) -> AsyncIterator[DataServer]:
    """Serve at `path` what managers run by us, by root or by these users hand over."""
    if not path.parent.exists():
        make_private(path.parent)
    server = DataServer(store)
    async with serving_outlet(path, server, {0, os.geteuid(), *allowed_uids}):
        try:
            yield server
        finally:
            await server.close()
