"""News of changes between gateways over Redis, the fast way where nobody listens to Postgres.

A message is only a hint. The generation in the database says what has happened, so a Redis
that is away, slow or emptied costs time and never correctness.
"""

import asyncio
import json
import secrets

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.store.changes import EVERYTHING, Callback

CHANNEL = "sandgate:changes"
SECONDS = 1.0  # for one command
RETRY_SECONDS = 1.0
MAX_WAITING = 1000  # messages while Redis is slow; what does not fit is left to the generation

_FAULTS = (RedisError, OSError, TimeoutError, UnicodeError)  # the last: a message that is no text

_log = structlog.get_logger(__name__)


class RedisNews:
    """Publishes what changed here, hands over what changed elsewhere."""

    def __init__(self, url: str, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._url = url
        self._retry_seconds = retry_seconds
        self._origin = secrets.token_hex(8)
        self._outbox: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self.subscribed = asyncio.Event()

    def send(self, kind: str, identifier: str) -> None:
        """Tell the other gateways; never waits, never fails."""
        message = json.dumps({"from": self._origin, "kind": kind, "id": identifier})
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            _log.warning("news_dropped", kind=kind, id=identifier)

    async def run(self, receive: Callback) -> None:
        """Hand over what others tell, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(), name="news-out")
            group.create_task(self._follow(receive), name="news-in")

    async def _publish(self) -> None:
        while True:
            try:
                async with self._client() as client:
                    while True:
                        await client.publish(CHANNEL, await self._outbox.get())
            except _FAULTS as error:  # the message at hand is lost
                _log.warning("news_not_sent", error=repr(error))
                await asyncio.sleep(self._retry_seconds)

    async def _follow(self, receive: Callback) -> None:
        missed = False
        while True:
            try:
                async with self._client() as client, client.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    while True:
                        # this checks a silent connection as well, and connects again by itself
                        message = await channel.get_message(timeout=SECONDS)
                        if message is not None and message["type"] == "subscribe":
                            self.subscribed.set()
                            if missed:
                                receive(EVERYTHING, "")
                            missed = True  # from now on every further one is a gap
                        elif message is not None:
                            self._received(message["data"], receive)
            except _FAULTS as error:
                self.subscribed.clear()
                _log.warning("news_connection_lost", error=repr(error))
                await asyncio.sleep(self._retry_seconds)

    def _received(self, data: object, receive: Callback) -> None:
        try:
            change = json.loads(str(data))
            if change["from"] != self._origin:
                receive(str(change["kind"]), str(change["id"]))
        except (ValueError, KeyError, TypeError):
            _log.warning("news_not_understood", payload=str(data)[:200])
            receive(EVERYTHING, "")

    def _client(self) -> Redis:
        return Redis.from_url(
            self._url,
            decode_responses=True,
            socket_connect_timeout=SECONDS,
            socket_timeout=SECONDS,
            health_check_interval=2,
        )
