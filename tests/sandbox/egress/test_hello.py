"""Reading the host out of the first TLS message, whole, in pieces and hostile."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.egress.hello import ClientHello, NotTlsError, read_hello


def real_hello(name: str | None) -> bytes:
    """What OpenSSL sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def sni(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    entries = b"".join(bytes([kind]) + vector(2, name) for name in names)
    return 0, vector(2, entries)


def hello(*extensions: tuple[int, bytes], tail: bytes = b"", bare: bool = False) -> bytes:
    """A first message with just these extensions."""
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\x00")
    if not bare:
        listed = b"".join(struct.pack(">H", kind) + vector(2, data) for kind, data in extensions)
        body += vector(2, listed) + tail
    return b"\x01" + vector(3, body)


def records(message: bytes, size: int = 16384) -> bytes:
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, part) for part in parts)


def test_openssl_names_its_host() -> None:
    assert read_hello(real_hello("a.example")) == ClientHello("a.example")
    assert read_hello(real_hello(None)) == ClientHello("")


def test_every_beginning_is_incomplete() -> None:
    data = real_hello("a.example")
    assert all(read_hello(data[:end]) is None for end in range(len(data)))


@pytest.mark.parametrize("size", [2, 5, 40])
def test_a_message_cut_into_records(size: int) -> None:
    data = records(hello(sni(b"a.example")), size)
    assert read_hello(data) == ClientHello("a.example")
    assert read_hello(data[:-1]) is None


def test_no_extensions_is_no_host() -> None:
    assert read_hello(records(hello(bare=True))) == ClientHello("")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"G",
        b"EHLO x\r\n",
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01\x00\x02",  # SSL 2
        b"\x16\x02",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        records(b"\x02" + vector(3, b"x")),
        records(b"\x01\xff\xff\xff"),
        records(hello(sni(b"a.example")) + b"\x01"),
        records(hello(sni(b"a.example"), tail=b"x")),
        records(hello(sni(b"a.example"), sni(b"b.example"))),
        records(hello(sni(b"a.example", b"b.example"))),
        records(hello(sni(b"a.example", kind=1))),
        records(hello((0, b""))),
        records(hello((0, b"\x00\x00"))),
        records(hello((0, vector(2, b"\x00" + vector(2, b"a.example")) + b"x"))),
        records(hello(sni("bücher".encode()))),
        records(hello(sni(b"a.example"), (0xFE0D, b"\x00"))),
        records(hello(sni(b"a.example"), (0xFFCE, b""))),
        records(hello(sni(b"a.example"), (0xFD00, b""))),
        records(b"\x01" + vector(3, b"\x03\x03")),
        records(hello(sni(b"a.example")), 1),
    ],
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(NotTlsError):
        read_hello(data)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, framed: bool) -> None:
    try:
        found = read_hello(records(b"\x01" + vector(3, data)) if framed else data)
    except NotTlsError:
        return
    assert found is None or isinstance(found, ClientHello)
