"""How much of the way out one app can use, and what a new policy does to it."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sandbox.channel import bind
from sandbox.egress.door import Teller
from sandbox.egress.limits import Bucket, Quota
from sandbox.egress.refusals import Code, RefusedError
from tests.sandbox.egress.harness import site
from tests.sandbox.egress.resolver import Script
from tests.support.waiting import until

HELLO_HEAD = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"


async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A host that never says anything and never leaves."""
    while await reader.read(65536):
        pass


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


GET = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"


async def test_connections_of_a_sandbox_and_of_an_api(tmp_path: Path) -> None:
    async with site(tmp_path, sandbox_connections=2, api_connections=3) as it:
        it.plain.talk = forever
        it.open(["a.example"])
        it.open(["a.example"], "s2")
        it.open(["a.example"], "s3", "other")
        writers = []
        for sandbox_id in ("s1", "s1", "s2"):
            _, writer = await it.connect(sandbox_id)
            writer.write(GET)
            writers.append(writer)
        await until(lambda: it.plain.connections == 3)
        for sandbox_id in ("s1", "s2"):
            reply = await it.ask(b"", sandbox_id)
            assert (reply.status, reply.code) == (403, "egress_limit")
        it.plain.talk = None
        assert (await it.ask(GET, "s3")).status == 200  # another API is not concerned
        for writer in writers:
            writer.close()
        it.door.closed("s2")
        reply = await it.ask(GET)
        while reply.status == 403:  # the ended ones are counted until they are noticed
            it.door.updated("api", {"hosts": []})
            it.door.updated("api", {"hosts": ["a.example"]})
            reply = await it.ask(GET)
        assert reply.status == 200


async def test_bytes_of_a_connection(tmp_path: Path) -> None:
    async with site(tmp_path, connection_bytes=1_000_000) as it:
        it.open(["a.example"])
        it.plain.talk = flood
        reply = await it.ask(GET)
        assert len(reply.raw) < 1_200_000
        await until(lambda: bool(it.said))
        assert "egress_limit" in it.said[0]


async def test_bytes_of_a_tunnel(tmp_path: Path) -> None:
    async with site(tmp_path, connection_bytes=500_000) as it:
        it.open(["a.example"])
        it.secure.talk = flood
        reader, writer = await it.tls("a.example")
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1_000_000)
        writer.close()
        await until(lambda: bool(it.said))
        assert "egress_limit" in it.said[0]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"idle_seconds": 0.3}, "nothing moved for 0.3 seconds"),
        ({"connection_seconds": 0.3}, "over after 0.3 seconds"),
    ],
)
async def test_time_of_a_request(tmp_path: Path, limits: dict[str, float], text: str) -> None:
    async with site(tmp_path, **limits) as it:
        it.open(["a.example"])
        it.plain.talk = forever
        reply = await it.ask(GET)
        assert (reply.status, reply.code) == (504, "egress_timeout")
        assert text in it.said[0]


async def test_an_idle_tunnel_ends(tmp_path: Path) -> None:
    async with site(tmp_path, idle_seconds=0.3) as it:
        it.open(["a.example"])
        reader, writer = await it.tls("a.example")
        assert await reader.read() == b""
        writer.close()
        await until(lambda: bool(it.said))
        assert "nothing moved" in it.said[0]


async def test_a_head_that_does_not_come(tmp_path: Path) -> None:
    async with site(tmp_path, head_seconds=0.2) as it:
        it.open(["a.example"])
        reply = await it.ask(b"GET http://a.example/ HT")
        assert (reply.status, reply.code) == (504, "egress_timeout")
        assert it.dialled == []


async def test_names_being_resolved_at_the_same_time(tmp_path: Path) -> None:
    async with site(tmp_path, api_resolutions=2) as it:
        it.open(["slow.example", "a.example"])
        it.open(["a.example"], "s2", "other")
        it.resolver.scripts["slow.example"] = Script(slow=True)
        slow = b"GET http://slow.example/ HTTP/1.1\r\nHost: slow.example\r\n\r\n"
        waiting = [asyncio.create_task(it.ask(slow)) for _ in range(2)]
        await until(lambda: len(it.resolver.asked) >= 4)
        assert (await it.ask(GET)).code == "egress_limit"
        assert (await it.ask(GET, "s2")).status == 200
        assert [(await one).code for one in waiting] == ["egress_timeout"] * 2
        assert (await it.ask(GET)).status == 200


async def test_new_connections_a_second(tmp_path: Path) -> None:
    async with site(tmp_path, sandbox_rate=1000, sandbox_burst=1) as it:
        it.open(["a.example"])
        assert [(await it.ask(GET)).status for _ in range(5)] == [200] * 5


async def test_a_new_policy_ends_what_it_does_not_allow(tmp_path: Path) -> None:
    async with site(tmp_path, idle_seconds=30) as it:
        it.open(["a.example"])
        reader, writer = await it.tls("a.example")
        with capture_logs() as logs:
            it.door.updated("other", {"hosts": []})
            it.door.updated("api", {"hosts": ["*.b.example", "a.example"]})
            assert not reader.at_eof()
            it.door.updated("api", {"hosts": ["a.example:80"]})
            assert await reader.read() == b""
            await until(lambda: bool(logs))
        assert logs[0]["verdict"] == "closed"
        assert (await it.ask(HELLO_HEAD)).code == "egress_port_not_allowed"
        writer.close()


async def test_a_closed_sandbox_has_no_way_out(tmp_path: Path) -> None:
    async with site(tmp_path, idle_seconds=30) as it:
        it.open(["a.example"])
        reader, writer = await it.tls("a.example")
        it.door.closed("s1")
        it.door.closed("s1")
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await it.connect()
        writer.close()


async def test_opened_again_keeps_connections_and_takes_the_new_listener(tmp_path: Path) -> None:
    async with site(tmp_path, idle_seconds=30) as it:
        it.open(["a.example"])
        reader, writer = await it.tls("a.example")
        it.open(["a.example"])
        assert (await it.ask(GET)).status == 200
        assert not reader.at_eof()
        it.open([])
        assert await reader.read() == b""
        it.open(["a.example"], "s1", "other api")
        assert (await it.ask(GET)).status == 200
        writer.close()


async def test_without_hosts_everything_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        it.door.opened("s1", "api", bind(it.path()), {}, it.said.append)
        assert (await it.ask(GET)).code == "egress_host_not_allowed"
        assert (await it.ask(HELLO_HEAD)).code == "egress_host_not_allowed"
        assert it.resolver.asked == []


async def test_each_connection_is_logged_with_its_bytes(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        it.open(["a.example"])
        with capture_logs() as logs:
            await it.ask(GET)
            await it.ask(GET.replace(b"a.example", b"b.example"))
            await until(lambda: len(logs) == 2)
        assert logs[0]["verdict"] == "allowed"
        assert (logs[0]["host"], logs[0]["port"], logs[0]["api_id"]) == ("a.example", 80, "api")
        assert logs[0]["sent"] > 0
        assert logs[0]["received"] == len(it.plain.answer)
        assert (logs[1]["verdict"], logs[1]["sent"]) == ("egress_host_not_allowed", 0)


async def test_clients_that_leave_at_any_moment_leave_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        it.open(["a.example"])
        with capture_logs() as logs:
            for end in range(0, len(HELLO_HEAD), 7):
                _, writer = await it.connect()
                writer.write(HELLO_HEAD[:end])
                writer.transport.abort()
            count = len(range(0, len(HELLO_HEAD), 7))
            await until(lambda: len(logs) >= count)
        assert {entry["log_level"] for entry in logs} == {"info"}


def test_refusals_are_not_written_without_end() -> None:
    lines: list[str] = []
    teller = Teller(lines.append)
    for _ in range(10_000):
        teller.say("no")
    assert len(lines) <= 25


def test_bucket_says_how_long_to_wait() -> None:
    bucket = Bucket(0.5, 2)
    assert [bucket.take(), bucket.take()] == [0, 0]
    assert 1.5 < bucket.take() <= 2


def test_quota_gives_back_whatever_happens() -> None:
    quota = Quota("things", 2)
    with quota.one(("a", 1)), pytest.raises(RefusedError) as refused, quota.one(("a", 1)):
        pass
    assert refused.value.code is Code.LIMIT
    with quota.one(("a", 1)), quota.one(("b", 1)), pytest.raises(RefusedError), quota.one():
        pass
    with pytest.raises(ValueError, match="x"), quota.one(("a", 1)):
        raise ValueError("x")
    with quota.one(("a", 1)), quota.one(("b", 1)):
        pass
