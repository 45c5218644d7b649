"""Placeholders: the secret goes to its host and nowhere else."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from sandbox.egress.authority import Authority
from sandbox.egress.hosts import normalise
from tests.sandbox.egress.harness import PUBLIC, Site, site, trusting
from tests.sandbox.egress.resolver import Script
from tests.sandbox.egress.test_door_http import headers_of
from tests.sandbox.egress.test_hello import real_hello

SECRET = "sk-live-51:ü"
ONE = {"PH-1": {"value": SECRET, "hosts": ["a.example"]}}


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as opened:
        opened.resolver.scripts["b.example"] = Script(a=[[PUBLIC]])
        opened.open(["a.example", "a.example:8443", "b.example"], placeholders=ONE)
        yield opened


@asynccontextmanager
async def http_client(it: Site, ca: Authority) -> AsyncIterator[httpx.AsyncClient]:
    """A client as apps use it: its proxy is a port on loopback, as the runner forwards it."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        out_reader, out_writer = await it.connect()
        await asyncio.gather(pump(reader, out_writer), pump(out_reader, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(proxy=proxy, verify=trusting(ca), trust_env=False) as one:
        yield one


async def test_an_ordinary_client_sends_the_secret_it_never_saw(it: Site) -> None:
    it.secure.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with capture_logs() as logs:
        async with http_client(it, it.authority) as client:
            for number in range(3):
                answer = await client.post(
                    f"https://a.example/v1?n={number}",
                    headers={"Authorization": "Bearer PH-1", "X-Other": "PH-1+PH-1"},
                    content=b"",
                )
                assert answer.text == "ok"
    sent = headers_of(it.secure.requests[0])
    assert sent["authorization"] == f"Bearer {SECRET}"
    assert sent["x-other"] == f"{SECRET}+{SECRET}"
    assert sent["host"] == "a.example"
    assert it.secure.connections == 3
    assert SECRET not in repr(logs)
    assert "PH-1" not in b"".join(it.secure.requests).decode()


async def test_basic_credentials(it: Site) -> None:
    async with http_client(it, it.authority) as client:
        await client.get("https://a.example/", auth=("PH-1", "x"))
    sent = headers_of(it.secure.requests[0])["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"{SECRET}:x"


@pytest.mark.parametrize("text", ["Basic", "Basic !!!", "Basic " + "A" * 5, "basic "])
async def test_broken_credentials_go_on_as_they_are(it: Site, text: str) -> None:
    assert (await it.get("http://a.example/", f"Authorization: {text}")).status == 200
    assert headers_of(it.plain.requests[0])["authorization"] == text.strip()


async def test_plain_http(it: Site) -> None:
    await it.get("http://a.example/PH-1?k=PH-1", "X-Key: PH-1")
    assert headers_of(it.plain.requests[0])["x-key"] == SECRET
    assert it.plain.requests[0].startswith(b"GET /PH-1?k=PH-1 ")  # header values only


async def test_no_secret_for_another_host_or_port(it: Site) -> None:
    await it.get("http://b.example/", "X-Key: PH-1")
    assert headers_of(it.plain.requests[0])["x-key"] == "PH-1"
    reader, writer = await it.tls("a.example", 8443)  # not terminated: the host's own certificate
    writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Key: PH-1\r\n\r\n")
    await reader.read()
    writer.close()
    assert b"X-Key: PH-1\r\n" in it.secure.requests[0]


async def test_only_the_doors_certificate_is_shown_inside(it: Site) -> None:
    _, writer = await it.tls("a.example", ca=it.authority)
    shown = writer.get_extra_info("peercert")
    assert ("DNS", "a.example") in shown["subjectAltName"]
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await it.tls("a.example", ca=it.internet)


async def test_the_host_must_prove_itself_to_the_door(it: Site) -> None:
    with_b = {"PH-1": {"value": SECRET, "hosts": ["b.example"]}}
    it.door.updated("api", {"hosts": ["b.example"], "placeholders": with_b})
    head = b"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n"
    reply = await it.ask(head)  # the host at that address has a certificate of a.example
    assert (reply.status, reply.code) == (502, "egress_unreachable")
    assert "certificate of b.example is not valid" in it.said[-1]


async def inside(it: Site, data: bytes) -> bytes:
    reader, writer = await it.tls("a.example", ca=it.authority)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example:8443\r\n\r\n",
        b"GET https://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: a.example\r\nX-Key: PH-1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_requests_inside_that_are_refused(it: Site, data: bytes) -> None:
    answer = await inside(it, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"egress_bad_request" in answer
    assert it.secure.requests == []


async def test_one_request_a_tunnel(it: Site) -> None:
    one = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Key: PH-1\r\n\r\n"
    assert (await inside(it, one + one)).count(b"HTTP/1.1 200") == 1
    assert len(it.secure.requests) == 1


async def test_tls_inside_must_be_for_the_host_as_well(it: Site) -> None:
    reader, writer = await it.tunnel("a.example:443")
    writer.write(real_hello("b.example"))
    assert await reader.read() == b"\x15\x03\x03\x00\x02\x02\x70"
    writer.close()
    reader, writer = await it.tunnel("a.example:443")
    writer.write(real_hello("a.example") + b"\x17\x03\x03\x00\x05junk!")
    await reader.read()
    writer.close()
    assert it.secure.requests == []


async def test_a_secret_that_is_no_header_value_is_not_sent_and_not_shown(it: Site) -> None:
    bad = {"PH-1": {"value": "x\r\nHost: evil", "hosts": ["a.example:80"]}}
    it.door.updated("api", {"hosts": ["a.example"], "placeholders": bad})
    reply = await it.get("http://a.example/", "X-Key: PH-1")
    assert (reply.status, reply.code) == (400, "egress_bad_request")
    assert b"evil" not in reply.raw
    assert "evil" not in "".join(it.said)


async def test_a_large_answer_through_the_terminated_tunnel(it: Site) -> None:
    it.secure.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"z" * 3_000_000
    async with http_client(it, it.authority) as client:
        answer = await client.get("https://a.example/")
    assert answer.content == b"z" * 3_000_000


def test_the_authority_signs_for_names_and_addresses_and_keeps_few() -> None:
    authority = Authority()
    first = authority.context(normalise("a.example"))
    assert authority.context(normalise("a.example")) is first
    long = ".".join(["abcdefghij" * 5] * 4)
    for name in (PUBLIC, "2606:4700::1111", long, "xn--bcher-kva.example"):
        assert isinstance(authority.context(normalise(name)), ssl.SSLContext)
    assert Authority().certificate != authority.certificate
    assert "PRIVATE" not in authority.certificate
