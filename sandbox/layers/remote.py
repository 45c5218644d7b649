"""Talks to the builder in its sandbox. Blocking, for a thread; nothing it says is believed."""

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")
MAX_ANSWER = 4 * 1024 * 1024
_IDLE_SECONDS = 180.0
_ABORT_SECONDS = 10.0


class RemoteError(Exception):
    """The builder does not answer as it must."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already and belongs to somebody else."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__("builder")
        self.sock = sock
        self.auto_open = 0


class Remote:
    """One request to a builder. `abort` may come from another thread at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(_IDLE_SECONDS)
        self._connection = _Connection(self._sock)
        self._response: http.client.HTTPResponse | None = None
        self._aborted = False

    def post(self, path: str, body: dict[str, object]) -> http.client.HTTPResponse:
        """The answer, its body unread. Raises RemoteError."""
        try:
            self._sock.connect(str(self._path))
            if self._aborted:
                raise RemoteError("it was given up")
            headers = {"Content-Type": "application/json"}
            self._connection.request("POST", path, json.dumps(body), headers)
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"the builder broke off: {error}") from error
        return self._response

    def abort(self) -> None:
        """Let a thread that reads or writes fail at once."""
        self._aborted = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected yet, or not any more

    def close(self) -> None:
        """After the last use."""
        if self._response is not None:
            self._response.close()
        self._connection.close()
        self._sock.close()


def read_some(response: http.client.HTTPResponse, size: int) -> bytes:
    """At most so many bytes as soon as there are some; none at the end. Raises RemoteError."""
    try:
        return response.read1(size)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RemoteError(f"the builder broke off: {error}") from error


def read_json(response: http.client.HTTPResponse) -> dict[str, Any]:
    """A short answer. Raises RemoteError."""
    data = bytearray()
    while piece := read_some(response, 65536):
        data += piece
        if len(data) > MAX_ANSWER:
            raise RemoteError("the builder's answer is too long")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RemoteError("the builder's answer is not JSON") from error
    if not isinstance(value, dict):
        raise RemoteError("the builder's answer is not an object")
    return value


async def converse(path: Path, talk: Callable[[Remote], Value]) -> Value:
    """Run `talk` in a thread; whoever is cancelled meanwhile ends it first."""
    remote = Remote(path)
    task = asyncio.create_task(asyncio.to_thread(talk, remote))
    task.add_done_callback(lambda _: remote.close())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        remote.abort()
        await asyncio.wait({task}, timeout=_ABORT_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # seen; the cancellation is what counts
        raise
