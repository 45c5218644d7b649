"""The opening handshake, read and answered: pure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.headers import parse_subprotocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from gateway.errors import SandgateError
from gateway.proxy.errors import ApiBadResponseError
from gateway.proxy.handshake import (
    HandshakeError,
    HandshakeVersionError,
    accept_of,
    agree,
    is_upgrade,
    read_handshake,
)
from gateway.proxy.headers import Field

KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
PLAIN: list[Field] = [
    (b"host", b"x"),
    (b"upgrade", b"WebSocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", KEY),
]


def changed(name: bytes, *values: bytes) -> list[Field]:
    """The plain one with this header only so."""
    return [field for field in PLAIN if field[0] != name] + [(name, value) for value in values]


def answer(*more: Field) -> list[Field]:
    """A right 101, and more."""
    return [
        (b"upgrade", b"websocket"),
        (b"connection", b"upgrade"),
        (b"sec-websocket-accept", accept_of(KEY)),
        *more,
    ]


def test_the_librarys_client_is_understood() -> None:
    request = ClientProtocol(parse_uri("ws://x/")).connect()
    fields = [(k.lower().encode(), v.encode()) for k, v in request.headers.raw_items()]
    asked = read_handshake("GET", fields)
    assert asked.accept == accept_key(request.headers["Sec-WebSocket-Key"]).encode()
    assert is_upgrade(fields)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
def test_it_is_asked_for_with_get(method: str) -> None:
    with pytest.raises(HandshakeError):
        read_handshake(method, PLAIN)


@pytest.mark.parametrize(
    "fields",
    [
        changed(b"upgrade"),
        changed(b"upgrade", b"h2c"),
        changed(b"upgrade", b"websocket", b"websocket"),
        changed(b"upgrade", b"websocket, h2c"),
        changed(b"connection"),
        changed(b"connection", b"keep-alive"),
        changed(b"sec-websocket-key"),
        changed(b"sec-websocket-key", KEY, KEY),
        changed(b"sec-websocket-key", b"AAAA"),
        changed(b"sec-websocket-key", b"not base64 at all!!!!!!!"),
        [*PLAIN, (b"content-length", b"5")],
        [*PLAIN, (b"transfer-encoding", b"chunked")],
        [*PLAIN, (b"sec-websocket-protocol", b"a, a")],
        [*PLAIN, (b"sec-websocket-protocol", b"a"), (b"sec-websocket-protocol", b"a")],
        [*PLAIN, (b"sec-websocket-protocol", b"a b")],
        [*PLAIN, (b"sec-websocket-protocol", b",".join(b"p%d" % n for n in range(65)))],
        [*PLAIN, (b"sec-websocket-protocol", b"sandgate.key.a, sandgate.key.b")],
    ],
)
def test_what_is_no_handshake_is_refused(fields: list[Field]) -> None:
    with pytest.raises(HandshakeError):
        read_handshake("GET", fields)


@pytest.mark.parametrize("values", [(), (b"8",), (b"13", b"13"), (b"13, 8",)])
def test_only_version_13_is_spoken(values: tuple[bytes, ...]) -> None:
    with pytest.raises(HandshakeVersionError):
        read_handshake("GET", changed(b"sec-websocket-version", *values))


def test_extensions_whose_frames_nobody_here_can_read_are_not_offered() -> None:
    offered = b"x-own, permessage-deflate; client_max_window_bits, permessage-bzip2"
    asked = read_handshake("GET", [*PLAIN, (b"sec-websocket-extensions", offered)])
    assert dict(asked.headers)[b"sec-websocket-extensions"] == (
        b"permessage-deflate; client_max_window_bits"
    )
    assert asked.offers_deflate
    none = read_handshake("GET", [*PLAIN, (b"sec-websocket-extensions", b"x-own")])
    assert b"sec-websocket-extensions" not in dict(none.headers)


def test_a_key_among_the_subprotocols_stays_here() -> None:
    names = b"chat, sandgate, sandgate.key.sg_live_abc"
    asked = read_handshake("GET", [*PLAIN, (b"sec-websocket-protocol", names)])
    assert asked.presented == "sg_live_abc"
    assert dict(asked.headers)[b"sec-websocket-protocol"] == b"chat"
    assert dict(agree(asked, answer()).headers)[b"sec-websocket-protocol"] == b"sandgate"
    chosen = agree(asked, answer((b"sec-websocket-protocol", b"chat")))
    assert dict(chosen.headers)[b"sec-websocket-protocol"] == b"chat"
    for name in (b"sandgate", b"sandgate.key.sg_live_abc"):
        with pytest.raises(ApiBadResponseError):
            agree(asked, answer((b"sec-websocket-protocol", name)))


def test_headers_that_are_not_the_apps_do_not_come_back() -> None:
    asked = read_handshake("GET", PLAIN)
    more = (
        (b"x-own", b"1"), (b"set-cookie", b"a=b"), (b"x-request-id", b"forged"),
        (b"x-accel-redirect", b"/"), (b"strict-transport-security", b"max-age=1"),
        (b"keep-alive", b"timeout=5"), (b"x-ratelimit-limit", b"1"),
    )  # fmt: skip
    names = [name for name, _ in agree(asked, answer(*more)).headers]
    assert names == [b"upgrade", b"connection", b"sec-websocket-accept", b"x-own", b"set-cookie"]


def test_compression_is_agreed_on_once() -> None:
    asked = read_handshake("GET", [*PLAIN, (b"sec-websocket-extensions", b"permessage-deflate")])
    chosen = (b"sec-websocket-extensions", b"permessage-deflate; server_max_window_bits=12")
    assert agree(asked, answer(chosen)).is_compressed
    assert not agree(asked, answer()).is_compressed
    with pytest.raises(ApiBadResponseError):
        agree(asked, answer(chosen, chosen))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version",
                 b"sec-websocket-protocol", b"sec-websocket-extensions", b"content-length"]
            ),
            st.binary(max_size=30) | st.sampled_from([b"websocket", b"Upgrade", b"13", KEY, b"0"]),
        ),
        max_size=10,
    )
)  # fmt: skip
def test_any_headers_are_read_or_refused(fields: list[Field]) -> None:
    """And what passes is what the library can read."""
    try:
        asked = read_handshake("GET", fields)
    except SandgateError:
        return
    passed = dict(asked.headers)
    if b"sec-websocket-protocol" in passed:
        parse_subprotocol(passed[b"sec-websocket-protocol"].decode("latin-1"))
