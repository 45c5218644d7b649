"""Every special range, every spelling, and every IPv6 form that carries an IPv4 address."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.egress.addresses import looks_numeric, parse, refusal

SPECIAL = [
    *("0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200"),
    *("100.127.255.255", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254"),
    *("169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1"),
    *("192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "::8.8.8.8", "64:ff9b::10.0.0.1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "100::1", "100:0:0:1::1", "2001::1"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1::1", "2001:2::1", "2001:10::1"),
    *("2001:20::1", "2001:30::1", "2001:1ff::1", "2001:db8::1", "2002:808:808::1"),
    *("2002:7f00:1::", "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1"),
    *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:8.8.8.8", "1::1", "e000::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("128.0.0.1", "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888"),
    *("64:ff9b::8.8.8.8", "2620:4f:8001::1", "3ffe::1", "2003::1"),
]


@pytest.mark.parametrize("text", SPECIAL)
def test_special_addresses_are_refused(text: str) -> None:
    assert refusal(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_not(text: str) -> None:
    assert refusal(ip_address(text)) is None


METADATA = "169.254.169.254"
SPELLINGS = [
    (METADATA, METADATA),
    ("2852039166", METADATA),
    ("0xa9fea9fe", METADATA),
    ("0xA9FEA9FE", METADATA),
    ("025177524776", METADATA),
    ("0251.0376.0251.0376", METADATA),
    ("0xa9.0xfe.0xa9.0xfe", METADATA),
    ("0xa9.254.0251.254", METADATA),
    ("169.16689662", METADATA),
    ("169.254.43518", METADATA),
    ("169.254.169.254.", METADATA),
    ("１６９.２５４.１６９.２５４", METADATA),
    ("169。254。169。254", METADATA),
    ("169｡254．169.254", METADATA),
    ("①⑥⑨.254.169.254", METADATA),
    ("127.1", "127.0.0.1"),
    ("0", "0.0.0.0"),
    ("0x", "0.0.0.0"),
    ("017700000001", "127.0.0.1"),
    ("[::1]", "::1"),
    ("::1", "::1"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("[::ffff:169.254.169.254]", "::ffff:169.254.169.254"),
    ("[::FFFF:A9FE:A9FE]", "::ffff:169.254.169.254"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%25eth0]", "fe80::1"),
    ("[::1%8.8.8.8]", "::1"),
]


@pytest.mark.parametrize(("text", "address"), SPELLINGS)
def test_every_spelling_is_the_same_address(text: str, address: str) -> None:
    assert parse(text) == ip_address(address)
    assert looks_numeric(text)
    found = parse(text)
    assert found is not None
    assert refusal(found)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.example", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "1.2.65536", "4294967296"),
        *("08.1.1.1", "0xg", "1..2", ".1", "1.2.3.4..", "-1", "+1", "1_0", " 1", "[1.2.3.4", ":"),
        *("[::1", "::g", "1:2", "9" * 5000, "0x" + "f" * 5000, "０x7f.zz", "1.2.3.4:80", "0o17"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["1.2.3.4.5", "256.1.1.1", "host.08", "a.0xff", "::g", "９.x.１"])
def test_a_number_at_the_end_is_never_a_name(text: str) -> None:
    assert looks_numeric(text)


@pytest.mark.parametrize("text", ["a.example", "1password.com", "0xff.example", "xn--p1ai"])
def test_names_are_not_numeric(text: str) -> None:
    assert not looks_numeric(text)


PRIVATE = st.sampled_from(
    ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"]
).flatmap(lambda text: st.ip_addresses(network=IPv4Network(text)))
FORMS = {
    "mapped": 0xFFFF << 32,
    "compatible": 0,
    "translated": 0xFFFF << 48,
    "nat64": 0x64FF9B << 96,
    "local nat64": 0x64FF9B0001 << 80,
    "isatap": (0x20014860 << 96) | (0x5EFE << 32),
    "isatap global": (0x20014860 << 96) | (0x2005EFE << 32),
}


@given(PRIVATE, st.sampled_from(sorted(FORMS)))
def test_a_private_address_in_the_last_bits_is_refused(address: IPv4Address, form: str) -> None:
    carried = IPv6Address(FORMS[form] | int(address))
    assert refusal(carried)
    found = parse(f"[{carried}]")
    assert found == carried


@given(PRIVATE, st.integers(0, 2**80 - 1))
def test_a_private_address_in_6to4_or_teredo_is_refused(address: IPv4Address, rest: int) -> None:
    assert refusal(IPv6Address((0x2002 << 112) | (int(address) << 80) | rest))
    teredo = (0x20010000 << 96) | (rest & (2**64 - 1)) << 32
    assert refusal(IPv6Address(teredo | (int(address) ^ 0xFFFFFFFF)))


@given(st.ip_addresses())
def test_only_what_the_standard_library_calls_global_passes(
    address: IPv4Address | IPv6Address,
) -> None:
    if refusal(address) is None and not str(address).startswith("64:ff9b::"):
        assert address.is_global


@given(st.ip_addresses(v=4), st.sampled_from(["d", "x", "o", ".x", ".o"]))
def test_number_forms_come_back(address: IPv4Address, form: str) -> None:
    value = int(address)
    octets = str(address).split(".")
    text = {
        "d": str(value),
        "x": hex(value),
        "o": f"0{value:o}",
        ".x": ".".join(hex(int(octet)) for octet in octets),
        ".o": ".".join(f"0{int(octet):o}" for octet in octets),
    }[form]
    assert parse(text) == address


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_not(text: str) -> None:
    found = parse(text)
    assert found is None or looks_numeric(text)
