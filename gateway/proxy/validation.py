"""Checks calls against the document of the version they go to, when its owner wants that.

It only refuses what certainly does not fit: an unknown path or method, another content type,
a body above `MOST_BODY` and a check that would take too long all pass. The app has the last
word on everything that passes, unchanged.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import structlog

from gateway.errors import InvalidInputError, SandgateError
from gateway.proxy.documents import Source, look_up
from gateway.proxy.headers import Field
from gateway.proxy.openapi import (
    Json,
    Operation,
    Parameter,
    a_list,
    an_object,
    operations,
    resolve,
)
from gateway.proxy.paths import Match, Paths
from gateway.proxy.schema import MOST_ERRORS, BudgetError, Checker, Found, Patterns
from gateway.proxy.shelf import Made, Shelf

_log = structlog.get_logger(__name__)

MOST_BODY = 256 * 1024  # larger ones are not looked at
_INLINE_BODY = 16 * 1024  # on the event loop; larger ones in a thread
_INLINE_SECONDS = 0.003
_THREAD_SECONDS = 0.05
_STEPS = 200_000
_THREADS = 2
_WAITING = 32
_CACHE_BYTES = 8 * 1024 * 1024  # of JSON text, which weighs about ten times as much in memory
_MOST_VALUES = 200  # of one parameter
# the gateway or the server behind it has its own mind about these
_OWN_HEADERS = frozenset({"accept", "authorization", "connection", "content-type", "x-api-key"})


class RequestInvalidError(InvalidInputError):
    """The call does not fit what the API's document says; `errors` names each place."""

    code, title = "request_invalid", "The request does not fit the API's description"

    def __init__(self, found: Iterable[Found]) -> None:
        errors = [{"field": field, "detail": detail} for field, detail in found]
        first = errors[0]
        super().__init__(f"{first['field']} {first['detail']}.", extra={"errors": errors})


class Validator:
    """Of one version. Knows where a call certainly does not fit."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._paths = Paths(operations(document))
        self._patterns = Patterns()

    def check(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: Sequence[Field],
        body: bytes | None,
        *,
        seconds: float = _INLINE_SECONDS,
        clock: Callable[[], float] = time.thread_time,
    ) -> SandgateError | None:
        """What to answer instead of forwarding; `body` is None when it is not to be looked at.

        BudgetError when it takes more than `seconds` of processor time.
        """
        checker = Checker(
            self._document, self._patterns, steps=_STEPS, until=clock() + seconds, clock=clock
        )
        worst: list[Found] = []
        for match in self._paths.matches(method, path):
            call = _Call(checker, match, query, headers, body)
            found = list(islice(call.errors(), MOST_ERRORS))
            if not found:
                return None  # one reading of the path is enough
            worst = worst or found
        return RequestInvalidError(worst) if worst else None


class Validators:
    """One in each gateway: validators of versions, and the threads for what is not quick."""

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._shelf = Shelf(self._make, room=_CACHE_BYTES, clock=clock)
        self._threads = ThreadPoolExecutor(_THREADS, "validation")
        self._waiting = 0
        self.skipped = 0  # calls that passed because their check would have taken too long

    async def check(
        self,
        version_id: str,
        method: str,
        path: bytes,
        query: bytes,
        headers: Sequence[Field],
        body: bytes | None,
    ) -> SandgateError | None:
        """What to answer instead of forwarding; None lets the call pass."""
        try:
            validator = await self._shelf.get(version_id)
        except SandgateError:
            self.skipped += 1
            return None
        if validator is None:
            return None
        if body is not None and len(body) > MOST_BODY:
            body = None
        try:
            if body is None or len(body) <= _INLINE_BODY:
                return validator.check(method, path, query, headers, body)
        except BudgetError:
            pass  # it may have more time in a thread
        except Exception:  # noqa: BLE001 - a bug that a hostile document finds stops no call
            self._failed(version_id)
            return None
        try:
            return await self._in_thread(validator, method, path, query, headers, body)
        except Exception:  # noqa: BLE001 - as above
            self._failed(version_id)
            return None

    def _failed(self, version_id: str) -> None:
        self.skipped += 1
        _log.exception("call_not_checked", version_id=version_id)

    async def _in_thread(self, validator: Validator, *call: Any) -> SandgateError | None:
        """`Any`: the arguments of `check`."""
        if self._waiting >= _WAITING:
            self.skipped += 1
            return None
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: validator.check(*call, seconds=_THREAD_SECONDS)
            )
        except BudgetError:
            self.skipped += 1
            return None
        finally:
            self._waiting -= 1

    async def _make(self, version_id: str) -> Made[Validator | None]:
        stored = await look_up(self._source, version_id)
        if stored is None or stored.document is None:
            return Made(None, 1000, stored is not None and stored.note is not None)
        validator = await asyncio.to_thread(Validator, stored.document)
        return Made(validator, len(json.dumps(stored.document)))

    def close(self) -> None:
        """Nothing is checked any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Call:
    """One reading of one call."""

    def __init__(
        self,
        checker: Checker,
        match: Match,
        query: bytes,
        headers: Sequence[Field],
        body: bytes | None,
    ) -> None:
        self._checker = checker
        self._operation: Operation = match.operation
        self._path = match.values
        self._query = query
        self._headers = headers
        self._body = body

    def errors(self) -> Iterator[Found]:
        """All that does not fit."""
        given: dict[str, dict[str, list[str]]] = {}
        for parameter in self._operation.parameters:
            place = parameter.place
            if place not in given:
                given[place] = self._given(place)
            self._checker.step()
            yield from self._parameter(parameter, given[place])
        if self._body is not None and self._operation.body is not None:
            yield from self._body_errors(self._operation.body, self._body)

    # --- parameters

    def _given(self, place: str) -> dict[str, list[str]]:
        """Values by name, as FastAPI reads them."""
        if place == "path":
            return {name: [value] for name, value in self._path.items()}
        if place == "query":
            text = self._query.decode("latin-1")
            self._checker.step(1 + len(text) // 16)
            return _grouped(parse_qsl(text, keep_blank_values=True))
        if place == "header":
            return _grouped((n.decode("latin-1"), v.decode("latin-1")) for n, v in self._headers)
        return _grouped(_cookies(self._headers))

    def _parameter(self, parameter: Parameter, given: dict[str, list[str]]) -> Iterator[Found]:
        name = parameter.name.lower() if parameter.place == "header" else parameter.name
        if not {"style", "explode", "content"}.isdisjoint(parameter.details):
            return  # written in a way that only the app knows
        if parameter.place == "header" and name in _OWN_HEADERS:
            return
        where = f"{parameter.place}.{parameter.name[:100]}"
        values = given.get(name)
        if values is None:
            if parameter.is_required:
                yield where, "is missing"
            return
        yield from self._values(parameter.schema, values[-_MOST_VALUES:], where)

    def _values(self, schema: Any, values: list[str], where: str) -> Iterator[Found]:
        """One that may stand several times is a list; of others any one that fits will do."""
        kinds = _kinds(self._checker.document, schema)
        if "object" in kinds:
            return
        if "array" in kinds and self._checker.fits(schema, values, 0):
            return
        if "array" in kinds and kinds <= {"array", "null"}:
            yield from self._checker.errors(schema, values, where)
        elif not any(self._checker.fits(schema, value, 0) for value in values):
            yield from self._checker.errors(schema, values[-1], where)

    # --- the body

    def _body_errors(self, described: Json, body: bytes) -> Iterator[Found]:
        media = an_object(described.get("content"))
        if "application/json" not in media:
            return
        if not body:
            if described.get("required") is True and len(media) == 1:
                yield "body", "is missing"
            return
        if not is_json(self._headers):
            return
        try:
            value = json.loads(body)
        except RecursionError:
            return
        except ValueError:
            yield "body", "is not JSON"
            return
        schema = an_object(media["application/json"]).get("schema", True)
        yield from self._checker.errors(schema, value, "body")


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _cookies(headers: Sequence[Field]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                left, _, right = part.partition("=")
                yield left.strip(), right.strip().strip('"')


def is_json(headers: Sequence[Field]) -> bool:
    """Whether the body is said to be JSON."""
    stated = next((value for name, value in headers if name == b"content-type"), b"")
    kind = stated.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    )


def _kinds(document: Json, schema: Any, depth: int = 3) -> set[str]:
    """Types that a parameter's schema names, its choices' included."""
    shape = an_object(resolve(document, schema)[0])
    kind = shape.get("type")
    kinds = {str(one) for one in (kind if isinstance(kind, list) else [kind])[:10] if one}
    for word in ("anyOf", "oneOf", "allOf"):
        for one in a_list(shape.get(word))[:10] if depth else ():
            kinds |= _kinds(document, one, depth - 1)
    return kinds
