"""How long a gateway takes to end: nobody's call is cut while it may still be answered. Pure."""

LEAST_SECONDS = 10.0
_MARGIN_SECONDS = 2.0  # an answer that comes at the last moment still has to leave


def drain_seconds(call_seconds: float) -> float:
    """For the calls under way, each of which has its own deadline."""
    return max(LEAST_SECONDS, call_seconds + _MARGIN_SECONDS)
