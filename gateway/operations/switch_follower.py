"""Keeps what administrators have stopped stopped on this machine, whatever is lost or restarted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from gateway.deadline import within
from gateway.errors import SandgateError
from gateway.operations.health import Part
from gateway.operations.ports import Services
from gateway.operations.switches import NEWS, retell
from gateway.store import switches
from gateway.store.switches import EGRESS, Stops

STOPPED_SECONDS = 3.0  # between two looks while egress is stopped: a sandbox may just have started
REFRESH_SECONDS = 30.0  # bounds how long lost news can matter
READ_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class ChangeSource(Protocol):
    """Where news about switches come from."""

    def subscribe(self, callback: Callable[[str, str], None], /) -> object:
        """Call back with kind and id of what changed; ("all", "") when news were missed."""
        ...


class SwitchFollower:
    """What is stopped as this gateway knows it; egress is told to the manager beside it."""

    def __init__(self, services: Services, changes: ChangeSource) -> None:
        self._services = services
        self._news = asyncio.Event()
        self._told: frozenset[str] = frozenset()
        self.stops: Stops = {}
        changes.subscribe(self._on_change)

    async def run(self) -> None:
        """Follow the news, until cancelled."""
        while True:
            self._news.clear()
            await self.look()
            seconds = STOPPED_SECONDS if self._told else REFRESH_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    async def look(self) -> None:
        """Once. While the database is down, what was known goes on."""
        try:
            self.stops = await within(READ_SECONDS, switches.stops(self._services.database))
        except (SandgateError, TimeoutError) as error:
            _log.warning("switches_not_read", error=repr(error))
            return
        now = frozenset(name for name in self.stops if name.partition(":")[0] == EGRESS)
        concerned = now | self._told
        if not concerned:
            return
        only = None if EGRESS in concerned else [name.partition(":")[2] for name in concerned]
        if await retell(self._services, only):
            self._told = now
        else:
            self._told = concerned  # tried again soon

    async def part(self) -> Part:
        """For `/ready`, which everybody may ask: what, but neither whose nor why."""
        counts = self.counts()
        names = [name for name in ("generation", "publishing", "egress") if counts[name]]
        if counts["api_egress"]:
            names.append(f"egress of {counts['api_egress']} APIs")
        if counts["api"]:
            names.append(f"{counts['api']} APIs")
        return Part(True, f"stopped by an administrator: {', '.join(names)}" if names else "")

    def counts(self) -> dict[str, int]:
        """How many stops of each kind there are, for the metrics."""
        counts = {"generation": 0, "publishing": 0, "egress": 0, "api_egress": 0, "api": 0}
        for name in self.stops:
            kind, _, api_id = name.partition(":")
            counts["api_egress" if api_id and kind == EGRESS else kind] += 1
        return counts

    def _on_change(self, kind: str, _identifier: str) -> None:
        if kind in (NEWS, "all"):
            self._news.set()
