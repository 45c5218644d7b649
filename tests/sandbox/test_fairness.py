"""Whose start is next."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.fairness import Gate, Turn, Turns, held
from sandbox.types import CapacityError
from tests.support.waiting import until

steps = st.lists(
    st.tuples(st.sampled_from(["ask", "done", "leave"]), st.sampled_from("abc"), st.integers(0, 9)),
    max_size=80,
)


def test_a_burst_of_one_tenant_leaves_slots_for_others() -> None:
    turns = Turns(slots=4, per_tenant=2)
    for _ in range(10):
        turns.ask("burst")
    assert [turn.tenant_id for turn in turns.grant()] == ["burst", "burst"]
    turns.ask("other")
    assert [turn.tenant_id for turn in turns.grant()] == ["other"]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 30), st.integers(1, 5))
def test_a_burst_delays_another_tenant_by_one_slots_turn_at_most(
    slots: int, per_tenant: int, burst: int, tenants: int
) -> None:
    """However many wait: each other tenant is let in at most once before the newcomer."""
    turns = Turns(slots, per_tenant)
    for number in range(tenants):
        for _ in range(burst):
            turns.ask(f"burst-{number}")
    running = turns.grant()
    mine = turns.ask("me")
    before: list[Turn] = []
    while True:
        granted = turns.grant()
        before += [turn for turn in granted if turn != mine]
        if mine in granted:
            break
        running += granted
        turns.done(running.pop(0))
    assert all(
        sum(t.tenant_id == name for t in before) <= 1 for name in {t.tenant_id for t in before}
    )


@given(steps, st.integers(1, 5), st.integers(1, 3))
def test_caps_hold_and_nobody_waits_beside_a_free_slot(
    script: list[tuple[str, str, int]], slots: int, per_tenant: int
) -> None:
    turns = Turns(slots, per_tenant)
    waiting: list[Turn] = []
    running: list[Turn] = []
    for action, tenant, index in script:
        if action == "ask":
            waiting.append(turns.ask(tenant))
        elif action == "done" and running:
            turns.done(running.pop(index % len(running)))
        elif action == "leave" and waiting:
            turns.leave(waiting.pop(index % len(waiting)))
        for granted in turns.grant():
            waiting.remove(granted)
            running.append(granted)
        count = {name: sum(turn.tenant_id == name for turn in running) for name in "abc"}
        assert turns.running == len(running) <= slots
        assert max(count.values()) <= per_tenant
        if len(running) < slots:
            assert all(count[turn.tenant_id] == per_tenant for turn in waiting)


def test_turns_of_one_tenant_keep_their_order() -> None:
    turns = Turns(slots=1, per_tenant=1)
    asked = [turns.ask("a") for _ in range(3)]
    seen = []
    for _ in asked:
        (turn,) = turns.grant()
        seen.append(turn)
        turns.done(turn)
    assert seen == asked


def test_a_tenant_may_not_queue_without_end() -> None:
    turns = Turns(slots=1, per_tenant=1, most_waiting=2)
    turns.ask("a")
    turns.ask("a")
    with pytest.raises(CapacityError):
        turns.ask("a")
    assert turns.ask("b").tenant_id == "b"


async def test_the_gate_lets_in_when_a_slot_is_given_back() -> None:
    gate = Gate(1, 1)
    first = await gate.enter("a")
    second = asyncio.create_task(gate.enter("b"))
    await asyncio.sleep(0)
    assert not second.done()
    first.release()
    first.release()  # giving back twice gives back once
    (await second).release()
    assert gate.running == 0


async def test_who_gives_up_waiting_takes_no_slot() -> None:
    gate = Gate(1, 1)
    with held(await gate.enter("a")):
        waiting = asyncio.create_task(gate.enter("b"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    assert gate.running == 0
    with held(await gate.enter("b")):
        assert gate.running == 1


async def test_a_slot_granted_to_somebody_who_just_gave_up_is_not_lost() -> None:
    gate = Gate(1, 1)
    slot = await gate.enter("a")
    waiting = [asyncio.create_task(gate.enter("b")) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # in the same turn of the loop as
    slot.release()  # the slot becomes free
    await until(lambda: waiting[0].done())
    (await waiting[1]).release()
    assert gate.running == 0


async def test_a_slot_granted_before_the_giving_up_is_not_lost() -> None:
    gate = Gate(1, 1)
    slot = await gate.enter("a")
    waiting = asyncio.create_task(gate.enter("b"))
    await asyncio.sleep(0)
    slot.release()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert gate.running == 0
