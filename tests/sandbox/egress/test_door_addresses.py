"""Addresses that nobody may reach, with the tricks played by a real name server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.egress.own import own_addresses
from tests.sandbox.egress.harness import PUBLIC, PUBLIC_V6, Site, site
from tests.sandbox.egress.resolver import Script

ADDRESS = "egress_address_refused"
METADATA = ["169.254.169.254", "168.63.129.16", "169.254.170.2", "100.100.100.200"]
METADATA_V6 = ["fd00:ec2::254", "fe80::a9fe:a9fe", "fd20:ce::254", "::ffff:169.254.169.254"]


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as opened:
        yield opened


def connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


async def refused_both_ways(it: Site, authority: str) -> None:
    for reply in (await it.get(f"http://{authority}/"), await it.ask(connect(f"{authority}:443"))):
        assert (reply.status, reply.code) == (403, ADDRESS)
    assert it.dialled == []


@pytest.mark.parametrize("address", METADATA)
async def test_row_34_metadata_by_address_and_by_name(it: Site, address: str) -> None:
    it.open([address, "meta.example"])
    it.resolver.scripts["meta.example"] = Script(a=[[address]])
    await refused_both_ways(it, address)
    await refused_both_ways(it, "meta.example")


@pytest.mark.parametrize("address", METADATA_V6)
async def test_row_34_metadata_in_ipv6(it: Site, address: str) -> None:
    it.open([address, "meta.example"])
    it.resolver.scripts["meta.example"] = Script(aaaa=[[address]])
    await refused_both_ways(it, f"[{address}]")
    await refused_both_ways(it, "meta.example")


async def test_row_34_metadata_by_its_well_known_name(it: Site) -> None:
    it.open(["metadata.google.internal"])
    it.resolver.scripts["metadata.google.internal"] = Script(a=[[PUBLIC]])
    await refused_both_ways(it, "metadata.google.internal")
    assert it.resolver.asked == []


@pytest.mark.parametrize(
    ("spelling", "listed"),
    [
        *[(text, "127.0.0.1") for text in ("127.0.0.1", "127.1", "2130706433", "0x7f000001")],
        *[(text, "127.0.0.1") for text in ("017700000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.")],
        *[(text, "0.0.0.0") for text in ("0.0.0.0", "0", "0x0")],
        *[(text, "::1") for text in ("[::1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]")],
        *[(text, "::ffff:7f00:1") for text in ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]")],
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
        ("[64:ff9b:1::a00:1]", "64:ff9b:1::a00:1"),
        ("[2002:7f00:1::]", "2002:7f00:1::"),
        ("[::127.0.0.1]", "::7f00:1"),
    ],
)
async def test_row_35_spellings_of_loopback(it: Site, spelling: str, listed: str) -> None:
    it.open([listed])
    await refused_both_ways(it, spelling)


@pytest.mark.parametrize("name", ["localhost", "host.docker.internal", "printer.local"])
async def test_row_35_names_of_a_local_network(it: Site, name: str) -> None:
    it.open([name])
    it.resolver.scripts[name] = Script(a=[[PUBLIC]])
    await refused_both_ways(it, name)


async def test_row_36_rebinding_is_looked_at_each_time_and_pinned(it: Site) -> None:
    it.open(["rebind.example"])
    it.resolver.scripts["rebind.example"] = Script(a=[[PUBLIC], ["127.0.0.1"], [PUBLIC]])
    assert (await it.get("http://rebind.example/")).status == 200
    assert it.dialled == [(PUBLIC, 80)]  # the answer that was checked, asked for once
    assert it.resolver.asked.count(("rebind.example", "A")) == 1
    reply = await it.get("http://rebind.example/")
    assert (reply.status, reply.code) == (403, ADDRESS)
    assert it.dialled == [(PUBLIC, 80)]
    assert "rebind.example is 127.0.0.1 (loopback)" in it.said[-1]


@pytest.mark.parametrize(
    "script",
    [
        Script(a=[[PUBLIC, "10.0.0.1"]]),
        Script(a=[["10.0.0.1", PUBLIC]]),
        Script(a=[[PUBLIC]], aaaa=[["::1"]]),
        Script(a=[[PUBLIC]], aaaa=[["::ffff:10.0.0.1"]]),
        Script(a=[["192.168.0.1"]], aaaa=[[PUBLIC_V6]]),
        Script(aaaa=[["64:ff9b::a00:1"]]),
        Script(a=[[*[f"93.184.215.{n}" for n in range(40)], "127.0.0.1"]], over_tcp=True),
    ],
)
async def test_row_36_one_bad_answer_refuses_all(it: Site, script: Script) -> None:
    it.open(["two.example"])
    it.resolver.scripts["two.example"] = script
    await refused_both_ways(it, "two.example")


async def test_row_36_an_alias_of_a_private_host(it: Site) -> None:
    it.open(["alias.example"])
    it.resolver.scripts["alias.example"] = Script(cname="db.corp.example")
    it.resolver.scripts["db.corp.example"] = Script(a=[["10.1.2.3"]])
    await refused_both_ways(it, "alias.example")


async def test_row_37_a_redirect_comes_back_and_is_checked_when_followed(it: Site) -> None:
    it.open(["a.example"])
    it.plain.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    reply = await it.get("http://a.example/")
    assert reply.status == 302
    assert b"169.254.169.254" in reply.raw
    followed = await it.get("http://169.254.169.254/latest/")
    assert (followed.status, followed.code) == (403, "egress_host_not_allowed")
    assert it.dialled == [(PUBLIC, 80)]


async def test_row_38_names_that_are_not_listed_are_never_asked_about(it: Site) -> None:
    it.open(["a.example", "*.wild.example"])
    for name in ("c2VjcmV0.evil.example", "x.a.example", "wild.example"):
        reply = await it.ask(connect(f"{name}:443"))
        assert (reply.status, reply.code) == (403, "egress_host_not_allowed")
        assert (await it.get(f"http://{name}/")).status == 403
    reply = await it.ask(connect("a.example:25"))
    assert (reply.status, reply.code) == (403, "egress_port_not_allowed")
    assert it.resolver.asked == []


async def test_rows_41_and_42_this_machine_by_each_of_its_addresses(it: Site) -> None:
    own = sorted(str(address) for address in own_addresses())
    assert "127.0.0.1" in own
    it.open([*own, "me.example"])
    for address in own:
        await refused_both_ways(it, f"[{address}]" if ":" in address else address)


async def test_row_42_this_machines_public_address(
    it: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ipaddress import ip_address

    monkeypatch.setattr("sandbox.egress.own.own_addresses", lambda: {ip_address(PUBLIC)})
    it.open(["a.example"])
    await refused_both_ways(it, "a.example")
    assert "this machine" in it.said[-1]


async def test_a_public_address_that_is_listed_is_reached(it: Site) -> None:
    it.open([PUBLIC, PUBLIC_V6])
    assert (await it.get(f"http://{PUBLIC}/")).status == 200
    assert (await it.get(f"http://[{PUBLIC_V6}]/")).status == 200
    assert it.dialled == [(PUBLIC, 80), (PUBLIC_V6, 80)]
    assert it.resolver.asked == []
    assert b"Host: [2606:" in it.plain.requests[-1].replace(b"host:", b"Host:")


async def test_the_operators_own_index_may_be_private(it: Site) -> None:
    it.resolver.scripts["index.corp"] = Script(a=[["10.0.0.5"]])
    it.open([], trusted=["index.corp:8080"])
    assert (await it.get("http://index.corp:8080/simple/")).status == 200
    assert it.dialled == [("10.0.0.5", 8080)]
    assert (await it.get("http://index.corp/")).code == "egress_host_not_allowed"


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (None, 502, "egress_unreachable"),
        (Script(), 502, "egress_unreachable"),
        (Script(refused=True), 502, "egress_unreachable"),
        (Script(garbage=True), 504, "egress_timeout"),
        (Script(slow=True), 504, "egress_timeout"),
    ],
)
async def test_names_without_an_address(
    it: Site, script: Script | None, status: int, code: str
) -> None:
    it.open(["no.example"])
    if script is not None:
        it.resolver.scripts["no.example"] = script
    reply = await it.ask(connect("no.example:443"))
    assert (reply.status, reply.code) == (status, code)


async def test_aliases_without_end(it: Site) -> None:
    it.open(["loop.example", "chain0.example"])
    it.resolver.scripts |= {
        f"chain{n}.example": Script(cname=f"chain{n + 1}.example") for n in range(12)
    }
    it.resolver.scripts["chain12.example"] = Script(a=[[PUBLIC]])
    reply = await it.ask(connect("chain0.example:443"))
    assert (reply.status, reply.code) == (502, "egress_unreachable")
    it.resolver.scripts["chain6.example"] = Script(a=[[PUBLIC]])
    assert (await it.get("http://chain0.example/")).status == 200


async def test_long_answers_come_over_tcp(it: Site) -> None:
    it.open(["many.example"])
    it.resolver.scripts["many.example"] = Script(a=[[PUBLIC]], over_tcp=True)
    assert (await it.get("http://many.example/")).status == 200
    assert it.resolver.tcp_questions > 0


async def test_the_next_address_is_tried_when_one_is_dead(it: Site) -> None:
    it.open(["two.example:9000", "two.example:80"])
    it.resolver.scripts["two.example"] = Script(a=[[PUBLIC, "1.1.1.1"]])
    reply = await it.get("http://two.example:9000/")
    assert (reply.status, reply.code) == (502, "egress_unreachable")
    assert sorted(it.dialled) == [("1.1.1.1", 9000), (PUBLIC, 9000)]
