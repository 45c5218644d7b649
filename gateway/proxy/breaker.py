"""Spares a version that keeps failing, and its callers the wait. Pure but for the clock.

Only what the sandbox itself got wrong counts: it died, spoke no HTTP, missed the deadline or
did not start. A 500 that the app made is an answer. After some failures in a row calls are
refused for a while; then one is let through to see, and decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf

from gateway.errors import SandgateError, UnavailableError
from gateway.proxy.errors import (
    ApiBadResponseError,
    ApiDiedError,
    ApiStartFailedError,
    ApiTimeoutError,
    NoSlotError,
)

FAILURES = 5  # in a row
OPEN_SECONDS = 5.0  # doubled each time the call that looked failed too
LONGEST_SECONDS = 60.0
PROBE_SECONDS = 60.0  # a probe that was never heard of again does not block for ever
FORGOTTEN_SECONDS = 600.0  # without a further failure
MAX_KNOWN = 10_000

_COUNTED = (ApiDiedError, ApiBadResponseError, ApiTimeoutError, ApiStartFailedError)


class ApiUnhealthyError(UnavailableError):
    """It failed several times in a row; a call is let through now and then."""

    code, title = "api_unhealthy", "The API keeps failing"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Its last calls all failed. Calls are let through again soon.",
            retry_after=retry_after,
        )


def is_failure(error: SandgateError) -> bool:
    """Whether it says that the sandbox does not work; a caller's fault or ours never does.

    Nor does a queue that was too long: a start that hangs is an error of its own.
    """
    return isinstance(error, _COUNTED) and not isinstance(error, NoSlotError)


@dataclass(slots=True)
class _Trouble:
    """What is remembered of a version whose last call failed."""

    failures: int
    last_at: float
    opened: int = 0  # times in a row
    open_until: float = 0.0
    probe: int = 0  # number of the call that looks now
    probe_at: float = 0.0


class Breaker:
    """One for all versions of all APIs; remembers those in trouble alone.

    A call asks `admit` first and then tells exactly one of `succeeded`, `failed` and
    `abandoned`, with the number that `admit` gave.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._trouble: dict[str, _Trouble] = {}
        self._probes = 0

    def __len__(self) -> int:
        return len(self._trouble)

    def __contains__(self, version: str) -> bool:
        """Whether its last call failed: then each call has to tell how it went."""
        return version in self._trouble

    @property
    def open(self) -> int:
        """How many versions are spared now, or looked at by one call alone."""
        return sum(trouble.opened > 0 for trouble in self._trouble.values())

    def admit(self, version: str) -> int:
        """The number of the call that looks, 0 of all others; ApiUnhealthyError: do not send."""
        if version not in self._trouble:  # the warm path
            return 0
        trouble, now = self._trouble[version], self._clock()
        if not trouble.opened:
            return 0
        if now < trouble.open_until:
            raise ApiUnhealthyError(max(ceil(trouble.open_until - now), 1))
        if trouble.probe and now < trouble.probe_at + PROBE_SECONDS:
            raise ApiUnhealthyError(1)
        self._probes += 1
        trouble.probe, trouble.probe_at = self._probes, now
        return self._probes

    def succeeded(self, version: str) -> None:
        """It answered: whatever was before is over."""
        if version in self._trouble:
            del self._trouble[version]

    def failed(self, version: str, probe: int, began: float = inf) -> None:
        """It did not. While calls are refused only the one that looks counts.

        `began`: when the call was admitted, by the same clock. Calls that were under way when
        the last failure was counted say nothing new: a sandbox that ends takes all of them along.
        """
        now = self._clock()
        known = self._trouble.get(version)
        if known is not None and not probe and began <= known.last_at:
            return
        trouble = self._trouble.get(version)
        if trouble is None or (not trouble.opened and now - trouble.last_at > FORGOTTEN_SECONDS):
            self._make_room(now)
            trouble = self._trouble[version] = _Trouble(0, now)
        trouble.last_at = now
        trouble.failures += 1
        if (probe and probe == trouble.probe) or (
            not trouble.opened and trouble.failures >= FAILURES
        ):
            pause = min(OPEN_SECONDS * 2**trouble.opened, LONGEST_SECONDS)
            trouble.opened = min(trouble.opened + 1, 10)
            trouble.open_until = now + pause
            trouble.probe = 0

    def abandoned(self, version: str, probe: int) -> None:
        """Nothing was learnt: the caller left, or the call failed for another reason."""
        trouble = self._trouble.get(version)
        if probe and trouble is not None and trouble.probe == probe:
            trouble.probe = 0

    def _make_room(self, now: float) -> None:
        """The oldest trouble is forgotten first."""
        if len(self._trouble) < MAX_KNOWN:
            return
        for version, trouble in list(self._trouble.items()):
            if now - trouble.last_at > FORGOTTEN_SECONDS:
                del self._trouble[version]
        while len(self._trouble) >= MAX_KNOWN:
            del self._trouble[next(iter(self._trouble))]
