"""What is known about the engine, and when to bother it again after it failed."""

from dataclasses import dataclass, field

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0


@dataclass(slots=True)
class EngineHealth:
    """Changes with every answer of the engine. `missing` is hardening this host cannot give."""

    ok: bool = False
    detail: str = "still preparing"
    about: str = "ok"  # the detail while all is well
    missing: tuple[str, ...] = ()
    failing: bool = False
    _retry_at: float = 0.0
    _backoff: float = field(default=_FIRST_BACKOFF)

    def works(self) -> None:
        """It did what it was asked."""
        self.ok, self.failing, self.detail = True, False, self.about
        self._backoff, self._retry_at = _FIRST_BACKOFF, 0.0

    def failed(self, why: str, now: float) -> float:
        """It did not; returns the seconds to leave it alone."""
        self.ok, self.failing, self.detail = False, True, why
        wait = self._backoff
        self._retry_at = now + wait
        self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
        return wait

    def may_try(self, now: float) -> bool:
        """Whether work that nobody waits for may go to the engine."""
        return now >= self._retry_at
