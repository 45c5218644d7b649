"""Where a call stands in a distributed trace: W3C Trace Context, read strictly. Pure.

The gateway is a hop of its own. A caller's trace goes on with a parent of ours; where there is
none, or it cannot be read, the call begins one. Both ids come from the request id, so that who
has one of them has all: a trace that begins here has the request id as its id, and the parent
id is the second half of the request id always. Neither can be zero: a request id is a uuid4.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
NAMES = frozenset({TRACEPARENT, TRACESTATE})

PARENT = slice(16, 32)  # of the request id: the parent id that the app sees
MAX_MEMBERS = 32  # of tracestate; a list with more is none
MAX_STATE_BYTES = 512  # that pass on; whole members are left out, long ones first
_LONG_MEMBER = 128
# A trace that begins here is sampled: the gateway records the call itself, and what instruments
# an app would record nothing at all if it were told otherwise.
_SAMPLED = 0x01
_RANDOM = 0x02  # of level 2; says how a trace id was made, so it stays with the id
_ZEROS = (bytes(b"0" * 32), bytes(b"0" * 16))

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class Trace(NamedTuple):
    """What goes on of a caller's trace, as it is sent."""

    trace_id: bytes  # empty: a new one begins with each call
    after: bytes  # what follows the parent id: flags, and the line of the vendors' list


BEGUN_HERE = Trace(b"", b"-%02x\r\n" % _SAMPLED)


def read_trace(parents: Sequence[bytes], states: Sequence[bytes]) -> Trace:
    """From all values of both headers, in their order."""
    found = _PARENT.fullmatch(parents[0].strip(b" \t")) if len(parents) == 1 else None
    if found is None:
        return BEGUN_HERE
    version, trace_id, parent_id, flags, more = found.groups()
    is_newer = version != b"00"
    if version == b"ff" or trace_id in _ZEROS or parent_id in _ZEROS or (more and not is_newer):
        return BEGUN_HERE
    known = int(flags, 16) & (_SAMPLED if is_newer else _SAMPLED | _RANDOM)
    after = b"-%02x\r\n" % known
    if states and (state := _state(states)):
        after += b"%b: %b\r\n" % (TRACESTATE, state)
    return Trace(trace_id, after)


def trace_id_of(fields: Iterable[tuple[bytes, bytes]], request_id: str) -> str:
    """The id of the trace that a request with these headers belongs to; for logs."""
    parents = [value for name, value in fields if name == TRACEPARENT]
    trace = read_trace(parents, ()) if parents else BEGUN_HERE
    return trace.trace_id.decode() or request_id


def _state(values: Iterable[bytes]) -> bytes:
    """The vendors' list in one line; empty when it breaks the rules, or nothing is in it."""
    parts = b",".join(values).split(b",")
    members = [each for part in parts if (each := part.strip(b" \t"))]
    if len(members) > MAX_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return b""
    if _size(members) > MAX_STATE_BYTES:
        members = [each for each in members if len(each) <= _LONG_MEMBER]
    while _size(members) > MAX_STATE_BYTES:
        members.pop()
    return b",".join(members)


def _size(members: Sequence[bytes]) -> int:
    return sum(map(len, members)) + max(len(members) - 1, 0)
