"""The sandbox gate: a candidate is started, asked what it offers, and called in every way.

Everything that comes back is hostile. A case that goes wrong is a finding; none ends the job.
"""

import re
import time
from collections import Counter
from collections.abc import Sequence

from generator import served
from generator.abuse import attempts
from generator.acceptance import examples
from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.rehearsal import Rehearsal
from generator.stage import Stage, StartFailed
from generator.texts import cleaned
from generator.types import Finding, Gate, TestReport

_EACH, _MOST = 3, 40  # findings of one rule at one operation, and in all
_LOG = 2000
_START = {
    "syntax_error": "The code is no Python",
    "no_app": "There is no app in it",
    "import_error": "Something that it imports is not there",
    "exception": "It fails while it is imported",
    "lifespan": "Its startup failed",
    "deadline": "It took too long to start",
    "memory": "It needs more memory than it may have",
    "exited": "It ended by itself",
    "dependencies": "Its dependencies cannot be had",
}
_LINE = re.compile(r"line \d+")


async def rehearse(
    stage: Stage, contract: Contract, code: str, offset: int, fuzzer: Fuzzer | None = None
) -> tuple[tuple[Finding, ...], TestReport]:
    """What was found and what was tried; `offset` is how many lines stand before the body.

    With a `fuzzer` generated calls are made too. Raises StageUnavailableError only.
    """
    begin = time.monotonic()
    try:
        async with stage.running(code, contract) as running:
            rehearsal = Rehearsal(running, contract, code, offset)
            rehearsal.findings += served.findings(contract, await running.document())
            await rehearsal.run()
            if fuzzer is not None and rehearsal.answers:
                found, ran = await fuzzer.run(contract, running.socket_path)
                rehearsal.findings += found
                rehearsal.cases += ran
    except StartFailed as error:
        return (_not_started(error, offset),), TestReport((), time.monotonic() - begin)
    report = TestReport(tuple(rehearsal.cases), time.monotonic() - begin)
    return bounded(rehearsal.findings), report


def cases(contract: Contract) -> tuple[int, int]:
    """How many examples and how many attempts at abuse a contract has."""
    return len(list(examples(contract))), len(attempts(contract, {}))


def bounded(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The first few of each kind, those that stop first."""
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for finding in sorted(findings, key=lambda one: not one.stops):
        kind = (finding.rule, finding.operation)
        seen[kind] += 1
        if seen[kind] <= _EACH:
            kept.append(finding)
    return tuple(kept[:_MOST])


def _not_started(error: StartFailed, offset: int) -> Finding:
    reason = _LINE.sub("line …", cleaned(error.reason, 300))
    what = _START.get(error.kind, "It does not start")
    line = error.line - offset if error.line is not None and error.line > offset else None
    rule = f"start_{error.kind}" if error.kind in _START else "start_failed"
    detail = cleaned(error.log[-_LOG:], _LOG)
    return Finding(Gate.SANDBOX, rule, f"{what}: {reason}", line=line, detail=detail)
