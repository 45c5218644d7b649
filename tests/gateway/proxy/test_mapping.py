"""Addresses of apps that ignore their root path are put below it; others are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.headers import cage
from gateway.proxy.mapping import mapped

ROOT = b"/cats"
HOST = b"api.example.com"


def location(value: bytes, host: bytes = HOST) -> bytes:
    ((_, answer),) = mapped([(b"location", value)], ROOT, host)
    return answer


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"/", b"/cats/"),
        (b"/items/", b"/cats/items/"),
        (b"/items?q=/x#/y", b"/cats/items?q=/x#/y"),
        (b"/?next=/cats/x", b"/cats/?next=/cats/x"),
        (b"/cats", b"/cats"),
        (b"/cats/items", b"/cats/items"),
        (b"/cats?x=1", b"/cats?x=1"),
        (b"/cats#x", b"/cats#x"),
        (b"/catsitter", b"/cats/catsitter"),
        (b"/Cats/items", b"/cats/Cats/items"),
        (b"/%63ats/items", b"/cats/%63ats/items"),
        (b"/a%2Fb", b"/cats/a%2Fb"),
        # relative ones mean the same with and without a root path
        (b"items", b"items"),
        (b"./items", b"./items"),
        (b"../items", b"../items"),
        (b"?q=1", b"?q=1"),
        (b"#top", b"#top"),
        (b"", b""),
        # whole addresses
        (b"https://api.example.com/items", b"https://api.example.com/cats/items"),
        (b"http://API.example.com/items", b"http://API.example.com/cats/items"),
        (b"https://api.example.com:443/items", b"https://api.example.com:443/cats/items"),
        (b"https://api.example.com", b"https://api.example.com/cats/"),
        (b"https://api.example.com?q=1", b"https://api.example.com/cats/?q=1"),
        (b"https://api.example.com/cats/items", b"https://api.example.com/cats/items"),
        (b"//api.example.com/items", b"//api.example.com/cats/items"),
        (b"https://api.example.com:8443/items", b"https://api.example.com:8443/items"),
        (b"https://other.example.com/items", b"https://other.example.com/items"),
        (b"https://api.example.com@evil.example/x", b"https://api.example.com@evil.example/x"),
        (b"https://api.example.com.evil.example/x", b"https://api.example.com.evil.example/x"),
        (b"//other.example.com/items", b"//other.example.com/items"),
        (b"mailto:cat@example.com", b"mailto:cat@example.com"),
        (b"myapp://open/items", b"myapp://open/items"),
        # what a browser would read in another way than it looks
        (b"/../items", b"/cats/items"),
        (b"/cats/../dogs/items", b"/cats/dogs/items"),
        (b"/cats/%2e%2E/dogs", b"/cats/dogs"),
        (b"/cats/.%2e/dogs", b"/cats/dogs"),
        (b"/cats/..", b"/cats/"),
        (b"/cats\\..\\..\\dogs", b"/cats/dogs"),
        (b"/a/./b/.", b"/cats/a/b/"),
        (b"/.well-known/x", b"/cats/.well-known/x"),
        (b"/a/..b/c..", b"/cats/a/..b/c.."),
        (b" /items", b"/cats/items"),
        (b"/\titems", b"/cats/items"),
        (b"\t/\t/other.example.com/", b"\t/\t/other.example.com/"),
        (b"/\\other.example.com/", b"/\\other.example.com/"),
        (b"\\items", b"/cats/items"),
        (b"https:\\\\api.example.com\\items", b"https://api.example.com/cats/items"),
        (b"/.//other.example.com", b"/cats//other.example.com"),
    ],
)
def test_location(sent: bytes, received: bytes) -> None:
    assert location(sent) == received


def test_host_with_a_port_is_compared_with_it() -> None:
    assert (
        location(b"http://localhost:8000/x", b"localhost:8000") == b"http://localhost:8000/cats/x"
    )
    assert location(b"http://localhost/x", b"localhost:8000") == b"http://localhost/x"
    assert location(b"http://localhost/x", b"localhost:80") == b"http://localhost/cats/x"
    assert location(b"https://localhost/x", b"localhost:80") == b"https://localhost/x"


def test_without_a_host_no_whole_address_is_ours() -> None:
    assert location(b"http:///x", b"") == b"http:///x"


def test_content_location_is_mapped_too() -> None:
    assert mapped([(b"content-location", b"/x")], ROOT) == [(b"content-location", b"/cats/x")]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"5", b"5"),
        (b"5; url=/x", b"5; url=/cats/x"),
        (b"0;URL='/x'", b"0;URL='/cats/x'"),
        (b'0, url="/x"; more', b'0, url="/cats/x"'),
        (b"0; /x", b"0; /cats/x"),
        (b"0; url=https://other.example.com/", b"0; url=https://other.example.com/"),
        (b"nonsense", b"nonsense"),
    ],
)
def test_refresh(sent: bytes, received: bytes) -> None:
    assert mapped([(b"refresh", sent)], ROOT, HOST) == [(b"refresh", received)]


def test_cookies_are_confined_and_refused_ones_are_dropped() -> None:
    headers = [
        (b"set-cookie", b"a=1; Path=/"),
        (b"x", b"/y"),
        (b"set-cookie", b"__Host-b=1; Secure; Path=/"),
    ]
    assert mapped(headers, ROOT) == [(b"set-cookie", b"a=1; Path=/cats"), (b"x", b"/y")]


def test_headers_without_addresses_are_the_same_list() -> None:
    headers = [(b"content-type", b"text/plain")]
    assert mapped(headers, ROOT) is headers


def test_on_an_own_origin_addresses_stay_and_pages_are_free() -> None:
    page = [(b"content-type", b"text/html"), (b"location", b"/x")]
    own = (b"content-security-policy", b"sandbox")
    assert mapped([*page, own, *cage(page)], b"", HOST) == [*page, own]


@given(st.lists(st.sampled_from([b"/", b"\\", b".", b"..", b"%2e", b"\t", b"x", b"?", b"#"])))
def test_an_absolute_path_always_ends_up_below_the_root(pieces: list[bytes]) -> None:
    value = b"/x" + b"".join(pieces)
    answer = location(value)
    path = answer.split(b"?")[0].split(b"#")[0]
    assert path == ROOT or path.startswith(ROOT + b"/")
    assert b".." not in path.replace(b"%2e", b".").split(b"/")


@pytest.mark.parametrize(
    "value", [b"/" * 60_000, b"/.." * 20_000, b"/x" + b"%2e/" * 15_000, b"/\t" * 30_000]
)
def test_a_very_long_address_is_read_once(value: bytes) -> None:
    assert len(location(value)) <= len(value) + len(ROOT) + 1
    headers = [(b"refresh", b"5;" + value), (b"set-cookie", b"a=1" + b";path" * 12_000)]
    assert mapped(headers, ROOT)[1] == (b"set-cookie", b"a=1; Path=/cats")
