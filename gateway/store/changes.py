"""Tells caches what changed: at once within this process, by LISTEN from all others."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import asyncpg
import structlog

CHANNEL = "sandgate_changes"
EVERYTHING = "all"

Callback = Callable[[str, str], None]

_log = structlog.get_logger(__name__)


class Changes:
    """`kind` is api, key, tenant, plan, or `all` when changes may have been missed.

    Callbacks are plain functions and must not wait. While the connection is lost, nothing
    is announced; as soon as it is back, everything counts as changed.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        database: str = "postgres",
        check_seconds: float = 2,
        retry_seconds: float = 0.2,
    ) -> None:
        self._address: dict[str, Any] = {
            "host": str(source),
            "user": "authenticator",
            "database": database,
        }
        if str(source).startswith(("postgres://", "postgresql://")):
            self._address = {"dsn": str(source)}
        self._check_seconds = check_seconds
        self._retry_seconds = retry_seconds
        self._callbacks: list[Callback] = []
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._listening = False
        self._missed = False

    @property
    def listening(self) -> bool:
        """Whether changes made elsewhere arrive at the moment."""
        return self._listening

    def subscribe(self, callback: Callback) -> None:
        """Call `callback(kind, id)` on every change from now on."""
        self._callbacks.append(callback)

    def publish(self, kind: str, identifier: str) -> None:
        """Tell everybody in this process, now."""
        for callback in tuple(self._callbacks):
            try:
                callback(kind, identifier)
            except Exception:  # noqa: BLE001 - one subscriber's fault must not keep others stale
                _log.exception("change_callback_failed", kind=kind, id=identifier)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="changes")
        with suppress(asyncio.TimeoutError):  # no database yet: keep trying behind the scenes
            await asyncio.wait_for(self._first.wait(), 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
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
                self.publish(EVERYTHING, "")
            while not lost.is_set():
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(lost.wait(), self._check_seconds)
                    return
                await connection.fetchval("select 1")  # a connection may be dead in silence
        finally:
            connection.terminate()

    def _received(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            change = json.loads(str(payload))
            kind, identifier = str(change["kind"]), str(change["id"])
        except (ValueError, KeyError, TypeError):
            _log.warning("change_not_understood", payload=str(payload)[:200])
            kind, identifier = EVERYTHING, ""
        self.publish(kind, identifier)
