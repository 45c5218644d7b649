"""Which calls run too long or use too much of the processor. Pure: looks in, decisions out.

Every number of a call comes from memory that user code can write, so nothing here depends
on them making sense; a lie only concerns the sandbox that tells it.
"""

from collections.abc import Mapping
from typing import NamedTuple

SECOND = 1_000_000_000
# between asking a call to end and ending the whole process
PATIENCE = 2 * SECOND
LOOK_EVERY = SECOND
_LOOK_SOONEST = SECOND // 50


class Call(NamedTuple):
    """One running call. Times in nanoseconds."""

    slot: int
    ident: int
    start: int
    deadline: int = 0  # 0: none
    held: int = 0  # so long its steps were on the event loop
    is_streaming: bool = False


class Look(NamedTuple):
    """What is seen at one moment. `cpu` and the two sums only ever grow."""

    now: int
    cpu: int
    calls: tuple[Call, ...] = ()
    ended_held: int = 0
    ended_time: int = 0


class Ending(NamedTuple):
    """Why the process has to end: an EndReason value, and words for the owner."""

    end: str
    reason: str


class Decision(NamedTuple):
    """Calls to cancel, or the end of it all, and when to look again."""

    cancel: tuple[Call, ...] = ()
    ending: Ending | None = None
    next_look: int = LOOK_EVERY  # nanoseconds from now


class _Account:
    """What is remembered of a running call."""

    def __init__(self) -> None:
        self.held = 0
        self.used = 0.0
        self.late_since: int | None = None
        self.cancelled_at: int | None = None


class Budget:
    """Judges one look after the other. `cpu_seconds`: what one call may use, 0 for any amount."""

    def __init__(self, cpu_seconds: float = 0.0) -> None:
        self.cpu_seconds = cpu_seconds
        self._accounts: dict[tuple[int, int], _Account] = {}
        self._last: Look | None = None

    def judge(self, look: Look) -> Decision:
        """What follows from what is seen now."""
        known = self._accounts
        self._accounts = {
            (call.slot, call.ident): known.get((call.slot, call.ident)) or _Account()
            for call in look.calls
        }
        self._charge(look)
        self._last = look
        cancel: list[Call] = []
        for call in look.calls:
            account = self._accounts[call.slot, call.ident]
            ending = self._too_late(call, account, look.now)
            ending = ending or self._too_much(call, account, look.now, cancel)
            if ending is not None:
                return Decision(ending=ending)
        return Decision(tuple(cancel), next_look=self._next_look(look))

    def forget(self) -> None:
        """Start measuring anew: nothing ran for a while."""
        self._last = None

    def used_seconds(self, call: Call) -> float:
        """Processor time charged to a call so far."""
        account = self._accounts.get((call.slot, call.ident))
        return account.used / SECOND if account else 0.0

    def _charge(self, look: Look) -> None:
        last = self._last
        if last is None or not look.calls:
            return
        held = self._held_since_last(look)
        charges = shares(look, last, held)
        for call in look.calls:
            self._accounts[call.slot, call.ident].used += charges[call.slot]

    def _held_since_last(self, look: Look) -> dict[int, int]:
        held: dict[int, int] = {}
        for call in look.calls:
            account = self._accounts[call.slot, call.ident]
            held[call.slot] = call.held - account.held
            account.held = call.held
        return held

    def _too_late(self, call: Call, account: _Account, now: int) -> Ending | None:
        """Counted from when it was first seen to be late: a frozen sandbox sees no time pass."""
        if not call.deadline or now < call.deadline:
            account.late_since = None
            return None
        if account.late_since is None:
            account.late_since = now
        if now - account.late_since < PATIENCE:
            return None
        seconds = max(0, call.deadline - call.start) / SECOND
        reason = f"a call ran past its deadline of {seconds:g} s and could not be cancelled"
        return Ending("deadline", reason)

    def _too_much(
        self, call: Call, account: _Account, now: int, cancel: list[Call]
    ) -> Ending | None:
        if not self.cpu_seconds or account.used < self.cpu_seconds * SECOND:
            return None
        if account.cancelled_at is None:
            account.cancelled_at = now
            cancel.append(call)
        if now - account.cancelled_at < PATIENCE:
            return None
        reason = (
            f"a call used more than its {self.cpu_seconds:g} s of processor time "
            "and could not be cancelled"
        )
        return Ending("cpu", reason)

    def _next_look(self, look: Look) -> int:
        """Once a second, but sooner when something falls due or the budget is small."""
        due = [look.now + LOOK_EVERY]
        if self.cpu_seconds:
            due.append(look.now + int(self.cpu_seconds * SECOND / 8))
        for call in look.calls:
            account = self._accounts[call.slot, call.ident]
            if call.deadline > look.now:
                due.append(call.deadline)
            since = [account.late_since, account.cancelled_at]
            due += [at + PATIENCE for at in since if at is not None]
        return max(min(due) - look.now, _LOOK_SOONEST)


def shares(look: Look, last: Look, held: Mapping[int, int]) -> dict[int, float]:
    """How much of the processor time since the last look each running call is charged, by slot.

    First what their own steps did on the event loop, known exactly. The rest was used in
    threads or other processes: it is divided among the calls that had not been answered yet,
    by how long they ran. A stream that only waits is charged for others' work only when
    there is nobody else.
    """
    interval = max(0, look.now - last.now)
    cpu = max(0, look.cpu - last.cpu)
    on_loop = {slot: min(max(0, value), interval) for slot, value in held.items()}
    all_held = sum(on_loop.values()) + max(0, look.ended_held - last.ended_held)
    scale = min(1.0, cpu / all_held) if all_held else 0.0
    rest = max(0, cpu - all_held)
    weights = {
        call.slot: 0 if call.is_streaming else min(max(0, look.now - call.start), interval)
        for call in look.calls
    }
    total = sum(weights.values()) + max(0, look.ended_time - last.ended_time)
    if total == 0:
        weights = dict.fromkeys(weights, 1)
        total = len(weights)
    return {slot: on_loop[slot] * scale + rest * weights[slot] / total for slot in weights}
