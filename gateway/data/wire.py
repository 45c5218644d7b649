"""Requests of the data server: four bytes of length, then JSON. All of it is hostile input.

Pure. A frame that cannot be answered ends its connection, a request that makes no sense gets
an error as its answer.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.store.kv import MAX_KEY_BYTES, MAX_LIST, MAX_VALUE_BYTES, value_text

HEADER = struct.Struct(">I")
# a value, the one it is compared with, a key, and what is around them
MAX_REQUEST = 2 * MAX_VALUE_BYTES + 64 * 1024
MAX_DEPTH = 64
MAX_SECONDS = 10 * 366 * 86_400.0
_LARGEST = 2**63

Json = dict[str, Any]


class BadFrameError(Exception):
    """Not a request at all; there is nobody to answer."""


class RefusedError(Exception):
    """A request that gets an error as its answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Get:
    """The value of a key."""

    key: str


@dataclass(frozen=True, slots=True)
class Set:
    """Write a value, perhaps only under a condition. Values are JSON text."""

    key: str
    value: str
    seconds: float | None
    if_absent: bool
    if_equals: str | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key."""

    key: str


@dataclass(frozen=True, slots=True)
class Increment:
    """Add to a whole number."""

    key: str
    by: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class List:
    """A page of keys, perhaps with their values."""

    prefix: str
    after: str
    limit: int
    with_values: bool


Request = Get | Set | Delete | Increment | List


def body_length(header: bytes) -> int:
    """Length that a header announces."""
    length: int = HEADER.unpack(header)[0]
    if not 0 < length <= MAX_REQUEST:
        raise BadFrameError(f"a request of {length} bytes; 1 to {MAX_REQUEST} are allowed")
    return length


def decode(body: bytes) -> tuple[int, Json]:
    """Number and fields of a request."""
    try:
        message = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadFrameError("a request that is not JSON") from error
    if not isinstance(message, dict):
        raise BadFrameError("a request that is no JSON object")
    number = message.pop("id", None)
    if type(number) is not int or not 0 <= number < _LARGEST:
        raise BadFrameError("a request without a number")
    return number, message


def encode(answer: Mapping[str, Any]) -> bytes:
    """One frame."""
    body = value_text(answer).encode()
    return HEADER.pack(len(body)) + body


BYE = encode({"id": None, "bye": True})  # the last frame of a connection that we end


def parse(message: Json) -> Request:
    """What is asked; raises RefusedError."""
    op = message.get("op")
    known = _PARSERS.get(op) if isinstance(op, str) else None
    if known is None:
        raise RefusedError("unknown_operation", f"an operation is one of {', '.join(_PARSERS)}")
    names, build = known
    strange = sorted(str(name)[:40] for name in message.keys() - names - {"op"})
    if strange:
        raise RefusedError("bad_request", f"unknown field: {strange[0]}")
    return build(message)


# --- parts --------------------------------------------------------------------------------


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _get(message: Json) -> Request:
    return Get(_key(message))


def _set(message: Json) -> Request:
    if "value" not in message:
        raise RefusedError("bad_request", "a value is missing")
    expected = _value(message["if_equals"]) if "if_equals" in message else None
    return Set(
        _key(message),
        _value(message["value"]),
        _seconds(message),
        _flag(message, "if_absent"),
        expected,
    )


def _delete(message: Json) -> Request:
    return Delete(_key(message))


def _increment(message: Json) -> Request:
    by = message.get("by", 1)
    if type(by) is not int or not -_LARGEST <= by < _LARGEST:
        raise RefusedError("bad_request", "`by` is a whole number of 64 bits")
    return Increment(_key(message), by, _seconds(message))


def _list(message: Json) -> Request:
    limit = message.get("limit", 100)
    if type(limit) is not int or not 1 <= limit <= MAX_LIST:
        raise RefusedError("bad_request", f"`limit` is 1 to {MAX_LIST}")
    return List(
        _text(message, "prefix"), _text(message, "after"), limit, _flag(message, "with_values")
    )


_PARSERS: Mapping[str, tuple[frozenset[str], Callable[[Json], Request]]] = {
    "get": (frozenset({"key"}), _get),
    "set": (frozenset({"key", "value", "ttl", "if_absent", "if_equals"}), _set),
    "delete": (frozenset({"key"}), _delete),
    "increment": (frozenset({"key", "by", "ttl"}), _increment),
    "list": (frozenset({"prefix", "after", "limit", "with_values"}), _list),
}


def _key(message: Json) -> str:
    key = _text(message, "key")
    if not key:
        raise RefusedError("invalid_key", f"a key has 1 to {MAX_KEY_BYTES} bytes")
    return key


def _text(message: Json, name: str) -> str:
    text = message.get(name, "")
    if not isinstance(text, str):
        raise RefusedError("bad_request", f"`{name}` is a text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise RefusedError("invalid_key", f"`{name}` is not valid Unicode") from None
    if size > MAX_KEY_BYTES or "\0" in text:
        raise RefusedError(
            "invalid_key", f"`{name}` has at most {MAX_KEY_BYTES} bytes and no NUL character"
        )
    return text


def _flag(message: Json, name: str) -> bool:
    flag = message.get(name, False)
    if not isinstance(flag, bool):
        raise RefusedError("bad_request", f"`{name}` is true or false")
    return flag


def _seconds(message: Json) -> float | None:
    seconds = message.get("ttl")
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise RefusedError("bad_request", "`ttl` is a number of seconds")
    if not 0 < seconds <= MAX_SECONDS or not math.isfinite(seconds):
        raise RefusedError("bad_request", "`ttl` is more than 0 and at most ten years")
    return float(seconds)


def _value(value: Any) -> str:
    if _depth(value) > MAX_DEPTH:
        raise RefusedError("bad_request", f"a value is nested at most {MAX_DEPTH} deep")
    try:
        text = value_text(value)
    except ValueError:
        raise RefusedError("bad_request", "a value is JSON, without NaN and infinity") from None
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise RefusedError(
            "value_too_large", f"a value has at most {MAX_VALUE_BYTES} bytes as JSON"
        )
    return text


def _depth(value: Any) -> int:
    """How many lists and objects are in one another; looks no further than the limit."""
    level, depth = [value], 0
    while depth <= MAX_DEPTH:
        level = [
            item
            for part in level
            if isinstance(part, list | dict)
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            break
        depth += 1
    return depth
