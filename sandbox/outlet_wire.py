"""How both ends of an outlet write and read: frames, with a listener's descriptor beside some."""

import array
import asyncio
import contextlib
import os
import socket

from sandbox.runner.frames import HEADER, FrameError, Message, encode

_READ = 64 * 1024
_SPACE = socket.CMSG_LEN(4 * array.array("i").itemsize)  # for four descriptors a read


async def send(sock: socket.socket, message: Message, passed: socket.socket | None = None) -> None:
    """Send a frame; a socket's descriptor travels with its first bytes."""
    data = encode(message)
    if passed is not None:
        await _send_descriptor(sock, data[: HEADER.size], passed.fileno())
        data = data[HEADER.size :]
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def _send_descriptor(sock: socket.socket, data: bytes, descriptor: int) -> None:
    """Four bytes fit whenever the socket is writable, so they go in one piece or not at all."""
    while True:
        try:
            socket.send_fds(sock, [data], [descriptor])
            return
        except BlockingIOError:
            await writable(sock)


async def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Bytes that are there, and descriptors that came along; no bytes at the end."""
    while True:
        try:
            data, ancillary, flags, _ = sock.recvmsg(_READ, _SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await _ready(sock, reading=True)
            continue
        descriptors = _descriptors(ancillary)
        if flags & socket.MSG_CTRUNC:
            # one is lost, so which of the others belongs to what is not known any more
            close_all(descriptors)
            raise FrameError("descriptors did not arrive")
        return data, descriptors


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """`socket.recv_fds` would do, if it passed its flags on."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that nobody took."""
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())


async def writable(sock: socket.socket) -> None:
    """Return when the socket takes bytes."""
    await _ready(sock, reading=False)


async def _ready(sock: socket.socket, *, reading: bool) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add, remove = (
        (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
    )
    add(sock, wake)
    try:
        await future
    finally:
        remove(sock)
