"""Long work for a client that may leave: whoever got no answer must find no trace."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from fastapi import Request

from gateway.errors import SandgateError

Value = TypeVar("Value")
_log = structlog.get_logger(__name__)
_UNDO_SECONDS = 90.0


class ClientGoneError(SandgateError):
    """Nobody reads this; it ends the request."""

    status, code, title = 499, "client_gone", "The client left"


async def while_connected(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """Do the work; when the client leaves first, cancel it and wait until it is undone."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_UNDO_SECONDS)
            if task.done() and not task.cancelled():
                task.exception()  # seen; nobody is there to be told
    _log.info("client_gone", path=request.url.path)
    raise ClientGoneError


async def _gone(request: Request) -> None:
    """Returns once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
