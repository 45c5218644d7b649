"""One row of the catalogue, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sandbox.types import Tier

INSIDE_TESTS = "tests/hostile/test_rows.py::test_every_row_holds"


class Group(StrEnum):
    """Headings of the table."""

    EXHAUSTION = "Using everything up"
    KERNEL = "The kernel"
    FILES = "Files of the host"
    NETWORK = "The network"
    HOP = "Answers on their way back"
    TENANCY = "One another"
    DEPLOY = "On the way in"
    CONTROL = "What controls it all"


@dataclass(frozen=True, slots=True)
class Row:
    """What is tried, what holds it, and what shows that.

    `looks` and `hogs` name probes that are tried from inside on every tier; `tests` are
    tests that show the rest. `absent` says for a tier why the row cannot apply there, `gap`
    what is not held: better written down than found out.
    """

    number: int
    group: Group
    title: str
    wall: str
    looks: tuple[str, ...] = ()
    hogs: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    absent: Mapping[Tier, str] = field(default_factory=dict)
    gap: str = ""

    @property
    def shown_by(self) -> tuple[str, ...]:
        """Every test that shows it."""
        inside = (INSIDE_TESTS,) if self.looks or self.hogs else ()
        return (*inside, *self.tests)
