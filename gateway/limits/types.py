"""Values of the limiter: what is limited, and what was decided."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.errors import UnavailableError


class Window(StrEnum):
    """Length of a limit's window."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Length in seconds."""
        return _SECONDS[self]


_SECONDS = {Window.MINUTE: 60, Window.HOUR: 3600, Window.DAY: 86400}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quantity` calls of `subject` in any `window`.

    `subject` is `tenant:<uuid>`, `api:<uuid>` or `key:<uuid>`.
    """

    subject: str
    window: Window
    quantity: int

    @property
    def policy(self) -> str:
        """Name in headers, like `tenant-hour`."""
        return f"{self.subject.partition(':')[0]}-{self.window}"


class LimitState(NamedTuple):
    """One limit after the decision. `reset` is seconds until at least one call is free again."""

    limit: Limit
    remaining: int
    reset: int


@dataclass(frozen=True, slots=True)
class Charge:
    """A price to reserve: `account` is the caller's tenant, `amount` in nano-USD, above 0."""

    account: str
    amount: int


class Decision(NamedTuple):
    """All-or-nothing outcome: when not admitted, nothing was counted and nothing reserved.

    Then `violated` has entries, or `no_credit` says that the price is more than the balance, or
    `unknown_credit` that the balance must be loaded first (`set_credit`) and the call asked
    again. `degraded`: decided without the shared store, by the bounded share of one gateway.
    """

    admitted: bool
    states: tuple[LimitState, ...]
    violated: tuple[LimitState, ...] = ()
    no_credit: bool = False
    unknown_credit: bool = False
    degraded: bool = False

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the call could be admitted; 0 when it was."""
        return max((state.reset for state in self.violated), default=0)


class LimitsUnavailableError(UnavailableError):
    """The shared store does not answer, and this call may not be decided without it."""

    code, title = "limits_unavailable", "Limits cannot be checked at the moment"

    def __init__(self) -> None:
        super().__init__("The store of limits does not answer. Nothing was counted or charged.")


class Limiter(Protocol):
    """Decides for one call over all its limits, and its price, at once.

    May refuse with `LimitsUnavailableError`, raised by `admit` and set on the future of `decide`.
    """

    def decide(
        self, limits: Sequence[Limit], charge: Charge | None = None
    ) -> Decision | asyncio.Future[Decision]:
        """Count the call in every window and reserve its price, or do nothing of it.

        Answers at once, or with a future; decisions of one turn of the loop travel together.
        """
        ...

    async def admit(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision:
        """The same, awaited."""
        ...

    def refund(self, charge: Charge) -> None:
        """Give a reservation back that is not kept. Never waits."""
        ...

    async def set_credit(self, account: str, granted: int, spent: int) -> None:
        """What an account was ever granted; and what it spent, where that is not known yet."""
        ...

    @property
    def degraded(self) -> str | None:
        """Why decisions are made without the shared store; None when they are not."""
        ...
