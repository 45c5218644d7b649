"""Which limits hold for a call: plan, tenant, API and key put together. Pure."""

from collections.abc import Mapping

from gateway.auth.verified import VerifiedKey
from gateway.errors import InvalidInputError
from gateway.limits.types import Limit, Window

MAX_QUANTITY = 1_000_000_000
_WINDOWS = {window.value: window for window in Window}  # a plain str hashes faster than an enum


class InvalidLimitsError(InvalidInputError):
    """Unknown window, or a quantity that is neither positive nor null; says which."""

    code, title = "invalid_limits", "Invalid limits"


def parse_limits(value: object) -> dict[str, int | None]:
    """Limits as somebody sent them: window → positive whole number, or null for unlimited."""
    if not isinstance(value, Mapping):
        raise _invalid({"limits": 'must be an object like {"hour": 500}'})
    mistakes = {
        f"limits.{name}": reason
        for name, quantity in value.items()
        if (reason := _mistake(name, quantity))
    }
    if mistakes:
        raise _invalid(mistakes)
    return dict(value)


def limits_of(
    key: VerifiedKey, api_id: str, api_limits: Mapping[str, int | None]
) -> tuple[Limit, ...]:
    """Every limit a call with this key to this API counts against; empty means unlimited.

    The tenant is the key's, and its own values replace those of its plan window by window. A
    rotated key and its successors count as one.
    """
    return (
        *_limits(f"tenant:{key.tenant_id}", {**key.plan_limits, **key.tenant_limits}),
        *_limits(f"api:{api_id}", api_limits),
        *_limits(f"key:{key.root_id or key.key_id}", key.limits),
    )


def _limits(subject: str, quantities: Mapping[str, int | None]) -> list[Limit]:
    return [
        Limit(subject, window, quantity)
        for name, window in _WINDOWS.items()
        if (quantity := quantities.get(name)) is not None
    ]


def _mistake(name: object, quantity: object) -> str | None:
    """What is wrong with one window; None when nothing is."""
    if name not in _WINDOWS:
        return f"unknown window; known are {', '.join(_WINDOWS)}"
    if quantity is None:
        return None
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        return "must be a whole number, or null for unlimited"
    if not 1 <= quantity <= MAX_QUANTITY:
        return f"must be 1 to {MAX_QUANTITY}, or null for unlimited"
    return None


def _invalid(mistakes: dict[str, str]) -> InvalidLimitsError:
    return InvalidLimitsError(
        "; ".join(f"{field} {reason}" for field, reason in mistakes.items()),
        extra={"errors": [{"field": f, "detail": reason} for f, reason in mistakes.items()]},
    )
