"""Failures of the call path. A code says whose fault it was: caller, API or gateway."""

from gateway.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    SandgateError,
    UnavailableError,
)
from gateway.limits.types import Decision

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


# --- the caller ---


class AmbiguousRequestError(BadRequestError):
    """Two readings of the request are possible; neither is taken."""

    code, title = "ambiguous_request", "The request can be read in two ways"


class ApiNotFoundError(NotFoundError):
    """No API has this id or slug."""

    code, title = "api_not_found", "No API at this address"


class VersionNotFoundError(NotFoundError):
    """The API has no such version."""

    code, title = "version_not_found", "The API has no such version"


class KeyNotForApiError(ForbiddenError):
    """A good key, made for other APIs."""

    code, title = "key_not_for_api", "This key does not open this API"


class RateLimitedError(SandgateError):
    """At least one window is full; nothing was counted. `Retry-After` comes with the headers
    that tell where the limits stand."""

    status, code, title = 429, "rate_limited", "Too many calls"

    def __init__(self, decision: Decision) -> None:
        violated = [state.limit.policy for state in decision.violated]
        super().__init__(
            f"The limit {', '.join(violated)} is used up. "
            f"Try again in {decision.retry_after} seconds.",
            extra={"type": QUOTA_EXCEEDED, "violated-policies": violated},
        )


class NoCreditError(SandgateError):
    """The balance of the caller's tenant is less than the price."""

    status, code, title = 402, "no_credit", "Not enough credit"

    def __init__(self) -> None:
        super().__init__("The call costs more than the credit that is left. Nothing was charged.")


class MeteringUnavailableError(UnavailableError):
    """A call that costs something could not be recorded."""

    code, title = "metering_unavailable", "The call cannot be recorded"

    def __init__(self) -> None:
        super().__init__("Calls that cost something are not taken now. Nothing was charged.")


class StreamEndedError(ForbiddenError):
    """An answer had begun when its key, or the right to use it, was taken back."""

    code, title = "stream_ended", "The key may not be used any more"


class BodyTooLargeError(PayloadTooLargeError):
    """The request's body is over the cap."""

    code, title = "body_too_large", "Request body too large"

    def __init__(self, cap: int) -> None:
        super().__init__(f"At most {cap} bytes.")


class UploadTooSlowError(SandgateError):
    """The request's body was not there in time; the API had no part in it."""

    status, code, title = 408, "upload_too_slow", "The request took too long to arrive"


class ClientGoneError(SandgateError):
    """The caller left, or stopped reading. Recorded, never sent."""

    status, code, title = 499, "client_gone", "The caller left"


# --- the API ---


class ApiPausedError(UnavailableError):
    """Its owner paused it."""

    code, title = "api_paused", "This API is paused"

    def __init__(self) -> None:
        super().__init__("Its owner has paused this API.", retry_after=60)


class ApiNotReadyError(UnavailableError):
    """No version of it answers yet."""

    code, title = "api_not_ready", "This API is not deployed yet"

    def __init__(self) -> None:
        super().__init__("No version of this API is deployed yet.", retry_after=5)


class ApiSuspendedError(ForbiddenError):
    """An admin stopped it, or the tenant that owns it."""

    code, title = "api_suspended", "This API is suspended"


class ApiStartFailedError(SandgateError):
    """Its code does not start; `detail` is the reason, fit for callers."""

    status, code, title = 502, "api_start_failed", "The API does not start"


class ApiCrashLoopError(UnavailableError):
    """It crashed too often in a row; the next start is tried after a while."""

    code, title = "api_crash_loop", "The API keeps crashing"

    def __init__(self, crashes: int, end: str, retry_after: int) -> None:
        super().__init__(
            f"It ended {crashes} times in a row, last because of: {end}. "
            f"The next start is in {max(retry_after, 1)} seconds.",
            retry_after=max(retry_after, 1),
        )


class DependenciesUnavailableError(UnavailableError):
    """The packages it was deployed with are not here and cannot be had again."""

    code, title = "dependencies_unavailable", "The API's packages are missing"


class ApiDiedError(SandgateError):
    """It took the call and ended before it had answered in full."""

    status, code, title = 502, "api_died", "The API stopped while it answered"


class UnreadError(ApiDiedError):
    """It ended with the whole call unread: the app saw nothing of it, so it may be repeated."""


class ApiBadResponseError(SandgateError):
    """What it sent is not one HTTP answer."""

    status, code, title = 502, "api_bad_response", "The API did not answer in valid HTTP"


class ApiTimeoutError(SandgateError):
    """It did not answer, or not go on, in time."""

    status, code, title = 504, "api_timeout", "The API did not answer in time"


class NoSlotError(ApiTimeoutError):
    """All of its sandboxes were busy, or one was started, for all of the call's time."""


# --- the gateway ---


class TierUnavailableError(UnavailableError):
    """Nothing here isolates as strongly as the API or the installation asks for."""

    code, title = "tier_unavailable", "No sandbox is strong enough"


class QueueFullError(UnavailableError):
    """Too many calls wait for sandboxes."""

    code, title = "queue_full", "Too many calls wait for this API"


class GatewayStoppedError(UnavailableError):
    """The gateway ended before the call did. Recorded, never sent."""

    code, title = "gateway_stopped", "The gateway was stopped"


class NothingSentError(Exception):
    """No byte of the call reached the sandbox, so that it may be sent to another one."""


class VersionRevertedError(Exception):
    """This version cannot run and another one serves in its place: ask for the route again.

    `cause` is for the calls that want this very version.
    """

    def __init__(self, cause: SandgateError) -> None:
        super().__init__(str(cause))
        self.cause = cause
