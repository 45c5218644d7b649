"""The manager's end of an outlet: hands the listeners of sandboxes to the process serving them.

It keeps what the peer should know, not what it was told: a peer that is away, slow or new gets
the newest state of each sandbox and nothing else, so nothing here grows while it is away.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from sandbox import outlet_wire
from sandbox.runner.frames import Decoder, FrameError, Message

_log = structlog.get_logger(__name__)

_SEND_SECONDS = 10.0  # a peer that takes nothing for so long is given up and dialled again
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_LASTED_SECONDS = 2.0  # a connection that lasted so long was a good one
_FRAME_FROM_PEER = 16 * 1024
_LONGEST_LINE = 1000
_READ = 64 * 1024


@dataclass(slots=True)
class _Open:
    api_id: str
    listener: socket.socket
    detail: dict[str, Any]


class Outlet:
    """All sandboxes' listeners for one peer process. Its methods never wait.

    `on_said` gets a sandbox id and a line for the owner's log.
    """

    def __init__(self, path: Path, on_said: Callable[[str, str], None]) -> None:
        self._path = path
        self._on_said = on_said
        self._open: dict[str, _Open] = {}
        # what the peer of this connection must hear: ("sandbox", id) or ("api", id), in order
        self._pending: dict[tuple[str, str], None] = {}
        self._told: set[str] = set()
        self._is_connected = False
        self._wake = asyncio.Event()

    def open(
        self, sandbox_id: str, api_id: str, listener: socket.socket, detail: dict[str, Any]
    ) -> None:
        """Let the peer serve this listener; a copy is kept until `close`."""
        self._forget(sandbox_id)
        self._open[sandbox_id] = _Open(api_id, listener.dup(), detail)
        self._tell("sandbox", sandbox_id)

    def update(self, api_id: str, detail: dict[str, Any]) -> None:
        """A new detail for all open sandboxes of one API."""
        mine = [one for one in self._open.values() if one.api_id == api_id]
        for one in mine:
            one.detail = detail
        if mine:
            self._tell("api", api_id)

    def close(self, sandbox_id: str) -> None:
        """The sandbox is gone; harmless when it was never there."""
        self._forget(sandbox_id)
        if sandbox_id in self._told:
            self._tell("sandbox", sandbox_id)
        else:
            self._pending.pop(("sandbox", sandbox_id), None)

    def _forget(self, sandbox_id: str) -> None:
        one = self._open.pop(sandbox_id, None)
        if one is not None:
            one.listener.close()

    def _tell(self, kind: str, name: str) -> None:
        if self._is_connected:
            self._pending[kind, name] = None
            self._wake.set()

    async def run(self) -> None:
        """Connect, tell everything, connect again when the peer is gone; until cancelled."""
        delay = _FIRST_DELAY
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                await self._session()
                if loop.time() - began > _LASTED_SECONDS:
                    delay = _FIRST_DELAY
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
        finally:
            for sandbox_id in list(self._open):
                self._forget(sandbox_id)

    async def _session(self) -> None:
        """One connection to its end."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(_SEND_SECONDS):
                await asyncio.get_running_loop().sock_connect(sock, str(self._path))
            await _first(self._speak(sock), self._listen(sock))
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # not started yet, or about to come back
        except (OSError, FrameError, TimeoutError) as error:
            reason = str(error) or "the peer takes nothing"
            _log.warning("outlet_lost", peer=self._path.name, reason=reason)
        finally:
            self._is_connected = False
            self._pending.clear()
            self._told.clear()
            sock.close()

    async def _speak(self, sock: socket.socket) -> None:
        self._is_connected = True
        self._pending = {("sandbox", sandbox_id): None for sandbox_id in self._open}
        await self._send(sock, {"type": "hello", "sandboxes": list(self._open)})
        while True:
            while self._pending:
                kind, name = next(iter(self._pending))
                del self._pending[kind, name]
                await (self._say_sandbox if kind == "sandbox" else self._say_api)(sock, name)
            self._wake.clear()
            await self._wake.wait()

    async def _say_sandbox(self, sock: socket.socket, sandbox_id: str) -> None:
        one = self._open.get(sandbox_id)
        if one is None:
            self._told.discard(sandbox_id)
            await self._send(sock, {"type": "closed", "sandbox_id": sandbox_id})
            return
        self._told.add(sandbox_id)
        message = {"type": "opened", "sandbox_id": sandbox_id, "api_id": one.api_id}
        with one.listener.dup() as copy:  # `close` may come while this waits
            await self._send(sock, message | {"detail": one.detail}, copy)

    async def _say_api(self, sock: socket.socket, api_id: str) -> None:
        found = next((one for one in self._open.values() if one.api_id == api_id), None)
        if found is not None:
            await self._send(sock, {"type": "updated", "api_id": api_id, "detail": found.detail})

    async def _send(
        self, sock: socket.socket, message: Message, passed: socket.socket | None = None
    ) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            try:
                await outlet_wire.send(sock, message, passed)
            except FrameError as error:  # too long, before a byte went out
                _log.error("a_detail_does_not_fit_nothing_is_allowed", reason=str(error))
                await outlet_wire.send(sock, message | {"detail": {}}, passed)

    async def _listen(self, sock: socket.socket) -> None:
        decoder = Decoder(_FRAME_FROM_PEER)
        while data := await asyncio.get_running_loop().sock_recv(sock, _READ):
            for message in decoder.feed(data):
                self._hear(message)

    def _hear(self, message: Message) -> None:
        sandbox_id, text = message.get("sandbox_id"), message.get("text")
        if message.get("type") != "said" or not isinstance(text, str):
            raise FrameError("the peer sent something else than a line")
        if isinstance(sandbox_id, str) and sandbox_id in self._open:
            self._on_said(sandbox_id, clean(text))


def clean(text: str) -> str:
    """One printable line of bounded length."""
    printable = (c if c.isprintable() else " " for c in text[:_LONGEST_LINE])
    return "".join(printable).strip()


async def _first(*both: Any) -> None:
    """Run both until one ends, and end as that one did."""
    tasks = [asyncio.ensure_future(one) for one in both]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
