"""Calls generated from a contract by schemathesis, for about a second, out of this process.

The child reads hostile schemas: it is limited in memory and time, may reach one socket only, and
is killed when its time is over. Start it early: what it loads takes seconds.
"""

import asyncio
import atexit
import contextlib
import json
import shutil
import sys
import tempfile
from functools import cache
from typing import Any, Self

from generator.contract import Contract
from generator.texts import cleaned
from generator.types import CaseResult, Finding, Gate, Severity

SECONDS = 1.0
_READY_SECONDS, _GRACE_SECONDS = 30.0, 5.0
_LINE, _MOST = 64 * 1024, 200

Found = tuple[list[Finding], list[CaseResult]]


class _GoneError(Exception):
    """The child ended, hung, or said something strange."""


class Fuzzer:
    """One child, used for all rounds of one job; another is started when it had to be killed."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._ready = False

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kill()

    async def run(self, contract: Contract, socket_path: str, seconds: float = SECONDS) -> Found:
        """Findings, and a case for each operation. Never fails: that too is a finding."""
        findings: list[Finding] = []
        cases: list[CaseResult] = []
        try:
            if self._child is None:
                await self._start()
            await self._until_ready()
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                await self._ask(contract, socket_path, seconds)
                await self._hear(findings, cases)
        except (_GoneError, TimeoutError):
            await self._kill()
            text = "Calls could not be generated from the contract's schemas to the end."
            findings.append(_finding("generated_calls_failed", text, "", Severity.WARNING))
        return findings, cases

    async def _start(self) -> None:
        self._ready = False
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "generator.fuzz_child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"HYPOTHESIS_STORAGE_DIRECTORY": _cache(), "PYTHONPATH": ":".join(sys.path)},
            limit=_LINE,
        )

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()

    async def _until_ready(self) -> None:
        if not self._ready:
            async with asyncio.timeout(_READY_SECONDS):
                if (await self._line())["kind"] != "ready":
                    raise _GoneError
            self._ready = True

    async def _ask(self, contract: Contract, socket_path: str, seconds: float) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        order = {
            "contract": contract.model_dump(mode="json", by_alias=True),
            "socket": socket_path,
            "seconds": seconds,
        }
        try:
            self._child.stdin.write(json.dumps(order).encode() + b"\n")
            await self._child.stdin.drain()
        except OSError as error:
            raise _GoneError from error

    async def _hear(self, findings: list[Finding], cases: list[CaseResult]) -> None:
        bad: dict[str, str] = {}
        while (line := await self._line())["kind"] != "done":
            operation = str(line.get("operation", ""))
            if line["kind"] == "case" and len(findings) < _MOST:
                message = cleaned(f"generated call: {line['message']}", 400)
                detail = cleaned(str(line["detail"]), 1500)
                bad.setdefault(operation, message)
                found = _finding(str(line["rule"]), message, operation, detail=detail)
                findings.append(found)
            elif line["kind"] == "failed":
                text = f"No calls could be generated for it ({cleaned(str(line['reason']), 60)})."
                rule = "generated_calls_failed"
                findings.append(_finding(rule, text, operation, Severity.WARNING))
            elif line["kind"] == "ran":
                why = bad.get(operation, "")
                name = f"{int(line['calls'])} generated calls"
                cases.append(CaseResult(name, "generated", operation, not why, why))

    async def _line(self) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdout is not None
        try:
            value = json.loads(await self._child.stdout.readline())
        except ValueError as error:  # the end, or too long
            raise _GoneError from error
        if not isinstance(value, dict) or "kind" not in value:
            raise _GoneError
        return value


def _finding(
    rule: str,
    message: str,
    operation: str,
    severity: Severity = Severity.ERROR,
    detail: str = "",
) -> Finding:
    return Finding(Gate.SANDBOX, rule, message, severity, None, operation, detail)


@cache
def _cache() -> str:
    """Where children keep tables of characters, so that the next one starts sooner."""
    folder = tempfile.mkdtemp(prefix="sandgate-calls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
