"""The manager's end of the control channel: listen, accept one runner, exchange frames."""

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from pathlib import Path

from sandbox.runner.frames import HEADER, Decoder, FrameError, Message, encode
from sandbox.waiting import writable

_LISTENER_BACKLOG = 4096  # the cold-start queue: calls wait here until the app accepts
_FRAME_FROM_SANDBOX = 1024 * 1024
_READ = 64 * 1024


class ChannelClosedError(Exception):
    """The runner is gone, or spoke nonsense."""


class Channel:
    """One connection to a runner. `peer_pid` is its process as this host counts."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._decoder = Decoder(_FRAME_FROM_SANDBOX)
        self._messages: deque[Message] = deque()
        self.peer_pid, self.peer_uid = peer_of(sock)

    async def receive(self) -> Message:
        """The next message."""
        loop = asyncio.get_running_loop()
        while not self._messages:
            try:
                data = await loop.sock_recv(self._sock, _READ)
                if not data:
                    raise ChannelClosedError("the runner closed the control channel")
                self._messages.extend(self._decoder.feed(data))
            except (OSError, FrameError) as error:
                raise ChannelClosedError(str(error)) from error
        return self._messages.popleft()

    async def send(self, message: Message, descriptor: int | None = None) -> None:
        """Send a message; a descriptor travels with its first bytes."""
        data = encode(message)
        try:
            if descriptor is not None:
                await self._send_descriptor(data[: HEADER.size], descriptor)
                data = data[HEADER.size :]
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    async def _send_descriptor(self, data: bytes, descriptor: int) -> None:
        """Four bytes fit whenever the socket is writable, so they go in one piece or not at all."""
        while True:
            try:
                socket.send_fds(self._sock, [data], [descriptor])
                return
            except BlockingIOError:
                await writable(self._sock)

    def close(self) -> None:
        """Only when nobody waits in `receive` or `send`."""
        self._sock.close()


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Process id and user id of the other end, as the kernel says."""
    size = struct.calcsize("3i")
    pid, uid, _gid = struct.unpack(
        "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return pid, uid


class ControlDoor:
    """The socket a runner dials. Open only until the right one has come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.unlink(missing_ok=True)
        self._sock = bind(path, backlog=8)
        # the runner is another user; only the private parent directory keeps others out
        path.chmod(0o666)
        path.parent.chmod(0o755)

    async def accept(self) -> Channel:
        """The next connection."""
        sock, _ = await asyncio.get_running_loop().sock_accept(self._sock)
        return Channel(sock)

    def close(self) -> None:
        """Nobody can dial any more."""
        self._sock.close()
        self._path.unlink(missing_ok=True)


def bind(
    path: Path, *, backlog: int = _LISTENER_BACKLOG, owner: int | None = None
) -> socket.socket:
    """A listening Unix socket at `path`; nothing is left there when that fails.

    `owner` may connect beside ourselves, nobody else.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        if owner is not None:
            path.chmod(0o600)
            os.chown(path, owner, -1, follow_symlinks=False)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return sock
