"""Rows, bars and how they are shown."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured one way."""

    section: str
    way: str
    values: dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to keep to."""

    what: str
    value: float
    limit: float
    at_most: bool = True

    @property
    def held(self) -> bool:
        """Whether it does."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(slots=True)
class Report:
    """Everything of one run, printed as it comes."""

    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, *rows: Row) -> None:
        """Keep and print rows of one section."""
        for row in rows:
            known = [one for one in self.rows if one.section == row.section]
            if not known or list(known[-1].values) != list(row.values):
                print(f"\n{row.section}\n" + _head(row))
            self.rows.append(row)
            print(_line(row), flush=True)

    def judge(self, *bars: Bar) -> None:
        """Keep bars; they are printed at the end."""
        self.bars += bars

    def note(self, text: str) -> None:
        """Something that was left out, and why."""
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def broke(self, text: str) -> None:
        """Something that may not happen on any machine."""
        self.broken.append(text)

    def finish(self) -> None:
        """Print every bar with its verdict."""
        print(f"\n| {'bar':<66} | {'measured':>10} | {'bar':>10} | held |")
        print(f"|{'-' * 68}|{'-' * 11}:|{'-' * 11}:|------|")
        for bar in self.bars:
            limit = f"{'≤' if bar.at_most else '≥'} {bar.limit:g}"
            held = "yes" if bar.held else "NO"
            print(f"| {bar.what:<66} | {_short(bar.value):>10} | {limit:>10} | {held:<4} |")
        for text in self.notes:
            print(f"left out: {text}")
        for text in self.broken:
            print(f"broken: {text}")

    def write(self, path: Path, options: Sequence[str]) -> None:
        """The same as JSON."""
        result = {
            "at": time.time(),
            "machine": {"cores": os.cpu_count(), "kernel": platform.release(),
                        "python": platform.python_version()},
            "options": list(options),
            "rows": [asdict(row) for row in self.rows],
            "bars": [{**asdict(bar), "held": bar.held} for bar in self.bars],
            "left_out": self.notes,
            "broken": self.broken,
        }  # fmt: skip
        path.write_text(json.dumps(result, indent=2) + "\n")


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _head(row: Row) -> str:
    names = " | ".join(f"{name:>12}" for name in row.values)
    rules = "|".join("-" * 13 + ":" for _ in row.values)
    return f"| {'way':<36} | {names} |\n|{'-' * 38}|{rules}|"


def _line(row: Row) -> str:
    values = " | ".join(f"{_short(value):>12}" for value in row.values.values())
    return f"| {row.way:<36} | {values} |"
