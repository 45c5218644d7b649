"""What this installation can make out of words: which model, which templates, which caps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from generator.contract import Contract

NANO = 1_000_000_000
_NO_MODEL = (
    "No language model is set: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a local endpoint,"
    " and start again. Templates need no model: name one in `template`."
)


class Template(Protocol):
    """A complete API that needs no model."""

    @property
    def slug(self) -> str:
        """Its name in addresses."""
        ...

    @property
    def contract(self) -> Contract:
        """What it offers."""
        ...

    @property
    def body(self) -> str:
        """Its code, without the platform's part."""
        ...


class Library(Protocol):
    """All templates."""

    def find(self, text: str) -> Template | None:
        """The one that a description means."""
        ...

    def get(self, slug: str) -> Template | None:
        """The one of this name."""
        ...


@dataclass(frozen=True, slots=True)
class Generation:
    """`model` is the one that writes code, empty when none is set; `caps` are in nano-USD."""

    model: str = ""
    library: Library | None = None
    caps: Mapping[str, int | None] = field(default_factory=dict)  # job, user_day, day
    open_jobs: int = 50  # of one tenant, that are not over

    @property
    def missing(self) -> str:
        """What to set before anything can be written; empty when nothing is missing."""
        return "" if self.model else _NO_MODEL

    def template(self, slug: str) -> Template | None:
        """The one of this name."""
        return self.library.get(slug) if self.library else None

    def meant(self, text: str) -> Template | None:
        """The one that a description means."""
        return self.library.find(text) if self.library else None


def nano_usd(dollars: Decimal) -> int:
    """Money of a setting as it is counted."""
    return int(dollars * NANO)


def dollars(nano: int) -> str:
    """Money for people, with as many digits as it takes."""
    return f"${Decimal(nano) / NANO:.4f}"
