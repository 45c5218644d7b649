"""How much one API may ask of the data server: a bucket of tokens that fills by itself. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

PER_SECOND = 500.0
BURST = 1000.0
LONGEST_WAIT = 2.0
_BYTES_A_TOKEN = 4096


def price(size: int) -> float:
    """Of a request or an answer of so many bytes."""
    return 1 + size // _BYTES_A_TOKEN


@dataclass(slots=True)
class Bucket:
    """May be overdrawn: who comes then waits until the debt is paid."""

    clock: Callable[[], float]
    per_second: float = PER_SECOND
    burst: float = BURST
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._at = self.burst, self.clock()

    @property
    def is_full(self) -> bool:
        """Whether a new one would be just the same."""
        self._fill()
        return self._tokens >= self.burst

    def take(self, tokens: float) -> float | None:
        """Seconds to wait before going on; None, and nothing taken, when that is too long."""
        self._fill()
        wait = max(0.0, -(self._tokens - tokens) / self.per_second)
        if wait > LONGEST_WAIT:
            return None
        self._tokens -= tokens
        return wait

    def charge(self, tokens: float) -> None:
        """Take tokens for what has been done already."""
        self._fill()
        self._tokens -= tokens

    def _fill(self) -> None:
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
