"""Values of the limiter: what is limited, and what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit after the decision. `reset` is seconds until at least one call is free again."""

    limit: Limit
    remaining: int
    reset: int


@dataclass(frozen=True, slots=True)
class Decision:
    """All-or-nothing outcome: when not admitted, `violated` has entries and nothing was counted."""

    admitted: bool
    states: tuple[LimitState, ...]
    violated: tuple[LimitState, ...] = ()

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the call could be admitted; 0 when it was."""
        return max((state.reset for state in self.violated), default=0)


class Limiter(Protocol):
    """Decides for one call over all its limits at once."""

    async def admit(self, limits: Sequence[Limit]) -> Decision:
        """Count the call in every window, or in none."""
        ...
