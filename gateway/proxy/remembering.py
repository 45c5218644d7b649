"""Answers from memory, for APIs that have asked for it: how the cache meets a call."""

from collections.abc import Callable

from gateway.proxy.cache_rules import asked_of
from gateway.proxy.call import Call
from gateway.proxy.forward import app_headers
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import Field
from gateway.proxy.resolve import Target
from gateway.proxy.response_cache import Address, Filling, ResponseCache, status_line

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Remembering:
    """One for all calls of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.cache = ResponseCache(clock)

    def answer(self, call: Call, target: Target) -> tuple[int, list[Field], bytes] | None:
        """What is remembered; else the call is told how its answer may be."""
        address = Address(
            target.spec.api_id,
            target.spec.version_id,
            target.spec.generation,
            call.method,
            call.scheme,
            call.root,
            call.path,
            call.query,
        )
        host = call.asked.head.host
        if call.method in CHANGES:
            call.keep = lambda head: self._spoil(address, host, head)
            return None
        asked = asked_of(call.method, call.asked.head.fields)
        if asked is None:
            return None
        kept = self.cache.find(address, asked)
        if kept is not None:
            return kept.status, kept.headers, kept.body

        def keep(head: AnswerHead) -> Filling | None:
            filling = None
            if all(name != b"set-cookie" for name, _ in head.headers):  # also one that is dropped
                headers = app_headers(call, head)
                filling = self.cache.filling(address, asked, head.status, headers)
            call.own_headers.append(status_line(stored=filling is not None))
            return filling

        call.keep = keep
        return None

    def _spoil(self, address: Address, host: bytes, head: AnswerHead) -> None:
        if head.status < 400:
            self.cache.spoil(address, host)
