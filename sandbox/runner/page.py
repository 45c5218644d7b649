"""Memory that supervisor and app process share: which calls are running. User code can write it.

Columns of 64-bit numbers, so that neither side ever has to parse anything. Times are
nanoseconds of the monotonic clock, which is the same for both.
"""

import mmap

SLOTS = 512  # calls at once that are watched; any more run unwatched

# single numbers
WATCHED = 0  # set by the supervisor while it looks regularly by itself
ON_LOOP = 1  # id of the call whose step is on the event loop now, 0 for none
ON_LOOP_SINCE = 2
ENDED_HELD = 3  # nanoseconds on the event loop of all calls that have ended
ENDED_TIME = 4  # nanoseconds from start to end of all calls that have ended
_SINGLES = 8

# columns: add the slot
IDENT = _SINGLES  # number of the call, 0 for a free slot
START = IDENT + SLOTS
DEADLINE = START + SLOTS  # 0 for none, or:
ANSWERING = -1  # the answer has begun
HELD = DEADLINE + SLOTS  # nanoseconds its steps were on the event loop
CANCEL = HELD + SLOTS  # written by the supervisor: the id of a call to be cancelled
_WORDS = CANCEL + SLOTS


def new_page() -> "memoryview[int]":
    """A page of zeros that a fork shares."""
    return memoryview(mmap.mmap(-1, _WORDS * 8)).cast("q")
