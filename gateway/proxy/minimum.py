"""Holds the sandboxes of the APIs that want some to be there before anybody calls."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from gateway.deadline import within
from gateway.errors import SandgateError
from gateway.proxy.leases import Leases
from gateway.proxy.resolve import ChangeSource, wanted_specs
from gateway.store.routes import Route

_log = structlog.get_logger(__name__)

REFRESH_SECONDS = 30.0  # bounds how long lost news can matter
READ_SECONDS = 5.0
PAUSE_SECONDS = 1.0  # between two reads, whatever changes


class KeptRoutes(Protocol):
    """Where those APIs are found."""

    async def kept(self) -> Sequence[Route]:
        """The active ones with a minimum of instances."""
        ...


class Minimum:
    """Reads which APIs those are, whenever something changes; the leases do the rest."""

    def __init__(self, routes: KeptRoutes, leases: Leases, changes: ChangeSource) -> None:
        self._routes = routes
        self._leases = leases
        self._news = asyncio.Event()
        changes.subscribe(self._on_change)

    async def run(self) -> None:
        """Follow the news, until cancelled."""
        while True:
            self._news.clear()
            await self.look()
            await asyncio.sleep(PAUSE_SECONDS)
            await _either(self._news, REFRESH_SECONDS)

    async def look(self) -> None:
        """Once. While the database is down, what is kept stays kept."""
        try:
            routes = await within(READ_SECONDS, self._routes.kept())
        except (SandgateError, TimeoutError) as error:
            _log.warning("kept_sandboxes_unknown", error=repr(error))
            return
        self._leases.keep(
            {spec: route.instances for route in routes for spec in wanted_specs(route)}
        )

    def _on_change(self, kind: str, _identifier: str) -> None:
        if kind in ("api", "tenant", "all"):
            self._news.set()


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
