"""How calls of an API are treated on their way, as it is stored with the API."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
Documents = Literal["key", "public", "off"]
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages in browsers may call the API and read its answers.

    An origin is `*`, `https://app.example.com` or `https://*.example.com`; a `*` among
    `headers` allows whatever is asked for.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...] = METHODS
    headers: tuple[str, ...] = ("*",)
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """Bounds of one WebSocket; `limit_messages` counts each message as a call."""

    enabled: bool = True
    message_bytes: int = 1024 * 1024
    idle_seconds: int = 60
    total_seconds: int = 3600
    limit_messages: bool = False


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How long an answer may say nothing once it has begun, and take in all."""

    idle_seconds: int = 30
    total_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class CallSettings:
    """All of it; what was never set has its default."""

    cors: Cors | None = None
    cache: bool = False
    max_concurrency: int | None = None  # calls at once in all of the API's sandboxes
    queue: int | None = None  # calls that may wait for one
    websocket: WebSocketSettings = WebSocketSettings()
    streams: StreamSettings = StreamSettings()
    documents: Documents = "key"
    validate: bool = False

    @classmethod
    def from_row(cls, stored: Mapping[str, Any] | None) -> "CallSettings":
        """From the JSON column. `Any`: JSON that only this release's functions have checked."""
        if not stored:
            return PLAIN
        cors = stored.get("cors")
        return cls(
            cors=None if cors is None else cors_of(cors),
            cache=stored.get("cache", False),
            max_concurrency=stored.get("max_concurrency"),
            queue=stored.get("queue"),
            websocket=_part(WebSocketSettings, stored.get("websocket")),
            streams=_part(StreamSettings, stored.get("streams")),
            documents=stored.get("documents", "key"),
            validate=stored.get("validate", False),
        )

    @property
    def is_plain(self) -> bool:
        """Whether nothing is set that every ordinary call would have to look at."""
        return self.cors is None and not self.cache and not self.validate


def cors_of(stored: Mapping[str, Any]) -> Cors:
    """Lists of JSON become tuples."""
    known = _known(Cors, stored)
    for name, value in known.items():
        if isinstance(value, list):
            known[name] = tuple(value)
    return Cors(**known)


def _part(kind: type[_Part], stored: Mapping[str, Any] | None) -> _Part:
    return kind(**_known(kind, stored or {}))


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Names this release does not know are left to the release that does."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


PLAIN = CallSettings()
