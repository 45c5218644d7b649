"""Row 40: a tunnel carries TLS for its own host, or nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.egress.harness import PUBLIC, Site, site
from tests.sandbox.egress.test_hello import hello, real_hello, records, sni
from tests.support.waiting import until

MISMATCH = "egress_tls_mismatch"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as opened:
        yield opened


@pytest.fixture
def heard(it: Site) -> list[bytes]:
    """Every byte that reached the host behind the tunnel."""
    all_bytes: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            all_bytes.append(data)

    it.plain.talk = listen
    it.ports[443] = it.ports[80]
    return all_bytes


async def test_tls_for_the_host_goes_through_untouched(it: Site) -> None:
    it.open(["a.example"])
    reader, writer = await it.tls("a.example")
    writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert (await reader.read()).endswith(b"ok")
    assert it.secure.requests == [b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"]
    writer.close()
    await until(lambda: it.secure.connections == 1)
    assert it.said == []


@pytest.mark.parametrize("pieces", [1, 7, 100])
async def test_a_first_message_in_pieces_arrives_whole(
    it: Site, heard: list[bytes], pieces: int
) -> None:
    it.open(["a.example"])
    _, writer = await it.tunnel("a.example:443")
    first = records(hello(sni(b"A.Example")), 30)
    data = first + b"\x14\x03\x03\x00\x01\x01"
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        assert heard == [] or at >= len(first)
        writer.write(data[at : at + size])
        await writer.drain()
        await asyncio.sleep(0)
    await until(lambda: b"".join(heard) == data)
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        real_hello("b.example"),
        real_hello(None),
        real_hello("a.example.b.example"),
        records(hello(sni(b"a.example"), (0xFE0D, b"\x00" * 50))),
        records(hello(sni(b"a.example", b"b.example"))),
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"EHLO a.example\r\nMAIL FROM:<x@y>\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # a database's request for TLS
        b"\x80\x2e\x01\x03\x01\x00\x15",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_row_40_anything_else_ends_before_a_byte_goes_out(
    it: Site, heard: list[bytes], data: bytes
) -> None:
    it.open(["a.example"])
    reader, writer = await it.tunnel("a.example:443")
    writer.write(data)
    assert await reader.read() == b"\x15\x03\x03\x00\x02\x02\x70"
    writer.close()
    await until(lambda: bool(it.said))
    assert MISMATCH in it.said[0]
    assert heard == []


async def test_row_40_half_a_first_message_and_the_end(it: Site, heard: list[bytes]) -> None:
    it.open(["a.example"])
    reader, writer = await it.tunnel("a.example:443")
    writer.write(real_hello("a.example")[:50])
    writer.write_eof()
    assert await reader.read() == b"\x15\x03\x03\x00\x02\x02\x70"
    writer.close()
    assert heard == []


async def test_row_40_one_byte_at_a_time_is_given_up(it: Site, heard: list[bytes]) -> None:
    it.open(["a.example"])
    reader, writer = await it.tunnel("a.example:443")
    long = records(b"\x01" + (20_000).to_bytes(3, "big") + bytes(16_000))
    for byte in long[:3000]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
        if writer.is_closing() or reader.at_eof():
            break
    writer.write_eof()
    assert await reader.read() in (b"\x15\x03\x03\x00\x02\x02\x70", b"")
    writer.close()
    assert heard == []


async def test_row_40_bytes_sent_before_the_tunnel_is_open_are_looked_at_too(
    it: Site, heard: list[bytes]
) -> None:
    it.open(["a.example"])
    head = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    reply = await it.ask(head + b"EHLO x\r\n")
    assert reply.raw.endswith(b"\x70")
    assert heard == []
    _, writer = await it.connect()
    data = real_hello("a.example")
    writer.write(head + data)
    await until(lambda: b"".join(heard) == data)
    writer.close()


async def test_row_40_silence_is_not_waited_for(tmp_path: Path) -> None:
    async with site(tmp_path, head_seconds=0.2) as it:
        it.open(["a.example"])
        reader, writer = await it.tunnel("a.example:443")
        assert await reader.read() == b""
        writer.close()
        await until(lambda: bool(it.said))
        assert "egress_timeout" in it.said[0]


@pytest.mark.parametrize("port", [25, 22, 53, 5432, 8443])
async def test_row_40_other_ports_are_not_open(it: Site, port: int) -> None:
    it.open(["a.example"])
    head = f"CONNECT a.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n"
    reply = await it.ask(head.encode())
    assert (reply.status, reply.code) == (403, "egress_port_not_allowed")
    assert it.dialled == []


async def test_row_40_tls_ends_at_the_host_so_a_wrong_certificate_is_seen_inside(
    it: Site,
) -> None:
    it.open(["b.example"])
    it.resolver.scripts["b.example"] = it.resolver.scripts["a.example"]
    with pytest.raises(ssl.SSLCertVerificationError):
        await it.tls("b.example")  # the host answers with a certificate of a.example


async def test_an_address_has_no_name_to_give(it: Site, heard: list[bytes]) -> None:
    it.open([PUBLIC])
    _, writer = await it.tunnel(f"{PUBLIC}:443")
    data = real_hello(None)
    writer.write(data)
    await until(lambda: b"".join(heard) == data)
    writer.close()
    reader, writer = await it.tunnel(f"{PUBLIC}:443")
    writer.write(real_hello("a.example"))
    assert (await reader.read()).endswith(b"\x70")
    writer.close()
