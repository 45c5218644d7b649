"""What is known about one call while it is under way."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.auth.verified import VerifiedKey
from gateway.limits.types import Charge
from gateway.metering.recorder import Grant
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import Field
from gateway.proxy.permit import Made
from gateway.proxy.reference import Reference
from gateway.proxy.response_cache import Filling
from gateway.server.connection import Request
from gateway.store.call_settings import PLAIN
from gateway.tracing import trace_id_of

if TYPE_CHECKING:
    from gateway.proxy.stamp import Stamp


class Call:
    """Facts of one call, gathered step by step; nothing in it outlives the call."""

    __slots__ = (
        "admitted_at",
        "asked",
        "at",
        "begun_at",
        "charge",
        "client",
        "deadline",
        "error_code",
        "filling",
        "grant",
        "handed_at",
        "has_begun",
        "is_recorded",
        "keep",
        "key",
        "method",
        "own_headers",
        "path",
        "pin",
        "query",
        "ref",
        "request_bytes",
        "request_id",
        "response_bytes",
        "root",
        "scheme",
        "settings",
        "stamp",
        "started",
        "status",
        "version",
    )

    def __init__(self, asked: Request, request_id: str, stamp: "Stamp") -> None:
        self.started = time.perf_counter()
        self.request_id = request_id
        self.asked = asked
        self.stamp = stamp
        self.method = asked.head.method
        self.query = asked.head.query  # raw
        self.client = asked.client
        self.scheme = asked.scheme
        self.ref = ""
        self.pin: int | None = None  # the version that was asked for
        self.root = b""
        self.path = b"/"  # inside the API
        self.own_headers: list[Field] = []  # about limits; part of every answer once known
        self.settings = PLAIN  # of the API, once it is known
        self.key: VerifiedKey | None = None
        # since admission
        self.admitted_at = 0.0  # time.perf_counter
        self.handed_at = 0.0  # to the sandbox, the same
        self.grant: Grant | None = None  # None: not admitted, so not recorded
        self.charge: Charge | None = None  # reserved, and neither kept nor given back yet
        self.at = 0.0  # Unix time
        self.deadline = 0.0  # loop time by which the answer must have begun
        self.version = 0
        # of the answer
        self.has_begun = False
        self.begun_at = 0.0  # time.perf_counter
        self.status = 0
        self.error_code: str | None = None
        self.request_bytes = 0
        self.response_bytes = 0
        self.is_recorded = False
        self.keep: Callable[[AnswerHead], Filling | None] | None = None  # the cache may want it
        self.filling: Filling | None = None  # it does

    def log_context(self) -> dict[str, str]:
        """Its ids for a line of the log, as far as they are known; the key's text is not here."""
        ids = {
            "request_id": self.request_id,
            "trace_id": trace_id_of(self.asked.head.fields, self.request_id),
        }
        if self.grant is not None:
            ids |= {"api_id": self.grant.api_id, "tenant_id": self.grant.tenant_id}
        if self.key is not None:
            ids |= {"key_id": self.key.key_id, "caller_tenant_id": self.key.tenant_id}
        return ids

    @property
    def made(self) -> Made:
        """What the scopes and addresses of its key are compared with."""
        return Made(self.method, self.path, self.client[0] if self.client else "")

    def address(self, reference: Reference) -> None:
        """Now it is known which part of the path is the API's."""
        self.ref = reference.ref
        self.pin = reference.pin
        self.root = reference.root
        self.path = reference.path

    def admitted(self, grant: Grant, charge: Charge | None, at: float, deadline: float) -> None:
        """From now on it will be recorded, whatever happens."""
        self.admitted_at = time.perf_counter()
        self.grant = grant
        self.charge = charge
        self.at = at
        self.deadline = deadline
