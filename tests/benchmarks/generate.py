"""`make bench-generate`: what the loop itself takes from a request to code that may go live.

The model is scripted and answers over real HTTP at once; the time of its calls is measured and
taken away. Gates are real, candidates run in real sandboxes that a manager keeps ready.
docs/benchmarks.md tells more.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from generator.gates import GATES
from generator.llm.base import Answer, Form, Model, OnText, Prompt, Purpose
from generator.loop import run
from generator.parts import Parts
from generator.types import Event, EventKind
from tests.benchmarks.manager_under_test import UnderTest, under_test, until_status
from tests.benchmarks.table import Bar, Report, Row
from tests.support.sandbox_stage import SandboxStage
from tests.support.scenarios import table
from tests.support.scenarios.base import Scenario
from tests.support.scenarios.playing import speaking

SCENARIOS = {"a first try": "first_try", "one repair": "server_error"}
OVERHEAD_SECONDS, GATES_SECONDS = 3.0, 2.0
PACE = 0.02  # seconds between two pieces of an answer: what starts with a job has time to
_WARM = 3  # blanks that wait before each round


@dataclass
class Timed:
    """A model that counts the seconds it was waited for."""

    model: Model
    seconds: float = 0.0

    def named(self, purpose: Purpose) -> str:
        """Its name."""
        return self.model.named(purpose)

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        """Timed."""
        begin = time.perf_counter()
        try:
            return await self.model.converse(prompt, on_text)
        finally:
            self.seconds += time.perf_counter() - begin

    async def fill(self, prompt: Prompt, form: type[Form]) -> Form:
        """Timed."""
        begin = time.perf_counter()
        try:
            return await self.model.fill(prompt, form)
        finally:
            self.seconds += time.perf_counter() - begin

    def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """The loop does not use it."""
        return self.model.stream(prompt)


@dataclass
class Gated:
    """Seconds by gate, and from code handed in to the last gate's word: some go side by side."""

    each: dict[str, float] = field(default_factory=dict)
    whole: float = 0.0
    since: float = 0.0

    def see(self, event: Event) -> None:
        """One event of the job."""
        now = time.perf_counter()
        if event.kind is EventKind.WRITTEN:
            self.since = now
        elif event.kind is EventKind.GATE:
            name = str(event.data["gate"])
            self.each[name] = self.each.get(name, 0.0) + event.data["seconds"]
            self.whole, self.since = self.whole + now - self.since, now


@dataclass
class Took:
    """Seconds of one job without the model's."""

    overhead: float
    gates: Gated


async def one_job(scenario: Scenario, it: UnderTest) -> Took:
    """From the request to the last event."""
    await until_status(it, "blank", _WARM)
    async with speaking(scenario, PACE) as (model, _):
        timed = Timed(model)
        begin, gates, last = time.perf_counter(), Gated(), None
        async for event in run(scenario.wish, Parts(timed, SandboxStage(it.client), GATES)):
            last = event
            gates.see(event)
        whole = time.perf_counter() - begin
    if last is None or last.kind is not EventKind.CHECKED:
        raise RuntimeError(f"{scenario.name} ended with {last}")
    return Took(whole - timed.seconds, gates)


async def measure(runtime: str, data_dir: Path, rounds: int, report: Report) -> None:
    """All scenarios on one runtime."""
    by_name = {one.name: one for one in table.ALL}
    async with under_test(runtime, data_dir, "--blanks", str(_WARM), "--max", "50") as it:
        for what, name in SCENARIOS.items():
            await one_job(by_name[name], it)  # the first starts what stays
            took = [await one_job(by_name[name], it) for _ in range(rounds)]
            report.add(*_rows(f"{runtime}: {what}", took))
            if name == "first_try":
                report.judge(
                    Bar(f"{runtime}: loop without the model, p50 s",
                        median(one.overhead for one in took), OVERHEAD_SECONDS),
                    Bar(f"{runtime}: gates of it, p50 s",
                        median(one.gates.whole for one in took), GATES_SECONDS),
                )  # fmt: skip


def _rows(section: str, took: Sequence[Took]) -> list[Row]:
    gates = sorted({name for one in took for name in one.gates.each})
    kinds = {
        "whole loop": [one.overhead for one in took],
        **{f"{name} gate": [one.gates.each.get(name, 0.0) for one in took] for name in gates},
        "all gates": [one.gates.whole for one in took],
    }
    return [
        Row(section, way, {"p50 s": median(times), "p95 s": _high(times), "n": len(times)})
        for way, times in kinds.items()
    ]


def _high(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1] if len(times) > 1 else times[0]


def main() -> None:
    """Print a table; with --output write JSON too. --strict fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runtime", default="bubblewrap", choices=["bubblewrap", "docker"])
    parser.add_argument("--strict", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--output", type=Path, help="write JSON too")
    chosen = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as data_dir:
        asyncio.run(measure(chosen.runtime, Path(data_dir), chosen.rounds, report))
    report.finish()
    if chosen.output:
        report.write(chosen.output, sys.argv[1:])
    sys.exit(1 if chosen.strict and not all(bar.held for bar in report.bars) else 0)


if __name__ == "__main__":
    main()
