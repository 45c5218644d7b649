"""The supervisor's side of the page: looks at it while calls run, and only then."""

import os
import time
from collections.abc import Callable, Iterator

from . import page as p
from .budget import SECOND, Budget, Call, Decision, Ending, Look

_QUIET_LOOKS = 2  # so often nothing must run before looking stops

_TICK = SECOND // os.sysconf("SC_CLK_TCK")


class Watch:
    """Sleeps, or looks. `ring` tells the app process that calls are to be cancelled."""

    def __init__(
        self,
        page: "memoryview[int]",
        budget: Budget,
        read_cpu: Callable[[], int],
        ring: Callable[[], None],
    ) -> None:
        self._page = page
        self._budget = budget
        self._read_cpu = read_cpu
        self._ring = ring
        self._quiet = 0
        self._cpu = 0

    def begin(self) -> tuple[Ending | None, float | None]:
        """Calls run again after a time when none did; what was used in between is nobody's."""
        self._budget.forget()
        self._quiet = 0
        self._page[p.WATCHED] = 1
        return self.look()

    def look(self) -> tuple[Ending | None, float | None]:
        """The end if it has come to that; seconds until the next look, None to sleep."""
        self._cpu = max(self._cpu, self._read_cpu())  # a process that is just ending is missed once
        look = read_page(self._page, time.monotonic_ns(), self._cpu)
        decision = self._budget.judge(look)
        self._ask(decision)
        self._quiet = 0 if look.calls else self._quiet + 1
        if self._quiet > _QUIET_LOOKS:
            # the flag was taken back one look ago: a call that began just then is seen by this one
            return decision.ending, None
        self._page[p.WATCHED] = int(self._quiet < _QUIET_LOOKS)
        return decision.ending, decision.next_look / SECOND

    def _ask(self, decision: Decision) -> None:
        for call in decision.cancel:
            self._page[p.CANCEL + call.slot] = call.ident
        if decision.cancel:
            self._ring()


def read_page(page: "memoryview[int]", now: int, cpu: int) -> Look:
    """The page as a value. The writer goes on meanwhile; what is torn is right at the next look."""
    return Look(
        now=now,
        cpu=cpu,
        calls=tuple(_calls(page, now)),
        ended_held=page[p.ENDED_HELD],
        ended_time=page[p.ENDED_TIME],
    )


def _calls(page: "memoryview[int]", now: int) -> Iterator[Call]:
    on_loop, since = page[p.ON_LOOP], page[p.ON_LOOP_SINCE]
    for slot, ident in enumerate(page[p.IDENT : p.IDENT + p.SLOTS].tolist()):
        if ident:
            yield Call(
                slot=slot,
                ident=ident,
                start=page[p.START + slot],
                deadline=max(0, page[p.DEADLINE + slot]),
                held=page[p.HELD + slot] + (max(0, now - since) if ident == on_loop else 0),
                is_streaming=page[p.DEADLINE + slot] == p.ANSWERING,
            )


def cpu_of(pid: int) -> int:
    """Nanoseconds of processor time that user code has used: process `pid` and what it started.

    As the first process of a PID namespace everything but ourselves is user code; elsewhere
    only `pid` and what it has waited for is known to be.
    """
    if os.getpid() != 1:
        return _cpu_ticks(pid) * _TICK
    others = sum(_cpu_ticks(int(name)) for name in os.listdir("/proc") if _is_other(name))
    times = os.times()
    return others * _TICK + int((times.children_user + times.children_system) * SECOND)


def _is_other(name: str) -> bool:
    return name.isdecimal() and name != "1"


def _cpu_ticks(pid: int) -> int:
    """Own time and that of children it has waited for; nothing once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return 0
    return sum(int(number) for number in fields[11:15])
