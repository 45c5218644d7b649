"""One body through all gates, with an event for each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.parts import Found, Parts, Read
from generator.telling import Telling
from generator.types import Candidate, EventKind, Finding, Gate, Severity, TestReport


@dataclass(frozen=True, slots=True)
class Guards:
    """The body whose guards a candidate must keep.

    When a person asked for the change, one that is gone is told and stops nothing: taking it
    away may be what was asked for.
    """

    body: str
    stops: bool = True


@dataclass(frozen=True, slots=True)
class Gating:
    """The gates of one job, for one contract."""

    parts: Parts
    telling: Telling
    contract: Contract
    fuzzer: Fuzzer | None = None

    async def check(self, body: str, number: int, guards: Guards | None) -> Candidate:
        """The candidate with all that was found. A body that is no program is not started."""
        if not self.parts.gates.is_program(self.contract, body):
            read = await self._static(body)
            code = self.parts.gates.assemble(self.contract, read.body)
            return Candidate(read.body, code, number, tuple(read.findings))
        tidy = await self.parts.gates.tidy(body)
        code = self.parts.gates.assemble(self.contract, tidy)
        read, (found, report) = await self._both(tidy, code)
        findings = (*read.findings, *found)
        if guards is not None:
            findings += await self._invariants(guards, tidy)
        return Candidate(tidy, code, number, findings, report)

    async def _both(self, body: str, code: str) -> tuple[Read, tuple[Found, TestReport]]:
        """Reading takes a processor, trying mostly waits: they go on side by side."""
        reading = asyncio.create_task(self._static(body))
        trying = asyncio.create_task(self._tried(code))
        try:
            read = await reading
            found, report, seconds = await trying
        finally:
            await _gone(reading, trying)
        total, passed = len(report.cases), report.passed
        await self.tell(Gate.SANDBOX, found, seconds, cases=total, cases_passed=passed)
        return read, (found, report)

    async def _static(self, body: str) -> Read:
        begin = self.parts.clock()
        read = await self.parts.gates.scan(self.contract, body)
        await self.tell(Gate.STATIC, read.findings, self.parts.clock() - begin)
        return read

    async def _tried(self, code: str) -> tuple[Found, TestReport, float]:
        begin, gates = self.parts.clock(), self.parts.gates
        found, report = await gates.rehearse(
            self.parts.stage, self.contract, code, gates.offset(self.contract), self.fuzzer
        )
        return found, report, self.parts.clock() - begin

    async def _invariants(self, guards: Guards, body: str) -> Found:
        begin = self.parts.clock()
        found = tuple(self.parts.gates.compare(guards.body, body))
        if not guards.stops:
            found = tuple(replace(one, severity=Severity.WARNING) for one in found)
        await self.tell(Gate.INVARIANTS, found, self.parts.clock() - begin)
        return found

    async def tell(
        self, gate: Gate, findings: Sequence[Finding], seconds: float, **more: Any
    ) -> None:
        """What one gate said."""
        stops = sum(one.stops for one in findings)
        await self.telling.tell(
            EventKind.GATE,
            _sentence(gate, stops, more),
            gate=gate,
            passed=not stops,
            findings=[one.to_json() for one in findings],
            seconds=round(seconds, 3),
            **more,
        )


_NAMES = {
    Gate.STATIC: "The code was read",
    Gate.SANDBOX: "The code was tried in a sandbox",
    Gate.INVARIANTS: "The change was compared with what it changes",
    Gate.EDIT: "The change was put into the code",
}


async def _gone(*tasks: "asyncio.Task[Any]") -> None:
    """Nothing of a gate outlives a job that ends in its middle."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sentence(gate: Gate, stops: int, more: dict[str, Any]) -> str:
    cases = f"{more['cases_passed']} of {more['cases']} cases passed, " if "cases" in more else ""
    found = "nothing in its way" if not stops else f"{stops} problem{'s' * (stops > 1)}"
    return f"{_NAMES[gate]}: {cases}{found}."
