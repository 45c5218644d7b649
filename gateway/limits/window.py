"""One sliding window of one subject, counted in 60 buckets. Pure: the time is an argument.

Time is whole Unix seconds. Buckets are whole seconds long, so nothing is lost by it.
"""

from array import array

BUCKETS = 60
_SLOTS = BUCKETS + 1  # a bucket counts until all of it has left the window


class WindowCounter:
    """How many calls were admitted in the last window, never too few.

    A call admitted at `t` counts until its whole bucket is older than the window, so between
    one window and 1/60 more. Hence at most the quantity is admitted in every interval of the
    window's length, wherever it starts, ends included. The price: for at most 1/60 of a window
    a call is refused that an exact log would have admitted.

    Buckets are numbered from the epoch, as in the database. The caller gives times that never
    decrease. Cost: O(1) amortised, memory for 61 numbers.
    """

    __slots__ = ("_bucket_seconds", "_oldest", "_present", "_slots", "total")

    def __init__(self, window_seconds: int, second: int) -> None:
        self._bucket_seconds = window_seconds // BUCKETS
        self._slots = array("Q", bytes(8 * _SLOTS))
        self._present = second // self._bucket_seconds
        self._oldest = self._present  # first bucket with calls, when there are any
        self.total = 0

    def advance(self, second: int) -> None:
        """Move on to this time and forget the buckets that have left the window."""
        present = second // self._bucket_seconds
        if present == self._present:
            return
        self._present = present
        first = present - BUCKETS
        while self.total and self._oldest < first:
            slot = self._oldest % _SLOTS
            self.total -= self._slots[slot]
            self._slots[slot] = 0
            self._oldest += 1
        while self.total and not self._slots[self._oldest % _SLOTS]:
            self._oldest += 1

    def add(self) -> None:
        """Count one call at the present time."""
        if not self.total:
            self._oldest = self._present
        self._slots[self._present % _SLOTS] += 1
        self.total += 1

    def restore(self, bucket: int, count: int) -> None:
        """Take over what was stored; a bucket in the future counts as the present one."""
        if count < 1 or bucket < self._present - BUCKETS:
            return
        bucket = min(bucket, self._present)
        self._oldest = min(bucket, self._oldest) if self.total else bucket
        self._slots[bucket % _SLOTS] += count
        self.total += count

    def reset_after(self, second: int, quantity: int) -> int:
        """Whole seconds until at least one call more is free than now, under `quantity`.

        That is when the oldest calls leave, or, over a quantity that was lowered, when enough
        have left. 0 when nothing is counted.
        """
        if not self.total:
            return 0
        bucket = self._oldest
        left = self.total - self._slots[bucket % _SLOTS]
        while left and left >= quantity:
            bucket += 1
            left -= self._slots[bucket % _SLOTS]
        return (bucket + _SLOTS) * self._bucket_seconds - second

    def is_idle(self, second: int) -> bool:
        """Whether nobody has asked for a whole window, so that nothing in it counts any more."""
        return second // self._bucket_seconds - BUCKETS > self._present
