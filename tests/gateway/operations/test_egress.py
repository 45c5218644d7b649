"""Lists of hosts: one normal form, and nothing that the door could read differently."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.egress import (
    InvalidEgressError,
    checked_egress,
    checked_host,
    checked_hosts,
)
from sandbox.egress.rules import parse_rule

GOOD = [
    ("api.example.com", "api.example.com"),
    ("API.Example.COM", "api.example.com"),
    ("api.example.com.", "api.example.com"),
    ("api.example.com:8443", "api.example.com:8443"),
    ("api.example.com:00443", "api.example.com:443"),
    ("*.example.com", "*.example.com"),
    ("*.example.com:5432", "*.example.com:5432"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("*.straße.de", "*.xn--strae-oqa.de"),
    ("_dns.example.com", "_dns.example.com"),
    ("93.184.215.14", "93.184.215.14"),
    ("93.184.215.14:5432", "93.184.215.14:5432"),
    ("[2606:4700:0::1111]", "[2606:4700::1111]"),
    ("[2606:4700::1111]:443", "[2606:4700::1111]:443"),
]
BAD = [
    "", " ", ".", "*", "*.", "*.com", "com", "localhost", "a.localhost", "printer.local",
    "metadata.google.internal", "x.onion", "*.local.", "a..b", "-a.example.com",
    "a-.example.com", "a.example.com:", "a.example.com:0", "a.example.com:65536",
    "a.example.com:99999999", "a.example.com:http", "http://a.example.com", "a.example.com/x",
    "user@a.example.com", "a.example.com:80:80", "a b.example.com", "a.example.com\n",
    "a.example.com\0", "**.example.com", "a.*.example.com", "*a.example.com", "x" * 64 + ".com",
    ".".join(["abcdefgh"] * 30), "a" * 2000,
    "127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "100.64.0.1",
    "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1",
    "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "1.2.3", "1.2.3.4.5",
    "*.93.184.215.14", "93.184.215.014", "١٢٧.0.0.1", "①②⑦.0.0.1",
    "[::1]", "[::]", "[fe80::1]", "[fe80::1%eth0]", "[fc00::1]", "[ff02::1]", "[2001:db8::1]",
    "[::ffff:127.0.0.1]", "[::ffff:93.184.215.14]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:1::1]", "2606:4700::1111", "[2606:4700::1111", "[]", "[a.example.com]",
    "*.[2606:4700::1111]", "'; drop table apis; --.com", "xn--.com\u200b", "a\u3002\u3002b.com",
]  # fmt: skip


@pytest.mark.parametrize(("given_text", "normal"), GOOD)
def test_one_normal_form(given_text: str, normal: str) -> None:
    assert checked_host(given_text) == normal
    assert checked_host(normal) == normal


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidEgressError) as caught:
        checked_host(text)
    assert caught.value.code == "invalid_egress"
    assert "\n" not in caught.value.detail
    assert "\0" not in caught.value.detail


@pytest.mark.parametrize("normal", [normal for _, normal in GOOD])
def test_the_door_reads_the_same(normal: str) -> None:
    rule = parse_rule(normal)
    host, port = normal.removeprefix("*."), ""
    if not host.endswith("]"):
        host, _, port = (
            host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
        )
    assert rule.name == host.strip("[]")
    assert rule.is_domain is normal.startswith("*.")
    assert rule.ports == ({int(port)} if port else {80, 443})


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_whatever_is_accepted_is_normal_and_readable(text: str) -> None:
    try:
        normal = checked_host(text)
    except InvalidEgressError:
        return
    assert checked_host(normal) == normal
    assert normal.isascii()
    parse_rule(normal)


def test_each_once_in_order() -> None:
    asked = ["b.example.com", "A.example.com", "B.EXAMPLE.com", "a.example.com."]
    assert checked_hosts(asked) == ["b.example.com", "a.example.com"]


def test_a_hundred_and_no_more() -> None:
    hosts = [f"h{n}.example.com" for n in range(101)]
    assert len(checked_hosts(hosts[:100])) == 100
    with pytest.raises(InvalidEgressError):
        checked_hosts(hosts)


@pytest.mark.parametrize("asked", [{}, {"hosts": [], "ports": []}, {"host": []}])
def test_only_hosts(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidEgressError):
        checked_egress(asked)
