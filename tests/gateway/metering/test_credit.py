"""What accounts may spend: loaded when the ledger is complete, and again on news."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.memory import MemoryLimiter
from gateway.limits.types import Charge
from gateway.metering.credit import Credit, CreditUnavailableError
from gateway.store.database import Database, DatabaseUnavailableError, Identity
from tests.support.waiting import until

ACCOUNT = "an account"


class Ledger:
    """`gateway_credit` in memory."""

    def __init__(self) -> None:
        self.granted = 100
        self.spent = 0
        self.reads = 0
        self.is_down = False

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """The balance, a moment later."""
        assert function == "gateway_credit"
        await asyncio.sleep(0)
        self.reads += 1
        if self.is_down:
            raise DatabaseUnavailableError("down")
        return {"granted": self.granted, "spent": self.spent, "earned": 0}


class News:
    """Announces by hand."""

    def __init__(self) -> None:
        self.publish: Callable[[str, str], None]

    def subscribe(self, callback: Callable[[str, str], None]) -> None:
        """One listener."""
        self.publish = callback


class Till:
    """Ledger, limiter and loader of one gateway."""

    def __init__(
        self,
        folder: Path,
        *,
        wait_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger, self.news = Ledger(), News()
        self.limiter = MemoryLimiter(time.time)
        self.credit = Credit(
            cast(Database, self.ledger),
            self.limiter.set_credit,
            folder,
            self.news,
            wait_seconds=wait_seconds,
            clock=clock,
        )

    async def take(self, amount: int) -> bool:
        """As the endpoint does."""
        charge = Charge(ACCOUNT, amount)
        decision = await self.limiter.admit((), charge)
        if decision.unknown_credit:
            await self.limiter.set_credit(ACCOUNT, *await self.credit.load(ACCOUNT))
            decision = await self.limiter.admit((), charge)
        return decision.admitted


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    """With its news being followed."""
    made = Till(tmp_path)
    following = asyncio.create_task(made.credit.run())
    yield made
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_a_balance_is_read_when_it_is_needed_and_then_known(till: Till) -> None:
    till.ledger.spent = 40
    assert [await till.take(30) for _ in range(3)] == [True, True, False]
    assert till.ledger.reads == 1


async def test_new_credit_is_known_at_once_and_forgets_no_reservation(till: Till) -> None:
    assert await till.take(100)
    assert not await till.take(1)
    till.ledger.granted = 150
    till.news.publish("credit", ACCOUNT)
    await until(lambda: till.ledger.reads == 2)
    assert [await till.take(50), await till.take(1)] == [True, False]


async def test_missed_news_are_caught_up(till: Till) -> None:
    assert await till.take(100)
    till.ledger.granted = 110
    till.news.publish("all", "")
    await until(lambda: till.ledger.reads == 2)
    assert await till.take(10)


async def test_other_news_read_nothing(till: Till) -> None:
    till.news.publish("key", ACCOUNT)
    assert await till.take(1)
    assert till.ledger.reads == 1


async def test_news_that_cannot_be_read_are_read_later(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.metering.credit.RETRY_SECONDS", 0.001)
    assert await till.take(100)
    till.ledger.is_down, till.ledger.granted = True, 110
    till.news.publish("credit", ACCOUNT)
    await until(lambda: till.ledger.reads >= 3)
    till.ledger.is_down = False
    reads = till.ledger.reads
    await until(lambda: till.ledger.reads > reads)
    assert await till.take(10)


# --- what the ledger does not have yet ---


def segment(folder: Path, at: float, content: bytes = b"line\n") -> Path:
    """A segment that was begun then."""
    path = folder / f"{int(at * 1e9)}-1-abc.jsonl"
    path.write_bytes(content)
    return path


async def test_lines_of_before_the_start_are_waited_for(tmp_path: Path) -> None:
    """They may be of calls that this account paid."""
    path = segment(tmp_path, time.time() - 5)
    till = Till(tmp_path)
    with pytest.raises(CreditUnavailableError):
        await till.take(1)
    path.unlink()
    assert await till.take(1)


async def test_lines_that_somebody_put_there_are_waited_for(tmp_path: Path) -> None:
    """Of `bad/`, mended and moved back under a name that tells no time."""
    (tmp_path / "mended.jsonl").write_bytes(b"line\n")
    till = Till(tmp_path)
    with pytest.raises(CreditUnavailableError):
        await till.take(1)


async def test_lines_of_before_a_clock_was_set_back_are_waited_for(tmp_path: Path) -> None:
    """By their name they are of after the start."""
    segment(tmp_path, time.time() + 3600)
    till = Till(tmp_path)
    with pytest.raises(CreditUnavailableError):
        await till.take(1)


async def test_own_lines_are_not_waited_for_when_the_clock_is_set_back(tmp_path: Path) -> None:
    """By their name they are of before the start, and there are always some."""
    now = time.time() + 3600
    till = Till(tmp_path, clock=lambda: now)
    now = time.time()
    segment(tmp_path, now)
    assert await till.take(1)


async def test_lines_that_lie_there_for_long_are_waited_for(tmp_path: Path) -> None:
    """An account may have been forgotten meanwhile."""
    till = Till(tmp_path)
    segment(tmp_path, time.time() - 4000)
    with pytest.raises(CreditUnavailableError):
        await till.take(1)


async def test_loading_goes_on_as_soon_as_they_are_stored(tmp_path: Path) -> None:
    path = segment(tmp_path, time.time() - 5)
    till = Till(tmp_path, wait_seconds=30)
    taking = asyncio.create_task(till.take(1))
    await asyncio.sleep(0)
    assert till.ledger.reads == 0
    path.unlink()
    assert await taking


@pytest.mark.parametrize("content", [b"", b"line\n"])
async def test_segments_that_cannot_matter_are_not_waited_for(
    tmp_path: Path, content: bytes
) -> None:
    """The open one of this process, and empty ones of idle neighbours."""
    till = Till(tmp_path)
    segment(tmp_path, time.time() + 1 if content else 0, content)
    assert await till.take(1)


# --- never more than there is ---

RARE = ("refund", "drain", "grant", "restart", "forget")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("take", "settle") * 3 + RARE),
        st.integers(0, 60),
    ),
    max_size=40,
)


class Model:
    """The way of money through gateway, journal and ledger, with crashes in between.

    `spent` on paper is what was answered. Everything else is only on its way.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.till = Till(folder)
        self.reserved: list[int] = []
        self.journal: list[int] = []
        self.answered = 0

    async def take(self, amount: int) -> None:
        """A call arrives."""
        if amount and await self._taken(amount):
            self.reserved.append(amount)
        assert self.answered + sum(self.reserved) <= self.till.ledger.granted

    async def _taken(self, amount: int) -> bool:
        with suppress(CreditUnavailableError):
            return await self.till.take(amount)
        return False

    def settle(self, _: int) -> None:
        """Its line is written, then it is answered."""
        if self.reserved:
            amount = self.reserved.pop(0)
            self.journal.append(amount)
            self.answered += amount
            self._show_journal()

    def refund(self, _: int) -> None:
        """It failed."""
        if self.reserved:
            self.till.limiter.refund(Charge(ACCOUNT, self.reserved.pop(0)))

    def drain(self, _: int) -> None:
        """The worker stores what is there."""
        self.till.ledger.spent += sum(self.journal)
        self.journal = []
        self._show_journal()

    async def grant(self, amount: int) -> None:
        """Credit, and its news."""
        self.till.ledger.granted += amount
        with suppress(CreditUnavailableError):
            balance = await self.till.credit.load(ACCOUNT)
            await self.till.limiter.set_credit(ACCOUNT, *balance)

    def restart(self, _: int) -> None:
        """kill -9: what was reserved was not answered, what is in the journal stays."""
        ledger = self.till.ledger
        self.reserved = []
        self._show_journal(older=True)
        self.till = Till(self.folder)
        self.till.ledger = ledger
        self.till.credit._database = cast(Database, ledger)

    def forget(self, _: int) -> None:
        """Two hours without a call: everything is stored or on the way for long."""
        if not self.reserved:
            self._show_journal(older=True)
            self.till.limiter._credits._accounts.clear()

    def _show_journal(self, *, older: bool = False) -> None:
        """One segment stands for all lines that are not stored."""
        for path in self.folder.iterdir():
            path.unlink()
        if self.journal:
            segment(self.folder, 1.0 if older else time.time())


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
async def test_nothing_is_ever_spent_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """For every order of calls, endings, crashes, drains and credit."""
    model = Model(tmp_path_factory.mktemp(f"model{os.getpid()}"))
    for name, amount in steps:
        outcome = getattr(model, name)(amount)
        if outcome is not None:
            await outcome
    assert model.answered <= model.till.ledger.granted
