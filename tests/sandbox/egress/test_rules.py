"""What a policy allows, and what it says to everything else."""

from ipaddress import ip_address
from typing import Any

import pytest

from sandbox.egress.hosts import BadHostError, Host, normalise, split
from sandbox.egress.rules import NOTHING, Verdict, from_json, parse_rule


def decide(hosts: list[str], host: str, port: int = 443, **more: Any) -> Verdict:
    return from_json({"hosts": hosts, **more}).decide(normalise(host), port)


@pytest.mark.parametrize(
    ("entry", "host", "port", "verdict"),
    [
        ("api.example.com", "api.example.com", 443, Verdict.ALLOWED),
        ("api.example.com", "API.Example.COM.", 80, Verdict.ALLOWED),
        ("API.example.com.", "api.example.com", 80, Verdict.ALLOWED),
        ("api.example.com", "api.example.com", 8443, Verdict.PORT),
        ("api.example.com", "api.example.com", 25, Verdict.PORT),
        ("api.example.com", "x.api.example.com", 443, Verdict.HOST),
        ("api.example.com", "example.com", 443, Verdict.HOST),
        ("api.example.com", "api.example.com.evil.com", 443, Verdict.HOST),
        ("api.example.com", "notapi.example.com", 443, Verdict.HOST),
        ("api.example.com:8443", "api.example.com", 8443, Verdict.ALLOWED),
        ("api.example.com:8443", "api.example.com", 443, Verdict.PORT),
        ("*.example.com", "a.example.com", 443, Verdict.ALLOWED),
        ("*.example.com", "a.b.example.com", 443, Verdict.ALLOWED),
        ("*.example.com", "example.com", 443, Verdict.HOST),
        ("*.example.com", "badexample.com", 443, Verdict.HOST),
        ("*.example.com:8443", "a.example.com", 8443, Verdict.ALLOWED),
        ("*.example.com:8443", "a.example.com", 443, Verdict.PORT),
        ("bücher.example", "BÜCHER.example", 443, Verdict.ALLOWED),
        ("bücher.example", "xn--bcher-kva.example", 443, Verdict.ALLOWED),
        ("api.example.com", "ａｐｉ。example.com", 443, Verdict.ALLOWED),
        ("8.8.8.8", "8.8.8.8", 443, Verdict.ALLOWED),
        ("8.8.8.8", "0x08080808", 443, Verdict.ALLOWED),  # the same address, and pinned as such
        ("8.8.8.8:53", "8.8.8.8", 53, Verdict.ALLOWED),
        ("2606:4700::1111", "[2606:4700::1111]", 443, Verdict.ALLOWED),
        ("[2606:4700::1111]:8443", "2606:4700:0::1111", 8443, Verdict.ALLOWED),
        ("*.example.com", "8.8.8.8", 443, Verdict.HOST),
        ("*.8.8.8", "8.8.8.8", 443, Verdict.HOST),
        ("metadata.google.internal", "metadata.google.internal", 80, Verdict.LOCAL),
        ("localhost", "localhost", 80, Verdict.LOCAL),
        ("printer.local", "printer.local", 80, Verdict.LOCAL),
        ("*", "api.example.com", 443, Verdict.HOST),
        ("*.com", "api.com", 443, Verdict.HOST),
        ("", "api.example.com", 443, Verdict.HOST),
        ("https://api.example.com", "api.example.com", 443, Verdict.HOST),
        ("a*.example.com", "api.example.com", 443, Verdict.HOST),
    ],
)
def test_entries(entry: str, host: str, port: int, verdict: Verdict) -> None:
    assert decide([entry], host, port) is verdict


def test_nothing_is_allowed_unless_something_says_so() -> None:
    assert NOTHING.decide(Host("a.example"), 443) is Verdict.HOST
    assert decide([], "a.example") is Verdict.HOST


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"hosts": None},
        {"hosts": 5},
        {"hosts": ["a.example"], "placeholders": []},
        {"hosts": ["a.example"], "placeholders": {"x": "y"}},
        {"hosts": ["a.example"], "placeholders": {"x": {"value": "\ud800", "hosts": []}}},
        {"hosts": ["a.example"], "trusted": None},
        {"hosts": ["a.example"], "trusted": ["without port"]},
    ],
)
def test_what_cannot_be_read_allows_nothing(detail: dict[str, Any]) -> None:
    assert from_json(detail).decide(Host("a.example"), 443) is Verdict.HOST


def test_an_entry_that_cannot_be_read_leaves_the_others() -> None:
    assert decide(["a b", "a.example"], "a.example") is Verdict.ALLOWED


def test_trusted_is_one_host_and_port() -> None:
    trusted = ["index.internal:8080"]
    assert decide([], "index.internal", 8080, trusted=trusted) is Verdict.TRUSTED
    assert decide([], "index.internal", 443, trusted=trusted) is Verdict.HOST


def test_placeholders_go_to_their_hosts_and_ports() -> None:
    one = {"value": "secret", "hosts": ["a.example", "*.b.example", "c.example:443"]}
    rules = from_json({"hosts": [], "placeholders": {"PH": one}})
    swap = {b"PH": b"secret"}
    for host, port in (("a.example", 443), ("a.example", 80), ("x.b.example", 443)):
        assert rules.swaps_for(normalise(host), port) == swap
    assert rules.swaps_for(normalise("c.example"), 443) == swap  # so never in the clear
    for host, port in (("a.example", 8443), ("c.example", 80), ("b.example", 443), ("d.x", 443)):
        assert rules.swaps_for(normalise(host), port) == {}
    assert "secret" not in repr(rules)


@pytest.mark.parametrize(
    "authority",
    [
        *("", ":80", "a.example", "a.example:", "a.example:0", "a.example:65536", "a.example:x"),
        *("u@a.example:80", "u:p@a.example:80", "a.example:80@b", "a.example:80:90", "::1:80"),
        *("a.example/:80", "a.example\\:80", "a.example?:80", "a example:80", "a.example\x00:80"),
        *("a..example:80", "-a.example:80", "a-.example:80", "a" * 64 + ".example:80"),
        *(".".join(["abcdefgh"] * 40) + ":80", "[a.example]:80", "[::1:80", "a.example%00:80"),
        *("1.2.3.4.5:80", "999.1.1.1:80", "a.1:80", "*.example:80", "a.example:+80", "ａ／b:80"),
        *("a.example:８０", "a.example: 80", "..:80"),
    ],
)
def test_authorities_that_are_refused(authority: str) -> None:
    with pytest.raises(BadHostError):
        split(authority)


def test_authorities_are_normalised() -> None:
    assert split("A.example.:443") == (Host("a.example"), 443)
    assert split("[::1]:80") == (Host("::1", ip_address("::1")), 80)
    assert split("0x7f.1:80") == (Host("127.0.0.1", ip_address("127.0.0.1")), 80)
    assert split("a.example", 80) == (Host("a.example"), 80)
    assert split("_dmarc.a_b.example:1")[0] == Host("_dmarc.a_b.example")


@pytest.mark.parametrize("entry", ["*.", "*.*.example.com", "a.example:*", "*.[::1]:80"])
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(BadHostError):
        parse_rule(entry)
