"""The door: takes the sandboxes' listeners and lets through what each one's rules allow."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog

from sandbox.egress import rules
from sandbox.egress.authority import Authority
from sandbox.egress.dialling import Dialler
from sandbox.egress.limits import Bucket, Limits, Quota
from sandbox.egress.refusals import RefusedError
from sandbox.egress.rules import Rules
from sandbox.egress.session import Caller, Means, Session
from sandbox.egress.streams import PlainStream

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.1  # when the process has no descriptor left
_READ, _READS = 64 * 1024, 4
_LINES = 20  # of refusals at once in an owner's log, then one a second


class Door:
    """An OutletHandler. Every connection it has is closed by `close`."""

    def __init__(self, limits: Limits, dialler: Dialler, authority: Authority) -> None:
        self._means = Means(limits, dialler, authority)
        self._connections = Quota("connections", limits.connections)
        self._gates: dict[str, Gate] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def serves_any(self) -> bool:
        """Whether there are sandboxes."""
        return bool(self._gates)

    def opened(
        self,
        sandbox_id: str,
        api_id: str,
        listener: socket.socket,
        detail: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        """Serve a sandbox; one that is known keeps the connections it has."""
        gate = self._gates.get(sandbox_id)
        if gate is not None and gate.api_id != api_id:
            self.closed(sandbox_id)
            gate = None
        if gate is None:
            gate = self._gates[sandbox_id] = Gate(
                self._means, self._connections, sandbox_id, api_id
            )
        gate.listen(listener, say)
        gate.use(rules.from_json(detail))

    def updated(self, api_id: str, detail: dict[str, Any]) -> None:
        """New rules for an API; connections they do not allow end at once."""
        found = rules.from_json(detail)
        for gate in self._gates.values():
            if gate.api_id == api_id:
                gate.use(found)

    def closed(self, sandbox_id: str) -> None:
        """The sandbox is gone."""
        gate = self._gates.pop(sandbox_id, None)
        if gate is not None:
            task = asyncio.create_task(gate.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End everything and wait for it."""
        for sandbox_id in list(self._gates):
            self.closed(sandbox_id)
        await asyncio.gather(*self._closing)


class Gate:
    """One sandbox's way out."""

    def __init__(self, means: Means, connections: Quota, sandbox_id: str, api_id: str) -> None:
        self.api_id = api_id
        self._sandbox_id = sandbox_id
        self._means = means
        self._connections = connections
        self._rules = rules.NOTHING
        self._teller = Teller(lambda _: None)
        self._accepting: asyncio.Task[None] | None = None
        self._sessions: dict[asyncio.Task[None], Session | None] = {}

    def listen(self, listener: socket.socket, say: Callable[[str], None]) -> None:
        """Accept from this listener from now on, and no more from the one before."""
        self._teller = Teller(say)
        self._stop_accepting()
        self._accepting = asyncio.create_task(self._accept(listener))
        # not by the task itself: one that is cancelled at once never gets to run
        self._accepting.add_done_callback(lambda _: listener.close())

    def use(self, found: Rules) -> None:
        """Rules from now on."""
        self._rules = found
        for task, session in self._sessions.items():
            if session is not None and not session.is_allowed_by(found):
                task.cancel()

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()

    async def close(self) -> None:
        """End every connection and wait for it."""
        self._stop_accepting()
        accepting = [self._accepting] if self._accepting is not None else []
        tasks = [*accepting, *self._sessions]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        limits = self._means.limits
        bucket = Bucket(limits.sandbox_rate, limits.sandbox_burst)
        while True:
            if wait := bucket.take():
                await asyncio.sleep(wait)
                continue
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                _log.warning("cannot_accept", sandbox_id=self._sandbox_id, reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        slot = ExitStack()
        limits = self._means.limits
        try:
            slot.enter_context(
                self._connections.one(
                    (f"sandbox {self._sandbox_id}", limits.sandbox_connections),
                    (f"api {self.api_id}", limits.api_connections),
                )
            )
        except RefusedError as error:
            _turn_away(sock, error)
            self._teller.say(f"outgoing connection refused: {error} ({error.code})")
            return
        task = asyncio.create_task(self._serve(sock))
        self._sessions[task] = None
        task.add_done_callback(lambda done: self._ended(done, sock, slot))

    def _ended(self, task: asyncio.Task[None], sock: socket.socket, slot: ExitStack) -> None:
        del self._sessions[task]
        slot.close()
        sock.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a_connection_failed", sandbox_id=self._sandbox_id, exc_info=error)

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        caller = Caller(
            self.api_id, self._sandbox_id, lambda: self._rules, lambda text: self._teller.say(text)
        )
        session = Session(self._means, caller, PlainStream(reader, writer))
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = session
        await session.run()


def _turn_away(sock: socket.socket, error: RefusedError) -> None:
    """Answer at once, without waiting for anything."""
    sock.setblocking(False)
    with sock, contextlib.suppress(OSError):  # gone already, or nothing more to read
        sock.send(error.answer())
        sock.shutdown(socket.SHUT_WR)
        # closed with something unread, the other side would see a reset and not the answer
        for _ in range(_READS):
            sock.recv(_READ)


class Teller:
    """Lines for an owner's log, fewer than a hostile app can cause."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._bucket = Bucket(1.0, _LINES)
        self._unsaid = 0

    def say(self, text: str) -> None:
        """Say it, or count it."""
        if self._bucket.take():
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more were not written)" if self._unsaid else ""
        self._unsaid = 0
        self._say(text + more)
