"""Carries a WebSocket between a caller and a sandbox once both have agreed to it.

No task and no buffer of its own: each side's bytes are read, judged and written to the other
side as they come, and a side that does not keep up stops the other one. Frames pass unchanged;
when the gateway ends a WebSocket it puts a close frame between two of them.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.errors import SandgateError
from gateway.limits.types import Decision
from gateway.proxy.frames import (
    GOING_AWAY,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    FrameReader,
    Violation,
    close_frame,
)
from gateway.proxy.streams import Reason
from gateway.store.call_settings import WebSocketSettings

CLOSE_SECONDS = 10.0  # for a side to answer the other one's close frame
LINGER_SECONDS = 1.0  # for both to take the gateway's close frame and go

Decide = Callable[[], "Decision | asyncio.Future[Decision]"]


class Tunnel:
    """Two sides and one timer. `on_end` is called once, when both sides are gone."""

    __slots__ = (
        "_bounds",
        "_decide",
        "_ends_at",
        "_is_ending",
        "_loop",
        "_on_end",
        "_seen_at",
        "_timer",
        "app",
        "caller",
        "reason",
    )

    def __init__(
        self,
        bounds: WebSocketSettings,
        *,
        hello: bytes,
        is_compressed: bool,
        decide: Decide,
        on_end: Callable[["Tunnel"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._bounds = bounds
        self._decide = decide
        self._on_end = on_end
        cap = bounds.message_bytes
        self.caller = Side(
            self,
            FrameReader(
                is_masked=True, is_compressed=is_compressed, cap=cap, asks=bounds.limit_messages
            ),
            hello,
        )
        self.app = Side(self, FrameReader(is_masked=False, is_compressed=is_compressed, cap=cap))
        self.caller.other, self.app.other = self.app, self.caller
        self.reason: str | None = None  # why the gateway ended it
        self._is_ending = False
        self._seen_at = now = self._loop.time()
        self._ends_at = now + bounds.total_seconds
        self._timer = self._loop.call_at(self._due(), self._look)

    # --- for the gateway

    def close(self, reason: Reason) -> None:
        """It may not go on."""
        self.end(reason.close_code, reason.text)

    def end(self, code: int, text: str) -> None:
        """Tell both sides, and cut what is left of them a moment later."""
        if self._is_ending:
            return
        self.reason = text
        self._wind_up(LINGER_SECONDS)
        self.caller.finish(code, text)
        self.app.finish(code, text)

    # --- for the sides

    @property
    def is_ending(self) -> bool:
        """Whether nothing passes any more but the rest of a frame."""
        return self._is_ending

    def seen(self) -> None:
        """Something came from either side."""
        self._seen_at = self._loop.time()

    def closing(self) -> None:
        """A close frame passed; the second one is the end."""
        if self.caller.reader.closed is None or self.app.reader.closed is None:
            self._timer.cancel()
            self._timer = self._loop.call_later(CLOSE_SECONDS, self._unanswered)
            return
        self._wind_up(LINGER_SECONDS)
        self.caller.leave()
        self.app.leave()

    def violated(self, side: "Side", violation: Violation) -> None:
        """What came is no WebSocket; the innocent side is not told that it was its fault."""
        who = "The caller" if side is self.caller else "The API"
        text = f"{who} broke the protocol: {violation.text}."
        if side is self.app and violation.code != 1009:
            self.app.finish(violation.code, text)
            self.end(INTERNAL_ERROR, text)
        else:
            self.end(violation.code, text)

    def may_pass(self) -> bool:
        """The caller's next message; False when that is not decided yet, or it is the end."""
        try:
            decision = self._decide()
        except SandgateError as error:
            self.end(TRY_AGAIN_LATER, error.title)
            return False
        if isinstance(decision, Decision):
            return self._is_admitted(decision)
        self.caller.hold()
        decision.add_done_callback(self._on_decision)
        return False

    def lost(self, side: "Side") -> None:
        """One side is gone."""
        if side.other.is_lost:
            self._timer.cancel()
            self._on_end(self)
        elif side is self.caller:
            self._wind_up(LINGER_SECONDS)
            self.app.leave()
        elif self.caller.is_told:
            self._wind_up(LINGER_SECONDS)
            self.caller.leave()
        elif side.reader.is_between_frames:
            self.end(INTERNAL_ERROR, "The API ended.")
        else:
            self.caller.cut()  # in the middle of a frame there is no place for another one

    # --- inside

    def _on_decision(self, future: "asyncio.Future[Decision]") -> None:
        if self._is_ending or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            title = error.title if isinstance(error, SandgateError) else SandgateError.title
            self.end(TRY_AGAIN_LATER, title)
            return
        self.caller.go_on()
        if self._is_admitted(future.result()):
            self.caller.allow()

    def _is_admitted(self, decision: Decision) -> bool:
        if not decision.admitted:
            self.end(POLICY_VIOLATION, f"Too many messages; wait {decision.retry_after} seconds.")
        return decision.admitted

    def _due(self) -> float:
        return min(self._seen_at + self._bounds.idle_seconds, self._ends_at)

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._ends_at:
            self.end(GOING_AWAY, "A WebSocket may not last longer.")
        elif now >= self._due():
            self.end(GOING_AWAY, "Nothing came for too long.")
        else:
            self._timer = self._loop.call_at(self._due(), self._look)

    def _unanswered(self) -> None:
        self.end(INTERNAL_ERROR, "The other side did not close in time.")

    def _wind_up(self, seconds: float) -> None:
        self._is_ending = True
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        self.caller.cut()
        self.app.cut()


class Side(asyncio.Protocol):
    """One end of the tunnel: reads what comes from it, writes what is for it."""

    __slots__ = (
        "_farewell",
        "_hello",
        "_is_held",
        "_is_stalled",
        "_transport",
        "_tunnel",
        "is_lost",
        "is_told",
        "other",
        "reader",
        "received",
    )

    other: "Side"

    def __init__(self, tunnel: Tunnel, reader: FrameReader, hello: bytes = b"") -> None:
        self._tunnel = tunnel
        self.reader = reader  # of what comes from here
        self._hello = hello
        self._transport: asyncio.Transport | None = None
        self._farewell: tuple[int, str] | None = None  # a close frame that waits for a boundary
        self._is_held = False  # its next message waits for a decision
        self._is_stalled = False  # the other side does not keep up
        self.is_told = False  # a close frame was written to it
        self.is_lost = False
        self.received = 0

    # --- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is this protocol's from now on."""
        self._transport = cast(asyncio.Transport, transport)
        if self._transport.is_closing():
            self.connection_lost(None)  # it went while the other side was asked
            return
        if self._hello:
            self._transport.write(self._hello)
            self._hello = b""

    def data_received(self, data: bytes) -> None:
        """Bytes from this side."""
        self.received += len(data)
        self._tunnel.seen()
        reader = self.reader
        if reader.is_over or (self._tunnel.is_ending and reader.is_between_frames):
            return
        self._pass(reader.feed(data))

    def eof_received(self) -> None:
        """It sends no more; a WebSocket cannot go on in one direction. The transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Gone, by whichever side."""
        if not self.is_lost:
            self.is_lost = True
            self.other.stall(on=False)
            self._tunnel.lost(self)

    def pause_writing(self) -> None:
        """It does not keep up: the other one waits."""
        self.other.stall(on=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self.other.stall(on=False)

    # --- for the tunnel

    def allow(self) -> None:
        """The message that waited passes."""
        self._pass(self.reader.allow())

    def hold(self) -> None:
        """Read nothing more from it until `go_on`."""
        self._is_held = True
        self._read_or_not()

    def go_on(self) -> None:
        """Read on."""
        self._is_held = False
        self._read_or_not()

    def stall(self, *, on: bool) -> None:
        """Read nothing from it while the other side does not keep up."""
        self._is_stalled = on
        self._read_or_not()

    def write(self, data: bytes | memoryview) -> None:
        """To this side."""
        if self._transport is not None and not self.is_lost and data:
            self._transport.write(data)

    def finish(self, code: int, text: str) -> None:
        """Our close frame, at the next boundary."""
        if self.is_told or self._farewell is not None:
            self.leave()
            return
        self._farewell = (code, text)
        self.other.reader.stop()
        self.say_farewell()

    @property
    def has_farewell(self) -> bool:
        """Whether a close frame of ours is for it."""
        return self._farewell is not None

    def say_farewell(self) -> None:
        """Our close frame, if it is time for it."""
        if self._farewell is None or self.is_told or not self.other.reader.is_between_frames:
            return
        self.is_told = True
        self.write(close_frame(*self._farewell, is_masked=self is self._tunnel.app))
        if self is self._tunnel.caller:
            self.leave()  # while the app, which answers and goes, may be in the middle of a frame

    def leave(self) -> None:
        """It has all it gets: what is written goes out, what still comes is not read."""
        if self._transport is None or self.is_lost:
            return
        self._is_held = self._is_stalled = False
        if self._tunnel.caller is self and self._transport.can_write_eof():
            self._read_or_not()
            self._transport.write_eof()  # closing now could destroy what it has not read yet
        else:
            self._transport.close()

    def cut(self) -> None:
        """At once."""
        if self._transport is not None and not self.is_lost:
            self._transport.abort()

    # --- inside

    def _pass(self, data: bytes | memoryview) -> None:
        """What may pass does, and what follows from it."""
        reader, other = self.reader, self.other
        other.write(data)
        while reader.is_asking and not self._is_held and self._tunnel.may_pass():
            other.write(reader.allow())
        if other.has_farewell:
            other.say_farewell()
        elif reader.closed is not None:
            other.is_told = True
            self._tunnel.closing()
        elif reader.violation is not None:
            self._tunnel.violated(self, reader.violation)

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None or self.is_lost or transport.is_closing():
            return
        if self._is_held or self._is_stalled:
            transport.pause_reading()
        else:
            transport.resume_reading()
