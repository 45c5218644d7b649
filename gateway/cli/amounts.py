"""Amounts of money as people write them; nothing is ever rounded. Pure."""

import re

_NANO = 1_000_000_000
_AMOUNT = re.compile(r"(-?)([0-9]{1,7})(?:\.([0-9]{1,9}))?")


def dollars(nano: int) -> str:
    """An amount in USD with all nine digits."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), _NANO)
    return f"{sign}{whole}.{rest:09d} USD"


def nano_of(text: str) -> int | None:
    """Nano-USD of an amount of USD like 5.25; None when it is none."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    sign, whole, rest = match.groups()
    amount = int(whole) * _NANO + int((rest or "").ljust(9, "0"))
    return -amount if sign else amount
