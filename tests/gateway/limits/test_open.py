"""Which limiter the settings open, and what is told of the store."""

import pytest
from pydantic import SecretStr, ValidationError

from gateway.cli.doctor import examine
from gateway.limits.memory import MemoryLimiter
from gateway.limits.open import look_at, open_limiter
from gateway.limits.redis import RedisLimiter
from gateway.limits.redis_membership import StoreUnfitError
from gateway.limits.redis_wire import address_of
from gateway.limits.types import Limit, Window
from gateway.metrics import Metrics
from gateway.settings import Settings
from tests.support.limiters import Clock, Database
from tests.support.redis_server import RedisServer, redis_server

HOUR = (Limit("tenant:t", Window.HOUR, 5),)


async def test_without_a_url_limits_are_in_memory_with_what_was_counted() -> None:
    clock = Clock()
    bucket = int(clock.now // 60)
    row = {"subject": "tenant:t", "window": "hour", "bucket": bucket, "count": 4}
    opened = await open_limiter(None, counts=Database([row]).counts, clock=clock)
    assert isinstance(opened.limiter, MemoryLimiter)
    assert [(await opened.limiter.admit(HOUR)).admitted for _ in range(2)] == [True, False]


async def test_metrics_tell_whether_the_store_decides() -> None:
    metrics = Metrics()
    with redis_server() as server:
        opened = await open_limiter(
            server.url, counts=Database().counts, clock=Clock(), watcher=metrics
        )
        assert isinstance(opened.limiter, RedisLimiter)
        assert opened.work is not None
        assert b"sandgate_limits_degraded 0.0" in metrics.render()
        await opened.limiter.admit(HOUR)
        server.kill()
        while not (await opened.limiter.admit(HOUR)).degraded:
            pass
        text = metrics.render()
        opened.work.close()
    assert b"sandgate_limits_degraded 1.0" in text
    assert b'sandgate_limits_failures_total{reason="lost"} 1.0' in text
    assert b'sandgate_limits_alone_total{admitted="yes"}' in text


async def test_the_doctor_names_the_store(shared_redis: RedisServer) -> None:
    checks = await examine(Settings(redis_url=SecretStr(shared_redis.url), sandbox_runtime="fake"))
    found = {check.name: check for check in checks}["redis"]
    assert found.ok
    assert str(shared_redis.socket) in found.detail


async def test_a_store_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnfitError, match=r"127\.0\.0\.1:1/2 does not answer") as caught:
        await look_at("redis://:hidden@127.0.0.1:1/2")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "http://x", "localhost:6379"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="REDIS_URL"):
        Settings(redis_url=SecretStr(url))


@pytest.mark.parametrize("text", ["", "open", "share,user=deny"])
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="limit_failure"):
        Settings(limit_failure=text)


def test_addresses_are_read() -> None:
    tcp = address_of("redis://user:pass@example.com:6380/3")
    assert (tcp.host, tcp.port, tcp.database, tcp.username, tcp.password, tcp.tls) == (
        *("example.com", 6380, 3, "user", "pass"),
        None,
    )
    assert address_of("rediss://example.com").tls is not None
    assert address_of("unix:///run/redis.sock?db=2").database == 2
    assert "pass" not in repr(tcp)
