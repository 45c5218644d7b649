"""The one family of expected failures; each knows its status, stable code and public text."""

from collections.abc import Mapping


class SandgateError(Exception):
    """Base of every failure a caller may see.

    `detail` is public. Internals go to the log as `__cause__`, never into `detail`.
    """

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


class BadRequestError(SandgateError):
    """The request cannot be understood at all."""

    status, code, title = 400, "bad_request", "Bad request"


class UnauthorizedError(SandgateError):
    """Nobody presented, or the presented proof is not valid."""

    status, code, title = 401, "unauthorized", "Authentication required"


class ForbiddenError(SandgateError):
    """Known subject, not allowed."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFoundError(SandgateError):
    """Does not exist, or the subject may not know that it does."""

    status, code, title = 404, "not_found", "Not found"


class ConflictError(SandgateError):
    """Clashes with what is stored."""

    status, code, title = 409, "conflict", "Conflict"


class PayloadTooLargeError(SandgateError):
    """Body over its cap."""

    status, code, title = 413, "body_too_large", "Body too large"


class InvalidInputError(SandgateError):
    """Well-formed request whose values are not acceptable."""

    status, code, title = 422, "invalid_input", "Invalid input"


class UnavailableError(SandgateError):
    """A part of ours is not ready; carries Retry-After."""

    status, code, title = 503, "unavailable", "Temporarily unavailable"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: int = 1,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        merged = {"Retry-After": str(retry_after), **(headers or {})}
        super().__init__(detail, headers=merged, extra=extra)


class NoCapacityError(UnavailableError):
    """Every sandbox this machine may run is in use."""

    code, title = "no_capacity", "No sandbox is free"


class SandboxesUnavailableError(UnavailableError):
    """The manager, or the engine behind it, does not answer."""

    code, title = "sandboxes_unavailable", "Sandboxes cannot be started at the moment"
