"""What a request's head means to the warm path, read once for all requests that repeat it."""

from gateway.limits.headers import RateLines
from gateway.limits.types import Decision
from gateway.metering.recorder import Grant
from gateway.proxy.forward import around
from gateway.proxy.headers import RequestHead
from gateway.proxy.reference import Reference
from gateway.server.connection import Request


class Opened:
    """What a head means; noted for the next request with the same head on its connection."""

    __slots__ = ("after", "before", "digest", "grant", "lines", "read", "reference", "trace_id")

    def __init__(
        self, request: Request, reference: Reference, read: RequestHead, digest: bytes
    ) -> None:
        head = request.head
        self.digest = digest  # of its key
        self.reference = reference
        self.read = read
        self.grant: Grant | None = None
        self.lines: RateLines
        # the call as the sandbox gets it, but for its id and its time
        self.before, self.trace_id, self.after = around(
            head.method, head.query, request.client, request.scheme, reference, read
        )

    def rate_lines(self, grant: Grant, decision: Decision) -> bytes:
        """The fields about limits."""
        if self.grant is not grant:
            self.grant, self.lines = grant, RateLines(grant.limits)
        return self.lines(decision)
