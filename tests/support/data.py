"""A data server with the listener of one sandbox, as the manager would hand it over."""

import asyncio
import json
import shutil
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from gateway.data.server import DataServer
from gateway.store.kv import KvStore

HEADER = struct.Struct(">I")


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for sockets; removed at the end."""
    path = tempfile.mkdtemp(prefix="sgd-", dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


def bound(path: Path) -> socket.socket:
    """A listener as the manager makes it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener


@asynccontextmanager
async def serving(store: KvStore, api_id: str, path: Path) -> AsyncIterator[DataServer]:
    """A server with one sandbox whose `data.sock` is at `path`."""
    server = DataServer(store)
    server.opened("sandbox", api_id, bound(path), {}, lambda _: None)
    try:
        yield server
    finally:
        await server.close()


class Raw:
    """A connection that sends whatever a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, body: bytes, length: int | None = None) -> None:
        """One frame, perhaps with a lie in its header."""
        self.writer.write(HEADER.pack(len(body) if length is None else length) + body)

    async def answer(self) -> dict[str, Any]:
        """The next one."""
        async with asyncio.timeout(20):
            (length,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            value: dict[str, Any] = json.loads(await self._reader.readexactly(length))
            return value

    async def ask(self, **fields: Any) -> Any:
        """What a request is answered: its value, or the code of its error."""
        self.send(json.dumps({"id": 7, **fields}).encode())
        answer = await self.answer()
        assert answer["id"] == 7
        return answer["ok"] if "ok" in answer else answer["error"]["code"]

    async def is_closed(self) -> bool:
        """Whether the server ends it without a word."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def dialled(path: Path) -> AsyncIterator[Raw]:
    """A connection to a listener."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
