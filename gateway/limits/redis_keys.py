"""Names in Redis. All share one hash tag: a decision spans tenant, API and key."""

from gateway.limits.types import Limit

TAG = "{sandgate}"
EPOCH = f"{TAG}:epoch"  # <run id of the server>:<token>; missing: Redis has lost its memory
OPENING = f"{TAG}:opening"  # who restores now, and how far
GATEWAYS = f"{TAG}:gateways"  # who was there when


def counter(subject: str, window: str) -> str:
    """One window of one subject."""
    return f"{TAG}{window}:{subject}"


def counter_of(limit: Limit) -> str:
    """The counter a limit looks at."""
    return counter(limit.subject, limit.window)


def balance(account: str) -> str:
    """Granted and spent of one account."""
    return f"{TAG}credit:{account}"


def told(token: str) -> str:
    """Gateways that have told what they know since this loss."""
    return f"{TAG}:told:{token}"
