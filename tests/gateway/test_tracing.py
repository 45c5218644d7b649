"""W3C Trace Context as it is read: what goes on, and what begins anew."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracing import BEGUN_HERE, MAX_STATE_BYTES, read_trace, trace_id_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()

hexadecimal = st.text("0123456789abcdef")


def state_of(*values: bytes) -> bytes | None:
    """What passes on of these tracestate headers, beside a good traceparent."""
    trace = read_trace([GOOD], values)
    assert trace.trace_id.decode() == TRACE
    line = trace.after.removeprefix(b"-01\r\n")
    return line.removeprefix(b"tracestate: ").removesuffix(b"\r\n") if line else None


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-01", "01"),
        (f"00-{TRACE}-{PARENT}-00", "00"),
        (f"00-{TRACE}-{PARENT}-03", "03"),
        (f" \t00-{TRACE}-{PARENT}-01\t ", "01"),
        (f"00-{TRACE}-{PARENT}-ff", "03"),
        (f"cc-{TRACE}-{PARENT}-01", "01"),
        (f"cc-{TRACE}-{PARENT}-ff", "01"),
        (f"01-{TRACE}-{PARENT}-00-what-comes-later", "00"),
        (f"fe-{TRACE}-{PARENT}-01-", "01"),
    ],
)
def test_a_good_parent_goes_on_with_the_flags_that_are_known(sent: str, flags: str) -> None:
    """Of a version that is not known only what every version has is taken."""
    trace = read_trace([sent.encode()], ())
    assert trace.trace_id.decode() == TRACE
    assert trace.after == f"-{flags}\r\n".encode()


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "00",
        TRACE,
        f"ff-{TRACE}-{PARENT}-01",
        f"FF-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{TRACE}-{PARENT}-0A",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE}-{PARENT[1:]}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"0-{TRACE}-{PARENT}-01",
        f"000-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01.",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"cc-{TRACE}-{PARENT}-011",
        f".0-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-.0",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE[:-1]}\xb2-{PARENT}-01",
    ],
)
def test_whatever_else_begins_a_trace_and_drops_the_list(sent: str) -> None:
    assert read_trace([sent.encode("latin-1")], [b"a=1"]) is BEGUN_HERE


def test_two_parents_are_none() -> None:
    """Also when they say the same: there is no rule which one would hold."""
    assert read_trace([GOOD, GOOD], [b"a=1"]) is BEGUN_HERE


@given(st.binary(max_size=80) | st.text("0123456789abcdefABCDEF-", max_size=70).map(str.encode))
def test_no_bytes_make_a_head_that_has_two_readings(sent: bytes) -> None:
    """Whatever comes in, what goes out is of version 00."""
    trace = read_trace([sent], [sent])
    line = b"00-%b-%b%b" % (trace.trace_id or TRACE.encode(), PARENT.encode(), trace.after)
    assert re.fullmatch(
        rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]\r\n(tracestate: [\x20-\x7e]{1,512}\r\n)?", line
    )


@given(
    version=hexadecimal.filter(lambda text: len(text) == 2 and text not in ("00", "ff"))
    | st.sampled_from(["01", "10", "cc", "fe"]),
    trace=st.integers(1, 2**128 - 1),
    parent=st.integers(1, 2**64 - 1),
    flags=st.integers(0, 255),
    more=st.binary(max_size=20).filter(lambda data: b"\n" not in data),
)
def test_every_well_formed_parent_goes_on(
    version: str, trace: int, parent: int, flags: int, more: bytes
) -> None:
    ids = f"{trace:032x}-{parent:016x}-{flags:02x}"
    assert read_trace([f"00-{ids}".encode()], ()) == (b"%032x" % trace, b"-%02x\r\n" % (flags & 3))
    newer = f"{version}-{ids}-".encode() + more
    assert read_trace([newer], ()) == (b"%032x" % trace, b"-%02x\r\n" % (flags & 1))


def test_the_list_passes_in_one_line() -> None:
    """Several headers are one list; space around members and empty ones have no meaning."""
    assert state_of(b"a=1,b=2") == b"a=1,b=2"
    assert state_of(b"a=1 , b=x y,", b"", b"\tc@d=3") == b"a=1,b=x y,c@d=3"
    assert state_of(b"a=1", b"a=2") == b"a=1,a=2"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" , ,",
        b"a",
        b"a=",
        b"=1",
        b"A=1",
        b"a =1",
        b"a=1=2",
        b"a=\xe4",
        b"a=\t1",
        b"a.b=1",
        b"@a=1",
        b"a=1,B=2",
        b"a" * 257 + b"=1",
        b"a=" + b"1" * 257,
        ",".join(f"a{n}=1" for n in range(33)).encode(),
    ],
)
def test_a_list_that_breaks_the_rules_is_dropped_and_the_trace_goes_on(value: bytes) -> None:
    assert state_of(value) is None


def test_32_members_are_a_list() -> None:
    value = ",".join(f"a{n}=1" for n in range(32)).encode()
    assert state_of(value) == value


def test_what_is_too_long_loses_whole_members_the_long_ones_first() -> None:
    """Then the last ones: those in front are the latest."""
    long, short = b"l=" + b"x" * 127, [b"s%d=" % n + b"y" * 60 for n in range(10)]
    assert state_of(b",".join([b"f=1", long, *short[:6]])) == b",".join([b"f=1", *short[:6]])
    assert state_of(b",".join([long, long, b"f=1"])) == b",".join([long, long, b"f=1"])
    assert state_of(b",".join(short)) == b",".join(short[:8])


@given(st.lists(st.from_regex(rb"\A[a-z][a-z0-9]{0,9}=[!-+]{1,200}\Z"), max_size=40))
def test_a_list_is_never_longer_than_512_bytes_and_keeps_its_order(members: list[bytes]) -> None:
    state = state_of(b",".join(members))
    kept = state.split(b",") if state else []
    assert state is None or len(state) <= MAX_STATE_BYTES
    left = iter(members)
    assert all(each in left for each in kept)


def test_a_trace_is_told_by_the_request_id_unless_the_caller_began_it() -> None:
    own = "f" * 32
    assert trace_id_of([(b"host", b"a")], own) == own
    assert trace_id_of([(b"traceparent", b"00-nonsense")], own) == own
    assert trace_id_of([(b"traceparent", GOOD), (b"tracestate", b"a=1")], own) == TRACE
