"""What a decision about limits means for the answer. Pure."""

from gateway.errors import SandgateError
from gateway.limits.headers import rate_headers
from gateway.limits.types import Decision
from gateway.metering.recorder import Grant
from gateway.proxy.errors import NoCreditError, RateLimitedError
from gateway.proxy.headers import Field


def limit_headers(grant: Grant, decision: Decision) -> list[Field]:
    """Where the limits stand, and what else a caller is told about its key."""
    headers = [*rate_headers(decision), *grant.answer_headers]
    if decision.degraded:
        headers.append((b"x-sandgate-limits", b"degraded"))
    return headers


def refused(decision: Decision) -> SandgateError:
    """Why it was not admitted."""
    return NoCreditError() if decision.no_credit else RateLimitedError(decision)
