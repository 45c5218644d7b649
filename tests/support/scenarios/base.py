"""One scenario: what is asked, what the model says, and how it must end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.types import Wish
from tests.support.scenarios import replies
from tests.support.scenarios.replies import Reply

CHECKED, GAVE_UP, FAILED = "checked", "gave_up", "failed"
WISH = Wish("Count the words of a text, repeat a text, and tell facts by number.")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row of the table.

    `found` are rules that some gate must have named; `lacks` texts that no candidate which is
    offered to anybody may hold; `before` is what the model says ahead of `says`.
    """

    name: str
    what: str
    says: tuple[Reply, ...]
    end: str = CHECKED
    code: str = ""
    round: int | None = None  # of the candidate at the end
    wish: Wish = WISH
    before: tuple[Reply, ...] = replies.START
    stronger: tuple[Reply, ...] = ()
    found: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    speaks: str = "scripted"
    cap_at: str = ""  # the purpose for which no money is left
    has_stage: bool = True
    is_slow: bool = False  # left to `make slow`: it has code of its own to look at
    is_real: bool = False  # only in a real sandbox: the code harms whatever it runs in
    patience: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """How it ends, as the table shows it."""
        return f"`{self.end}`" + (f" `{self.code}`" if self.code else "")
