"""Which Host names which API's own origin."""

import pytest

from gateway.proxy.origins import NO_API, slug_of

BASE = "apis.example.com"


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        (b"cats.apis.example.com", "cats"),
        (b"cats.apis.example.com:8443", "cats"),
        (b"cats.apis.example.com:", "cats"),
        (b"cats.apis.example.com.", "cats"),
        (b"Cats.APIs.Example.COM", "cats"),
        (b"cat-facts-2.apis.example.com", "cat-facts-2"),
        (b"c.apis.example.com", "c"),
        # the gateway's own names, and those of others
        (b"apis.example.com", None),
        (b"example.com", None),
        (b"localhost:8000", None),
        (b"catsapis.example.com", None),
        (b"cats.apis.example.com.evil.example", None),
        (b"[::1]:8000", None),
        (b"", None),
        # below the base domain, but no API's
        (b".apis.example.com", NO_API),
        (b"a.b.apis.example.com", NO_API),
        (b"cats..apis.example.com", NO_API),
        (b"cats_.apis.example.com", NO_API),
        (b"-cats.apis.example.com", NO_API),
        (b"cats-.apis.example.com", NO_API),
        (b"cats@2.apis.example.com", NO_API),
        (b"xn--cts-gla.apis.example.com", NO_API),
        ("kätzchen.apis.example.com".encode(), NO_API),
        (b"a" * 64 + b".apis.example.com", NO_API),
        (b"0b6f7a52-6c1e-4a3e-9d3d-6f4f0f6b2c11.apis.example.com", NO_API),
        (b"user@evil:x.apis.example.com", NO_API),
        (b"cats/../x.apis.example.com", NO_API),
        (b"cats .apis.example.com", NO_API),
        (b"cats\n.apis.example.com", NO_API),
    ],
)
def test_host(host: bytes, slug: str | None) -> None:
    assert slug_of(host, BASE) == slug


def test_without_a_base_domain_there_are_no_own_origins() -> None:
    assert slug_of(b"cats.apis.example.com", None) is None
