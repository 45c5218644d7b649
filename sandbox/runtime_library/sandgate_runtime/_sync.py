"""The store as `def` endpoints and threads see it."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeVar

from . import _calls
from ._calls import Call, LostError, Row
from ._where import PATH, SECONDS, nobody_there, not_in_time, unknown_outcome

_CONNECTIONS = 8  # calls at once; further threads wait their turn

Keys = list[str]
Rows = list[Row]
T = TypeVar("T")


class SyncKeyValue:
    """The methods of `KeyValue` for threads. In `async def` it would hold up everybody else."""

    def __init__(self, path: str = PATH, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._pool = _Pool(path)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when it is not there."""
        return self._do(_calls.get(key, default))

    def set(self, key: str, value: Any, ttl: float | None = None, if_absent: bool = False) -> bool:
        """Write a value, with `if_absent` only where none is; whether it was written."""
        return self._do(_calls.put(key, value, ttl, if_absent))

    def replace(self, key: str, expected: Any, value: Any, ttl: float | None = None) -> bool:
        """Write a value only where `expected` is; whether it was written."""
        return self._do(_calls.replace(key, expected, value, ttl))

    def delete(self, key: str) -> bool:
        """Remove a key; whether it was there."""
        return self._do(_calls.delete(key))

    def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a whole number and answer the new one; `ttl` is for a new key."""
        return self._do(_calls.increment(key, by, ttl))

    def items(self, prefix: str = "", limit: int = 100, after: str | None = None) -> Rows:
        """Keys with their values, in the order of `list`."""
        return self._rows(prefix, limit, after, with_values=True)

    def list(self, prefix: str = "", limit: int = 100, after: str | None = None) -> Keys:
        """Keys that begin with `prefix`, in the order of their bytes, those behind `after`."""
        return [key for key, _ in self._rows(prefix, limit, after, with_values=False)]

    def close(self) -> None:
        """Close connections that are not in use; the next call makes a new one. Rarely needed."""
        self._pool.close()

    def _rows(self, prefix: str, limit: int, after: str | None, *, with_values: bool) -> Rows:
        found: Rows = []
        while True:
            call = _calls.page(prefix, after, limit - len(found), with_values=with_values)
            page = self._do(call)
            found += page.rows
            if page.is_complete or len(found) >= limit or not page.rows:
                return found
            after = found[-1][0]

    def _do(self, call: Call[T]) -> T:
        deadline = time.monotonic() + self._seconds
        try:
            try:
                return _exchange(self._pool, call, deadline)
            except LostError as error:
                if not (call.is_repeatable or error.is_unbegun):
                    raise unknown_outcome() from error
            return _exchange(self._pool, call, deadline)
        except LostError as error:
            raise unknown_outcome() from error
        except TimeoutError:
            raise not_in_time(self._seconds) from None


class _Pool:
    """Connections, each lent to one thread at a time; a forked process begins with none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        self._idle: list[socket.socket] = []

    @contextlib.contextmanager
    def lend(self, deadline: float) -> Iterator[socket.socket]:
        """A connection; it is kept only when the block ends well."""
        if os.getpid() != self._process:
            self._forget()
        if not self._free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        try:
            sock = self._take() or self._connect(deadline)
            try:
                yield sock
            except BaseException:
                sock.close()
                raise
            with self._lock:
                self._idle.append(sock)
        finally:
            self._free.release()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for sock in idle:
            sock.close()

    def _take(self) -> socket.socket | None:
        """An idle connection that nobody has closed meanwhile."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                sock = self._idle.pop()
            try:
                sock.setblocking(False)
                sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return sock
            except OSError:
                pass
            sock.close()  # ended, or it says something that nobody asked for

    def _connect(self, deadline: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _limit(sock, deadline)
            sock.connect(self._path)
        except TimeoutError:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            raise nobody_there(self._path, error) from error
        return sock


def _exchange(pool: _Pool, call: Call[T], deadline: float) -> T:
    """One call over one connection."""
    frame = _calls.encode(1, call)
    with pool.lend(deadline) as sock:
        try:
            _limit(sock, deadline)
            sock.sendall(frame)
            length = _calls.frame_length(_read(sock, _calls.HEADER.size, deadline))
            answer = _calls.decode(_read(sock, length, deadline))
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise LostError(str(error)) from error
        if _calls.is_farewell(answer):
            raise LostError("the store ended the connection", is_unbegun=True)
    return _calls.result(call, answer)


def _read(sock: socket.socket, size: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < size:
        _limit(sock, deadline)
        part = sock.recv(min(size - len(data), 1 << 16))
        if not part:
            raise LostError("the store closed the connection")
        data += part
    return bytes(data)


def _limit(sock: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
