"""No order of look-ups, news, failures and clocks gives a key back after its revocation."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.keys import generate_key, hash_key
from gateway.auth.verified import VerifiedKey
from gateway.auth.verify import KeyVerifier
from gateway.errors import SandgateError, UnavailableError
from gateway.key_hashes import Hashes, HashSecret, HashSecrets

SECRET = b"s" * 32
SECRETS = partial(HashSecrets, HashSecret(SECRET))
KEY = generate_key()
OFTEN = ("verify", "answer first", "revoke and announce")
SELDOM = (
    *("answer last", "fail first", "revoke", "announce", "miss", "others", "limits"),
    *("tick", "a minute", "an hour", "back"),
)
# what happens, and how many turns of the event loop go by after it
STEPS = st.lists(
    st.tuples(st.sampled_from(OFTEN * 3 + SELDOM), st.integers(0, 6)), min_size=4, max_size=30
)


def at_hand(verifier: KeyVerifier) -> VerifiedKey | None:
    """The key, as the warm path gets it."""
    digest = verifier.digest(KEY)
    assert digest is not None
    return verifier.at_hand(digest)


class Table:
    """The key table; every look-up waits until the test answers it."""

    def __init__(self) -> None:
        self.row: dict[str, Any] = {
            "key_id": str(uuid4()),
            "generation": 1,
            "tenant_id": str(uuid4()),
            "tenant_status": "active",
            "plan": "free",
            "plan_limits": {},
            "tenant_limits": {},
            "limits": {},
            "api_ids": [],
            "expires_at": None,
            "revoked_at": None,
        }
        self.waiting: list[tuple[asyncio.Future[None], dict[str, Any]]] = []

    async def load(self, hashes: Hashes) -> Mapping[str, Any] | None:
        assert hashes == Hashes(hash_key(KEY, SECRET))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        snapshot = dict(self.row)  # what the statement sees when it begins
        self.waiting.append((answer, snapshot))
        await answer
        return snapshot

    def change(self, **columns: Any) -> None:
        self.row = {**self.row, **columns, "generation": self.row["generation"] + 1}

    def answer(self, index: int, error: Exception | None = None) -> None:
        if not self.waiting:
            return
        answer, _ = self.waiting.pop(index)
        if not answer.done():
            answer.set_exception(error) if error else answer.set_result(None)


class World:
    """A verifier, callers on their way, and what must not be seen any more."""

    def __init__(self) -> None:
        self.table = Table()
        self.now = 1_800_000_000.0
        self.is_announced = False
        self.subscriber: Any = None
        self.verifier = KeyVerifier(self.table.load, SECRETS, self, lambda: self.now)
        self.callers: list[asyncio.Task[None]] = []

    def subscribe(self, callback: Any) -> None:
        self.subscriber = callback

    async def call(self) -> None:
        """A caller that goes on with a key whose revocation is announced is the bug."""
        try:
            key = await self.verifier.verify(KEY)
        except SandgateError:
            return
        assert not self.is_announced, "a revoked key was given out"
        assert isinstance(key, VerifiedKey)

    async def do(self, step: str, turns: int = 0) -> None:
        if step.startswith("revoke"):
            self.table.change(revoked_at="2026-01-01T00:00:00+00:00")
        if step == "verify":
            self.callers.append(asyncio.create_task(self.call()))
        elif step.startswith("answer"):
            self.table.answer(0 if step.endswith("first") else -1)
        elif step == "fail first":
            self.table.answer(0, UnavailableError("down"))
        elif step.endswith("announce"):
            self.subscriber("key", self.table.row["key_id"])
            self.is_announced = self.table.row["revoked_at"] is not None
        elif step == "miss":
            self.subscriber("all", "")
        elif step == "others":
            self.subscriber("key", "another")
        elif step == "limits":
            self.table.change(limits={"hour": 5})
        self.now += {"tick": 1, "a minute": 61, "an hour": 3601, "back": -100}.get(step, 0)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not self.is_announced or at_hand(self.verifier) is None, "at hand"

    async def settle(self) -> None:
        """Everybody gets an answer."""
        while not all(caller.done() for caller in self.callers):
            self.table.answer(0)
            await asyncio.sleep(0)
        await asyncio.gather(*self.callers)


async def asked(world: World) -> None:
    """Until a look-up waits for its answer."""
    while not world.table.waiting:
        await asyncio.sleep(0)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_interleaving_gives_out_a_key_after_its_revocation_was_announced(
    steps: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        world = World()
        for step, turns in steps:
            await world.do(step, turns)
        await world.settle()
        await world.do("revoke and announce")
        for _ in range(2):
            await world.do("verify")
            await world.settle()

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_missed_news_are_made_up_for_as_soon_as_it_is_known_that_they_were_missed(
    steps: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        world = World()
        for step, turns in steps:
            await world.do(step, turns)
        await world.settle()
        await world.do("revoke")  # and nobody hears of it
        await world.do("miss")
        world.is_announced = True
        await world.do("verify")
        await world.settle()

    asyncio.run(run())


async def test_news_between_the_end_of_a_look_up_and_its_caller_count() -> None:
    world = World()
    await world.do("verify")
    await asked(world)
    world.table.answer(0)
    while not len(world.verifier):  # until it is stored; its caller has not gone on by then
        await asyncio.sleep(0)
    assert not world.callers[0].done()
    await world.do("revoke and announce")
    await world.settle()


async def test_a_key_that_changes_all_the_time_is_refused_rather_than_guessed() -> None:
    world = World()
    calling = asyncio.create_task(world.verifier.verify(KEY))
    for _ in range(3):
        await asked(world)
        world.subscriber("key", world.table.row["key_id"])
        world.table.answer(0)
    with pytest.raises(UnavailableError):
        await calling


async def test_a_row_older_than_one_seen_is_not_taken() -> None:
    world = World()
    world.table.change(limits={"hour": 1})
    first = asyncio.create_task(world.verifier.verify(KEY))
    await asked(world)
    world.table.answer(0)
    assert (await first).generation == 2
    world.subscriber("key", world.table.row["key_id"])
    world.table.row = {**world.table.row, "generation": 1, "limits": {}}  # a replica that lags
    second = asyncio.create_task(world.verifier.verify(KEY))
    for _ in range(3):
        await asked(world)
        world.table.answer(0)
    with pytest.raises(UnavailableError):
        await second


async def test_an_installation_may_trust_nothing_older_than_it_says() -> None:
    """For gateways that may be cut off from a database in which others revoke keys."""
    world = World()
    verifier = KeyVerifier(world.table.load, SECRETS, world, lambda: world.now, stale_seconds=5)
    for error in (None, UnavailableError("down")):
        calling = asyncio.create_task(verifier.verify(KEY))
        await asked(world)
        world.table.answer(0, error)
        if error is None:
            await calling
            assert at_hand(verifier) is not None
            world.now += 6
            assert at_hand(verifier) is None
        else:
            with pytest.raises(UnavailableError):
                await calling
