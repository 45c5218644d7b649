"""What is particular to the limiter in memory: its size, and its clock."""

import time

from gateway.limits.clock import steady_clock
from gateway.limits.memory import MemoryLimiter
from gateway.limits.types import Limit, Window


class Clock:
    """Unix time, set by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_counters_of_subjects_that_stopped_calling_are_dropped() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock)
    for subject in range(5_000):
        await limiter.admit([Limit(f"key:{subject}", Window.MINUTE, 5)])
        clock.now += 1
    assert len(limiter) <= 2 * 62


async def test_counters_in_use_are_kept_however_many_come_and_go() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock)
    mine = Limit("key:mine", Window.DAY, 1_000)
    for subject in range(500):
        await limiter.admit([Limit(f"key:{subject}", Window.MINUTE, 5), mine])
        clock.now += 1
    assert (await limiter.usage_of([mine]))[0].remaining == 500


async def test_a_counter_that_idled_is_not_dropped_by_the_decision_that_uses_it() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock)
    old, new = Limit("key:old", Window.MINUTE, 1), Limit("key:new", Window.MINUTE, 1)
    await limiter.admit([old])
    clock.now += 1_000
    assert (await limiter.admit([old, new])).admitted  # `new` makes it look for idle ones
    assert not (await limiter.admit([old])).admitted


async def test_restored_subjects_that_never_call_are_dropped_too() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock)
    bucket = int(clock.now)
    limiter.restore(
        [
            {"subject": f"key:{n}", "window": "minute", "bucket": bucket, "count": 1}
            for n in range(100)
        ]
    )
    assert len(limiter) == 100
    clock.now += 1_000
    for subject in range(100):
        await limiter.admit([Limit(f"tenant:{subject}", Window.MINUTE, 5)])
    assert len(limiter) <= 101


def test_the_steady_clock_tells_unix_time_and_never_goes_back() -> None:
    clock = steady_clock()
    before, seen, after = time.time(), [clock() for _ in range(1_000)], time.time()
    assert before - 1 <= seen[0] <= seen[-1] <= after + 1
    assert seen == sorted(seen)
