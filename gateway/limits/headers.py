"""Header fields that tell a caller where the limits stand.

`X-RateLimit-*` describe the tightest window; `X-RateLimit-Reset` is the Unix time, in whole
seconds, at which at least one call more is free. `RateLimit-Policy` and `RateLimit` are the
structured fields of the IETF draft and list every window; their `t` is in seconds from now.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from gateway.limits.types import Decision, Limit, LimitState

Headers = list[tuple[bytes, bytes]]


def rate_headers(decision: Decision, clock: Callable[[], float] = time.time) -> Headers:
    """Header fields for an answer; none when nothing limits the caller."""
    if not decision.states:
        return []
    state = _tightest(decision)
    policies = [_policy(state.limit) for state in decision.states]
    standing = [
        f"{name};r={state.remaining};t={state.reset}"
        for state, (name, _) in zip(decision.states, policies, strict=True)
    ]
    headers = [
        (b"x-ratelimit-limit", b"%d" % state.limit.quantity),
        (b"x-ratelimit-remaining", b"%d" % state.remaining),
        (b"x-ratelimit-reset", b"%d" % (int(clock()) + state.reset)),
        (b"ratelimit-policy", ", ".join([item for _, item in policies]).encode()),
        (b"ratelimit", ", ".join(standing).encode()),
    ]
    if not decision.admitted:
        headers.append((b"retry-after", b"%d" % decision.retry_after))
    return headers


class RateLines:
    """The same fields as bytes, for one set of limits: what never changes is written once."""

    def __init__(self, limits: Sequence[Limit], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        items = [_policy(limit) for limit in limits]
        policies = ", ".join([item for _, item in items]).replace("%", "%%")
        standing = ", ".join(f"{name};r=%d;t=%d".replace("%%", "%") for name, _ in items)
        self._format = (
            f"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n"
            f"ratelimit-policy: {policies}\r\nratelimit: {standing}\r\n"
        ).encode()

    def __call__(self, decision: Decision) -> bytes:
        """Of an admitted call."""
        numbers: list[int] = []
        least = most = -1
        tightest = 0
        for limit, remaining, reset in decision.states:
            numbers += (remaining, reset)
            if least < 0 or remaining < least or (remaining == least and reset > most):
                least, most, tightest = remaining, reset, limit.quantity
        if least < 0:
            return b""
        return self._format % (tightest, least, int(self._clock()) + most, *numbers)


def _tightest(decision: Decision) -> LimitState:
    """The window with the fewest calls left; among equals the one that takes longest."""
    return min(decision.violated or decision.states, key=lambda s: (s.remaining, -s.reset))


@lru_cache(maxsize=50_000)
def _policy(limit: Limit) -> tuple[str, str]:
    """Name of the policy, and its item in `RateLimit-Policy`; the same on every call."""
    name = f'"{limit.policy}"'
    return name, f"{name};q={limit.quantity};w={limit.window.seconds}"
