"""What is known about one call while it is under way."""

import time

from gateway.limits.types import Charge
from gateway.metering.recorder import Grant
from gateway.proxy.headers import Field
from gateway.proxy.reference import Reference


class Call:
    """Facts of one call, gathered step by step; nothing in it outlives the call."""

    __slots__ = (
        "at",
        "begun_at",
        "charge",
        "client",
        "deadline",
        "error_code",
        "grant",
        "has_begun",
        "is_recorded",
        "method",
        "own_headers",
        "path",
        "query",
        "ref",
        "request_bytes",
        "request_id",
        "response_bytes",
        "root",
        "scheme",
        "started",
        "status",
        "version",
    )

    def __init__(
        self,
        method: str,
        query: bytes,
        client: tuple[str, int] | None,
        scheme: str,
        request_id: str,
    ) -> None:
        self.started = time.perf_counter()
        self.request_id = request_id
        self.method = method
        self.query = query  # raw
        self.client = client
        self.scheme = scheme
        self.ref = ""
        self.root = b""
        self.path = b"/"  # inside the API
        self.own_headers: list[Field] = []  # about limits; part of every answer once known
        # since admission
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

    def address(self, reference: Reference) -> None:
        """Now it is known which part of the path is the API's."""
        self.ref = reference.ref
        self.root = reference.root
        self.path = reference.path

    def admitted(self, grant: Grant, charge: Charge | None, at: float, deadline: float) -> None:
        """From now on it will be recorded, whatever happens."""
        self.grant = grant
        self.charge = charge
        self.at = at
        self.deadline = deadline
