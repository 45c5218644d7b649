"""The decision over all limits of one call at once: counted everywhere, or nowhere. Pure."""

from collections.abc import Sequence

from gateway.limits.types import Decision, Limit, LimitState
from gateway.limits.window import WindowCounter


def decide(limits: Sequence[Limit], counters: Sequence[WindowCounter], second: int) -> Decision:
    """Decide for one call at `second`; an admitted one is counted in every counter.

    `counters` belong to `limits` one by one, each at most once, and have been advanced to
    `second`.
    """
    if (refused := refusal(limits, counters, second)) is not None:
        return refused
    for counter in counters:
        counter.add()
    return Decision(True, states_of(limits, counters, second))


def refusal(
    limits: Sequence[Limit], counters: Sequence[WindowCounter], second: int
) -> Decision | None:
    """Why no call is admitted now; None while one is."""
    for limit, counter in zip(limits, counters, strict=True):
        if counter.total >= limit.quantity:
            states = states_of(limits, counters, second)
            return Decision(False, states, tuple(state for state in states if not state.remaining))
    return None


def states_of(
    limits: Sequence[Limit], counters: Sequence[WindowCounter], second: int
) -> tuple[LimitState, ...]:
    """Where each limit stands at `second`."""
    return tuple(
        [  # a list first: half the cost of a generator, and this runs for every call
            LimitState(
                limit,
                left if (left := limit.quantity - counter.total) > 0 else 0,
                counter.reset_after(second, limit.quantity),
            )
            for limit, counter in zip(limits, counters, strict=True)
        ]
    )
