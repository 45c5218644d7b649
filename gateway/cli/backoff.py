"""How long to wait before a crashed child is started again (pure)."""

from dataclasses import dataclass

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0
STABLE_SECONDS = 30.0  # a child that ran this long starts with a clean record


@dataclass(frozen=True, slots=True)
class Record:
    """How often a child has crashed in a row."""

    crashes: int = 0

    def after_crash(self, ran_seconds: float) -> "Record":
        """The record once the child ended, having run for so long."""
        return Record(1 if ran_seconds >= STABLE_SECONDS else self.crashes + 1)

    @property
    def wait_seconds(self) -> float:
        """Doubles with every crash in a row, up to a cap."""
        if self.crashes == 0:
            return 0.0
        return float(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (self.crashes - 1)))
