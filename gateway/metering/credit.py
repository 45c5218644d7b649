"""What accounts may spend: read from the ledger for the limiter, and again when it changes.

The limiter is ahead of the ledger: it knows reservations and calls that are still in the
journal. So `spent` is read only for accounts it knows nothing of, and only when no line that
could belong to such an account is missing in the ledger.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from gateway.errors import SandgateError, UnavailableError
from gateway.metering.segments import begun, filled, segments
from gateway.store import ledger
from gateway.store.database import Database

_log = structlog.get_logger(__name__)

DRAINED_SECONDS = 3600.0  # half the time after which a limiter forgets an account
WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0
_REMEMBERED = 50_000

SetCredit = Callable[[str, int, int], Awaitable[None]]


class CreditUnavailableError(UnavailableError):
    """What was spent before is not all in the ledger yet, so nobody can say what is left."""

    code, title = "credit_unavailable", "The balance is not known yet"

    def __init__(self) -> None:
        super().__init__("Earlier calls are still being stored. Nothing was charged.")


class News(Protocol):
    """Where changes are announced."""

    def subscribe(self, callback: Callable[[str, str], None]) -> None:
        """Call back with kind and id of what changed."""
        ...


class Credit:
    """Loads balances when the limiter asks, and tells it of credit that was granted."""

    def __init__(
        self,
        database: Database,
        set_credit: SetCredit,
        folder: Path,
        news: News,
        *,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._set_credit = set_credit
        self._folder = folder
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._earlier = {path.name for path in segments(folder)}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._stale: dict[str, None] = {}
        self._has_news = asyncio.Event()
        news.subscribe(self._changed)

    async def load(self, account: str) -> tuple[int, int]:
        """What was granted to an account, and what of it is spent.

        One at a time for each account, so that what is told to the limiter last is what was
        read last.
        """
        lock = self._locks.setdefault(account, asyncio.Lock())
        async with lock:
            await self._settled()
            row = await ledger.credit(self._database, account)
            self._loaded[account] = None
            if len(self._loaded) > _REMEMBERED:
                self._loaded.popitem(last=False)
            return row["granted"], row["spent"]

    async def run(self) -> None:
        """Tell the limiter of every change, for as long as it takes, until cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            for account in list(self._stale):
                try:
                    await self._set_credit(account, *await self.load(account))
                except SandgateError as error:
                    _log.warning("credit_not_read", tenant_id=account, error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    self._has_news.set()
                    break
                self._stale.pop(account, None)

    def _changed(self, kind: str, identifier: str) -> None:
        if kind == "credit":
            self._stale[identifier] = None
        elif kind == "all":
            self._stale.update(self._loaded)
        else:
            return
        self._has_news.set()

    async def _settled(self) -> None:
        """Wait until the ledger has what it must have; raises when that takes long.

        Lines of an account that a limiter does not know are from before this process, or from
        before the account was forgotten. Those of before are known by their names, since a clock
        may have been set meanwhile.
        """
        until = time.monotonic() + self._wait_seconds
        while any(map(self._matters, filled(self._folder))):
            if time.monotonic() >= until:
                raise CreditUnavailableError
            await asyncio.sleep(LOOK_SECONDS)

    def _matters(self, path: Path) -> bool:
        return path.name in self._earlier or begun(path) < self._clock() - DRAINED_SECONDS
