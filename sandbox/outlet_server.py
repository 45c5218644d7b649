"""The peer's end of an outlet: takes the listeners of sandboxes from the manager and serves them.

When the manager goes away everything goes on; the next one says what is still alive.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from sandbox import outlet_wire
from sandbox.channel import peer_of
from sandbox.runner.frames import Decoder, FrameError, Message, encode

_log = structlog.get_logger(__name__)

_UNSENT = 64 * 1024  # bytes of lines waiting for the manager; more are dropped
_LONGEST_LINE = 1000
_DESCRIPTORS = 16


class OutletHandler(Protocol):
    """What a process does with the sandboxes it serves. Called in order; none of it may wait."""

    def opened(
        self,
        sandbox_id: str,
        api_id: str,
        listener: socket.socket,
        detail: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        """Serve this listener, which is now the handler's to close.

        A sandbox that is known already is replaced. `say` writes into its owner's log.
        """

    def updated(self, api_id: str, detail: dict[str, Any]) -> None:
        """All sandboxes of this API have a new detail."""

    def closed(self, sandbox_id: str) -> None:
        """The sandbox is gone: end what it has open."""


@asynccontextmanager
async def serving_outlet(
    path: Path, handler: OutletHandler, allowed_uids: Collection[int], *, mode: int = 0o600
) -> AsyncIterator[None]:
    """Serve what managers of these users send, at `path`, until the block is left."""
    server = _Server(handler, allowed_uids)
    listener = _bind(path, mode)
    accepting = asyncio.create_task(server.accept(listener))
    try:
        yield
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        await server.close()
        listener.close()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bind(path: Path, mode: int) -> socket.socket:
    """Bound under another name first, so that it is never there with other rights than `mode`."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(new))
        new.chmod(mode)
        sock.listen(8)
        sock.setblocking(False)
        new.replace(path)
    except BaseException:
        sock.close()
        raise
    return sock


class _Server:
    """The one connection that counts, the newest, and the sandboxes it told of."""

    def __init__(self, handler: OutletHandler, allowed_uids: Collection[int]) -> None:
        self._handler = handler
        self._allowed = frozenset(allowed_uids)
        self._known: set[str] = set()
        self._voice: _Voice | None = None
        self._session: asyncio.Task[None] | None = None

    async def accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            sock.setblocking(False)
            _, uid = peer_of(sock)
            if uid not in self._allowed:
                _log.warning("connection_refused", reason="another user", uid=uid)
                sock.close()
                continue
            await self._end_session()
            self._session = asyncio.create_task(self._serve(sock))
            # not by the task itself: one that is cancelled at once never gets to run
            self._session.add_done_callback(partial(_close_socket, sock))

    async def close(self) -> None:
        await self._end_session()
        for sandbox_id in list(self._known):
            self._close(sandbox_id)

    async def _end_session(self) -> None:
        if self._session is not None:
            self._session.cancel()
            await asyncio.gather(self._session, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> None:
        """One manager until it goes, or until it speaks nonsense."""
        descriptors: list[int] = []
        decoder = Decoder()
        voice = self._voice = _Voice(sock)
        try:
            while True:
                data, more = await outlet_wire.receive(sock)
                descriptors += more
                if not data:
                    return
                for message in decoder.feed(data):
                    self._hear(message, descriptors)
                _only_few(descriptors)
        except FrameError as error:
            _log.warning("outlet_dropped", reason=str(error))
        except OSError as error:
            _log.info("outlet_lost", reason=str(error))
        finally:
            if self._voice is voice:
                self._voice = None
            await voice.close()
            outlet_wire.close_all(descriptors)

    def _hear(self, message: Message, descriptors: list[int]) -> None:
        match message:
            case {"type": "hello", "sandboxes": list(living)}:
                for sandbox_id in self._known - {str(one) for one in living}:
                    self._close(sandbox_id)
            case {
                "type": "opened",
                "sandbox_id": str(sandbox_id),
                "api_id": str(api_id),
                "detail": dict(detail),
            }:
                listener = _listener(descriptors)
                self._known.add(sandbox_id)
                self._handler.opened(
                    sandbox_id, api_id, listener, detail, lambda text: self._say(sandbox_id, text)
                )
            case {"type": "updated", "api_id": str(api_id), "detail": dict(detail)}:
                self._handler.updated(api_id, detail)
            case {"type": "closed", "sandbox_id": str(sandbox_id)}:
                self._close(sandbox_id)
            case _:
                raise FrameError("a frame of unknown kind")

    def _close(self, sandbox_id: str) -> None:
        if sandbox_id in self._known:
            self._known.discard(sandbox_id)
            self._handler.closed(sandbox_id)

    def _say(self, sandbox_id: str, text: str) -> None:
        if self._voice is not None:
            self._voice.say(sandbox_id, text)


def _close_socket(sock: socket.socket, _: object) -> None:
    sock.close()


def _listener(descriptors: list[int]) -> socket.socket:
    """The oldest descriptor, which must be a listening Unix socket."""
    if not descriptors:
        raise FrameError("a sandbox without its listener")
    try:
        sock = socket.socket(fileno=descriptors[0])
    except OSError as error:
        raise FrameError("a descriptor that is no socket") from error
    del descriptors[0]  # now the socket's to close
    if sock.family != socket.AF_UNIX or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        sock.close()
        raise FrameError("a descriptor that is no listener")
    sock.setblocking(False)
    return sock


def _only_few(descriptors: list[int]) -> None:
    if len(descriptors) > _DESCRIPTORS:
        raise FrameError("descriptors that belong to nothing")


class _Voice:
    """Lines on their way to the manager: sent as it takes them, dropped when it does not."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._out = bytearray()
        self._sending: asyncio.Task[None] | None = None

    def say(self, sandbox_id: str, text: str) -> None:
        if len(self._out) > _UNSENT:
            return
        line = {"type": "said", "sandbox_id": sandbox_id, "text": text[:_LONGEST_LINE]}
        self._out += encode(line)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        with contextlib.suppress(OSError):  # the reader notices as well, and says so
            while self._out:
                try:
                    del self._out[: self._sock.send(self._out)]
                except BlockingIOError:
                    await outlet_wire.writable(self._sock)

    async def close(self) -> None:
        self._out.clear()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
