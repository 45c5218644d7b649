"""Queries of the key-value store that each API has for itself."""

import json
from dataclasses import dataclass
from typing import Any

from gateway.store.database import SERVICE, Database

MAX_KEY_BYTES = 512
MAX_VALUE_BYTES = 256 * 1024  # as JSON
MAX_KEYS = 10_000
MAX_BYTES = 10_000_000  # keys and values together
MAX_LIST = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A value that is there; it may be None."""

    value: Any


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in the order of their bytes; `values` are theirs when they were asked for."""

    keys: tuple[str, ...]
    values: tuple[Any, ...] | None
    is_complete: bool


class KvStore:
    """As the service; whose data it is, the caller knows. Values are JSON text on the way in.

    Raises DatabaseError: code `not_found` without such an API, `invalid_key`,
    `value_too_large`, `quota_exceeded`, `not_an_integer` or `out_of_range`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, api_id: str, key: str) -> Found | None:
        """The value of a key; None when it is not there or has expired."""
        row = await self._rpc("kv_get", p_api_id=api_id, p_key=key)
        return None if row is None else Found(row["value"])

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
        """Write a value that lives for so many seconds, or for ever; whether it was written."""
        return bool(
            await self._rpc(
                "kv_set",
                p_api_id=api_id,
                p_key=key,
                p_value=value,
                p_ttl=seconds,
                p_if_absent=if_absent,
                p_if_equals=if_equals,
            )
        )

    async def delete(self, api_id: str, key: str) -> bool:
        """Remove a key; whether it was there."""
        return bool(await self._rpc("kv_delete", p_api_id=api_id, p_key=key))

    async def increment(
        self, api_id: str, key: str, by: int = 1, *, seconds: float | None = None
    ) -> int:
        """Add to a whole number, 0 when it is not there; `seconds` holds for a new one only."""
        return int(
            await self._rpc("kv_increment", p_api_id=api_id, p_key=key, p_by=by, p_ttl=seconds)
        )

    async def list(
        self,
        api_id: str,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 100,
        with_values: bool = False,
    ) -> Page:
        """Keys behind `after`; with values a page also ends at about a megabyte."""
        row = await self._rpc(
            "kv_list",
            p_api_id=api_id,
            p_prefix=prefix,
            p_after=after,
            p_limit=limit,
            p_values=with_values,
        )
        values = row["values"]
        return Page(
            tuple(row["keys"]), None if values is None else tuple(values), row["is_complete"]
        )

    async def purge(self, apis: int = 100) -> int:
        """Remove what has expired, of so many APIs; how many keys that were."""
        return int(await self._rpc("kv_purge", p_apis=apis))

    async def _rpc(self, function: str, **arguments: object) -> Any:
        return await self._database.rpc(function, arguments, identity=SERVICE)


def value_text(value: Any) -> str:
    """A value as it is stored; raises ValueError for what is no JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError:  # lone surrogates can be kept, in their escaped form
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text
