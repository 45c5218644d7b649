"""Moves what journals hold into the database, then removes it. Safe to run twice, or by two."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from gateway.errors import SandgateError
from gateway.metering.columns import columns
from gateway.metering.segments import (
    batches,
    locked,
    parse,
    remove,
    remove_abandoned,
    segments,
    set_aside,
)
from gateway.store.database import SERVICE, DatabaseError, Identity

_log = structlog.get_logger(__name__)

BATCH = 5000  # a statement costs milliseconds of its own, whatever it stores
LEAST = 100
FEW = 200  # among which a line that is refused is looked for one by one, at milliseconds each
MAX_PAUSE = 30.0
_DATA_ERRORS = ("22", "23")  # classes of SQLSTATE: this very value is refused, always


class UsageStore(Protocol):
    """The part of the database that takes records."""

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Call `record_columns` or `record_usage`."""
        ...


@dataclass(slots=True)
class Drained:
    """Sums over what was moved."""

    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0  # cannot be stored, kept in bad/
    failed: int = 0  # segments left for the next round


class Drain:
    """The reading end of the journal. A segment goes only after all of it is stored."""

    def __init__(self, folder: Path, database: UsageStore, *, seconds: float = 0.5) -> None:
        self._folder = folder
        self._database = database
        self._seconds = seconds
        self._size = BATCH

    async def run(self) -> None:
        """Drain again and again, less often while the database is down, until cancelled."""
        pause = self._seconds
        while True:
            pause = pause_after(await self.once(), pause, self._seconds)
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))  # noqa: S311 - no secret

    async def once(self) -> Drained:
        """One round over everything that is closed; never raises for a store that is down."""
        drained = Drained()
        try:
            remove_abandoned(self._folder)
            paths = segments(self._folder)
        except OSError as error:
            _log.warning("journal_unreadable", error=str(error))
            drained.failed += 1
            return drained
        for path in paths:
            try:
                if not await self._segment(path, drained):
                    break
            except OSError as error:
                _log.warning("segment_stays", segment=path.name, error=str(error))
                drained.failed += 1
        return drained

    async def _segment(self, path: Path, drained: Drained) -> bool:
        """Store one segment and remove it; False when the database is down."""
        with locked(path) as file:
            if file is None:
                return True
            bad: list[bytes] = []
            try:
                for lines in batches(file, self._size):
                    bad += await self._batch(lines, drained)
            except DatabaseError as error:
                why = f"{error.sqlstate} {error.message}"
                _log.warning("segment_stays", segment=path.name, error=why)
                drained.failed += 1
                return True
            except (SandgateError, TimeoutError) as error:
                _log.warning("usage_not_stored", error=str(error))
                drained.failed += 1
                # what is too much for a slow database within its time is tried with less
                self._size = max(self._size // 2, LEAST)
                return False
            self._size = min(self._size * 2, BATCH)
            if bad:
                set_aside(path, bad)
                drained.rejected += len(bad)
            remove(path)
            return True

    async def _batch(self, lines: list[bytes], drained: Drained) -> list[bytes]:
        """Store a batch; answers the lines that never can be."""
        arguments, others = columns(lines)
        bad: list[bytes] = []
        if arguments is not None and not await self._at_once(arguments, drained):
            if len(lines) > FEW:
                middle = len(lines) // 2
                for half in (lines[:middle], lines[middle:]):
                    bad += await self._batch(half, drained)
                return bad
            others = lines
        for start in range(0, len(others), FEW):
            bad += await self._carefully(others[start : start + FEW], drained)
        return bad

    async def _at_once(self, arguments: Mapping[str, Any], drained: Drained) -> bool:
        """Store what the recorder wrote; False when some of it is refused, and none is stored."""
        try:
            outcome = await self._database.rpc("record_columns", arguments, identity=SERVICE)
        except DatabaseError as error:
            if error.sqlstate[:2] not in _DATA_ERRORS:
                raise
            return False
        drained.inserted += int(outcome["inserted"])
        drained.duplicates += int(outcome["duplicates"])
        return True

    async def _carefully(self, lines: list[bytes], drained: Drained) -> list[bytes]:
        """Read each line, and store what can be."""
        good: list[bytes] = []
        bad: list[bytes] = []
        calls: list[dict[str, Any]] = []
        for line in lines:
            call = parse(line)
            if call is None:
                bad.append(line)
            else:
                calls.append(call)
                good.append(line)
        return bad + (await self._store(good, calls, drained) if calls else [])

    async def _store(
        self, lines: list[bytes], calls: list[dict[str, Any]], drained: Drained
    ) -> list[bytes]:
        """Store all of them; when some are refused, halve until those stand alone.

        What was stored with the first try is only a duplicate in the second.
        """
        try:
            outcome = await self._database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
            drained.inserted += int(outcome["inserted"])
            drained.duplicates += int(outcome["duplicates"])
            if not outcome["rejected"]:
                return []
        except DatabaseError as error:
            if error.sqlstate[:2] not in _DATA_ERRORS:
                raise
        if len(calls) == 1:
            return lines
        middle = len(calls) // 2
        return [
            *await self._store(lines[:middle], calls[:middle], drained),
            *await self._store(lines[middle:], calls[middle:], drained),
        ]


def pause_after(drained: Drained, last: float, least: float) -> float:
    """Twice as long when nothing goes; a segment that stays delays nobody else's."""
    return min(last * 2, MAX_PAUSE) if drained.failed and not drained.inserted else least
