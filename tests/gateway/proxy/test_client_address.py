"""Whose call it is: what proxies of ours say counts, what callers write does not."""

import pytest

from gateway.proxy.client_address import MAX_HOPS, UNKNOWN, ClientAddresses

BEHIND = ClientAddresses.from_text("10.0.0.0/8, 192.0.2.1, fd00::/8")
PROXY = "10.1.2.3"
CALLER = "203.0.113.9"


def forwarded_for(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode("latin-1")) for value in values]


def forwarded(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"forwarded", value.encode("latin-1")) for value in values]


def test_without_proxies_nothing_is_believed() -> None:
    assert ClientAddresses().of(CALLER, forwarded_for("1.2.3.4")) == CALLER
    assert ClientAddresses.from_text(" ").of(PROXY, forwarded_for("1.2.3.4")) == PROXY


def test_a_stranger_cannot_say_who_he_is() -> None:
    assert BEHIND.of(CALLER, [*forwarded_for("10.0.0.1"), *forwarded("for=10.0.0.1")]) == CALLER


def test_the_nearest_hop_that_is_no_proxy_is_the_caller() -> None:
    headers = forwarded_for(f"1.1.1.1, 10.9.9.9, {CALLER}, 10.0.0.7,192.0.2.1")
    assert BEHIND.of(PROXY, headers) == CALLER
    assert BEHIND.of(PROXY, forwarded_for("1.1.1.1", CALLER, "10.0.0.7")) == CALLER


def test_a_proxy_that_names_nobody_asks_for_itself() -> None:
    assert BEHIND.of(PROXY, [(b"x_forwarded_for", b"1.2.3.4")]) == PROXY


def test_a_chain_of_proxies_alone_begins_at_its_far_end() -> None:
    assert BEHIND.of(PROXY, forwarded_for("10.0.0.5, 10.0.0.6")) == "10.0.0.5"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (f"{CALLER}:4711", CALLER),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (f"::ffff:{CALLER}", CALLER),
        (f"\t{CALLER} ", CALLER),
    ],
)
def test_forms_of_an_address(written: str, meant: str) -> None:
    assert BEHIND.of(PROXY, forwarded_for(written)) == meant


def test_a_peer_may_come_in_ipv6_clothes() -> None:
    assert BEHIND.of(f"::ffff:{PROXY}", forwarded_for(CALLER)) == CALLER


@pytest.mark.parametrize(
    "value",
    [
        f"for={CALLER}",
        f'For="{CALLER}:80";proto=https;by=_gateway',
        f'for=unknown, for="1.1.1.1", proto=http;for={CALLER}',
        f'for="a,b;c", for={CALLER}, for="[fd00::1]:80"',
        f'for="10.0.0.1, for={CALLER}',
    ],
)
def test_forwarded(value: str) -> None:
    assert BEHIND.of(PROXY, forwarded(value)) == CALLER


def test_both_headers_must_agree() -> None:
    """nginx writes the one and hands on the other as the caller wrote it."""
    agreeing = [*forwarded_for(CALLER), *forwarded(f"for={CALLER}")]
    assert BEHIND.of(PROXY, agreeing) == CALLER
    forged = [*forwarded("for=10.0.0.1"), *forwarded_for(CALLER)]
    assert BEHIND.of(PROXY, forged) == UNKNOWN
    assert BEHIND.of(PROXY, [*forwarded_for("10.0.0.1"), *forwarded(f"for={CALLER}")]) == UNKNOWN


@pytest.mark.parametrize(
    "headers",
    [
        forwarded_for(""),
        forwarded_for(f"{CALLER},"),
        forwarded_for("unknown"),
        forwarded_for("203.0.113.09"),
        forwarded_for("203.0.113"),
        forwarded_for("3405803785"),
        forwarded_for("0xcb.0.113.9"),
        forwarded_for(f"{CALLER}:999999"),
        forwarded_for(f"{CALLER} 10.0.0.1"),
        forwarded_for(f"[{CALLER}"),
        forwarded_for("fe80::1%eth0"),
        forwarded_for("\x00"),
        forwarded_for(f"\xa0{CALLER}"),
        forwarded("for=_hidden"),
        forwarded("proto=https"),
        forwarded(""),
        forwarded(f"for={CALLER};for=10.0.0.1"),
        forwarded(f'for="{CALLER}'),
        forwarded(f'for="{CALLER}\\"'),
        forwarded(f"for = {CALLER}"),
        forwarded(f"for={CALLER},"),
        forwarded_for(", ".join(["10.0.0.1"] * (MAX_HOPS + 1))),
    ],
)
def test_what_cannot_be_read_is_nobodys_address(headers: list[tuple[bytes, bytes]]) -> None:
    assert BEHIND.of(PROXY, headers) == UNKNOWN


def test_garbage_left_of_the_caller_is_never_looked_at() -> None:
    assert BEHIND.of(PROXY, forwarded_for(f"<script>, \x00, {CALLER}, 10.0.0.1")) == CALLER


@pytest.mark.parametrize(
    "value", ["," * 100_000, "1.1.1.1," * 50_000, '"' * 100_000, "for=" * 50_000, 'for="' * 50_000]
)
def test_a_long_header_is_read_from_its_end_alone(value: str) -> None:
    assert BEHIND.of(PROXY, [*forwarded_for(value), *forwarded(value)]) == UNKNOWN


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/8;::1", "*"])
def test_proxies_are_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        ClientAddresses.from_text(text)
