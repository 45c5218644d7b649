"""Waiting for a socket in the event loop, where the loop's own calls do not do."""

import asyncio
import socket
from collections.abc import Callable


async def readable(sock: socket.socket) -> None:
    """Until something can be read, or its other end is gone."""
    loop = asyncio.get_running_loop()
    await _woken(sock, loop.add_reader, loop.remove_reader)


async def writable(sock: socket.socket) -> None:
    """Until something can be written."""
    loop = asyncio.get_running_loop()
    await _woken(sock, loop.add_writer, loop.remove_writer)


async def _woken(
    sock: socket.socket,
    add: Callable[[socket.socket, Callable[[], None]], None],
    remove: Callable[[socket.socket], bool],
) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add(sock, wake)
    try:
        await future
    finally:
        remove(sock)
