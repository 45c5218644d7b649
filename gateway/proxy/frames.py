"""Reads the frames of a WebSocket as they pass, strictly, and leaves them as they are. Pure.

Only headers are looked at, and of control frames the close code. Nothing of a frame may pass
before its header is known to be right, so what has passed is always part of a valid stream,
and whoever knows its boundaries can put a frame of its own between two of them.
"""

import secrets
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
NO_CODE = 1005  # never on the wire: a close frame without a code
POLICY_VIOLATION = 1008
TOO_LARGE = 1009
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013

MAX_CONTROL_BYTES = 125
_MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2
_FINAL = 0x80
_MASKED = 0x80
_RESERVED = 0x70
_COMPRESSED = 0x40  # of the first frame of a message, when permessage-deflate was agreed on
_KNOWN = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_NOTHING = memoryview(b"")


class Violation(NamedTuple):
    """Why the stream ends here: the code for a close frame, and words for it."""

    code: int
    text: str


class FrameReader:
    """One direction of a WebSocket.

    `is_masked` says that a client sends; `is_compressed` that permessage-deflate was agreed
    on; a message, which is the sum of its fragments as they are on the wire, has at most `cap`
    bytes. With `asks` each message waits for `allow` before its first byte passes.

    `feed` answers what may pass. After that `closed` has the code of a close frame once one
    has passed, `violation` says that something was wrong, and `is_asking` that a message waits;
    with the first two nothing more will ever pass.
    """

    __slots__ = (
        "_cap",
        "_chunk",
        "_compressed",
        "_is_allowed",
        "_is_in_message",
        "_is_stopped",
        "_left",
        "_masked",
        "_message_bytes",
        "_position",
        "asks",
        "closed",
        "is_asking",
        "violation",
    )

    def __init__(
        self, *, is_masked: bool, is_compressed: bool, cap: int, asks: bool = False
    ) -> None:
        self._masked = _MASKED if is_masked else 0
        self._compressed = _COMPRESSED if is_compressed else 0
        self._cap = cap
        self._chunk = b""
        self._position = 0  # in the chunk: before it everything has passed
        self._left = 0  # of the payload that is passing
        self._is_in_message = False
        self._message_bytes = 0
        self._is_allowed = False
        self._is_stopped = False
        self.asks = asks
        self.is_asking = False
        self.closed: int | None = None
        self.violation: Violation | None = None

    @property
    def is_between_frames(self) -> bool:
        """Whether what has passed ends with a whole frame."""
        return self._left == 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will pass."""
        return self.closed is not None or self.violation is not None

    def feed(self, data: bytes) -> bytes | memoryview:
        """What may pass now; the very object when that is all of it."""
        if self.is_over:
            return _NOTHING
        kept = self._chunk[self._position :]  # a piece of a header, unless a message waits
        self._chunk = kept + data if kept else data
        self._position = 0
        return self._pass()

    def stop(self) -> None:
        """Of what is to come only the rest of the frame that is passing may pass."""
        self._is_stopped = True

    def allow(self) -> bytes | memoryview:
        """The message that waits may pass; answers what does."""
        self.is_asking = False
        self._is_allowed = True
        return self._pass()

    def _pass(self) -> bytes | memoryview:
        chunk, start = self._chunk, self._position
        while self._position < len(chunk) and self._step(chunk):
            pass
        end = self._position
        if not self.is_asking:  # what is left is a piece of a header, or is over
            self._chunk, self._position = self._kept(chunk, end), 0
        if end - start == len(chunk):
            return chunk
        return memoryview(chunk)[start:end]

    def _kept(self, chunk: bytes, end: int) -> bytes:
        return b"" if self.is_over or self._is_stopped else chunk[end:]

    def _step(self, chunk: bytes) -> bool:
        """Over the rest of a payload, or one header; False when nothing more may pass now."""
        position = self._position
        there = len(chunk) - position
        if self._left:
            taken = min(self._left, there)
            self._left -= taken
            self._position += taken
            return True
        if self.is_asking or self._is_stopped or there < 2:
            return False
        first, second = chunk[position], chunk[position + 1]
        if (wrong := self._wrong(first, second)) is not None:
            return self._refuse(PROTOCOL_ERROR, wrong)
        length, size = _length(chunk, position, second & 0x7F)
        if self._masked:
            size += 4
        if there < size:
            return False
        if length < 0:
            return self._refuse(PROTOCOL_ERROR, "a length is not in its shortest form")
        if first & 0x08:
            return self._step_control(chunk, first & 0x0F, size, length)
        return self._step_data(first, size, length)

    def _wrong(self, first: int, second: int) -> str | None:
        """What two bytes already tell."""
        opcode = first & 0x0F
        if opcode not in _KNOWN:
            return "an opcode is unknown"
        if second & _MASKED != self._masked:
            return "a frame is masked, or not, where it must not be"
        is_first = opcode in (TEXT, BINARY)
        if first & _RESERVED & ~(self._compressed if is_first else 0):
            return "a reserved bit is set"
        if opcode & 0x08:
            if not first & _FINAL or second & 0x7F > MAX_CONTROL_BYTES:
                return "a control frame is too long or in fragments"
        elif is_first == self._is_in_message:
            return "a message begins inside another one, or goes on without a beginning"
        return None

    def _step_control(self, chunk: bytes, opcode: int, size: int, length: int) -> bool:
        """Control frames pass whole, so that a close frame is judged before it does."""
        end = self._position + size + length
        if len(chunk) < end:
            return False
        if opcode == CLOSE:
            code = self._close_code(chunk[self._position + size : end], chunk, size)
            if code is None:
                return self._refuse(PROTOCOL_ERROR, "a close code is invalid")
            self.closed = code
        self._position = end
        return opcode != CLOSE

    def _close_code(self, payload: bytes, chunk: bytes, size: int) -> int | None:
        if not payload:
            return NO_CODE
        if len(payload) == 1:
            return None
        code = int.from_bytes(payload[:2])
        if self._masked:
            key = self._position + size - 4
            code ^= int.from_bytes(chunk[key : key + 2])
        return code if code in _CODES else None

    def _step_data(self, first: int, size: int, length: int) -> bool:
        if not self._is_in_message:
            self._message_bytes = 0
        self._message_bytes += length
        if self._message_bytes > self._cap:
            return self._refuse(TOO_LARGE, f"a message is larger than {self._cap} bytes")
        if self.asks and not self._is_in_message:
            if not self._is_allowed:
                self.is_asking = True
                return False
            self._is_allowed = False
        self._is_in_message = not first & _FINAL
        self._position += size
        self._left = length
        return True

    def _refuse(self, code: int, text: str) -> bool:
        self.violation = Violation(code, text)
        return False


def close_frame(code: int, reason: str, *, is_masked: bool) -> bytes:
    """A whole close frame; a reason that is too long is cut between two characters."""
    text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    payload = code.to_bytes(2) + text
    head = bytes((_FINAL | CLOSE, len(payload) | (_MASKED if is_masked else 0)))
    if not is_masked:
        return head + payload
    key = secrets.token_bytes(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def _length(chunk: bytes, position: int, told: int) -> tuple[int, int]:
    """Of the payload, and of the header without its mask; -1 for more bytes than needed."""
    if told < _TWO_BYTES:
        return told, 2
    size, least = (4, _TWO_BYTES) if told < _EIGHT_BYTES else (10, 0x10000)
    length = int.from_bytes(chunk[position + 2 : position + size])
    return (length if length >= least else -1), size
