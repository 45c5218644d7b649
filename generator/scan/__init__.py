"""The static gate: reads what the model wrote, never imports or runs it."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from generator.contract import Contract
from generator.scan import bandit, reading, ruff
from generator.scan.merging import merged
from generator.scan.rules import ALL
from generator.scan.subject import Subject, found
from generator.scan.tools import ToolError
from generator.template import assemble, offset
from generator.types import Finding

RULES = {"check_incomplete": "A tool did not finish its work, so nothing is known."}


@dataclass(frozen=True, slots=True)
class Scanned:
    """The body, mended where a tool could, and what remains to be said of it."""

    body: str
    findings: tuple[Finding, ...]


async def scan(contract: Contract, body: str) -> Scanned:
    """Any text at all gives findings, never an error."""
    read = reading.read(contract, reading.normal(body))
    if not isinstance(read, Subject):
        return Scanned(body, read)
    subject = await _mended(read)
    code = assemble(contract, subject.body)
    own, by_ruff, by_bandit = await asyncio.gather(
        asyncio.to_thread(of_rules, subject),
        _asked("ruff", ruff.check(code)),
        _asked("bandit", bandit.check(code)),
    )
    unfinished = [one for one in (by_ruff, by_bandit) if isinstance(one, Finding)]
    tools = [pair for one in (by_ruff, by_bandit) if isinstance(one, list) for pair in one]
    lines = subject.body.count("\n") + 1
    findings = merged([*own, *unfinished], tools, offset=offset(contract), lines=lines)
    return Scanned(subject.body, findings)


def of_rules(subject: Subject) -> list[Finding]:
    """What our own rules say."""
    return [finding for rule in ALL for finding in rule.check(subject)]


async def _mended(read: Subject) -> Subject:
    again = reading.read(read.contract, reading.normal(await ruff.mended(read.body)))
    return again if isinstance(again, Subject) else read


async def _asked(
    name: str, answer: Awaitable[list[tuple[str, Finding]]]
) -> list[tuple[str, Finding]] | Finding:
    try:
        return await answer
    except ToolError as error:
        return found("check_incomplete", f"{name} {error}", None)
