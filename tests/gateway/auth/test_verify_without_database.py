"""Verifying keys while the database is away: what goes on, for how long, and what does not."""

import asyncio

import pytest

from gateway.auth.keys import generate_key
from gateway.auth.verify import FRESH_SECONDS, STALE_SECONDS
from tests.gateway.auth.test_verify import World


@pytest.fixture
def world() -> World:
    return World()


async def test_a_cached_key_goes_on_while_the_database_is_down(world: World) -> None:
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now += FRESH_SECONDS + 1
    assert (await world.verifier.verify(world.key)).key_id == world.row["key_id"]


async def test_a_lost_connection_does_not_forget_good_keys(world: World) -> None:
    await world.verifier.verify(world.key)
    world.changes.publish("all")
    world.keys.is_down = True
    assert (await world.verifier.verify(world.key)).key_id == world.row["key_id"]


async def test_nobody_waits_for_a_database_known_to_be_down(world: World) -> None:
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now += FRESH_SECONDS + 1
    await world.verifier.verify(world.key)
    world.now += 2
    world.keys.gate.clear()  # from now on it does not even answer
    async with asyncio.timeout(1):
        await world.verifier.verify(world.key)
    world.keys.gate.set()


async def test_a_key_revoked_while_the_database_was_down_is_refused_once_it_is_back(
    world: World,
) -> None:
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now += FRESH_SECONDS + 1
    await world.verifier.verify(world.key)
    world.keys.is_down = False
    world.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
    world.changes.publish("all")
    assert (await world.refusal(world.key)).code == "key_revoked"


async def test_a_key_known_to_have_changed_does_not_go_on_without_the_database(
    world: World,
) -> None:
    await world.verifier.verify(world.key)
    world.changes.publish("key", world.row["key_id"])
    world.keys.is_down = True
    error = await world.refusal(world.key)
    assert (error.status, error.headers["Retry-After"]) == (503, "1")


async def test_without_the_database_a_key_goes_on_for_an_hour_only(world: World) -> None:
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now += STALE_SECONDS + 1
    assert (await world.refusal(world.key)).status == 503


async def test_without_the_database_a_clock_that_was_set_back_does_not_lengthen_the_hour(
    world: World,
) -> None:
    """How old what is remembered is, nobody knows then."""
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now -= 7 * 86_400
    assert (await world.refusal(world.key)).status == 503


async def test_without_the_database_an_expired_key_still_expires(world: World) -> None:
    world.row["expires_at"] = "2027-01-15T08:10:00+00:00"
    await world.verifier.verify(world.key)
    world.keys.is_down = True
    world.now += 600
    assert (await world.refusal(world.key)).code == "key_expired"


async def test_an_unknown_key_is_503_while_the_database_is_down(world: World) -> None:
    world.keys.is_down = True
    stranger = generate_key()
    assert (await world.refusal(stranger)).status == 503
    world.keys.is_down = False
    assert (await world.refusal(stranger)).code == "key_unknown"
