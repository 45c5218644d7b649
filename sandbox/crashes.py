"""Decisions about what keeps crashing: how long it is left alone, as values."""

from dataclasses import dataclass, replace

from sandbox.types import CrashLoopError, EndReason, SandboxSpec

BAD_ENDS = frozenset(
    {EndReason.MEMORY, EndReason.CPU, EndReason.DEADLINE, EndReason.SYSCALL, EndReason.CRASH}
)
_HEALTHY_SECONDS = 60.0  # one that lived so long starts with a clean slate
_LONGEST = 60.0
_FORGET_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class CrashKey:
    """Whose crashes count together: all instances of one version; a reload starts anew."""

    api_id: str
    version_id: str
    generation: int

    @classmethod
    def of(cls, spec: SandboxSpec) -> "CrashKey":
        """Of a sandbox."""
        return cls(spec.api_id, spec.version_id, spec.generation)


@dataclass(frozen=True, slots=True)
class CrashRecord:
    """Bad ends in a row, of something that had been ready before."""

    count: int = 0
    at: float = 0.0
    end: EndReason = EndReason.CRASH
    reason: str = ""

    def add(self, now: float, lived: float, end: EndReason, reason: str) -> "CrashRecord":
        """One more, of a sandbox that had lived for so many seconds."""
        before = 0 if lived >= _HEALTHY_SECONDS or self.is_over(now) else self.count
        return CrashRecord(before + 1, now, end, reason)

    def explained(self, end: EndReason, reason: str) -> "CrashRecord":
        """The same with what the kernel said about the last one."""
        return replace(self, end=end, reason=reason)

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 when it is now."""
        return max(0.0, back_off(self.count) - (now - self.at))

    def is_over(self, now: float) -> bool:
        """Whether it is so long ago that nothing of it matters any more."""
        return now - self.at >= _FORGET_SECONDS

    def error(self, now: float) -> CrashLoopError:
        """For the owner, while it must wait."""
        wait = self.wait(now)
        return CrashLoopError(
            f"it ended {self.count} times in a row, the last time because {self.reason};"
            f" the next start is in {wait:.0f} s",
            end=self.end,
            crashes=self.count,
            retry_seconds=wait,
        )


def back_off(crashes: int) -> float:
    """Seconds to wait after so many bad ends in a row: 0, 1, 2, 4 … 60."""
    if crashes < 2:
        return 0.0
    return float(min(_LONGEST, 2.0 ** min(crashes - 2, 10)))


@dataclass(frozen=True, slots=True)
class FailedStarts:
    """Recent failed starts of one spec; too many in a short time are not tried for a while."""

    times: tuple[float, ...] = ()
    most: int = 5
    window: float = 10.0

    def add(self, now: float) -> "FailedStarts":
        """One more."""
        return FailedStarts((*self._recent(now), now)[-self.most :], self.most, self.window)

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 when it is now."""
        recent = self._recent(now)
        if len(recent) < self.most:
            return 0.0
        return recent[0] + self.window - now

    def is_over(self, now: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._recent(now)

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.times if now - at < self.window)
