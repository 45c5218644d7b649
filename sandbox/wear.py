"""Decisions about sandboxes that are replaced before their age or memory could hurt."""

_YOUNGEST = 60.0
_CALLS_SECONDS = 35.0  # a call that began under the last lease has ended by then
_LONGEST_SECONDS = 600.0


def why_worn(
    age: float,
    life_seconds: float,
    *,
    memory: int | None = None,
    baseline: int | None = None,
    limit: int = 0,
) -> str:
    """Why it should be replaced now, or nothing.

    `baseline` is the memory it used when it became ready: half of what is left above that is
    a leak's share.
    """
    if age >= life_seconds / 2:
        return f"it has run for {age:.0f} s"
    if memory is None or baseline is None or age < _YOUNGEST:
        return ""
    if memory >= baseline + (limit - baseline) / 2:
        return f"it uses {memory // 2**20} MB of its {limit // 2**20} MB of memory"
    return ""


def may_stop(now: float, worn_at: float, lease_ends: float) -> bool:
    """Whether a worn one has finished its calls, or has had time enough for them."""
    return now >= min(lease_ends + _CALLS_SECONDS, worn_at + _LONGEST_SECONDS)
