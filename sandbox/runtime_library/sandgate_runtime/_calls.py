"""Calls as values: what is sent, whether it may be sent twice, and what the answer means. Pure."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._errors import KvError, KvQuotaError, KvUnavailableError

HEADER = struct.Struct(">I")
MAX_VALUE_BYTES = 256 * 1024
MAX_PAGE = 1000
_MAX_ANSWER = 16 * 1024 * 1024

Row = tuple[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `read` makes the result of what the store answers."""

    fields: dict[str, Any]
    is_repeatable: bool
    read: Callable[[Any], T]


@dataclass(frozen=True)
class Page:
    """Keys, with their values when they were asked for."""

    rows: list[Row]
    is_complete: bool


def get(key: str, default: Any) -> Call[Any]:
    """The value of a key."""
    return Call(
        {"op": "get", "key": _key(key)},
        True,
        lambda ok: default if ok is None else ok["value"],
    )


def put(key: str, value: Any, ttl: float | None, if_absent: bool) -> Call[bool]:
    """Write a value."""
    fields = {"op": "set", "key": _key(key), "value": _value(value)}
    return Call(fields | _ttl(ttl) | {"if_absent": bool(if_absent)}, not if_absent, bool)


def replace(key: str, expected: Any, value: Any, ttl: float | None) -> Call[bool]:
    """Write a value where another one is."""
    fields = {"op": "set", "key": _key(key), "value": _value(value), "if_equals": _value(expected)}
    return Call(fields | _ttl(ttl), False, bool)


def delete(key: str) -> Call[bool]:
    """Remove a key."""
    return Call({"op": "delete", "key": _key(key)}, True, bool)


def increment(key: str, by: int, ttl: float | None) -> Call[int]:
    """Add to a whole number."""
    return Call({"op": "increment", "key": _key(key), "by": by} | _ttl(ttl), False, int)


def page(prefix: str, after: str | None, limit: int, *, with_values: bool) -> Call[Page]:
    """Keys behind `after`."""
    fields = {
        "op": "list",
        "prefix": prefix,
        "after": after or "",
        "limit": min(limit, MAX_PAGE),
        "with_values": with_values,
    }
    return Call(fields, True, _page)


def encode(number: int, call: Call[Any]) -> bytes:
    """One frame."""
    body = _text({"id": number, **call.fields}).encode()
    return HEADER.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """Bytes that follow a header."""
    length: int = HEADER.unpack(header)[0]
    if length > _MAX_ANSWER:
        raise KvUnavailableError(f"the store announced {length} bytes")
    return length


def result(call: Call[T], answer: dict[str, Any]) -> T:
    """What a call was answered, or its error."""
    error = answer.get("error")
    if error is None:
        return call.read(answer["ok"])
    code, message = str(error["code"]), str(error["message"])
    if code in ("quota_exceeded", "value_too_large"):
        raise KvQuotaError(message, code)
    if code in ("unavailable", "busy"):
        raise KvUnavailableError(message, code)
    raise KvError(message, code)


class LostError(Exception):
    """The connection ended with a call unanswered.

    `is_unbegun`: the store said so itself, thus the call can be made again.
    """

    def __init__(self, reason: str, *, is_unbegun: bool = False) -> None:
        super().__init__(reason)
        self.is_unbegun = is_unbegun


def is_farewell(answer: dict[str, Any]) -> bool:
    """Whether this is the last frame of the connection, which answers nothing."""
    return answer.get("bye") is True


def decode(body: bytes) -> dict[str, Any]:
    """An answer."""
    answer: dict[str, Any] = json.loads(body)
    return answer


# --- parts --------------------------------------------------------------------------------


def _page(ok: dict[str, Any]) -> Page:
    keys = ok["keys"]
    values = ok["values"] if ok["values"] is not None else [None] * len(keys)
    return Page(list(zip(keys, values, strict=True)), ok["is_complete"])


def _key(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is a text, not {type(key).__name__}")
    return key


def _ttl(ttl: float | None) -> dict[str, Any]:
    return {} if ttl is None else {"ttl": ttl}


def _value(value: Any) -> Any:
    """The same value, once it is known to be JSON of an acceptable size."""
    if len(_text(value).encode()) > MAX_VALUE_BYTES:
        raise KvQuotaError(
            f"a value has at most {MAX_VALUE_BYTES} bytes as JSON", "value_too_large"
        )
    return value


def _text(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate can only travel in its escaped form
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text
