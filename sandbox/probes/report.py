"""Verdicts for each row and tier, from what was seen. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.probes.escape import Seen
from sandbox.probes.judge import Ground, Judged, Verdict, judge_hog, judge_look, worst
from sandbox.probes.row import Row
from sandbox.probes.rows import INSIDE
from sandbox.types import Tier

BAD = (Verdict.ESCAPED, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class TierReport:
    """One tier of this machine: a verdict for each row, or why it could not be tried."""

    tier: Tier
    runtime: str
    trouble: str = ""
    rows: Mapping[int, Judged] = field(default_factory=dict)
    missing: Sequence[str] = ()  # hardening that this machine does not give to this tier

    @property
    def holds(self) -> bool:
        """Whether nothing escaped and nothing is unknown."""
        return not any(one.verdict in BAD for one in self.rows.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {
            "tier": str(self.tier),
            "runtime": self.runtime,
            "trouble": self.trouble,
            "missing": list(self.missing),
            "rows": [
                {"row": number, "verdict": str(one.verdict), "detail": one.detail}
                for number, one in self.rows.items()
            ],
        }


def judge_row(row: Row, seen: Seen, ground: Ground) -> Judged:
    """One row on one tier."""
    if ground.tier in row.absent:
        return Judged(Verdict.NOT_APPLICABLE, row.absent[ground.tier])
    nothing = {"failed": "it was not tried"}
    looks = [judge_look(name, seen.looks.get(name, nothing), ground) for name in row.looks]
    return worst(looks + [judge_hog(name, seen.hogs.get(name, {})) for name in row.hogs])


def report(tier: Tier, runtime: str, seen: Seen, missing: Sequence[str] = ()) -> TierReport:
    """Every row that is tried from inside."""
    rows = {row.number: judge_row(row, seen, Ground(tier, missing)) for row in INSIDE}
    return TierReport(tier, runtime, rows=rows, missing=missing)
