"""Balances of accounts in the memory of one process. Pure: the time is an argument."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from gateway.limits.types import Charge

IDLE_SECONDS = 2 * 3600  # longer than any call lives, so that its refund finds its account


@dataclass(slots=True)
class _Account:
    granted: int
    spent: int
    second: int


class Credits:
    """What accounts were granted and what they spent, reservations among it.

    An account nobody has used for two hours is forgotten and loaded again when it is needed.
    """

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()  # longest unused first

    def __len__(self) -> int:
        """How many accounts are held."""
        return len(self._accounts)

    def balance(self, account: str, second: int) -> int | None:
        """What is left; None when it has to be loaded first."""
        held = self._accounts.get(account)
        if held is None:
            return None
        held.second = second
        self._accounts.move_to_end(account)
        return held.granted - held.spent

    def spend(self, charge: Charge) -> None:
        """Reserve a price; the balance has been looked at just before."""
        self._accounts[charge.account].spent += charge.amount

    def refund(self, charge: Charge) -> None:
        """Give a reservation back. A forgotten account is loaded without it anyway."""
        held = self._accounts.get(charge.account)
        if held is not None:
            held.spent -= charge.amount

    def set(self, account: str, granted: int, spent: int, second: int) -> None:
        """`spent` counts only for an account that is not known: a known one is ahead of it."""
        held = self._accounts.get(account)
        if held is not None:
            held.granted = granted
            return
        self._drop_idle(second)
        self._accounts[account] = _Account(granted, spent, second)

    def _drop_idle(self, second: int) -> None:
        """Look at the two that were unused for longest; so the idle ones die out."""
        for account in list(islice(self._accounts, 2)):
            if self._accounts[account].second + IDLE_SECONDS < second:
                del self._accounts[account]
