"""Which outcomes of a priced call are paid for. Pure; the table is in `docs/metering.md`."""

CALLER_LEFT = 499


def billable(status: int, error_code: str | None) -> bool:
    """Whether a priced call that was admitted and ended like this costs its caller something.

    `error_code` is the problem's code when the gateway made the answer, or broke it off.
    """
    if status == CALLER_LEFT:
        return True  # else whoever leaves before the last byte reads everything for nothing
    return error_code is None and status < 500
