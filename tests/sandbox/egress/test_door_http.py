"""Plain HTTP through the door: what goes out, what comes back, what is ambiguous."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.egress.harness import Site, site
from tests.support.waiting import until


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as opened:
        opened.open(["a.example", "a.example:8080", "b.example"])
        yield opened


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}


async def test_a_request_goes_out_in_its_own_form(it: Site) -> None:
    reply = await it.get(
        "http://A.Example./path?q=1#part",
        *("Accept: text/plain", "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive"),
        *("Connection: keep-alive, X-Hop, Host", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers"),
        *("Upgrade: websocket", "X-Kept: ü"),
    )
    assert reply.status == 200
    assert reply.raw.endswith(b"\r\n\r\nok")
    (head,) = it.plain.requests
    assert head.startswith(b"GET /path?q=1 HTTP/1.1\r\n")
    sent = headers_of(head)
    assert set(sent) - {""} == {"host", "accept", "connection", "x-kept"}
    assert (sent["host"], sent["connection"]) == ("a.example", "close")


async def test_the_port_is_part_of_the_host(it: Site) -> None:
    assert (await it.get("http://a.example:8080")).status == 200
    assert headers_of(it.plain.requests[0])["host"] == "a.example:8080"
    assert it.plain.requests[0].startswith(b"GET / ")


@pytest.mark.parametrize("kind", ["length", "chunks"])
async def test_a_body_goes_out_and_comes_back(it: Site, kind: str) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b"chunked" in head.lower()) == (kind == "chunks")
        body = b""
        while b"END" not in body:
            body += await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body), body))

    it.plain.talk = echo
    body = b"x" * 100_000 + b"END"
    if kind == "length":
        framed, header = body, f"Content-Length: {len(body)}"
    else:
        framed, header = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), "Transfer-Encoding: chunked"
    head = f"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{header}\r\n\r\n"
    reply = await it.ask(head.encode() + framed)
    assert reply.status == 200
    assert reply.raw.count(b"x") >= 100_000
    assert b"X-Trailer" not in reply.raw


async def test_answers_that_end_with_the_connection_and_to_head(it: Site) -> None:
    it.plain.answer = b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 300_000
    assert (await it.get("http://a.example/")).raw.count(b"y") >= 300_000
    it.plain.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    reply = await it.ask(b"HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert b"5000" in reply.raw


async def test_interim_answers(it: Site) -> None:
    it.plain.answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\n"
    )
    reply = await it.get("http://a.example/")
    assert re.findall(rb"HTTP/1.1 (\d+)", reply.raw) == [b"100", b"204"]


async def test_one_request_a_connection(it: Site) -> None:
    one = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
    reply = await it.ask(one + b"GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n")
    assert reply.raw.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in reply.raw.lower()
    assert len(it.plain.requests) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example:81\r\n\r\n",
        b"GET http://a.example:8080/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\n\r\n",
        b"GET http://a.example/ HTTP/1.0\r\nHost: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http:a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://u:p@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://a.example\\@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http:/// HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT http://a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT a.example:443@b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST http://a.example/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nxx",
        b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: -1\r\n\r\n",
        b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: x\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost : a.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: a\x00b\r\n\r\n",
        b"GET http://a.example/\xff HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"\x05\x01\x00\r\n\r\n",  # SOCKS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_two_programs_could_read_differently_is_refused(it: Site, data: bytes) -> None:
    reply = await it.ask(data)
    assert (reply.status, reply.code) == (400, "egress_bad_request")
    assert it.dialled == []
    assert it.plain.requests == []


async def test_a_host_that_is_not_listed(it: Site) -> None:
    reply = await it.get("http://c.example/")
    assert (reply.status, reply.code) == (403, "egress_host_not_allowed")
    assert b"application/problem+json" in reply.raw
    await until(lambda: bool(it.said))
    assert it.said[0].startswith("outgoing connection to c.example:80 refused: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad\x00: 1\r\n\r\n",
    ],
)
async def test_a_host_that_does_not_answer_in_http(it: Site, answer: bytes) -> None:
    it.plain.answer = answer
    reply = await it.get("http://a.example/")
    assert (reply.status, reply.code) == (502, "egress_unreachable")


async def test_an_answer_that_breaks_off_is_not_made_whole(it: Site) -> None:
    it.plain.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    reply = await it.get("http://a.example/")
    assert reply.raw.endswith(b"half")
    assert reply.raw.count(b"HTTP/1.1") == 1


async def test_a_body_that_turns_bad_after_the_answer_began(it: Site) -> None:
    head = (
        b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await reader.read()

    it.plain.talk = begin
    reader, writer = await it.connect()
    writer.write(head)
    await reader.readuntil(b"half")
    writer.write(b"nonsense\r\n")
    assert await reader.read() == b""
    writer.close()
