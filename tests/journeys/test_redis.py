"""A whole installation whose limits are in Redis, and what happens when that goes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.journeys import apps
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import until_blocking

SHARED = "--unixsocketperm", "777"  # the gateway gave up root


@dataclass(frozen=True)
class Place:
    """An installation and the Redis it uses."""

    made: Installation
    redis: RedisServer

    def limits_part(self) -> dict[str, object]:
        """What /ready says of them."""
        with self.made.client() as client:
            part: dict[str, object] = client.get("/ready").json()["parts"]["limits"]
        return part

    def caller(self, hour: int) -> tuple[httpx.Client, str]:
        """Somebody new with so many calls an hour, and the address of an API."""
        with self.made.client() as client:
            email = f"r{time.monotonic_ns()}@example.com"
            signed = client.post("/auth/v1/signup", json={"email": email, "password": "long one 1"})
        with self.made.client(Authorization=f"Bearer {signed.json()['access_token']}") as person:
            api = person.post("/api/apis", json={"name": "x", "code": apps.USER_APP}).json()
        self.made.set_limits(api["tenant_id"], {"hour": hour})
        return self.made.client(Authorization=f"Bearer {api['api_key']}"), f"/{api['id']}"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    require("bubblewrap")
    with redis_server(*SHARED) as redis:
        redis.socket.parent.chmod(0o755)
        with installation(SANDBOX_RUNTIME="bubblewrap", REDIS_URL=redis.url) as made:
            yield Place(made, redis)


pytestmark = [pytest.mark.bubblewrap]


def test_limits_hold_and_are_in_redis(place: Place) -> None:
    caller, path = place.caller(5)
    with caller:
        answers = [caller.get(path) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["x-ratelimit-remaining"] == "4"
    with place.redis.client() as client:
        assert client.keys("{sandgate}hour:tenant:*")


def test_killed_redis_is_told_and_the_limit_holds_until_it_is_back(place: Place) -> None:
    caller, path = place.caller(20)
    with caller:
        statuses = [caller.get(path).status_code for _ in range(10)]
        place.redis.kill()
        until_blocking(lambda: place.limits_part()["reason"] != "")
        assert place.limits_part()["ok"] is True
        alone = caller.get(path)
        assert alone.status_code == 200
        assert alone.headers["x-sandgate-limits"] == "degraded"
        assert "x-ratelimit-remaining" not in alone.headers
        statuses += [caller.get(path).status_code for _ in range(4)]
        place.redis.start(*SHARED)
        until_blocking(lambda: place.limits_part()["reason"] == "")
        statuses += [200] + [caller.get(path).status_code for _ in range(10)]
    assert statuses == [200] * 20 + [429] * 5


def test_what_redis_forgets_is_restored(place: Place) -> None:
    caller, path = place.caller(8)
    with caller:
        assert [caller.get(path).status_code for _ in range(6)] == [200] * 6
        place.redis.flush()
        caller.get(path)  # finds out, and is the seventh
        until_blocking(lambda: place.limits_part()["reason"] == "")
        assert [caller.get(path).status_code for _ in range(2)] == [200, 429]
