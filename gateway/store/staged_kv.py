"""Data of rehearsals: in memory and soon forgotten, never a row of anybody's.

Ids of rehearsals are of a version that no API's id has, so whose data it is shows in the id.
"""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from gateway.store.database import Database, DatabaseError
from gateway.store.kv import (
    MAX_BYTES,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_LIST,
    MAX_VALUE_BYTES,
    Found,
    KvStore,
    Page,
)
from gateway.store.refusal import refusal

_VERSION = 8  # RFC 9562: for whoever makes ids by rules of their own
_PAGE_BYTES = 1_000_000
_MOST = 2**63
_SHELVES = 32
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def new_stage_id() -> str:
    """An id for one rehearsal."""
    return str(UUID(int=(uuid4().int & ~(0xF << 76)) | (_VERSION << 76)))


def is_stage(api_id: str) -> bool:
    """Whether an id is one of those."""
    try:
        return UUID(api_id).version == _VERSION
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str  # JSON as it came
    size: int
    ends: float | None

    @property
    def value(self) -> Any:
        """What it stands for. `Any`: JSON."""
        return json.loads(self.text)


@dataclass(slots=True)
class _Shelf:
    """What one rehearsal keeps; the rules are those of the SQL functions."""

    entries: dict[str, _Entry] = field(default_factory=dict)

    def living(self, key: str) -> _Entry | None:
        """What is there and has not expired."""
        entry = self.entries.get(key)
        return entry if entry is not None and _lives(entry) else None

    def put(self, key: str, text: str, ends: float | None) -> None:
        """Write it, within the quota of an API."""
        if not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
            raise _refused(422, "invalid_key", f"A key has 1 to {MAX_KEY_BYTES} bytes.")
        if len(text.encode()) > MAX_VALUE_BYTES:
            raise _refused(413, "value_too_large", f"A value has at most {MAX_VALUE_BYTES} bytes.")
        entry = _Entry(text, len(key.encode()) + len(text.encode()), ends)
        others = {name: one for name, one in self.entries.items() if name != key and _lives(one)}
        size = sum(one.size for one in others.values()) + entry.size
        if len(others) >= MAX_KEYS or size > MAX_BYTES:
            raise _refused(409, "quota_exceeded", "An API keeps at most 10000 keys and 10 MB.")
        self.entries = {**others, key: entry}


class StagedKvStore(KvStore):
    """The store of APIs, and beside it one for each rehearsal."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._shelves: dict[str, _Shelf] = {}

    async def get(self, api_id: str, key: str) -> Found | None:
        """As of an API."""
        if not is_stage(api_id):
            return await super().get(api_id, key)
        entry = self._shelf(api_id).living(key)
        return None if entry is None else Found(entry.value)

    async def set(
        self,
        api_id: str,
        key: str,
        value: str,
        *,
        seconds: float | None = None,
        if_absent: bool = False,
        if_equals: str | None = None,
    ) -> bool:
        """As of an API."""
        if not is_stage(api_id):
            return await super().set(
                api_id, key, value, seconds=seconds, if_absent=if_absent, if_equals=if_equals
            )
        shelf = self._shelf(api_id)
        old = shelf.living(key)
        if if_absent and old is not None:
            return False
        if if_equals is not None and (old is None or not _equal(old.text, if_equals)):
            return False
        shelf.put(key, value, _end(seconds))
        return True

    async def delete(self, api_id: str, key: str) -> bool:
        """As of an API."""
        if not is_stage(api_id):
            return await super().delete(api_id, key)
        shelf = self._shelf(api_id)
        was_there = shelf.living(key) is not None
        shelf.entries.pop(key, None)
        return was_there

    async def increment(
        self, api_id: str, key: str, by: int = 1, *, seconds: float | None = None
    ) -> int:
        """As of an API."""
        if not is_stage(api_id):
            return await super().increment(api_id, key, by, seconds=seconds)
        shelf = self._shelf(api_id)
        old = shelf.living(key)
        if old is not None and not _WHOLE.fullmatch(old.text):
            raise _refused(409, "not_an_integer", "The value is not a whole number.")
        value = by + (int(old.text) if old else 0)
        if not -_MOST <= value < _MOST:
            raise _refused(409, "out_of_range", "The number would be out of range.")
        shelf.put(key, str(value), old.ends if old else _end(seconds))
        return value

    async def list(
        self,
        api_id: str,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 100,
        with_values: bool = False,
    ) -> Page:
        """As of an API."""
        if not is_stage(api_id):
            return await super().list(
                api_id, prefix=prefix, after=after, limit=limit, with_values=with_values
            )
        shelf = self._shelf(api_id)
        found = sorted(
            (key for key, entry in shelf.entries.items() if _fits(key, entry, prefix, after)),
            key=str.encode,
        )
        keys, size = [], 0
        for key in found[: min(limit, MAX_LIST)]:
            if with_values and size >= _PAGE_BYTES:
                break
            keys.append(key)
            size += shelf.entries[key].size
        values = tuple(shelf.entries[key].value for key in keys) if with_values else None
        return Page(tuple(keys), values, len(keys) == len(found))

    def _shelf(self, api_id: str) -> _Shelf:
        """The newest are kept; a rehearsal takes a minute, and not many run at once."""
        shelf = self._shelves.pop(api_id, None) or _Shelf()
        self._shelves[api_id] = shelf
        while len(self._shelves) > _SHELVES:
            del self._shelves[next(iter(self._shelves))]
        return shelf


def _fits(key: str, entry: _Entry, prefix: str, after: str) -> bool:
    return key.startswith(prefix) and key.encode() > after.encode() and _lives(entry)


def _lives(entry: _Entry) -> bool:
    return entry.ends is None or entry.ends > time.time()


def _end(seconds: float | None) -> float | None:
    return None if seconds is None else time.time() + seconds


def _equal(one: str, other: str) -> bool:
    """As JSON: true is not 1, and 1.0 is 1."""
    return bool(_marked(json.loads(one)) == _marked(json.loads(other)))


def _marked(value: Any) -> Any:
    """Truth values told apart from numbers. `Any`: JSON."""
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, list):
        return [_marked(one) for one in value]
    if isinstance(value, dict):
        return {name: _marked(one) for name, one in value.items()}
    return value


def _refused(status: int, code: str, detail: str) -> DatabaseError:
    return refusal(f"PT{status}", code, detail)
