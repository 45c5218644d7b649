"""This gateway's line in the list of gateways: told again and again, and after every change."""

import asyncio
import os
import platform
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from gateway.errors import SandgateError
from gateway.store import generations
from gateway.store.changes import Changes
from gateway.store.database import Database
from gateway.store.generations import Report

EVERY_SECONDS = 1.5  # whoever is silent for 5 s counts as gone
PAUSE_SECONDS = 0.1  # between two reports, however much changes
SECONDS = 2.0  # for one report
MAX_BROKEN = 20

_log = structlog.get_logger(__name__)


class Presence:
    """Make it after those who handle changes, so that a report never runs ahead of them."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        *,
        name: str,
        in_flight: Callable[[], int],
        broken: Callable[[], Mapping[str, str]],
    ) -> None:
        self._database = database
        self._changes = changes
        self._name = name
        self._in_flight = in_flight
        self._broken = broken
        self._started_at = datetime.now(UTC).isoformat()
        self._changed = asyncio.Event()
        self.id = secrets.token_hex(8)
        changes.subscribe(lambda _kind, _identifier: self._changed.set())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            await self.report()
            await asyncio.sleep(PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._changed.wait()

    async def report(self) -> None:
        """Once. A database that is down hears of it later."""
        try:
            async with asyncio.timeout(SECONDS):
                await generations.report(self._database, self._line())
        except (SandgateError, TimeoutError) as error:
            _log.warning("gateway_not_reported", error=repr(error))

    async def leave(self) -> None:
        """This gateway ends: nobody waits for it any more."""
        with suppress(SandgateError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                await generations.left(self._database, self.id)

    def _line(self) -> Report:
        broken = dict(list(self._broken().items())[:MAX_BROKEN])
        return Report(
            id=self.id,
            node=platform.node(),
            name=self._name,
            pid=os.getpid(),
            started_at=self._started_at,
            handled_at=datetime.fromtimestamp(self._changes.handled_at, UTC).isoformat(),
            generation=self._changes.generation,
            in_flight=self._in_flight(),
            broken=broken,
        )
