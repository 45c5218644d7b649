"""Call settings as JSON: what is sent and what is shown."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from gateway.operations.call_settings import MAX_METHODS, MAX_PRICE, MAX_WORDS, RANGES
from gateway.store.call_settings import Documents

Word = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Words = Annotated[list[Word], Field(max_length=MAX_WORDS)]
Price = Annotated[StrictInt, Field(ge=0, le=MAX_PRICE)]


def _whole(name: str) -> Any:
    """A whole number within its range. `Any`: what pydantic's `Field` is typed as."""
    return Field(None, ge=RANGES[name].low, le=RANGES[name].high)


class _Part(BaseModel):
    """Absent and null are the default."""

    model_config = ConfigDict(extra="forbid")


class CorsBody(_Part):
    """Which pages in browsers may call the API; `origins` is `["*"]` or a list of origins."""

    origins: Words
    methods: Annotated[list[Word], Field(max_length=MAX_METHODS)] | None = None
    headers: Words | None = None
    expose: Words | None = None
    credentials: StrictBool | None = None
    max_age: StrictInt | None = _whole("cors.max_age")


class WebSocketBody(_Part):
    """Bounds of one WebSocket."""

    enabled: StrictBool | None = None
    message_bytes: StrictInt | None = _whole("websocket.message_bytes")
    idle_seconds: StrictInt | None = _whole("websocket.idle_seconds")
    total_seconds: StrictInt | None = _whole("websocket.total_seconds")
    limit_messages: StrictBool | None = None


class StreamsBody(_Part):
    """Bounds of one answer that has begun."""

    idle_seconds: StrictInt | None = _whole("streams.idle_seconds")
    total_seconds: StrictInt | None = _whole("streams.total_seconds")


class CallSettingsBody(_Part):
    """How calls are treated on their way; sent as a whole, absent members are the default."""

    cors: CorsBody | None = None
    cache: StrictBool | None = None
    max_concurrency: StrictInt | None = _whole("max_concurrency")
    queue: StrictInt | None = _whole("queue")
    websocket: WebSocketBody | None = None
    streams: StreamsBody | None = None
    documents: Documents | None = None
    # pydantic has a retired method of this name
    validate_: StrictBool | None = Field(None, alias="validate")

    def named(self) -> dict[str, Any]:
        """Only what was sent with a value."""
        return self.model_dump(exclude_none=True, by_alias=True)


class CorsView(BaseModel):
    """Which pages in browsers may call the API."""

    origins: list[str]
    methods: list[str]
    headers: list[str]
    expose: list[str]
    credentials: bool
    max_age: int


class WebSocketView(BaseModel):
    """Bounds of one WebSocket."""

    enabled: bool
    message_bytes: int
    idle_seconds: int
    total_seconds: int
    limit_messages: bool


class StreamsView(BaseModel):
    """Bounds of one answer that has begun."""

    idle_seconds: int
    total_seconds: int


class CallSettingsView(BaseModel):
    """How calls are treated on their way, defaults included."""

    cors: CorsView | None
    cache: bool
    max_concurrency: int | None
    queue: int | None
    websocket: WebSocketView
    streams: StreamsView
    documents: Documents
    validate_: bool = Field(alias="validate")
