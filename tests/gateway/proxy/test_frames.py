"""Frames pass as they are or not at all; the `websockets` library is the oracle."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from gateway.proxy.frames import NO_CODE, FrameReader, Violation, close_frame

CAP = 600
CODES = [1000, 1001, 1003, 1008, 1011, 1014, 3000, 4999]

payloads = st.binary(max_size=70) | st.sampled_from([b"x" * 125, b"x" * 126, b"y" * 300])
controls = st.tuples(
    st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)
) | st.tuples(
    st.just(Opcode.CLOSE),
    st.just(b"")
    | st.builds(lambda c, t: Close(c, t).serialize(), st.sampled_from(CODES), st.text(max_size=20)),
)


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """One message in fragments, with control frames between them."""
    opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
    parts = draw(st.lists(payloads, min_size=1, max_size=4))
    frames: list[Frame] = []
    for number, part in enumerate(parts):
        for kind, payload in draw(st.lists(controls, max_size=1)):
            if kind is not Opcode.CLOSE:
                frames.append(Frame(kind, payload))
        frames.append(Frame(opcode if number == 0 else Opcode.CONT, part, number == len(parts) - 1))
    return frames


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, bytes]:
    """Who sends, and what is on the wire; at times it ends with a close frame."""
    frames = [frame for message in draw(st.lists(messages(), max_size=4)) for frame in message]
    frames += [Frame(kind, payload) for kind, payload in draw(st.lists(controls, max_size=1))]
    is_client = draw(st.booleans())
    return is_client, b"".join(frame.serialize(mask=is_client) for frame in frames)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """In pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def oracle(is_client: bool, data: bytes) -> tuple[list[Frame], Exception | None]:
    """The frames that the library accepts, and why it stopped."""
    side = Side.SERVER if is_client else Side.CLIENT
    protocol = Protocol(side, state=State.OPEN, max_size=None)
    protocol.receive_data(data)
    events = [event for event in protocol.events_received() if isinstance(event, Frame)]
    return events, protocol.parser_exc


def largest(frames: list[Frame]) -> int:
    """Bytes of the largest message."""
    most = size = 0
    for frame in frames:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            size = len(frame.data) + (size if frame.opcode is Opcode.CONT else 0)
            most = max(most, size)
    return most


def reader(is_client: bool, **more: bool) -> FrameReader:
    return FrameReader(
        is_masked=is_client, is_compressed=more.pop("is_compressed", False), cap=CAP, **more
    )


def through(one: FrameReader, pieces: list[bytes]) -> bytes:
    """All that passes; a message that asks is allowed at once."""
    passed = b""
    for piece in pieces:
        passed += one.feed(piece)
        while one.is_asking:
            passed += one.allow()
    return passed


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 5000), max_size=8), st.booleans())
def test_what_is_valid_passes_unchanged_however_it_is_cut(
    stream: tuple[bool, bytes], places: list[int], asks: bool
) -> None:
    is_client, data = stream
    frames, _ = oracle(is_client, data)
    one = reader(is_client, asks=asks)
    passed = through(one, cut(data, places))
    if one.violation is not None:
        assert one.violation.code == 1009
        assert largest(frames) > CAP
        assert data.startswith(passed)
        return
    assert largest(frames) <= CAP
    assert passed == data
    assert one.is_between_frames
    assert (one.closed is not None) == bool(frames and frames[-1].opcode is Opcode.CLOSE)


@settings(max_examples=150, deadline=None)
@given(
    streams(), st.integers(0, 5000), st.integers(0, 255), st.lists(st.integers(0, 5000), max_size=3)
)
def test_one_wrong_byte_is_judged_as_the_library_does(
    stream: tuple[bool, bytes], place: int, byte: int, places: list[int]
) -> None:
    """What passed before is exactly what the library took, but for a frame that goes on."""
    is_client, data = stream
    if data:
        place %= len(data)
        data = data[:place] + bytes([byte]) + data[place + 1 :]
    frames, error = oracle(is_client, data)
    one = FrameReader(is_masked=is_client, is_compressed=False, cap=2**64)
    passed = through(one, cut(data, places))
    if one.violation == Violation(1002, "a length is not in its shortest form"):
        return  # the library takes those
    if isinstance(error, UnicodeDecodeError):
        return  # the text of a close frame passes unread
    if str(error) == "incomplete fragmented message":
        assert one.closed is not None  # who ends in the middle of a message may
        return
    assert data.startswith(passed)
    if isinstance(error, ProtocolError):
        assert one.violation is not None
        assert one.violation.code == 1002
    elif one.violation is not None:  # judged by its header; the library waits for all of it
        assert one.violation.code == 1002
        assert len(passed) < len(data)
        assert sum(len(frame.serialize(mask=is_client)) for frame in frames) < len(data)
    if one.violation is not None:
        again, wrong = oracle(is_client, passed)
        assert wrong is None or isinstance(wrong, EOFError)
        assert len(again) == len(frames)


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_junk_never_fails_and_what_passes_is_its_beginning(
    is_client: bool, junk: bytes, places: list[int]
) -> None:
    whole = reader(is_client)
    in_pieces = reader(is_client)
    passed = through(whole, [junk])
    assert junk.startswith(passed)
    assert through(in_pieces, cut(junk, places)) == passed
    assert (whole.violation, whole.closed) == (in_pieces.violation, in_pieces.closed)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x83\x00", "opcode"),
        (b"\x8b\x00", "opcode"),
        (b"\x81\x80" + bytes(4), "masked"),
        (b"\xc1\x00", "reserved"),
        (b"\xa1\x00", "reserved"),
        (b"\x09\x00", "control"),
        (b"\x89\x7e\x00\x80", "control"),
        (b"\x80\x00", "message"),
        (b"\x01\x00\x81\x00", "message"),
        (b"\x81\x7e\x00\x01", "shortest"),
        (b"\x81\x7f" + (0xFFFF).to_bytes(8), "shortest"),
        (b"\x88\x01\x03", "close code"),
        (b"\x88\x02\x03\xed", "close code"),  # 1005
        (b"\x88\x02\x03\xee", "close code"),  # 1006
        (b"\x88\x02\x03\xf7", "close code"),  # 1015
        (b"\x88\x02\x03\xec", "close code"),  # 1004
        (b"\x88\x02\x00\x00", "close code"),
        (b"\x88\x02\x13\x88", "close code"),  # 5000
    ],
)
def test_what_is_wrong_is_named(data: bytes, words: str) -> None:
    one = reader(False)
    one.feed(data)
    assert one.violation is not None
    assert one.violation.code == 1002
    assert words in one.violation.text


def test_masks_are_for_clients_only() -> None:
    for is_client in (True, False):
        right = Frame(Opcode.TEXT, b"a").serialize(mask=is_client)
        wrong = Frame(Opcode.TEXT, b"a").serialize(mask=not is_client)
        assert reader(is_client).feed(right) == right
        one = reader(is_client)
        assert bytes(one.feed(wrong)) == b""
        assert one.violation is not None


def test_the_bit_for_compression_is_for_the_first_frame_where_it_was_agreed_on() -> None:
    assert reader(False, is_compressed=True).feed(b"\xc1\x00") == b"\xc1\x00"
    for data in (b"\x41\x00\xc0\x00", b"\xc9\x00", b"\xb1\x00"):
        one = reader(False, is_compressed=True)
        one.feed(data)
        assert one.violation is not None
        assert "reserved" in one.violation.text


def test_a_message_is_as_large_as_its_fragments_together() -> None:
    one = reader(False)
    fragment = b"\x01\x7e\x01\x00" + bytes(256)
    more = b"\x00\x7e\x01\x00" + bytes(256)
    assert one.feed(fragment + more) == fragment + more
    assert bytes(one.feed(more)) == b""
    assert one.violation == Violation(1009, "a message is larger than 600 bytes")


def test_the_next_message_counts_anew() -> None:
    one = reader(False)
    message = b"\x82\x7e\x02\x00" + bytes(512)
    assert one.feed(message * 3) == message * 3


def test_a_chunk_that_passes_whole_is_not_copied() -> None:
    chunk = b"\x82\x7e\x02\x00" + bytes(512)
    assert reader(False).feed(chunk) is chunk


def test_a_header_waits_until_it_is_whole_and_payloads_do_not() -> None:
    one = reader(False)
    assert bytes(one.feed(b"\x82\x7e\x02")) == b""
    assert one.is_between_frames
    assert one.feed(b"\x00abc") == b"\x82\x7e\x02\x00abc"
    assert not one.is_between_frames


def test_nothing_passes_after_a_close() -> None:
    one = reader(False)
    close = close_frame(1000, "bye", is_masked=False)
    assert one.feed(close + b"\x81\x00") == close
    assert one.closed == 1000
    assert bytes(one.feed(b"\x81\x00")) == b""


def test_each_message_asks_once_and_fragments_do_not() -> None:
    one = reader(False, asks=True)
    first = b"\x01\x01a" + b"\x89\x00" + b"\x80\x01b"
    assert bytes(one.feed(first + b"\x81\x01c")) == b""
    assert one.is_asking
    assert bytes(one.feed(b"\x81\x01d")) == b""  # it may go on coming while it is being decided
    assert one.allow() == first
    assert one.is_asking
    assert one.allow() == b"\x81\x01c"
    assert one.is_asking
    assert one.allow() == b"\x81\x01d"
    assert not one.is_asking


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CODES), st.text(max_size=200), st.booleans())
def test_our_close_frames_are_valid(code: int, reason: str, is_masked: bool) -> None:
    """The library reads them, with as much of the reason as there is room for."""
    frames, error = oracle(is_masked, close_frame(code, reason, is_masked=is_masked))
    assert not isinstance(error, ProtocolError)
    told = Close.parse(bytes(frames[0].data))
    assert told.code == code
    assert reason.startswith(told.reason)


def test_a_close_without_a_code_is_one() -> None:
    one = reader(False)
    assert one.feed(b"\x88\x00") == b"\x88\x00"
    assert one.closed == NO_CODE
