"""Knows which calls have threads at work: cancelling a call does not end what runs in a thread."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import anyio.to_thread

_work: ContextVar["Work | None"] = ContextVar("sandgate_call", default=None)
_run_sync = anyio.to_thread.run_sync


class Work:
    """The threads of one call. Threads change it, so each step is one that cannot be divided."""

    __slots__ = ("_running", "_when_idle")

    def __init__(self) -> None:
        self._running: set[object] = set()
        self._when_idle: list[Callable[[], None]] = []
        _work.set(self)  # the task's own context, which what it starts inherits

    def once_idle(self, act: Callable[[], None]) -> None:
        """Act now, or in the last thread when it is done; once in any case."""
        self._when_idle.append(act)
        self._act_if_idle()

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In a thread: the function, while it is known to be running."""
        mark = object()
        self._running.add(mark)
        try:
            return function(*args, **kwargs)
        finally:
            self._running.discard(mark)
            self._act_if_idle()

    def _act_if_idle(self) -> None:
        if not self._running:
            with contextlib.suppress(IndexError):
                self._when_idle.pop()()


class Executor(ThreadPoolExecutor):
    """What `asyncio.to_thread` runs in."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As usual, on behalf of the call that asks."""
        work = _work.get()
        if work is None:
            return super().submit(fn, *args, **kwargs)
        return super().submit(work.run, fn, *args, **kwargs)


async def _run_sync_of_call(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
    work = _work.get()
    if work is None:
        return await _run_sync(func, *args, **options)
    return await _run_sync(work.run, func, *args, **options)


def install() -> None:
    """What frameworks run their synchronous functions with says for which call it does."""
    setattr(anyio.to_thread, "run_sync", _run_sync_of_call)  # noqa: B010 - its type is generic
