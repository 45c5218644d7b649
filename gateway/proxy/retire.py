"""When a route changes, gives up the sandboxes that it no longer wants."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from gateway.errors import SandgateError
from gateway.proxy.endings import Witness
from gateway.proxy.errors import ApiNotFoundError
from gateway.proxy.leases import Leases
from gateway.proxy.resolve import ChangeSource, Resolver, wanted_specs

_log = structlog.get_logger(__name__)


class Manager(Witness, Protocol):
    """The part of the manager that several gateways share."""

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """Seconds left of each that lives."""
        ...

    async def release(self, sandbox_id: str) -> None:
        """Stop it once no other gateway has a lease on it."""
        ...


class SharedKeeper:
    """Keeps sandboxes for this gateway alone: what it gives up, another one may still use."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self.overdue = manager.overdue
        self.sandboxes = manager.sandboxes
        self.renew = manager.renew

    async def retire(self, sandbox_id: str) -> None:
        """No call of ours is under way in it, and none will be."""
        await self._manager.release(sandbox_id)


class Retirement:
    """Follows the news about APIs. Make it after the resolver, so that it reads what is new."""

    def __init__(self, resolver: Resolver, leases: Leases, changes: ChangeSource) -> None:
        self._resolver = resolver
        self._leases = leases
        self._changed: set[str] = set()
        self._news = asyncio.Event()
        changes.subscribe(self._on_change)
        leases.when_held(self._look_again)

    async def run(self) -> None:
        """Work off the news, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._changed:
                await self._look_at(self._changed.pop())

    async def _look_at(self, api_id: str) -> None:
        try:
            destination = await self._resolver.find(api_id)
        except ApiNotFoundError:
            self._leases.keep_only(api_id, frozenset())
        except SandgateError as error:
            _log.warning("sandboxes_kept", api_id=api_id, error=str(error))
        else:
            self._leases.keep_only(api_id, wanted_specs(destination.route))

    def _look_again(self, api_id: str) -> None:
        self._changed.add(api_id)
        self._news.set()

    def _on_change(self, kind: str, identifier: str) -> None:
        held = self._leases.api_ids()
        if kind == "api":
            self._changed |= held & {identifier}
        elif kind in ("tenant", "all"):
            self._changed |= held
        self._news.set()
