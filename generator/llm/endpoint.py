"""The connection to a Messages API: one client for the process, one stream a try."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

import httpx2
from anthropic import AsyncAnthropic, AsyncStream, DefaultAsyncHttpxClient, Timeout

from generator.llm.base import ModelMisconfiguredError
from generator.llm.failures import FAILED, failure
from generator.llm.gather import Gathered
from generator.llm.request import counted, estimated
from generator.llm.settings import ModelSettings

COUNTING: Final = 20.0  # seconds; a count that takes longer is estimated
# on their lowest level these write requests whole, prompts and headers included
QUIET: Final = ("anthropic", "httpx2", "httpcore2")

Sleep = Callable[[float], Awaitable[None]]


@cache
def _trusted() -> ssl.SSLContext:
    """Reading all certificates takes longer than anything else here; once is enough."""
    return httpx2.create_ssl_context()


def _left(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


class Stream:
    """One answer on its way."""

    def __init__(self, events: AsyncStream[Any], silence: float) -> None:
        self.request_id = events.response.headers.get("request-id", "")[:100]
        self._events = AsyncStream.raw_events(events.response)
        self._silence = silence

    async def into(self, gathered: Gathered, deadline: float) -> str | None:
        """Take the next event; what it brought, or None at the end. Silence is a TimeoutError."""
        async with asyncio.timeout(min(self._silence, _left(deadline))):
            event = await anext(self._events, None)
        return None if event is None else gathered.take(event.event or "", event.data)


class Endpoint:
    """Long-lived; made once for each installation's settings."""

    def __init__(self, settings: ModelSettings, sleep: Sleep = asyncio.sleep) -> None:
        self.settings = settings
        self.sleep = sleep
        patience = settings.patience
        longest = max(patience.first_byte, patience.silence)
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = AsyncAnthropic(
            # never None: the library would then look for keys of its own
            api_key=settings.api_key or "none",
            base_url=settings.base_url,
            max_retries=0,  # tries are ours: each has a reservation of its own
            http_client=DefaultAsyncHttpxClient(
                timeout=Timeout(longest, connect=patience.connect, pool=patience.connect),
                follow_redirects=False,  # the key is for this address only
                verify=_trusted(),
            ),
            open_telemetry=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    @asynccontextmanager
    async def opened(self, request: Mapping[str, Any], deadline: float) -> AsyncIterator[Stream]:
        """Send a request; the body is read as it comes."""
        patience = self.settings.patience
        async with asyncio.timeout(min(patience.first_byte, _left(deadline))):
            events = await self._client.messages.create(**request, stream=True)
        try:
            yield Stream(events, patience.silence)
        finally:
            await events.close()

    async def count(self, request: Mapping[str, Any], *, asks: bool) -> int:
        """Tokens of the prompt: counted by the service when it can, else estimated, never low."""
        if not asks:
            return estimated(request)
        try:
            async with asyncio.timeout(COUNTING):
                answer = await self._client.messages.count_tokens(**counted(request))
        except FAILED as error:
            failed = failure(error, self.settings.api_key)
            if isinstance(failed.error, ModelMisconfiguredError):
                raise failed.error from None
            return estimated(request)
        return answer.input_tokens
