"""Tells caches what changed: at once within this process, by LISTEN from all others.

No message is trusted to arrive. Every announced change raises the generation in its own
transaction; a number that was skipped, or one that a look at the database shows and no message
brought, makes everything count as changed.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

import asyncpg
import structlog

from gateway.errors import SandgateError

CHANNEL = "sandgate_changes"
EVERYTHING = "all"
POLL_SECONDS = 2.0  # between two looks at the generation
GRACE_SECONDS = 0.5  # for a message that is on its way when a look was faster
READ_SECONDS = 1.5  # for one look; all three together stay below the bound of 5 s

Callback = Callable[[str, str], None]

_log = structlog.get_logger(__name__)


class News(Protocol):
    """A second way by which gateways tell each other; it may lose whatever it likes."""

    def send(self, kind: str, identifier: str) -> None:
        """Tell the other gateways; never waits, never fails."""
        ...

    async def run(self, receive: Callback) -> None:
        """Hand over what others tell, until cancelled."""
        ...


class Changes:
    """`kind` is api, key, tenant, plan, or `all` when changes may have been missed.

    Callbacks are plain functions and must not wait. While the connection is lost, the looks at
    the generation go on over `read`; as soon as it is back, everything counts as changed.
    Without a `source` there is no LISTEN: then `news` are the fast way, and `read` the sure one.
    """

    def __init__(
        self,
        source: str | Path | None,
        *,
        database: str = "postgres",
        check_seconds: float = 2,
        retry_seconds: float = 0.2,
        read: Callable[[], Awaitable[int]] | None = None,
        news: News | None = None,
        poll_seconds: float = POLL_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._source = source
        self._address: dict[str, Any] = {
            "host": str(source),
            "user": "authenticator",
            "database": database,
        }
        if str(source).startswith(("postgres://", "postgresql://")):
            self._address = {"dsn": str(source)}
        self._check_seconds = check_seconds
        self._retry_seconds = retry_seconds
        self._read = read
        self._news = news
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds if source is not None else 0.0
        self._callbacks: list[Callback] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._first = asyncio.Event()
        self._listening = False
        self._missed = False
        self._generation: int | None = None
        self.handled_at = time.time()

    @property
    def listening(self) -> bool:
        """Whether changes made elsewhere arrive at the moment; without LISTEN they are polled."""
        return self._listening or self._source is None

    @property
    def generation(self) -> int:
        """Every change up to this one has been handled here; 0 until the first is known."""
        return self._generation or 0

    def subscribe(self, callback: Callback) -> None:
        """Call `callback(kind, id)` on every change from now on."""
        self._callbacks.append(callback)

    def publish(self, kind: str, identifier: str) -> None:
        """Tell everybody in this process, now, and the other gateways as soon as may be."""
        self._tell(kind, identifier)
        if self._news is not None:
            self._news.send(kind, identifier)

    def _tell(self, kind: str, identifier: str) -> None:
        for callback in tuple(self._callbacks):
            try:
                callback(kind, identifier)
            except Exception:  # noqa: BLE001 - one subscriber's fault must not keep others stale
                _log.exception("change_callback_failed", kind=kind, id=identifier)

    async def __aenter__(self) -> Self:
        if self._read is not None:
            await self._begin()
            self._tasks.append(asyncio.create_task(self._poll(), name="generation"))
        if self._news is not None:
            self._tasks.append(asyncio.create_task(self._news.run(self._hinted), name="news"))
        if self._source is not None:
            self._tasks.append(asyncio.create_task(self._run(), name="changes"))
            with suppress(TimeoutError):  # no database yet: keep trying behind the scenes
                await asyncio.wait_for(self._first.wait(), 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the generation

    async def _begin(self) -> None:
        """Where we stand before anything is remembered here."""
        try:
            self._handled(await self._look())
        except (SandgateError, TimeoutError) as error:
            _log.warning("generation_unknown", error=repr(error))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._compare()
            except (SandgateError, TimeoutError) as error:
                _log.warning("generation_not_read", error=repr(error))
            except Exception:  # noqa: BLE001 - without this look a lost message stays lost
                _log.exception("generation_not_compared")

    async def _compare(self) -> None:
        """Whether all that has happened was told; if not, everything counts as changed."""
        seen = await self._look()
        if seen == self._generation:
            return
        await asyncio.sleep(self._grace_seconds)
        known = self._generation
        if known is None or known < seen:
            self._lost(seen)
        elif seen < known and (again := await self._look()) < known:  # an older database
            self._generation = None
            self._lost(again)

    async def _look(self) -> int:
        assert self._read is not None
        async with asyncio.timeout(READ_SECONDS):
            return await self._read()

    def _lost(self, generation: int) -> None:
        # without LISTEN this is how changes are noticed; with it something went wrong
        log = _log.info if self._source is None else _log.warning
        log("changes_missed", handled=self._generation, generation=generation)
        self._tell(EVERYTHING, "")
        self._handled(generation)

    def _handled(self, generation: int) -> None:
        self._generation = max(generation, self._generation or 0)
        self.handled_at = time.time()

    # --- what arrives

    def _heard(self, kind: str, identifier: str, generation: int | None) -> None:
        """A message of the database; all of one transaction carry the same number."""
        known = self._generation
        if generation is not None and known is not None and generation > known + 1:
            self._lost(generation)  # and what it names is not only distrusted, but has changed
        self._tell(kind, identifier)
        if generation is not None and (known is not None or self._read is None):
            self._handled(generation)

    def _hinted(self, kind: str, identifier: str) -> None:
        """Another gateway says so; who listens to the database hears it from there."""
        if not self._listening:
            self._tell(kind, identifier)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing arrives any more
                _log.warning("changes_connection_lost", error=repr(error))
            self._listening = False
            self._missed = True
            await asyncio.sleep(self._retry_seconds)

    async def _listen(self) -> None:
        """One connection's life: ends by itself or by an exception when it is lost."""
        connection = await asyncpg.connect(**self._address, timeout=5, command_timeout=5)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._received)
            self._listening = True
            self._first.set()
            if self._missed:
                self._missed = False
                self._tell(EVERYTHING, "")
            while not lost.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), self._check_seconds)
                    return
                await connection.fetchval("select 1")  # a connection may be dead in silence
        finally:
            connection.terminate()

    def _received(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            change = json.loads(str(payload))
            kind, identifier = str(change["kind"]), str(change["id"])
            generation = int(change["generation"]) if "generation" in change else None
        except (ValueError, KeyError, TypeError):
            _log.warning("change_not_understood", payload=str(payload)[:200])
            kind, identifier, generation = EVERYTHING, "", None
        self._heard(kind, identifier, generation)
