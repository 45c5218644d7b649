"""Bugs on the warm path: nobody waits for its steps, so each has to end its call itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.limits.memory import MemoryLimiter
from gateway.limits.types import Charge, Decision, Limit
from gateway.proxy import warm
from gateway.proxy.closing import Closing
from gateway.proxy.connection import Connection
from gateway.proxy.flight import Flight
from gateway.proxy.opened import Opened
from gateway.store.routes import Route
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import Answer, ok, read_request, serve_forever
from tests.support.waiting import until

PRICE, CALLS = 7, 10


class Shop:
    """A priced API with a warm sandbox, and the account of its only key."""

    def __init__(self, path: DataPath, route: Route, key: str) -> None:
        self.path, self.route, self.key = path, route, key

    async def call(self) -> Answer:
        """One call."""
        async with asyncio.timeout(20):
            return await self.path.call(f"/{self.route.api_id}", self.key)

    def left(self) -> int:
        """Calls for which the credit would do, each tried and given back."""
        (owner,) = self.path.store.keys.values()
        charge, admitted = Charge(str(owner["tenant_id"]), PRICE), 0
        while MemoryLimiter.decide(self.path.limiter, (), charge).admitted:
            admitted += 1
        for _ in range(admitted):
            self.path.limiter.refund(charge)
        return admitted

    def holds_nothing(self) -> bool:
        """Whether no call has a slot, and none waits."""
        held = self.path.leases.now_held()
        return all(each.in_flight == 0 for each in held) and not self.path.leases.waiting


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async def load_credit(_account: str) -> tuple[int, int]:
        return CALLS * PRICE, 0

    async with data_path(load_credit=load_credit) as path:
        route, key = path.serve(serve_forever, price_nano_usd=PRICE)
        made = Shop(path, route, key)
        assert (await made.call()).status == 200  # now everything is at hand
        yield made


def failing_once(what: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but for the first time."""
    has_failed = False

    def fail_or_do(*arguments: Any, **named: Any) -> Any:
        nonlocal has_failed
        if not has_failed:
            has_failed = True
            raise RuntimeError("a bug")
        return what(*arguments, **named)

    return fail_or_do


# where it fails, and whether the answer was recorded, and paid for, before that
STEPS = [
    pytest.param(Flight, "begin", False, id="handing over"),
    pytest.param(warm, "loan_at_once", False, id="borrowing"),
    pytest.param(Connection, "listen", False, id="after handing over"),
    pytest.param(Connection, "take", False, id="reading the answer"),
    pytest.param(Closing, "commit", False, id="recording"),
    pytest.param(Opened, "rate_lines", True, id="answering"),
]


@pytest.mark.parametrize(("owner", "name", "is_recorded"), STEPS)
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "decided later"])
async def test_a_bug_ends_the_call_like_any_failure(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    *,
    is_recorded: bool,
    is_late: bool,
) -> None:
    """500, logged once, recorded once, counted once; slot and price are given back."""
    if is_late:
        decide_later(shop.path, monkeypatch)
    counted = count(shop.path, monkeypatch)
    monkeypatch.setattr(owner, name, failing_once(getattr(owner, name)))
    with capture_logs() as logs:
        answer = await shop.call()
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert counted() == 1
    record = shop.path.records()[-1]
    assert record["request_id"] == answer.json()["request_id"]
    assert (record["status_code"], len(shop.path.records())) == ((200 if is_recorded else 500), 2)
    assert shop.left() == CALLS - (2 if is_recorded else 1)
    (line,) = logs
    assert (line["event"], line["exc_info"]) == ("call_failed", True)
    for name in ("request_id", "api_id", "tenant_id", "key_id"):
        assert line[name] == record[name]
    await until(shop.holds_nothing)
    assert (await shop.call()).status == 200


async def test_a_bug_while_a_call_gets_a_task_holds_up_no_other(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that take long are looked at together."""
    came, gate = 0, asyncio.Event()
    gate.set()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        while True:
            await read_request(reader)
            came += 1
            await gate.wait()
            writer.write(ok())

    route, key = path.serve(slow)
    gate.clear()
    first = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(3)]
    await until(lambda: came == 3)
    gate.set()
    await asyncio.gather(*first)  # now there are three connections
    gate.clear()
    failing = failing_once(Flight.divert)
    monkeypatch.setattr(Flight, "divert", lambda flight: failing(flight))
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(3)]
    async with asyncio.timeout(20):
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result().status for each in done] == [500]
        gate.set()
        answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200, 200, 500]
    assert len(path.records()) == 6
    await until(lambda: all(held.in_flight == 0 for held in path.leases.now_held()))


def decide_later(path: DataPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a limiter does that has to ask somebody."""
    real = path.limiter.decide

    def decide(
        limits: tuple[Limit, ...], charge: Charge | None = None
    ) -> "asyncio.Future[Decision]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Decision] = loop.create_future()
        loop.call_soon(lambda: future.set_result(real(limits, charge)))
        return future

    monkeypatch.setattr(path.limiter, "decide", decide)


def count(path: DataPath, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many calls the limiter admits from now on."""
    real, asked = path.limiter.decide, 0

    def decide(limits: tuple[Limit, ...], charge: Charge | None = None) -> Any:
        nonlocal asked
        asked += 1
        return real(limits, charge)

    monkeypatch.setattr(path.limiter, "decide", decide)
    return lambda: asked
