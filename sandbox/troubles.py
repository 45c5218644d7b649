"""What went wrong lately, and which starts are refused because of it. Bounded by time."""

from sandbox.crashes import CrashKey, CrashRecord, FailedStarts
from sandbox.types import EndReason, SandboxSpec, StartFailedError, StartFailure

_ENDS = {StartFailure.MEMORY: EndReason.MEMORY, StartFailure.DEADLINE: EndReason.DEADLINE}


class Troubles:
    """Crashes count per version, failed starts per spec."""

    def __init__(self) -> None:
        self._crashes: dict[CrashKey, CrashRecord] = {}
        self._failed: dict[SandboxSpec, FailedStarts] = {}
        self._last: dict[SandboxSpec, StartFailedError] = {}

    def refuse(self, spec: SandboxSpec, now: float) -> None:
        """Raise what a caller has to hear instead of a start: CrashLoopError, StartFailedError."""
        failed = self._failed.get(spec)
        if failed is not None and failed.wait(now) > 0 and spec in self._last:
            raise self._last[spec]
        crashes = self._crashes.get(CrashKey.of(spec))
        if crashes is not None and crashes.wait(now) > 0:
            raise crashes.error(now)

    def crashed(
        self, spec: SandboxSpec, now: float, lived: float, end: EndReason, reason: str
    ) -> None:
        """One that was ready ended badly."""
        key = CrashKey.of(spec)
        self._crashes[key] = self._crashes.get(key, CrashRecord()).add(now, lived, end, reason)

    def explained(self, spec: SandboxSpec, end: EndReason, reason: str) -> None:
        """Why the last one of this version ended is known better now."""
        key = CrashKey.of(spec)
        if key in self._crashes:
            self._crashes[key] = self._crashes[key].explained(end, reason)

    def start_failed(self, spec: SandboxSpec, now: float, error: StartFailedError) -> None:
        """Code did not start; when it has run before, that is one more crash."""
        self._failed[spec] = self._failed.get(spec, FailedStarts()).add(now)
        self._last[spec] = error
        if CrashKey.of(spec) in self._crashes:
            end = _ENDS.get(error.kind, EndReason.CRASH)
            self.crashed(spec, now, 0.0, end, f"it did not start again: {error.reason}")

    def started(self, spec: SandboxSpec) -> None:
        """It came up: failed starts are forgotten. Crashes are not: it may crash again."""
        self._last.pop(spec, None)
        self._failed.pop(spec, None)

    def forget_old(self, now: float) -> None:
        """Drop what does not matter any more."""
        for key in [key for key, crashes in self._crashes.items() if crashes.is_over(now)]:
            del self._crashes[key]
        for spec in [spec for spec, failed in self._failed.items() if failed.is_over(now)]:
            del self._failed[spec]
            self._last.pop(spec, None)
