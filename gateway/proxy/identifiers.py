"""Request ids: random uuids in hexadecimal, cut from a pool so that a call costs no system call."""

import os

_POOL = 256


class RequestIds:
    """Each call gives a new uuid4 as 32 hexadecimal digits."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def __call__(self) -> str:
        """A new id."""
        if not self._ids:
            self._refill()
        return self._ids.pop()

    def _refill(self) -> None:
        text = os.urandom(16 * _POOL).hex()
        for start in range(0, len(text), 32):
            digits = text[start : start + 32]
            variant = "89ab"[int(digits[16], 16) & 3]
            self._ids.append(f"{digits[:12]}4{digits[13:16]}{variant}{digits[17:]}")
