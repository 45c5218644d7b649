"""Frames of the control channel: four bytes of length, then one JSON object. Both ends use it."""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

MAX_FRAME = 4 * 1024 * 1024
HEADER = struct.Struct(">I")

Message = dict[str, Any]


class FrameError(Exception):
    """The other side sent something that is no frame; the connection is of no more use."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One frame. Lone surrogates survive, so that code arrives exactly as it was given."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    if len(body) > MAX_FRAME:
        raise FrameError(f"a frame of {len(body)} bytes is over the cap of {MAX_FRAME}")
    return HEADER.pack(len(body)) + body


def body_length(header: bytes, limit: int = MAX_FRAME) -> int:
    """Length announced by the four bytes of a header."""
    length: int = HEADER.unpack(header)[0]
    if length > limit:
        raise FrameError(f"a frame of {length} bytes is over the cap of {limit}")
    return length


def decode_body(body: bytes) -> Message:
    """The JSON object in a frame."""
    try:
        message = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise FrameError("a frame is not JSON") from error
    if not isinstance(message, dict):
        raise FrameError("a frame is not a JSON object")
    return message


class Decoder:
    """Cuts a stream of bytes into messages."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """All messages that are complete now; raises FrameError at the first that is none."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            length = body_length(bytes(self._buffer[: HEADER.size]), self._limit)
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield decode_body(body)
