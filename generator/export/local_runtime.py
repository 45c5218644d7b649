"""What `sandgate_runtime` gives an API on Sandgate, kept in a SQLite file beside this one.

Exported projects carry this file, so that the code of an API runs unchanged anywhere.
"""

import asyncio
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

KEY_BYTES = 512
VALUE_BYTES = 256 * 1024
KEYS = 10_000
_TABLE = (
    "create table if not exists kv "
    "(key text primary key, value text not null, ends real) without rowid"
)


class KvError(Exception):
    """The store could not do what was asked. `code` says why."""

    def __init__(self, message: str, code: str = "bad_request") -> None:
        super().__init__(message)
        self.code = code


class KvQuotaError(KvError):
    """There is no room for this."""


class KvUnavailableError(KvError):
    """The store cannot be reached."""


class SyncKeyValue:
    """The store for `def` endpoints and threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when it is not there."""
        with self._open() as rows:
            found = _value(rows, key)
        return default if found is None else json.loads(found)

    def set(self, key: str, value: Any, ttl: float | None = None, if_absent: bool = False) -> bool:
        """Write a value, with `if_absent` only where none is; whether it was written."""
        with self._open() as rows:
            if if_absent and _value(rows, key) is not None:
                return False
            _put(rows, key, value, ttl)
            return True

    def replace(self, key: str, expected: Any, value: Any, ttl: float | None = None) -> bool:
        """Write a value only where `expected` is; whether it was written."""
        with self._open() as rows:
            found = _value(rows, key)
            if found is None or json.loads(found) != json.loads(_text(expected)):
                return False
            _put(rows, key, value, ttl)
            return True

    def delete(self, key: str) -> bool:
        """Remove a key; whether it was there."""
        with self._open() as rows:
            is_there = _value(rows, key) is not None
            rows.execute("delete from kv where key = ?", (key,))
            return is_there

    def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a whole number and answer the new one; `ttl` is for a new key."""
        with self._open() as rows:
            found = _value(rows, key)
            number = 0 if found is None else json.loads(found)
            if not isinstance(number, int) or isinstance(number, bool):
                raise KvError(f"{key} holds no whole number")
            if found is None:
                _put(rows, key, by, ttl)
            else:
                rows.execute("update kv set value = ? where key = ?", (str(number + by), key))
            return number + by

    def items(
        self, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> list[tuple[str, Any]]:
        """Keys with their values, in the order of `list`."""
        query = (
            "select key, value from kv where substr(key, 1, ?) = ? and key > ? "
            "and (ends is null or ends > ?) order by key limit ?"
        )
        with self._open() as rows:
            found = rows.execute(query, (len(prefix), prefix, after or "", time.time(), limit))
            return [(key, json.loads(value)) for key, value in found]

    def list(self, prefix: str = "", limit: int = 100, after: str | None = None) -> list[str]:
        """Keys that begin with `prefix`, in their order, those behind `after`."""
        return [key for key, _ in self.items(prefix, limit, after)]

    def close(self) -> None:
        """Nothing is left open between calls."""

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._lock, closing(sqlite3.connect(self.file, isolation_level=None)) as rows:
                rows.execute(_TABLE)
                rows.execute("begin immediate")
                yield rows
                rows.execute("commit")
        except sqlite3.Error as error:
            raise KvUnavailableError(str(error)) from error


class KeyValue:
    """The store for `async def` endpoints; `sync` has the same methods for others."""

    def __init__(self, file: Path) -> None:
        self.sync = SyncKeyValue(file)

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` when it is not there."""
        return await asyncio.to_thread(self.sync.get, key, default)

    async def set(
        self, key: str, value: Any, ttl: float | None = None, if_absent: bool = False
    ) -> bool:
        """Write a value, with `if_absent` only where none is; whether it was written."""
        return await asyncio.to_thread(self.sync.set, key, value, ttl, if_absent)

    async def replace(self, key: str, expected: Any, value: Any, ttl: float | None = None) -> bool:
        """Write a value only where `expected` is; whether it was written."""
        return await asyncio.to_thread(self.sync.replace, key, expected, value, ttl)

    async def delete(self, key: str) -> bool:
        """Remove a key; whether it was there."""
        return await asyncio.to_thread(self.sync.delete, key)

    async def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a whole number and answer the new one; `ttl` is for a new key."""
        return await asyncio.to_thread(self.sync.increment, key, by, ttl)

    async def items(
        self, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> list[tuple[str, Any]]:
        """Keys with their values, in the order of `list`."""
        return await asyncio.to_thread(self.sync.items, prefix, limit, after)

    async def list(self, prefix: str = "", limit: int = 100, after: str | None = None) -> list[str]:
        """Keys that begin with `prefix`, in their order, those behind `after`."""
        return await asyncio.to_thread(self.sync.list, prefix, limit, after)

    async def close(self) -> None:
        """Nothing is left open between calls."""


def use(file: Path) -> None:
    """Keep values in another file from now on."""
    kv.sync.file = file


def _value(rows: sqlite3.Connection, key: str) -> str | None:
    """What is stored and has not ended."""
    row = rows.execute(
        "select value from kv where key = ? and (ends is null or ends > ?)", (key, time.time())
    ).fetchone()
    return None if row is None else str(row[0])


def _put(rows: sqlite3.Connection, key: str, value: Any, ttl: float | None) -> None:
    text = _text(value)
    if not 1 <= len(key.encode()) <= KEY_BYTES:
        raise KvError(f"A key has 1 to {KEY_BYTES} bytes")
    if len(text.encode()) > VALUE_BYTES:
        raise KvQuotaError(f"A value has at most {VALUE_BYTES} bytes")
    rows.execute("delete from kv where ends <= ?", (time.time(),))
    rows.execute("delete from kv where key = ?", (key,))
    (quantity,) = rows.execute("select count(*) from kv").fetchone()
    if quantity >= KEYS:
        raise KvQuotaError(f"The store has at most {KEYS} keys")
    ends = None if ttl is None else time.time() + ttl
    rows.execute("insert into kv values (?, ?, ?)", (key, text, ends))


def _text(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _file() -> Path:
    """Beside this file; where that cannot be written, in the folder for temporary files."""
    own = Path(__file__).resolve().with_name("kv.sqlite3")
    try:
        with own.open("ab"):
            return own
    except OSError:
        return Path(tempfile.gettempdir()) / "kv.sqlite3"


kv = KeyValue(_file())
