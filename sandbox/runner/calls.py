"""The app process's side of the page: every call is entered, measured, and cancelled when asked."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from time import monotonic_ns
from typing import Any

from .page import (
    ANSWERING,
    CANCEL,
    DEADLINE,
    ENDED_HELD,
    ENDED_TIME,
    HELD,
    IDENT,
    ON_LOOP,
    ON_LOOP_SINCE,
    SLOTS,
    START,
    WATCHED,
)
from .threads import Work

_DEADLINE = "ran past its deadline and was cancelled"
_CPU = "used more processor time than a call may and was cancelled"
_MILLISECOND = 1_000_000
# the gateway answers its caller when the time is over; cancelling only frees what is left of it
_LATER = 200 * _MILLISECOND
_SECOND = 1_000_000_000
_NEVER = 2**63
_ANSWER = b"the call was cancelled: it took too long\n"
_REASON = "cancelled: it used too much"

Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


class Calls:
    """Runs calls. `on_busy` is told when one begins while nobody is looking at the page."""

    def __init__(self, page: "memoryview[int]", on_busy: Callable[[], None]) -> None:
        self._page = page
        self._on_busy = on_busy
        self._free = list(range(SLOTS - 1, -1, -1))
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._cancelled: dict[int, str] = {}
        self._next = 1
        self._sweep_at = _NEVER
        self._sweeper: asyncio.TimerHandle | None = None
        self._log = logging.getLogger("uvicorn.error")

    async def run(
        self, application: Application, scope: Any, receive: Any, send: Any, milliseconds: int
    ) -> None:
        """One call, from first to last step of the application."""
        task = asyncio.current_task()
        if task is None or not self._free:
            await application(scope, receive, send)
            return
        slot = self._begin(task, milliseconds)
        work = Work()
        watch = _Answer(self._page, slot, send)
        try:
            await _Steps(self._page, slot, application(scope, receive, watch.send))
        except asyncio.CancelledError:
            why = self._cancelled.get(slot)
            if why is None:
                raise
            task.uncancel()
            self._log.warning("%s %s %s", _kind(scope), _target(scope), why)
            await _apologise(scope, send, begun=watch.begun)
        finally:
            if slot in self._cancelled:
                # it is over when its threads are: they go on whatever becomes of the call
                work.once_idle(partial(self._end_soon, task.get_loop(), slot))
            else:
                self._end(slot)

    def look_at_page(self) -> None:
        """The supervisor may have asked for calls to be cancelled."""
        for slot in list(self._tasks):
            if self._page[CANCEL + slot] == self._page[IDENT + slot]:
                self._cancel(slot, _CPU)

    def _begin(self, task: asyncio.Task[Any], milliseconds: int) -> int:
        page, slot, now = self._page, self._free.pop(), monotonic_ns()
        page[START + slot] = now
        page[HELD + slot] = 0
        if milliseconds:
            deadline = page[DEADLINE + slot] = now + milliseconds * _MILLISECOND
            if deadline + _LATER < self._sweep_at:
                self._sweep_in(task.get_loop(), deadline + _LATER, now)
        else:
            page[DEADLINE + slot] = 0
        page[IDENT + slot] = self._next
        self._next += 1
        self._tasks[slot] = task
        if not page[WATCHED]:
            self._on_busy()
        return slot

    def _end(self, slot: int) -> None:
        page = self._page
        page[IDENT + slot] = 0
        page[ENDED_HELD] += page[HELD + slot]
        page[ENDED_TIME] += monotonic_ns() - page[START + slot]
        del self._tasks[slot]
        self._cancelled.pop(slot, None)
        self._free.append(slot)

    def _sweep_in(self, loop: asyncio.AbstractEventLoop, deadline: int, now: int) -> None:
        """One timer for all: calls mostly have equal time, so the first to be due was first."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweep_at = deadline
        self._sweeper = loop.call_later((deadline - now) / _SECOND, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is due."""
        now, self._sweep_at, self._sweeper = monotonic_ns(), _NEVER, None
        left: list[int] = []
        for slot in list(self._tasks):
            deadline = self._page[DEADLINE + slot]
            if 0 < deadline <= now - _LATER:
                self._cancel(slot, _DEADLINE)
            elif deadline > 0:
                left.append(deadline + _LATER)
        if left:
            self._sweep_in(loop, min(left), now)

    def _end_soon(self, loop: asyncio.AbstractEventLoop, slot: int) -> None:
        """From any thread; a loop that is closed has nothing left to count."""
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end, slot)

    def _cancel(self, slot: int, why: str) -> None:
        task = self._tasks.get(slot)
        if task is not None and slot not in self._cancelled:
            self._cancelled[slot] = why
            task.cancel()


class _Answer:
    """Sees when the answer begins, or a WebSocket is accepted: then there is no deadline more."""

    __slots__ = ("_page", "_send", "_slot", "begun")

    def __init__(
        self, page: "memoryview[int]", slot: int, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        self._page, self._slot, self._send = page, slot, send
        self.begun = False

    def send(self, message: Any) -> Awaitable[None]:
        """In place of the server's own."""
        if not self.begun:
            self.begun = True
            self._page[DEADLINE + self._slot] = ANSWERING
        return self._send(message)


class _Steps:
    """Awaits a coroutine and notes how long each of its steps is on the event loop."""

    __slots__ = ("_coroutine", "_page", "_slot")

    def __init__(
        self, page: "memoryview[int]", slot: int, coroutine: Coroutine[Any, Any, None]
    ) -> None:
        self._page, self._slot, self._coroutine = page, slot, coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        page, column, coroutine = self._page, HELD + self._slot, self._coroutine
        ident = page[IDENT + self._slot]
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            since = monotonic_ns()
            page[ON_LOOP_SINCE] = since
            page[ON_LOOP] = ident
            try:
                waits_for = step(value)
            except StopIteration:
                return
            finally:
                page[ON_LOOP] = 0
                page[column] += monotonic_ns() - since
            try:
                value = yield waits_for
                step = coroutine.send
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on to the coroutine
                step, value = coroutine.throw, error


def _kind(scope: Any) -> str:
    return str(scope.get("method", "WEBSOCKET"))


def _target(scope: Any) -> str:
    """The path as it came, which has no line breaks."""
    return bytes(scope.get("raw_path") or b"").decode("ascii", "backslashreplace")


async def _apologise(scope: Any, send: Callable[[Any], Awaitable[None]], *, begun: bool) -> None:
    """Most callers have gone by now; one that has not is told. The call itself may still run.

    Half an answer is none: the server closes it. A WebSocket that was accepted is closed with
    a code, unless that has happened.
    """
    is_websocket = scope["type"] == "websocket"
    if not begun:
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(_ANSWER)).encode()),
            (b"connection", b"close"),
        ]
        kind = "websocket.http.response" if is_websocket else "http.response"
        await send({"type": f"{kind}.start", "status": 504, "headers": headers})
        await send({"type": f"{kind}.body", "body": _ANSWER})
    elif is_websocket:
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": 1011, "reason": _REASON})
