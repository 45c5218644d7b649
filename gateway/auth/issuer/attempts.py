"""Limits on attempts: at most so many per subject in a sliding time, kept in memory."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from gateway.auth.issuer.errors import TooManyAttemptsError

_SUBJECTS = 50_000  # bound on memory; the one left alone longest is forgotten first


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many attempts within `seconds`; attempts that succeed are given back.

    `place` is for one account from one address, `code` for wrong codes of one account in
    an hour, `mails` for letters to one address in an hour, one in `mail_seconds`.
    """

    account: int = 30
    place: int = 10
    address: int = 200
    session: int = 60
    seconds: float = 300
    code: int = 10
    code_seconds: float = 3600
    mails: int = 10
    mail_seconds: float = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `quantity` attempts of one subject, such as `account:a@b.example`."""

    subject: str
    quantity: int


class Attempts:
    """Counts attempts; all allowances of one attempt are taken together or not at all."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, allowances: Sequence[Allowance]) -> float:
        """Count one attempt and answer its mark for `give_back`."""
        now = self._clock()
        waits = [self._wait(allowance, now) for allowance in allowances]
        if max(waits, default=0) > 0:
            raise TooManyAttemptsError(max(1, math.ceil(max(waits))))
        for allowance in allowances:
            self._taken.setdefault(allowance.subject, deque()).append(now)
            self._taken.move_to_end(allowance.subject)
        while len(self._taken) > _SUBJECTS:
            self._taken.popitem(last=False)
        return now

    def has_room(self, allowance: Allowance) -> bool:
        """Whether an attempt would be counted now."""
        return self._wait(allowance, self._clock()) <= 0

    @contextmanager
    def counted(
        self, allowances: Sequence[Allowance], failures: tuple[type[Exception], ...]
    ) -> Iterator[None]:
        """Around an attempt: it stays counted when it ends with one of these failures.

        Counted from its beginning, so that attempts side by side do not slip through.
        """
        mark = self.take(allowances)
        try:
            yield
        except failures:
            raise
        except BaseException:  # not the attempt's fault, such as a silent database
            self.give_back(allowances, mark)
            raise
        self.give_back(allowances, mark)

    def give_back(self, allowances: Sequence[Allowance], mark: float) -> None:
        """Uncount an attempt that turned out to be rightful."""
        for allowance in allowances:
            times = self._taken.get(allowance.subject)
            if times is not None and mark in times:
                times.remove(mark)
                if not times:
                    del self._taken[allowance.subject]

    def _wait(self, allowance: Allowance, now: float) -> float:
        """Seconds until this allowance has room; 0 when it has."""
        times = self._taken.get(allowance.subject)
        if times is None:
            return 0
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if not times:
            del self._taken[allowance.subject]
            return 0
        if len(times) < allowance.quantity:
            return 0
        return times[len(times) - allowance.quantity] + self._seconds - now


def address_subject(host: str | None) -> str:
    """What is counted for a peer: an IPv4 address, or the /64 an IPv6 host has to itself."""
    if host is None:
        return "address:unknown"
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "address:unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"address:{address.ipv4_mapped}"
        return f"address:{int(address) >> 64:x}::/64"
    return f"address:{address}"
