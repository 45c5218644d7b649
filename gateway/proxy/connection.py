"""One connection to one sandbox: sends a call, reads exactly one answer, trusts nothing."""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from gateway.errors import SandgateError
from gateway.proxy.errors import ApiBadResponseError, ApiDiedError, UnreadError
from gateway.proxy.head import MAX_HEAD_BYTES, AnswerHead, read_answer

MAX_INTERIM = 8  # 1xx answers before the final one
HIGH_WATER = 256 * 1024  # bytes of an answer held for a slow caller
MAX_FRAMING_BYTES = 64 * 1024  # of chunk extensions and trailers without any content
ONE_PIECE_BYTES = 16 * 1024  # the kernel keeps one write of this size together

_START = b"HTTP/1.1 "
_HEAD_END = b"\r\n\r\n"
# The parser of chunks never sees the sandbox's own head, so it cannot read it differently.
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """Serves one call at a time: `begin`, `send`, `end`, then `head`, `take` until `complete`.

    Whoever reads waits with `news`, which returns when something changed; a failure is
    raised from there. Any byte that was not asked for ends the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._is_lost = False
        self._is_writable = True
        self._drained: asyncio.Future[None] | None = None
        self._is_busy = False
        self._last_raw = b""
        self._last_head: AnswerHead | None = None
        self._reset()

    def _reset(self) -> None:
        self.head: AnswerHead | None = None
        self.complete = False
        self._is_head_call = False
        self._is_upgrade = False
        self._is_sent = False
        self._writes = 0
        self._is_one_piece = False
        self._error: SandgateError | None = None
        self._news: asyncio.Future[None] | None = None
        self._listener: Callable[[], None] | None = None
        self._partial = bytearray()
        self._interim = 0
        self._left = 0  # bytes of a body with a known length
        self._chunks: httptools.HttpResponseParser | None = None
        self._framing_bytes = 0
        self._pieces: list[bytes] = []
        self._held = 0
        self._is_paused = False

    # --- for the call ---

    def is_alive(self) -> bool:
        """Whether an idle connection can be used: still open, and nothing has arrived on it.

        Asks the kernel, because the event loop may not have told yet.
        """
        return not self._is_lost and not self._poll.poll(0)

    @property
    def is_reusable(self) -> bool:
        """Whether the call ended so cleanly that another one may follow."""
        head = self.head
        return (
            self.complete
            and self._is_sent
            and not self._is_lost
            and self._error is None
            and head is not None
            and head.keeps_connection
        )

    def begin(self, *, is_head: bool, is_upgrade: bool = False) -> None:
        """A new call starts on this connection; only an upgrade may be answered with 101."""
        self._reset()
        self._is_head_call = is_head
        self._is_upgrade = is_upgrade
        self._is_busy = True

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: the paused transport, and what came behind the head; both now yours."""
        transport, early = self._transport, bytes(self._partial)
        if transport is None or self._is_lost or self.head is None or self.head.status != 101:
            raise ApiDiedError("It ended the connection before its answer was complete.")
        self._transport, self._is_lost = None, True
        return transport, early

    def send(self, data: bytes) -> None:
        """Send a part of the call; look at `can_send` before the next one."""
        if self._transport is not None and not self._is_lost:
            self._writes += 1
            self._is_one_piece = self._writes == 1 and len(data) <= ONE_PIECE_BYTES
            self._transport.write(data)

    def sent(self) -> None:
        """The call has been handed over in full."""
        self._is_sent = True

    @property
    def can_send(self) -> bool:
        """Whether the sandbox keeps up with what is sent to it."""
        return self._is_writable

    async def drained(self) -> None:
        """Wait until the sandbox has taken what was sent; the caller keeps the deadline."""
        while not self._is_writable and not self._is_lost:
            self._drained = self._loop.create_future()
            await self._drained

    @property
    def has_news(self) -> bool:
        """Whether `news` would return at once."""
        return bool(self._pieces) or self.complete or self._error is not None

    def news(self) -> "asyncio.Future[None]":
        """Wait for a head, a piece, or the end; raises what went wrong.

        The wait has no deadline of its own: whoever waits arranges for `fail`.
        """
        self._news = news = self._loop.create_future()
        self._listener = None
        if self._error is not None:
            news.set_exception(self._error)
        return news

    def raise_failure(self) -> None:
        """What went wrong, if anything did."""
        if self._error is not None:
            raise self._error

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this instead of waking who waits; `news` takes its place again."""
        self._listener = listener

    def listen_no_more(self) -> None:
        """Somebody waits from now on."""
        self._listener = None

    @property
    def is_whole(self) -> bool:
        """Whether the answer is there, all of it and in order."""
        return self.complete and self._error is None

    def must_be_attended(self, most: int) -> bool:
        """Whether the rest will not come by itself soon: it failed, streams, or is long."""
        if self._error is not None or self.head is None:
            return self._error is not None
        return self.head.length is None or self.head.length > most

    def take(self) -> bytes:
        """Everything of the body that has arrived and was not taken yet."""
        if self._error is not None:
            raise self._error
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._held = 0
        if self._is_paused and self._transport is not None and not self._is_lost:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def fail(self, error: SandgateError) -> None:
        """End the call with this error and the connection with it; the first error stays."""
        if self._error is None and not self.complete:
            self._error = error
        self.abort()
        self._tell()

    def abort(self) -> None:
        """Close at once; what is under way in either direction is dropped."""
        self._is_lost = True
        if self._transport is not None:
            self._transport.abort()

    def rest(self) -> None:
        """The call is over and the connection waits for the next one."""
        self._is_busy = False
        self._listener = None

    # --- for the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whichever side.

        A Unix socket reports a reset, not an end, when its peer went with something unread.
        What was sent as one piece is read as one piece, so then the app saw none of it.
        """
        self._is_lost = True
        if self._is_busy and not self.complete and self._error is None:
            is_reset = isinstance(exc, ConnectionResetError | BrokenPipeError)
            nothing_came = self.head is None and not self._partial
            is_unread = is_reset and nothing_came and self._is_sent and self._is_one_piece
            died = UnreadError if is_unread else ApiDiedError
            self._error = died("It ended the connection before its answer was complete.")
        self._tell()
        self.resume_writing()

    def eof_received(self) -> None:
        """It will send no more; the transport closes itself. The descriptor may be gone already."""
        self._is_lost = True

    def pause_writing(self) -> None:
        """The sandbox does not keep up."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """The sandbox has caught up, or is gone."""
        self._is_writable = True
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes from the sandbox."""
        if not self._is_busy or self.complete or self._is_lost:
            self.abort()  # nobody asked for them
            return
        try:
            if self.head is None:
                self._read_head(data)
            else:
                self._read_body(data)
        except ApiBadResponseError as error:
            self.complete = False
            self.fail(error)

    # --- reading ---

    def _read_head(self, data: bytes) -> None:
        if self._partial:
            searched = max(0, len(self._partial) - len(_HEAD_END) + 1)
            self._partial += data
            if self._partial.find(_HEAD_END, searched) < 0:
                self._check_partial(data)
                return
            data = bytes(self._partial)
            self._partial.clear()
        while data:
            end = data.find(_HEAD_END) + len(_HEAD_END)
            if end < len(_HEAD_END):
                self._partial += data
                self._check_partial(data)
                return
            if end > MAX_HEAD_BYTES:
                raise ApiBadResponseError("The head of its answer is too large.")
            head = self._answer_head(data[:end])
            data = data[end:]
            if head is not None and head.status == 101:
                self._switch(head, data)
                return
            if head is not None:
                self._start_body(head, data)
                return
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise ApiBadResponseError("It sent too many interim answers.")

    def _answer_head(self, raw: bytes) -> AnswerHead | None:
        """Apps repeat themselves as well: the same bytes are read once a connection."""
        if raw == self._last_raw and not self._is_head_call:
            return self._last_head
        head = read_answer(raw, is_head=self._is_head_call, is_upgrade=self._is_upgrade)
        if head is not None and head.status != 101 and not self._is_head_call:
            self._last_raw, self._last_head = raw, head
        return head

    def _check_partial(self, added: bytes) -> None:
        """Refuse at once what can never become a head, instead of waiting for its end."""
        if len(self._partial) > MAX_HEAD_BYTES:
            raise ApiBadResponseError("The head of its answer is too large.")
        if b"\n\n" in added or not self._partial.startswith(_START[: len(self._partial)]):
            raise ApiBadResponseError("The head of its answer is malformed.")

    def _switch(self, head: AnswerHead, early: bytes) -> None:
        """From here on the bytes are another protocol's: keep them for whoever takes over."""
        self.head, self.complete = head, True
        self._partial += early
        if self._transport is not None:
            self._transport.pause_reading()
        self._tell()

    def _start_body(self, head: AnswerHead, data: bytes) -> None:
        self.head = head
        if head.length is None:
            self._chunks = httptools.HttpResponseParser(self)
            self._chunks.feed_data(_CHUNKED_HEAD)
        else:
            self._left = head.length
            self.complete = head.length == 0
        if data:
            self._read_body(data)
        else:
            self._tell()

    def _read_body(self, data: bytes) -> None:
        if self._chunks is not None:
            self._read_chunks(data)
        else:
            size = len(data)
            if size > self._left:
                raise ApiBadResponseError("It sent more than one answer.")
            self._left -= size
            self.complete = self._left == 0
            self._hold(data)
        self._tell()

    def _read_chunks(self, data: bytes) -> None:
        self._framing_bytes += len(data)
        try:
            cast(httptools.HttpResponseParser, self._chunks).feed_data(data)
        except httptools.HttpParserError as error:
            raise ApiBadResponseError("The chunks of its answer are malformed.") from error
        if self._framing_bytes > MAX_FRAMING_BYTES and not self.complete:
            raise ApiBadResponseError("Its chunks hold next to nothing.")

    def on_body(self, data: bytes) -> None:
        """Called by the parser of chunks: content."""
        self._framing_bytes = 0
        self._hold(data)

    def on_message_complete(self) -> None:
        """Called by the parser of chunks: the last chunk was read."""
        self.complete = True

    def _hold(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        if self._held > HIGH_WATER and not self._is_paused and not self.complete:
            self._is_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener()
            return
        news = self._news
        if news is None or news.done():
            return
        if self._error is None:
            news.set_result(None)
        else:
            news.set_exception(self._error)
