"""Scopes and addresses of keys, and the tricks that must not get around them."""

import pytest

from gateway.auth.restriction import Restriction, is_pattern, network


def paths(*patterns: str) -> Restriction:
    found = Restriction.of({"paths": list(patterns)}, [])
    assert found is not None
    return found


def code(restriction: Restriction, method: str, path: bytes, address: str = "") -> str | None:
    refusal = restriction.refusal(method, path, address)
    return None if refusal is None else f"{refusal.status} {refusal.code}"


def test_a_key_without_scopes_and_addresses_has_no_restriction() -> None:
    assert Restriction.of({}, []) is None


def test_methods() -> None:
    reading = Restriction.of({"methods": ["GET"]}, [])
    assert reading is not None
    assert code(reading, "GET", b"/%2e%2e//") is None  # paths are free
    assert code(reading, "HEAD", b"/") is None
    for method in ("POST", "DELETE", "OPTIONS", "get", "GET "):
        assert code(reading, method, b"/") == "403 key_scope"


@pytest.mark.parametrize(
    "path", [b"/items", b"/open/", b"/open/a", b"/open/a/b", b"/open/%C3%A9", b"/open/a%20b"]
)
def test_paths_inside(path: bytes) -> None:
    assert code(paths("/items", "/open/*"), "GET", path) is None


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/items/",
        b"/items/1",
        b"/ITEMS",
        b"/open",
        b"/Open/a",
        b"/%6fpen/a",
        b"/openly",
        b"items",
        b"",
        # dot segments, plain and encoded once, twice, three times, in part
        b"/open/../admin",
        b"/open/./a",
        b"/open/..",
        b"/open/..;/admin",
        b"/open/%2e%2e/admin",
        b"/open/%2E%2e/admin",
        b"/open/.%2e/admin",
        b"/open/%252e%252e/admin",
        b"/open/%25252e./admin",
        b"/open/%25%32%65./admin",
        # slashes
        b"/open//admin",
        b"/open/a%2Fb",
        b"/open/a%2fb",
        b"/open/a%252fb",
        b"/open/a%5Cb",
        b"/open/a\\b",
        b"//open/a",
        # what cuts or is cut off, and what is no text
        b"/open/a%00",
        b"/open/a%0d%0ab",
        b"/open/a b",
        b"/open/\xc3\xa9",
        b"/open/%c0%ae%c0%ae/admin",
        b"/open/%ff",
        b"/open/%2525252525252e",
    ],
)
def test_paths_outside(path: bytes) -> None:
    assert code(paths("/items", "/open/*"), "GET", path) == "403 key_scope"


def test_everything_below_the_root_still_has_one_reading() -> None:
    everything = paths("/*")
    assert code(everything, "GET", b"/") is None
    assert code(everything, "GET", b"/a/b") is None
    assert code(everything, "GET", b"/a/../b") == "403 key_scope"


def test_only_exact_paths() -> None:
    assert code(paths("/a"), "GET", b"/a") is None
    assert code(paths("/a"), "GET", b"/ab") == "403 key_scope"


@pytest.mark.parametrize("pattern", ["/", "/*", "/a", "/a/*", "/a-b/%C3%A9/*", "/a;v=1"])
def test_patterns(pattern: str) -> None:
    assert is_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "a", "*", "/a*", "/*/a", "/a/**", "/a/./*", "/../*", "//", "/a//*", "/a%2f"),
        *("/%2e", "/a?b", "/a#", "/a b", "/é", "/a\\b", "/a\n", "/%00", "/" + "a" * 300),
    ],
)
def test_no_patterns(pattern: str) -> None:
    assert not is_pattern(pattern)


def of_addresses(*texts: str) -> Restriction:
    found = Restriction.of({}, list(texts))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "2001:db8::1", "10.0.0.1"]
)
def test_addresses_inside(address: str) -> None:
    allowed = of_addresses("192.0.2.0/24", "2001:db8::/32", "::ffff:10.0.0.0/104")
    assert code(allowed, "GET", b"/", address) is None


@pytest.mark.parametrize(
    "address",
    ["192.0.3.7", "2001:db9::1", "::192.0.2.7", "", "unknown", "192.0.2.7:80", "192.0.2.07", "é"],
)
def test_addresses_outside(address: str) -> None:
    allowed = of_addresses("192.0.2.0/24", "2001:db8::/32")
    assert code(allowed, "GET", b"/", address) == "403 key_address"


def test_an_address_list_is_asked_before_the_scopes() -> None:
    both = Restriction.of({"methods": ["GET"]}, ["192.0.2.1"])
    assert both is not None
    assert code(both, "POST", b"/", "192.0.2.2") == "403 key_address"
    assert code(both, "POST", b"/", "192.0.2.1") == "403 key_scope"


@pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.2.0/33", "example.com", "", "1", "0x7f.1"])
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        network(text)


def test_scopes_that_nobody_knows_open_nothing() -> None:
    with pytest.raises(ValueError, match="unknown"):
        Restriction.of({"verbs": ["GET"]}, [])
