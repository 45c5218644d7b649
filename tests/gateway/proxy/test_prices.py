"""Calls that cost something: reserved, answered and paid, or given back."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.limits.types import Charge, Decision
from gateway.store.routes import Route
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import (
    Handler,
    head,
    never,
    ok,
    read_request,
    replies,
    serve_forever,
)
from tests.support.waiting import until

PRICE = 7
GRANTED = 5 * PRICE
FAILED = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno"
LARGE = 300_000


@asynccontextmanager
async def shop(handler: Handler) -> AsyncIterator[tuple[DataPath, Route, str]]:
    """A priced API, and a key of another tenant with credit for five calls."""

    async def load_credit(_account: str) -> tuple[int, int]:
        await asyncio.sleep(0)
        return GRANTED, 0

    async with data_path(load_credit=load_credit) as path:
        route, key = path.serve(handler, price_nano_usd=PRICE)
        yield path, route, key


def left(path: DataPath, key_owner: str) -> int:
    """Calls for which the credit would do, each tried and given back."""
    charges: list[Charge] = []
    while True:
        charge = Charge(key_owner, PRICE)
        decision = path.limiter.decide((), charge)
        assert isinstance(decision, Decision)
        if not decision.admitted:
            break
        charges.append(charge)
    for charge in charges:
        path.limiter.refund(charge)
    return len(charges)


def buyer(path: DataPath) -> str:
    """Tenant of the only key."""
    (key,) = path.store.keys.values()
    return str(key["tenant_id"])


def prices(path: DataPath) -> list[int]:
    """What the recorded calls cost."""
    return [record.get("price_nano_usd", 0) for record in path.records()]


async def test_calls_are_paid_until_the_credit_is_used_up() -> None:
    """The first on the cold way, the others on the warm one; what is refused reaches nobody."""
    seen: list[bytes] = []

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(ok())

    async with shop(counting) as (path, route, key):
        answers = [await path.call(f"/{route.api_id}/", key) for _ in range(7)]
        assert [answer.status for answer in answers] == [200] * 5 + [402] * 2
        assert answers[5].json()["code"] == "no_credit"
        assert prices(path) == [PRICE] * 5
        assert len(seen) == 5


async def test_parallel_calls_never_spend_the_same_credit() -> None:
    async with shop(serve_forever) as (path, route, key):
        answers = await asyncio.gather(*(path.call(f"/{route.api_id}/", key) for _ in range(30)))
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] * 5 + [402] * 25
        assert prices(path) == [PRICE] * 5


async def test_the_owner_pays_nothing() -> None:
    async with shop(serve_forever) as (path, route, _):
        key = path.store.add_key(route, tenant_id=route.tenant_id)
        assert [(await path.call(f"/{route.api_id}/", key)).status for _ in range(7)] == [200] * 7
        assert prices(path) == [0] * 7


async def test_an_answer_that_takes_the_long_way_is_paid() -> None:
    async with shop(replies(ok(b"x" * LARGE))) as (path, route, key):
        answer = await path.call(f"/{route.api_id}/", key)
        assert (answer.status, len(answer.body)) == (200, LARGE)
        assert (prices(path), left(path, buyer(path))) == ([PRICE], 4)


FREE: dict[str, tuple[Handler, int]] = {
    "the app fails": (replies(FAILED, FAILED), 503),
    "the app answers nonsense": (replies(b"nonsense\r\n\r\n", b"nonsense\r\n\r\n"), 502),
    "the app dies": (replies(then_close=True), 502),
}


@pytest.mark.parametrize(("handler", "status"), FREE.values(), ids=FREE)
async def test_failures_are_free(handler: Handler, status: int) -> None:
    """And what was reserved can be spent."""
    async with shop(handler) as (path, route, key):
        for _ in range(2):
            assert (await path.call(f"/{route.api_id}/", key)).status == status
        assert prices(path) == [0, 0]
        assert left(path, buyer(path)) == 5


async def test_whoever_leaves_pays() -> None:
    async with shop(never) as (path, route, key):
        _, writer = await path.connect()
        writer.write(head(route.api_id, key, method="GET"))
        await until(lambda: len(path.sandboxes.started) == 1 and left(path, buyer(path)) == 4)
        writer.transport.abort()
        await until(lambda: prices(path) == [PRICE])
        assert path.records()[0]["status_code"] == 499
        assert left(path, buyer(path)) == 4


# --- when it cannot be recorded ---


def breaking(path: DataPath, after: int) -> Callable[..., int]:
    """A disk that is full after so many writes."""
    write = path.journal._write
    left_over = after

    def full(segment: int, data: bytes) -> int:
        nonlocal left_over
        left_over -= 1
        if left_over < 0:
            raise OSError(errno.ENOSPC, "full")
        return write(segment, data)

    return full


@pytest.mark.parametrize("earlier", [0, 2])
async def test_a_call_whose_line_is_not_written_is_refused_and_costs_nothing(
    earlier: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the cold way and on the warm one; the next is not even forwarded."""
    async with shop(serve_forever) as (path, route, key):
        for _ in range(earlier):
            assert (await path.call(f"/{route.api_id}/", key)).status == 200
        monkeypatch.setattr(path.journal, "_write", breaking(path, 0))
        for _ in range(2):
            answer = await path.call(f"/{route.api_id}/", key)
            assert (answer.status, answer.json()["code"]) == (503, "metering_unavailable")
        assert left(path, buyer(path)) == 5 - earlier
        assert prices(path) == [PRICE] * earlier


async def test_calls_without_a_price_go_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop(serve_forever) as (path, route, key):
        assert (await path.call(f"/{route.api_id}/", key)).status == 200
        free, free_key = path.serve(serve_forever)
        monkeypatch.setattr(path.journal, "_write", breaking(path, 0))
        refused: Any = await path.call(f"/{route.api_id}/", key)
        assert refused.status == 503
        assert (await path.call(f"/{free.api_id}/", free_key)).status == 200


async def test_paid_calls_are_taken_again_when_the_disk_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shop(serve_forever) as (path, route, key):
        with monkeypatch.context() as broken:
            broken.setattr(path.journal, "_write", breaking(path, 0))
            assert (await path.call(f"/{route.api_id}/", key)).status == 503
        path.journal.probe()
        assert (await path.call(f"/{route.api_id}/", key)).status == 200
