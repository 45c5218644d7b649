"""Chunked bodies, cut anywhere, right or wrong."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.chunks import ChunkReader
from gateway.server.request import BadRequest

bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def framed(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def read(data: bytes, cuts: list[int]) -> tuple[bytes, ChunkReader]:
    """Feed it in pieces that end at these places."""
    reader, out, start = ChunkReader(), b"", 0
    for end in [*sorted(c for c in cuts if c < len(data)), len(data)]:
        if reader.is_complete:
            reader.rest += data[start:end]
        else:
            out += reader.feed(data[start:end])
        start = end
    return out, reader


@given(bodies, st.lists(st.integers(0, 300), max_size=8), st.binary(max_size=20))
def test_however_it_is_cut_the_body_is_the_same(
    pieces: list[bytes], cuts: list[int], after: bytes
) -> None:
    out, reader = read(framed(pieces) + after, cuts)
    assert out == b"".join(pieces)
    assert reader.is_complete
    assert reader.rest == after


@given(st.text("0123456789abcdefABCDEF \t;=\r\nxg+-", max_size=30))
def test_what_it_takes_another_parser_takes_as_well(text: str) -> None:
    data = text.encode()
    reader = ChunkReader()
    try:
        mine = reader.feed(data)
    except BadRequest:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + data)
    theirs, is_over = b"", False
    while True:
        event = other.next_event()
        if isinstance(event, h11.Data):
            theirs += event.data
        elif isinstance(event, h11.EndOfMessage):
            is_over = True
            break
        elif event in (h11.NEED_DATA, h11.PAUSED):
            break
    assert (mine, reader.is_complete) == (theirs, is_over)


def test_extensions_and_trailers_are_dropped() -> None:
    out, reader = read(b'3;a="b"\r\nabc\r\n0;x\r\nX-Sum: 1\r\n\r\n', [])
    assert (out, reader.is_complete, reader.rest) == (b"abc", True, b"")


WRONG = {
    "sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "space first": b" 3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n",
    "no digit": b"g\r\n",
    "thirteen digits": b"0000000000003\r\nabc\r\n",
    "bare LF": b"3\nabc\r\n0\r\n\r\n",
    "LF behind the content": b"3\r\nabc\n0\r\n\r\n",
    "longer than it says": b"3\r\nabcd\r\n0\r\n\r\n",
    "LF at the end": b"0\r\n\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n",
    "endless extension": b"3;" + b"a" * 300,
    "endless trailer": b"0\r\n" + b"a: b\r\n" * 2000,
    "malformed trailer": b"0\r\nbad trailer\r\n\r\n",
}


@pytest.mark.parametrize("name", WRONG)
def test_malformed_framing_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        read(WRONG[name], [])
