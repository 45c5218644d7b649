"""Any history of calls and troubles, over one gateway and over several: never a call too many."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.limits.redis import RedisLimiter
from gateway.limits.types import Limit, LimitsUnavailableError, Window
from tests.support.limiters import gateway, joined
from tests.support.redis_server import RedisServer, redis_server

QUANTITY = 40
DAY = (Limit("tenant:t", Window.DAY, QUANTITY), Limit("key:k", Window.HOUR, QUANTITY))

calls = st.tuples(st.just("call"), st.integers(0, 2), st.integers(1, 12))
troubles = st.tuples(st.sampled_from(["kill", "start", "hang", "resume", "flush", "pause"]))
histories = st.lists(st.one_of(calls, calls, troubles), max_size=14)
LATE_LEASE = [  # calls counted ahead for which the gateway had used the room alone
    *[("call", 0, 8), ("call", 0, 9), ("pause",)],
    *[("call", 0, 4), ("call", 0, 10), ("call", 0, 12)],
]


class Story:
    """A store that has its troubles, and how many calls were admitted so far."""

    def __init__(self, server: RedisServer, gateways: list[RedisLimiter]) -> None:
        self._server = server
        self._gateways = gateways
        self._state = "runs"
        self.admitted = 0

    async def step(self, what: str, *how: int) -> None:
        """One thing happens."""
        if what == "call":
            await self.call(self._gateways[how[0] % len(self._gateways)], how[1])
        else:
            self._befall(what)

    async def call(self, limiter: RedisLimiter, times: int) -> None:
        """So many callers at once."""
        decided = await asyncio.gather(
            *(limiter.admit(DAY) for _ in range(times)), return_exceptions=True
        )
        for decision in decided:
            if isinstance(decision, BaseException):
                assert isinstance(decision, LimitsUnavailableError)
            else:
                self.admitted += decision.admitted

    async def end(self) -> None:
        """All is well again, and what is left is used up."""
        self._befall("resume")
        self._befall("start")
        for limiter in self._gateways:
            await self.call(limiter, 1)  # finds out
        for limiter in self._gateways:
            await joined(limiter)
            await self.call(limiter, QUANTITY)

    def _befall(self, what: str) -> None:
        server, state = self._server, self._state
        if what == "kill" and state != "gone":
            server.kill()
            self._state = "gone"
        elif what == "start" and state == "gone":
            server.start()
            self._state = "runs"
        elif what == "hang" and state == "runs":
            server.hang()
            self._state = "hangs"
        elif what == "resume" and state == "hangs":
            server.resume()
            self._state = "runs"
        elif what == "flush" and state == "runs":
            server.flush()
        elif what == "pause" and state == "runs":
            with server.client() as client:
                client.execute_command("CLIENT", "PAUSE", "60", "WRITE")


@pytest.mark.parametrize(
    ("gateways", "failure", "lease"),
    [(1, "share", 0), (3, "deny", 0), (1, "share", 5), (2, "deny", 5)],
    ids=["one shares", "three deny", "one leases", "two lease"],
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
@example(history=LATE_LEASE)
def test_no_history_admits_more_than_the_limit(
    gateways: int, failure: str, lease: int, history: list[tuple[str, ...]]
) -> None:
    async def run() -> None:
        with redis_server() as server:
            async with AsyncExitStack() as stack:
                limiters = await asyncio.gather(
                    *(
                        stack.enter_async_context(
                            gateway(server.url, gateways=gateways, failure=failure, lease=lease)
                        )
                        for _ in range(gateways)
                    )
                )
                story = Story(server, limiters)
                for step in history:
                    await story.step(*step)  # type: ignore[arg-type]
                await story.end()
                assert story.admitted <= QUANTITY

    asyncio.run(run())
