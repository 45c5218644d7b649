"""Generated calls, in a process of their own: what they are made from is hostile.

One line of JSON in is one run, lines of JSON come out: `ready`, a `case` for each call that showed
something, `ran` with how many there were, `done`. It may reach one Unix socket and nothing else.
"""

import asyncio
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisException
from schemathesis import GenerationMode
from schemathesis.errors import SchemathesisError

from generator import schemas
from generator.calls import CallFailed, Reply, Request, call
from generator.contract import Contract, Operation
from generator.document import declared_statuses, document_of
from generator.texts import BadJsonError, cleaned
from generator.verdicts import always

_MEMORY, _CPU_SECONDS = 1024**3, 60
_EXAMPLES = 40  # for one operation
_CALL_SECONDS = 2.0
_FORBIDDEN = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto",
     "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "urllib.Request"}
)  # fmt: skip
# of every request, and said by us; the last two are the library's own
_OURS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent",
     "x-schemathesis-testcaseid"}
)  # fmt: skip
_UNREACHED = frozenset({502, 503, 504})
# what generating from a schema may end with: nothing fits, a pattern that `re` does not take, …
_BAD_SCHEMA = (
    HypothesisException, SchemathesisError, re.error, ArithmeticError, LookupError, MemoryError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip
Tell = Callable[..., None]


class _Over(KeyboardInterrupt):
    """Its time is over; the one kind of exception that hypothesis lets through at once."""


class _ForbiddenError(Exception):
    """Something that a document made it try."""


def main() -> None:
    """Runs until its input ends."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer

    def tell(kind: str, **fields: Any) -> None:
        out.write(json.dumps({"kind": kind, **fields}) + "\n")
        out.flush()

    _warm()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    sys.addaudithook(_refuse)
    tell("ready")
    for line in sys.stdin:
        order = json.loads(line)
        run(Contract.model_validate(order["contract"]), order["socket"], order["seconds"], tell)
        tell("done")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    to_network = event == "socket.connect" and not isinstance(arguments[1], str)
    if to_network or event in _FORBIDDEN:
        raise _ForbiddenError(event)


def _warm() -> None:
    """The first values cost seconds: tables of characters are read, modules loaded."""
    text = {"type": "string"}
    shape = {"type": "object", "properties": {"a": text}, "required": ["a"]}
    parameter = {"name": "a", "in": "query", "schema": text}
    body = {"content": {"application/json": {"schema": shape}}}
    post = {"parameters": [parameter], "requestBody": body, "responses": {}}
    info = {"title": "", "version": ""}
    document = {"openapi": "3.1.0", "info": info, "paths": {"/": {"post": post}}}
    operation = schemathesis.openapi.from_dict(document)["/"]["post"]
    for mode in GenerationMode:
        _drawn(2, operation.as_strategy(generation_mode=mode), _request)


def _drawn(examples: int, strategy: Any, use: Callable[[Any], object]) -> None:
    """So many values, the same each time; `use` is given each. `Any`: of any value."""

    def one(value: Any) -> None:
        use(value)

    limits: Any = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    given_them: Any = given(strategy)
    limits(given_them(one))()


def run(contract: Contract, socket_path: str, seconds: float, tell: Tell) -> None:
    """Each operation has its share of the time."""
    document = document_of(contract)
    share = seconds / len(contract.operations)
    with asyncio.Runner() as runner:
        for operation in contract.operations:
            reaches_out = bool(contract.outbound_hosts)
            trial = _Trial(operation, socket_path, runner, tell, reaches_out)
            try:
                trial.run(document, share)
            except _Over:
                pass
            except _BAD_SCHEMA as error:
                tell("failed", operation=operation.id, reason=type(error).__name__)
            tell("ran", operation=operation.id, calls=trial.calls)


class _Trial:
    """The generated calls of one operation."""

    def __init__(
        self,
        operation: Operation,
        socket_path: str,
        runner: asyncio.Runner,
        tell: Tell,
        reaches_out: bool,
    ) -> None:
        self.calls = 0
        self._operation = operation
        self._socket_path = socket_path
        self._runner = runner
        self._tell = tell
        self._reaches_out = reaches_out
        self._statuses = declared_statuses(operation)
        self._response = None if operation.response is None else schemas.inlined(operation.response)

    def run(self, document: dict[str, Any], seconds: float) -> None:
        """Good calls, then bad ones where there are any; _Over when the time is."""
        schema = schemathesis.openapi.from_dict(document)
        found = schema[self._operation.path][self._operation.method.lower()]
        end = time.monotonic() + seconds
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not _can_be_wrong(self._operation):
                continue

            def use(case: Any) -> None:
                if time.monotonic() > end:
                    raise _Over
                self._call(_request(case))

            _drawn(_EXAMPLES, found.as_strategy(generation_mode=mode), use)

    def _call(self, request: Request) -> None:
        self.calls += 1
        try:
            reply = self._runner.run(call(self._socket_path, request, _CALL_SECONDS))
        except CallFailed as error:
            if error.rule != "cannot_be_sent":
                self._found(error.rule, f"{error.reason}", request, "")
            return
        rule, message = self._judged(reply)
        if rule:
            self._found(rule, message, request, reply.text)

    def _judged(self, reply: Reply) -> tuple[str, str]:
        if self._reaches_out and reply.status in _UNREACHED:
            return "", ""
        verdict = always(reply)
        if verdict is not None:
            return verdict.rule, verdict.message
        if reply.status not in self._statuses:
            return "status_not_in_contract", f"It answers {reply.status}."
        if reply.status != self._operation.status or self._response is None:
            return "", ""
        try:
            why = schemas.problem(reply.json(), self._response)
        except BadJsonError as error:
            why = str(error)
        return ("response_not_in_contract", f"The answer: {why}.") if why else ("", "")

    def _found(self, rule: str, message: str, request: Request, text: str) -> None:
        sent = f"{request.method} {request.target} {(request.body or b'')[:300]!r}"
        detail = f"It was sent: {cleaned(sent, 600)}\nIt answered: {cleaned(text, 600)}"
        self._tell("case", operation=self._operation.id, rule=rule, message=message, detail=detail)


def _can_be_wrong(operation: Operation) -> bool:
    return operation.body is not None or any(one.location != "path" for one in operation.parameters)


def _request(case: Any) -> Request:
    """What schemathesis would send; _Over is no part of it. `Any`: its Case."""
    values = case.as_transport_kwargs(base_url="http://sandbox")
    known = ("method", "url", "headers", "params", "json", "data", "files", "cookies")
    made = requests.Request(**{name: values[name] for name in known if name in values}).prepare()
    body = made.body.encode() if isinstance(made.body, str) else made.body
    given_ = [(str(name), str(value)) for name, value in made.headers.items()]
    headers = tuple(pair for pair in given_ if pair[0].lower() not in _OURS)
    return Request(str(made.method), made.path_url, headers, body or None)


if __name__ == "__main__":
    main()
