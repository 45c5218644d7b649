"""The store as asynchronous code sees it."""

import asyncio
import weakref
from typing import Any, TypeVar

from . import _calls
from ._calls import Call, LostError, Row
from ._link import Link
from ._sync import SyncKeyValue
from ._where import PATH, SECONDS, nobody_there, not_in_time, unknown_outcome

Keys = list[str]
Rows = list[Row]
T = TypeVar("T")


class KeyValue:
    """JSON values under text keys, kept for this API; see `kv`.

    A key has at most 512 bytes, a value 256 KB as JSON, everything together 10 000 keys and
    10 MB. Values come back as JSON knows them: tuples as lists, names in objects as texts.
    Every call takes at most ten seconds, then KvUnavailableError is raised.
    """

    def __init__(self, path: str = PATH, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds
        self._links: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = (
            weakref.WeakKeyDictionary()
        )
        self.sync = SyncKeyValue(path, seconds)

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when it is not there."""
        return await self._do(_calls.get(key, default))

    async def set(
        self, key: str, value: Any, ttl: float | None = None, if_absent: bool = False
    ) -> bool:
        """Write a value; with `ttl` it is gone after so many seconds.

        With `if_absent` only when the key is not there. Answers whether it was written.
        """
        return await self._do(_calls.put(key, value, ttl, if_absent))

    async def replace(self, key: str, expected: Any, value: Any, ttl: float | None = None) -> bool:
        """Write a value only where `expected` is. Answers whether it was written.

        This is how to change a value that others may change at the same time: get it, make the
        new one, replace; when that answers False, begin again.
        """
        return await self._do(_calls.replace(key, expected, value, ttl))

    async def delete(self, key: str) -> bool:
        """Remove a key. Answers whether it was there."""
        return await self._do(_calls.delete(key))

    async def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a whole number and answer the new one. Never loses a count.

        A key that is not there counts as 0 and gets the `ttl`; another keeps its own.
        """
        return await self._do(_calls.increment(key, by, ttl))

    async def items(self, prefix: str = "", limit: int = 100, after: str | None = None) -> Rows:
        """Keys with their values, in the order of `list`."""
        return await self._rows(prefix, limit, after, with_values=True)

    async def list(self, prefix: str = "", limit: int = 100, after: str | None = None) -> Keys:
        """Keys that begin with `prefix`, in the order of their bytes, those behind `after`."""
        return [key for key, _ in await self._rows(prefix, limit, after, with_values=False)]

    async def close(self) -> None:
        """Close this event loop's connection; the next call makes a new one. Rarely needed."""
        shared = self._links.pop(asyncio.get_running_loop(), None)
        if shared is not None:
            shared.close()

    async def _rows(self, prefix: str, limit: int, after: str | None, *, with_values: bool) -> Rows:
        found: Rows = []
        while True:
            call = _calls.page(prefix, after, limit - len(found), with_values=with_values)
            page = await self._do(call)
            found += page.rows
            if page.is_complete or len(found) >= limit or not page.rows:
                return found
            after = found[-1][0]

    async def _do(self, call: Call[T]) -> T:
        loop = asyncio.get_running_loop()
        shared = self._links.get(loop)
        if shared is None:
            shared = self._links[loop] = _Shared(self._path)
        try:
            async with asyncio.timeout(self._seconds):
                return await shared.call(call)
        except TimeoutError:
            raise not_in_time(self._seconds) from None


class _Shared:
    """The connection of one event loop, made when it is needed and again when it was lost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    async def call(self, call: Call[T]) -> T:
        try:
            return await (await self._open()).call(call)
        except LostError as error:
            if not (call.is_repeatable or error.is_unbegun):
                raise unknown_outcome() from error
        try:
            return await (await self._open()).call(call)
        except LostError as error:
            raise unknown_outcome() from error

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    async def _open(self) -> Link:
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                loop = asyncio.get_running_loop()
                try:
                    _, self._link = await loop.create_unix_connection(Link, self._path)
                except OSError as error:
                    raise nobody_there(self._path, error) from error
            return self._link
