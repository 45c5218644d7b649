"""Which sandboxes no route leads to any more: their API has gone on without them. Pure.

Whoever holds a sandbox gives it up when its API moves on. Of one that only ever was tried out
nobody would know, and it would keep its memory until its idle time was over.
"""

from collections.abc import Sequence
from typing import NamedTuple

REST_SECONDS = 30.0  # a new generation may be withdrawn again, and news may be late


class Placed(NamedTuple):
    """One that runs somebody's code. Times in seconds of one clock."""

    sandbox_id: str
    api_id: str
    generation: int
    ready_at: float
    lease_ends: float


def superseded(placed: Sequence[Placed], now: float) -> list[str]:
    """Nobody may send it calls for a while, and for as long a later generation is there."""
    newest: dict[str, int] = {}
    for one in placed:
        if now - one.ready_at >= REST_SECONDS:
            newest[one.api_id] = max(one.generation, newest.get(one.api_id, 0))
    return [
        one.sandbox_id
        for one in placed
        if now - one.lease_ends >= REST_SECONDS and one.generation < newest.get(one.api_id, 0)
    ]
