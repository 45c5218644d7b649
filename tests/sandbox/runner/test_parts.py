"""The runner's pure parts: frames, log bounds, the context header."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.runner import failures
from sandbox.runner.context import apply_context, take_header
from sandbox.runner.endings import Failure
from sandbox.runner.frames import MAX_FRAME, Decoder, FrameError, encode
from sandbox.runner.logs import LineRate, LineSplitter, Ring
from sandbox.types import StartFailure

messages = st.lists(
    st.dictionaries(st.text(), st.text(st.characters()) | st.integers(-(2**60), 2**60) | st.none()),
    max_size=5,
)


@settings(deadline=None)
@given(messages, st.integers(1, 50))
def test_frames_survive_any_cutting(sent: list[dict[str, Any]], step: int) -> None:
    data = b"".join(encode(message) for message in sent)
    decoder = Decoder()
    got: list[dict[str, Any]] = []
    for at in range(0, len(data), step):
        got += decoder.feed(data[at : at + step])
    assert got == sent


def test_lone_surrogates_survive() -> None:
    assert list(Decoder().feed(encode({"code": "\ud800"}))) == [{"code": "\ud800"}]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b'"x"']
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(struct.pack(">I", len(body)) + body))


def test_an_announced_giant_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(struct.pack(">I", MAX_FRAME + 1)))


def test_a_giant_is_not_sent() -> None:
    with pytest.raises(FrameError):
        encode({"code": "x" * MAX_FRAME})


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\n\r", codec="utf-8")), st.integers(1, 9))
def test_lines_survive_any_cutting(text: str, step: int) -> None:
    data = (text + "\n").encode()
    splitter = LineSplitter(limit=1000)
    lines: list[str] = []
    for at in range(0, len(data), step):
        lines += splitter.feed(data[at : at + step])
    assert "".join(lines) == text


def test_an_endless_line_is_cut_between_characters() -> None:
    splitter = LineSplitter(limit=10)
    lines = splitter.feed("é".encode() * 20)
    assert set("".join(lines)) == {"é"}
    assert all(len(line.encode()) <= 10 for line in lines)
    assert splitter.flush()


def test_what_is_not_utf_8_is_replaced() -> None:
    assert LineSplitter().feed(b"a\xff\x80b\r\n\xbf\xbf\xbf\xbf\n") == [
        "a\ufffd\ufffdb",
        "\ufffd" * 4,
    ]


def test_lines_over_the_rate_are_dropped_counted_and_admitted_again() -> None:
    rate = LineRate(per_second=1, burst=2)
    assert [rate.admit(0), rate.admit(0), rate.admit(0), rate.admit(0)] == [
        True,
        True,
        False,
        False,
    ]
    assert rate.admit(1.5)
    assert rate.take_marker() == "… 2 lines dropped"
    assert rate.take_marker() is None


def test_the_ring_keeps_the_newest_within_its_bytes() -> None:
    ring = Ring(limit=200)
    for number in range(100):
        ring.add(number, "stdout", "x" * 18)
    assert [at for at, _, _ in ring] == [96, 97, 98, 99]


def scope(*headers: tuple[bytes, bytes], kind: str = "http") -> dict[str, Any]:
    return {
        "type": kind,
        "headers": list(headers),
        "path": "/x",
        "raw_path": b"/x",
        "root_path": "",
        "scheme": "http",
        "client": None,
    }


def test_every_context_header_is_taken_out_and_the_first_one_counts() -> None:
    name = b"x-sandgate-context"
    given_scope = scope((name, b"one"), (b"host", b"x"), (name, b"two"))
    assert take_header(given_scope) == b"one"
    assert given_scope["headers"] == [(b"host", b"x")]


def test_without_the_header_nothing_changes() -> None:
    given_scope = scope((b"host", b"x"))
    assert take_header(given_scope) is None
    assert given_scope == scope((b"host", b"x"))


@pytest.mark.parametrize("value", [b"", b"a b c", b"h port http /a id", b"\xff 1 http /a id x"])
def test_a_malformed_context_changes_nothing(value: bytes) -> None:
    given_scope = scope()
    apply_context(given_scope, value)
    assert given_scope == scope()


def test_root_path_is_decoded_in_the_path_and_raw_in_the_raw_path() -> None:
    given_scope = scope()
    apply_context(given_scope, b"1.2.3.4 5 https /a%20b id")
    assert (given_scope["path"], given_scope["raw_path"]) == ("/a b/x", b"/a%20b/x")


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (b"1.2.3.4 5 https /a id", 0),
        (b"1.2.3.4 5 https /a id 0", 0),
        (b"1.2.3.4 5 https /a id 30000", 30_000),
        (b"1.2.3.4 5 https /a id 999999999999", 86_400_000),
        (b"1.2.3.4 5 https /a id -5", 0),
        (b"1.2.3.4 5 https /a id soon", 0),
        (b"1.2.3.4 5 https /a id " + b"9" * 5000, 0),
        (b"1.2.3.4 5 https /a id 1 2", 0),
    ],
)
def test_the_sixth_field_is_the_time_until_the_deadline(value: bytes, milliseconds: int) -> None:
    assert apply_context(scope(), value) == milliseconds


def test_a_websocket_keeps_a_websocket_scheme() -> None:
    given_scope = scope(kind="websocket")
    apply_context(given_scope, b"1.2.3.4 5 https /a id")
    assert given_scope["scheme"] == "wss"


@pytest.mark.parametrize("nonsense", [[[]] * 9, 10**4000, {"a": {}}, "x" * 500_000, True, -1, None])
def test_what_user_code_says_about_a_failure_is_cut_to_size(nonsense: object) -> None:
    names = ("kind", "reason", "file", "line", "traceback")
    said = Failure.from_message(dict.fromkeys(names, nonsense)).to_message()
    assert said["line"] is None
    assert len(encode(said)) < 100_000


def test_a_true_report_of_a_failure_passes_unchanged() -> None:
    failure = Failure("exception", "ValueError: x", "app.py", 3, "Traceback")
    assert Failure.from_message(failure.to_message()) == failure


def test_the_runners_kinds_are_the_managers() -> None:
    errors: list[BaseException] = [
        SyntaxError("x", ("app.py", 1, None, None)),
        failures.NoApplicationError("x"),
        ModuleNotFoundError("x", name="x"),
        ValueError("x"),
        failures.LoadDeadlineError(),
        MemoryError(),
        SystemExit(),
    ]
    kinds = {failures.describe(error, "app.py").kind for error in errors}
    kinds.add(failures.describe(ValueError(), "app.py", while_serving=True).kind)
    assert kinds == set(StartFailure)
