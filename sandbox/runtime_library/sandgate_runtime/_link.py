"""One connection to the store, for one event loop: many calls at once, answers in any order."""

import asyncio
import os
from typing import Any, TypeVar, cast

from ._calls import HEADER, Call, LostError, decode, encode, frame_length, is_farewell, result
from ._errors import KvUnavailableError

T = TypeVar("T")


class Link(asyncio.Protocol):
    """Answers are matched to calls by number. Once closed it stays closed."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._is_farewell_said = False
        self._process = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether calls can be sent; never in a process that was forked off."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and os.getpid() == self._process

    async def call(self, call: Call[T]) -> T:
        """Send and wait; LostError when the connection ends first."""
        assert self._transport is not None
        self._number += 1
        number = self._number
        frame = encode(number, call)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._transport.write(frame)
            return result(call, await future)
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """End it; calls in flight are lost."""
        if self._transport is not None:
            self._transport.abort()

    # --- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        # no check of its class: other event loops have transports of their own
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Pieces of answers."""
        self._buffer += data
        try:
            while (answer := self._next()) is not None:
                if is_farewell(answer):
                    self._is_farewell_said = True
                    self.close()
                    return
                future = self._waiting.get(answer["id"])
                if future is not None and not future.done():
                    future.set_result(answer)
        except (ValueError, KeyError, TypeError, KvUnavailableError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        for future in self._waiting.values():
            if not future.done():
                reason = str(exc or "the store closed the connection")
                future.set_exception(LostError(reason, is_unbegun=self._is_farewell_said))

    def _next(self) -> dict[str, Any] | None:
        if len(self._buffer) < HEADER.size:
            return None
        end = HEADER.size + frame_length(bytes(self._buffer[: HEADER.size]))
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return decode(body)
