"""Keys that were found under the secret before get a hash under the current one, in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from gateway.errors import SandgateError
from gateway.key_hashes import Hashes

EVERY_SECONDS = 1.0
_AT_ONCE = 500
_MOST = 20_000  # what is over is noted again with the key's next look-up

Row = Mapping[str, Any]
Find = Callable[[Sequence[str]], Awaitable[Row | None]]
Write = Callable[[Sequence[Row]], Awaitable[int]]
_log = structlog.get_logger(__name__)


class Rehash:
    """Looks keys up; whoever waits for one does not wait for its new hash."""

    def __init__(self, find: Find, write: Write) -> None:
        self._find = find
        self._write = write
        self._noted: dict[str, Row] = {}

    async def load(self, hashes: Hashes) -> Row | None:
        """The key under any of its hashes; `place` says under which."""
        row = await self._find(hashes.good)
        if row is not None and hashes.is_before and row["place"] > 1 and len(self._noted) < _MOST:
            found = {"id": row["key_id"], "old_hash": hashes.other, "new_hash": hashes.current}
            self._noted[row["key_id"]] = found
        return row

    async def run(self) -> None:
        """Write what was noted, for as long as the gateway lives."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.write()
            except SandgateError as error:  # they are noted again with their next look-up
                _log.warning("keys_not_rehashed", reason=error.detail)

    async def write(self) -> None:
        """All that is noted now."""
        while batch := list(islice(self._noted.values(), _AT_ONCE)):
            for row in batch:
                del self._noted[row["id"]]
            if quantity := await self._write(batch):
                _log.info("keys_rehashed", quantity=quantity)
