"""Verifying keys: what is remembered, what is forgotten when, and what is refused how."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from gateway.auth import verified
from gateway.auth.keys import generate_key, hash_key
from gateway.auth.verified import KeyMalformedError, KeyMissingError, KeyUnknownError
from gateway.auth.verify import FRESH_SECONDS, MAX_LOADS, KeyVerifier
from gateway.errors import SandgateError, UnauthorizedError, UnavailableError
from gateway.key_hashes import Hashes, HashSecret, HashSecrets

SECRET = b"s" * 32
SECRETS = partial(HashSecrets, HashSecret(SECRET))
NOW = 1_800_000_000.0


class Keys:
    """The key table as the verifier sees it: can be down, and can be held up."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.looked_up: list[str] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    def add(self, key: str, **columns: Any) -> dict[str, Any]:
        row = {
            "key_id": str(uuid4()),
            "tenant_id": str(uuid4()),
            "tenant_status": "active",
            "plan": "free",
            "plan_limits": {"hour": 100},
            "tenant_limits": {},
            "limits": {},
            "api_ids": [str(uuid4())],
            "expires_at": None,
            "revoked_at": None,
            **columns,
        }
        self.rows[hash_key(key, SECRET)] = row
        return row

    async def load(self, hashes: Hashes) -> Mapping[str, Any] | None:
        self.looked_up.append(hashes.current)
        row = self.rows.get(hashes.current)
        answer = None if row is None else dict(row)  # the snapshot is taken when it is asked
        self.entered.set()
        await self.gate.wait()
        if self.is_down:
            raise UnavailableError("down")
        return answer


class Changes:
    """Synchronous source of news."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def subscribe(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def publish(self, kind: str, identifier: str = "") -> None:
        for callback in self.callbacks:
            callback(kind, identifier)


class World:
    """A verifier over a table, with a clock that is set by hand."""

    def __init__(self, **sizes: int) -> None:
        self.keys = Keys()
        self.changes = Changes()
        self.now = NOW
        self.verifier = KeyVerifier(
            self.keys.load, SECRETS, self.changes, lambda: self.now, **sizes
        )
        self.key = generate_key()
        self.row = self.keys.add(self.key)

    async def refusal(self, presented: str) -> SandgateError:
        with pytest.raises(SandgateError) as caught:
            await self.verifier.verify(presented)
        return caught.value

    @property
    def look_ups(self) -> int:
        return len(self.keys.looked_up)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_good_key_is_answered_with_everything_a_call_needs(world: World) -> None:
    verified = await world.verifier.verify(world.key)
    assert verified.key_id == world.row["key_id"]
    assert verified.tenant_id == world.row["tenant_id"]
    assert verified.api_ids == frozenset(world.row["api_ids"])
    assert verified.plan_limits == {"hour": 100}
    assert verified.expires_at is None


async def test_the_second_call_asks_nobody(world: World) -> None:
    first = await world.verifier.verify(world.key)
    assert await world.verifier.verify(world.key) is first
    assert world.look_ups == 1


async def test_parallel_first_calls_cause_one_look_up(world: World) -> None:
    answers = await asyncio.gather(*(world.verifier.verify(world.key) for _ in range(500)))
    assert len({answer.key_id for answer in answers}) == 1
    assert world.look_ups == 1


async def test_a_caller_who_leaves_does_not_take_the_look_up_with_him(world: World) -> None:
    world.keys.gate.clear()
    leaving = asyncio.create_task(world.verifier.verify(world.key))
    await world.keys.entered.wait()
    staying = asyncio.create_task(world.verifier.verify(world.key))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    world.keys.gate.set()
    assert (await staying).key_id == world.row["key_id"]
    assert world.look_ups == 1


async def test_nothing_presented_is_key_missing(world: World) -> None:
    error = await world.refusal("")
    assert isinstance(error, KeyMissingError)
    assert (error.status, error.code) == (401, "key_missing")
    assert error.headers["WWW-Authenticate"] == 'Bearer realm="sandgate"'


@pytest.mark.parametrize("junk", ["x", "sg_live_" + "a" * 38, "é" * 46, "\0", "a" * 10_000_000])
async def test_junk_is_key_malformed_without_a_look_up(world: World, junk: str) -> None:
    error = await world.refusal(junk)
    assert isinstance(error, KeyMalformedError)
    assert (error.status, error.code) == (401, "key_malformed")
    assert "invalid_token" in error.headers["WWW-Authenticate"]
    assert world.look_ups == 0


async def test_a_well_formed_key_nobody_has_is_key_unknown_and_remembered(world: World) -> None:
    stranger = generate_key()
    assert (await world.refusal(stranger)).code == "key_unknown"
    assert isinstance(await world.refusal(stranger), KeyUnknownError)
    assert world.look_ups == 1


async def test_a_revoked_key_is_key_revoked(world: World) -> None:
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    error = await world.refusal(world.key)
    assert isinstance(error, verified.KeyRevokedError)
    assert (error.status, error.code) == (401, "key_revoked")


async def test_a_key_expires_between_two_calls_without_a_look_up(world: World) -> None:
    world.row["expires_at"] = "2027-01-15T08:00:30+00:00"  # 30 s after NOW
    await world.verifier.verify(world.key)
    world.now += 29.9
    await world.verifier.verify(world.key)
    world.now = NOW + 30
    error = await world.refusal(world.key)
    assert isinstance(error, verified.KeyExpiredError)
    assert error.code == "key_expired"
    assert world.look_ups == 1


async def test_a_suspended_tenant_is_403(world: World) -> None:
    world.row["tenant_status"] = "suspended"
    error = await world.refusal(world.key)
    assert isinstance(error, verified.TenantSuspendedError)
    assert (error.status, error.code) == (403, "tenant_suspended")


async def test_a_suspended_tenant_is_told_why(world: World) -> None:
    world.row |= {"tenant_status": "suspended", "tenant_reason": "spam was sent"}
    assert (await world.refusal(world.key)).detail == "spam was sent"


async def test_no_401_shows_the_key(world: World) -> None:
    for presented in (generate_key(), "sg_live_" + "b" * 38):
        error = await world.refusal(presented)
        assert isinstance(error, UnauthorizedError)
        assert presented not in f"{error!r}{error.detail}{error.headers}{error.extra}"


async def test_revocation_counts_from_the_next_call(world: World) -> None:
    await world.verifier.verify(world.key)
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    world.changes.publish("key", world.row["key_id"])
    assert (await world.refusal(world.key)).code == "key_revoked"


async def test_a_deleted_key_is_unknown_from_the_next_call(world: World) -> None:
    await world.verifier.verify(world.key)
    world.keys.rows.clear()
    world.changes.publish("key", world.row["key_id"])
    assert (await world.refusal(world.key)).code == "key_unknown"


@pytest.mark.parametrize("kind", ["tenant", "plan", "all"])
async def test_a_change_of_tenant_or_plan_or_missed_news_is_seen_at_once(
    world: World, kind: str
) -> None:
    await world.verifier.verify(world.key)
    world.row["plan_limits"] = {"hour": 7}
    world.changes.publish(kind, {"tenant": world.row["tenant_id"], "plan": "free"}.get(kind, ""))
    assert (await world.verifier.verify(world.key)).plan_limits == {"hour": 7}


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [("key", "other"), ("tenant", "other"), ("plan", "pro"), ("api", "any"), ("new-kind", "x")],
)
async def test_news_about_others_keep_the_entry(world: World, kind: str, identifier: str) -> None:
    await world.verifier.verify(world.key)
    world.changes.publish(kind, identifier)
    await world.verifier.verify(world.key)
    assert world.look_ups == 1


async def test_a_key_created_after_it_was_tried_works_at_once(world: World) -> None:
    early = generate_key()
    assert (await world.refusal(early)).code == "key_unknown"
    row = world.keys.add(early)
    world.changes.publish("key", row["key_id"])
    assert (await world.verifier.verify(early)).key_id == row["key_id"]


async def test_a_lost_notification_matters_for_a_minute_at_most(world: World) -> None:
    await world.verifier.verify(world.key)
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    world.now += FRESH_SECONDS - 0.1
    await world.verifier.verify(world.key)
    world.now = NOW + FRESH_SECONDS
    assert (await world.refusal(world.key)).code == "key_revoked"


async def test_a_clock_that_was_set_back_causes_a_look_up(world: World) -> None:
    await world.verifier.verify(world.key)
    world.now -= 3600
    await world.verifier.verify(world.key)
    assert world.look_ups == 2


async def test_a_fill_that_raced_a_revocation_does_not_bring_the_key_back(world: World) -> None:
    world.keys.gate.clear()
    racing = asyncio.create_task(world.verifier.verify(world.key))
    await world.keys.entered.wait()  # it has read the row as it was
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    world.changes.publish("key", world.row["key_id"])
    world.keys.gate.set()
    with pytest.raises(verified.KeyRevokedError):
        await racing
    assert (await world.refusal(world.key)).code == "key_revoked"


async def test_who_comes_after_a_revocation_does_not_join_an_older_look_up(world: World) -> None:
    world.keys.gate.clear()
    before = asyncio.create_task(world.verifier.verify(world.key))
    await world.keys.entered.wait()
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    world.changes.publish("key", world.row["key_id"])
    world.keys.entered.clear()
    after = asyncio.create_task(world.verifier.verify(world.key))
    await world.keys.entered.wait()
    world.keys.gate.set()
    results = await asyncio.gather(before, after, return_exceptions=True)
    assert all(isinstance(result, verified.KeyRevokedError) for result in results)


async def test_endless_news_about_others_cost_a_call_nothing(world: World) -> None:
    original = world.keys.load

    async def load(hashes: Hashes) -> Mapping[str, Any] | None:
        world.changes.publish("key", "another")
        return await original(hashes)

    verifier = KeyVerifier(load, SECRETS, world.changes, lambda: world.now)
    assert (await verifier.verify(world.key)).key_id == world.row["key_id"]
    assert world.look_ups == 1


async def test_a_flood_of_unknown_keys_neither_grows_memory_nor_pushes_out_good_ones() -> None:
    world = World(max_known=10, max_unknown=50)
    await world.verifier.verify(world.key)
    for _ in range(500):
        await world.refusal(generate_key())
    assert len(world.verifier) <= 60
    look_ups = world.look_ups
    await world.verifier.verify(world.key)
    assert world.look_ups == look_ups


async def test_known_keys_are_bounded_and_the_least_used_goes_first() -> None:
    world = World(max_known=3, max_unknown=3)
    keys = [generate_key() for _ in range(3)]
    for key in keys:
        world.keys.add(key)
    for key in [keys[0], keys[1], keys[2], keys[0], world.key]:  # keys[1] is the oldest
        await world.verifier.verify(key)
    look_ups = world.look_ups
    await world.verifier.verify(keys[0])
    assert world.look_ups == look_ups
    await world.verifier.verify(keys[1])
    assert world.look_ups == look_ups + 1
    assert len(world.verifier) == 3


async def test_a_flood_of_new_keys_meets_a_bound_that_known_keys_do_not_share(
    world: World,
) -> None:
    await world.verifier.verify(world.key)
    world.now += FRESH_SECONDS  # so that the known one must be looked up too
    world.keys.gate.clear()
    flood = [asyncio.create_task(world.refusal(generate_key())) for _ in range(MAX_LOADS)]
    while world.look_ups < 1 + MAX_LOADS:
        world.keys.entered.clear()
        await world.keys.entered.wait()
    assert (await world.refusal(generate_key())).status == 503
    known = asyncio.create_task(world.verifier.verify(world.key))
    world.keys.gate.set()
    assert (await known).key_id == world.row["key_id"]
    assert {error.code for error in await asyncio.gather(*flood)} == {"key_unknown"}
