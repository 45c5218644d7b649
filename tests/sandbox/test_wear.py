"""When a sandbox is replaced before its age or memory could hurt."""

from sandbox import wear

MB = 2**20


def test_half_of_its_life_is_enough() -> None:
    assert "run for" in wear.why_worn(50.0, 100.0)
    assert not wear.why_worn(49.0, 100.0)


def test_half_of_what_is_left_above_its_start_is_enough_memory() -> None:
    def worn(memory: int, age: float = 61.0) -> str:
        return wear.why_worn(age, 1000.0, memory=memory * MB, baseline=40 * MB, limit=240 * MB)

    assert worn(140) == "it uses 140 MB of its 240 MB of memory"
    assert not worn(139)
    assert not worn(239, age=59.0)  # a young one may just be starting up


def test_memory_that_nobody_knows_wears_nobody_out() -> None:
    assert not wear.why_worn(61.0, 1000.0, memory=None, baseline=1, limit=2)
    assert not wear.why_worn(61.0, 1000.0, memory=2, baseline=None, limit=2)


def test_a_worn_one_finishes_its_calls_but_not_for_ever() -> None:
    assert not wear.may_stop(134.9, worn_at=95, lease_ends=100)
    assert wear.may_stop(135.0, worn_at=95, lease_ends=100)
    assert wear.may_stop(695.0, worn_at=95, lease_ends=10_000)
