"""The calls of one rehearsal, in a fixed order, and what they show."""

import asyncio
import json
import re
import time

from generator import abuse_values as values
from generator import verdicts
from generator.abuse import Attempt, attempts
from generator.acceptance import examples, keep, mismatch, request_of
from generator.calls import SECONDS, CallFailed, Reply, Request, call
from generator.contract import Contract, Example, Json, Operation
from generator.example_faults import PLATFORM_STATUSES
from generator.examples import placeholders
from generator.hard_coded import Answers, constants, finding
from generator.stage import Running
from generator.texts import BadJsonError, cleaned, quoted
from generator.types import CaseResult, Finding, Gate
from generator.variants import variants

MOST_HANGS, MOST_CLOSED = 2, 5  # then the rest is not tried
MOST_SECONDS = 25.0
_ANSWER, _LOG = 600, 2000
_LOOKS, _LOOK_SECONDS = 10, 0.02  # at the log after an error
_FRAME = re.compile(r'File "[^"\n]*app\.py", line (\d{1,6})')


class _EnoughError(Exception):
    """Nothing more can be learnt by calling it."""


class Rehearsal:
    """One running candidate and what was found of it so far."""

    def __init__(self, running: Running, contract: Contract, code: str, offset: int) -> None:
        self.findings: list[Finding] = []
        self.cases: list[CaseResult] = []
        self.answers = True  # until it does not
        self._running = running
        self._contract = contract
        self._code = code
        self._offset = offset
        self._kept: dict[str, Json] = {}
        self._usual: dict[str, Reply] = {}  # the answer to each operation's first good example
        self._went_well: dict[str, list[tuple[Example, Json]]] = {}
        self._failures = {"hangs": 0, "connection_closed": 0}
        self._log_length, self._waits = 0, 3
        self._end = time.monotonic() + MOST_SECONDS

    async def run(self) -> None:
        """Examples, other inputs, abuse."""
        try:
            await self._examples()
            await self._others()
            await self._abuse()
        except _EnoughError as reason:
            self.answers = False
            self._found("rehearsal_cut_short", f"Not everything was tried: {reason}.")
        await self._log_kept_no_secret()

    async def _examples(self) -> None:
        names = {name for _, one in examples(self._contract) for name in one.keep}
        for operation, example in examples(self._contract):
            wanted = placeholders([example.path, example.body, *example.query.values()])
            lost = sorted(wanted & names - self._kept.keys())
            why = f"{lost[0]} was not kept by an earlier example" if lost else ""
            if not why:
                why = await self._example(operation, example)
            self._case(example.name, "example", operation.id, why)

    async def _example(self, operation: Operation, example: Example) -> str:
        request = self._request(operation, example)
        reply = await self._call(operation.id, f"example {quoted(example.name)}", request)
        if reply is None:
            return "it gave no answer"
        why = mismatch(operation, example, reply, self._kept)
        try:
            kept = {} if why else keep(example, reply)
        except KeyError as error:
            kept, why = {}, f"the answer has no {quoted(str(error.args[0]))} to keep"
        except BadJsonError as error:
            kept, why = {}, f"expected JSON, but {error}"
        if why:
            message = f"Example {quoted(example.name)}: {cleaned(why, 400)}."
            await self._failed(operation.id, "example_failed", message, reply)
            return why
        self._kept |= kept
        if reply.status == operation.status:
            self._usual.setdefault(operation.id, reply)
            self._went_well.setdefault(operation.id, []).append((example, _value(reply)))
        return ""

    async def _others(self) -> None:
        """Other inputs: the answers keep their form, and are not those of the examples."""
        known = constants(self._code)
        for operation in self._contract.operations:
            shown = self._went_well.get(operation.id, [])
            others = [
                answer
                for example, _ in shown[:1]
                for other in variants(operation, example)
                if (answer := await self._other(operation, other)) is not None
            ]
            told = finding(Answers(operation, tuple(shown), tuple(others)), known)
            if told is not None:
                self.findings.append(told)

    async def _other(self, operation: Operation, other: Example) -> Json:
        """The answer to other inputs, when it is one of the operation's own status."""
        name = f"another input for {quoted(other.name)}"
        reply = await self._call(operation.id, name, self._request(operation, other))
        if reply is None:
            return None
        loose = other.model_copy(update={"response": None, "status": reply.status})
        why = mismatch(operation, loose, reply, self._kept)
        may = {operation.status, *(one.status for one in operation.errors), *PLATFORM_STATUSES}
        if reply.status not in may and not other.needs_network:
            why = f"it answers {reply.status}, which the contract does not have"
        verdict = verdicts.always(reply, reaches_out=bool(self._contract.outbound_hosts))
        if verdict is not None:
            await self._failed(operation.id, verdict.rule, f"{name}: {verdict.message}", reply)
        elif why:
            await self._failed(operation.id, "contract_not_kept", f"{name}: {why}.", reply)
        self._case(name, "generated", operation.id, why or (verdict.message if verdict else ""))
        return _value(reply) if reply.status == operation.status else None

    async def _abuse(self) -> None:
        for attempt in attempts(self._contract, self._kept):
            reply = await self._call(attempt.operation, attempt.name, attempt.request)
            why = "it gave no answer" if reply is None else await self._judged(attempt, reply)
            self._case(attempt.name, "abuse", attempt.operation, why)

    async def _judged(self, attempt: Attempt, reply: Reply) -> str:
        usual = self._usual.get(attempt.operation)
        verdict = verdicts.of_attempt(attempt, reply, usual.text if usual else "")
        if verdict is None:
            return ""
        message = f"{attempt.name}: {verdict.message}"
        await self._failed(attempt.operation, verdict.rule, message, reply)
        return verdict.message

    def _request(self, operation: Operation, example: Example) -> Request:
        return request_of(operation, example, self._kept)

    async def _call(self, operation: str, name: str, request: Request) -> Reply | None:
        """The answer; without one a finding, and an end to it all when that goes on."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise _EnoughError("it answers too slowly")
        try:
            return await call(self._running.socket_path, request, min(SECONDS, left))
        except CallFailed as error:
            self._found(error.rule, f"{name}: {error.reason}.", operation)
            if error.rule in self._failures:
                self._failures[error.rule] += 1
            if self._failures["hangs"] >= MOST_HANGS:
                raise _EnoughError("it hangs") from error
            if self._failures["connection_closed"] >= MOST_CLOSED:
                raise _EnoughError("it no longer answers") from error
            return None

    async def _failed(self, operation: str, rule: str, message: str, reply: Reply) -> None:
        detail, line = f"It answered: {cleaned(reply.text, _ANSWER)}", None
        if reply.status >= 500:
            log = await self._log()
            frames = [int(number) for number in _FRAME.findall(log)]
            line = next((n - self._offset for n in reversed(frames) if n > self._offset), None)
            detail += f"\nIts log: {cleaned(log[-_LOG:], _LOG)}"
        self._found(rule, message, operation, line, detail)

    async def _log(self) -> str:
        """Its log; an app answers first and writes afterwards, so a little is waited for it."""
        for _ in range(_LOOKS):
            lines = "\n".join(await self._running.log())
            if len(lines) != self._log_length or self._waits <= 0:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            self._waits -= 1
        self._log_length = len(lines)
        return lines

    async def _log_kept_no_secret(self) -> None:
        if values.CANARY in "\n".join(await self._running.log()):
            self._found("secret_in_log", "It writes the caller's credentials into its log.")

    def _found(
        self,
        rule: str,
        message: str,
        operation: str = "",
        line: int | None = None,
        detail: str = "",
    ) -> None:
        short = cleaned(message, 600)
        self.findings.append(
            Finding(Gate.SANDBOX, rule, short, line=line, operation=operation, detail=detail)
        )

    def _case(self, name: str, kind: str, operation: str, why: str) -> None:
        self.cases.append(CaseResult(name, kind, operation, not why, cleaned(why, 400)))


def _value(reply: Reply) -> Json:
    try:
        return reply.json()
    except BadJsonError:
        return json.dumps(reply.text)
