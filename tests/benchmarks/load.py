"""A load generator that speaks to TCP and Unix sockets alike: n connections, closed loop."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools


@dataclass(frozen=True, slots=True)
class Target:
    """Where and what to send. `path` of a Unix socket, or host and port."""

    request: bytes
    unix: str | None = None
    host: str = ""
    port: int = 0


@dataclass(slots=True)
class Outcome:
    """What was seen. Seconds per call in `latencies`."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    garbage: list[bytes] = field(default_factory=list)

    @property
    def calls_per_second(self) -> float:
        """Answered calls over the time they took."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Latency below which this share of calls stayed, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is complete."""

    def __init__(self, request: bytes, outcome: Outcome, until: float) -> None:
        self._request, self._outcome, self._until = request, outcome, until
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._send()

    def _send(self) -> None:
        self._sent = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # bytes that are no answer: counted as broken
            self._outcome.garbage.append(data)
            self._transport.abort()

    def on_message_complete(self) -> None:
        now = perf_counter()
        self._outcome.latencies.append(now - self._sent)
        status = self._parser.get_status_code()
        self._outcome.statuses[status] = self._outcome.statuses.get(status, 0) + 1
        if now < self._until:
            self._parser = httptools.HttpResponseParser(self)
            asyncio.get_running_loop().call_soon(self._send)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if perf_counter() < self._until:
            self._outcome.broken += 1
        if not self.done.done():
            self.done.set_result(None)


async def load(target: Target, connections: int, seconds: float) -> Outcome:
    """Keep `connections` calls in flight for so many seconds."""
    loop, outcome = asyncio.get_running_loop(), Outcome()
    begin = perf_counter()
    until = begin + seconds

    def make() -> _Connection:
        return _Connection(target.request, outcome, until)

    opened = []
    for _ in range(connections):
        if target.unix is not None:
            _, protocol = await loop.create_unix_connection(make, target.unix)
        else:
            _, protocol = await loop.create_connection(make, target.host, target.port)
        opened.append(protocol.done)
    async with asyncio.timeout(seconds + 60):
        await asyncio.gather(*opened)
    outcome.seconds = perf_counter() - begin
    return outcome
