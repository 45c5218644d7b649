"""Cookies of APIs stay with the API; cookies of the gateway stay with the gateway."""

import pytest

from gateway.proxy.cookies import confined, is_own, without_own
from gateway.proxy.headers import read_request

ROOT = b"/cats"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"a=1", b"a=1; Path=/cats"),
        (b"a=1; Path=/", b"a=1; Path=/cats"),
        (b"a=1; Path=/admin", b"a=1; Path=/cats/admin"),
        (b"a=1; path = /admin ", b"a=1; Path=/cats/admin"),
        (b"a=1; Path=/cats", b"a=1; Path=/cats"),
        (b"a=1; Path=/cats/", b"a=1; Path=/cats/"),
        (b"a=1; Path=/cats/admin", b"a=1; Path=/cats/admin"),
        (b"a=1; Path=/catsitter", b"a=1; Path=/cats/catsitter"),
        (b"a=1; Path=/cats/admin; Path=/", b"a=1; Path=/cats"),
        (b"a=1; Path=", b"a=1; Path=/cats"),
        (b"a=1; Path", b"a=1; Path=/cats"),
        (b'a=1; Path="/"', b"a=1; Path=/cats"),
        (b"a=1; Path=relative", b"a=1; Path=/cats"),
        (b"a=1; Path=/" + b"x" * 1024, b"a=1; Path=/cats"),
        (b"a=1; Domain=example.com", b"a=1; Path=/cats"),
        (b"a=1; DOMAIN=.example.com ;Secure", b"a=1;Secure; Path=/cats"),
        (b"a=1; domain; domain=b; Max-Age=5", b"a=1; Max-Age=5; Path=/cats"),
        (b"a=1; HttpOnly; SameSite=Lax", b"a=1; HttpOnly; SameSite=Lax; Path=/cats"),
        (b"a=x=y; Path=/", b"a=x=y; Path=/cats"),
        (b"__Secure-a=1; Secure; Path=/", b"__Secure-a=1; Secure; Path=/cats"),
        (b"a=" + b"v" * 5000, b"a=" + b"v" * 5000 + b"; Path=/cats"),
        (b"__Host-a=1; Secure; Path=/", None),
        (b"__host-a=1; Secure; Path=/", None),
        (b"__Host-Http-a=1; Secure; HttpOnly; Path=/", None),
        (b"sandgate_session=1", None),
        (b"Sandgate-Session=1", None),
        (b" \tsandgate_session =1", None),
        (b"__Secure-sandgate_session=1; Secure", None),
        (b"sandgate_session", None),
        (b"=sandgate_session=1", None),
        (b"nameless", None),
        (b"", None),
        (b"a=1\x0b; Path=/", None),
        (b"a=1; \x01Path=/", None),
        (b"a=1\x7f", None),
    ],
)
def test_cookie_holds_for_the_api_alone(sent: bytes, received: bytes | None) -> None:
    assert confined(sent, ROOT) == received


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"a=1; Path=/admin", b"a=1; Path=/admin"),
        (b"__Host-a=1; Secure; Path=/", b"__Host-a=1; Secure; Path=/"),
        (b"a=1; Domain=apis.example.com; Path=/", b"a=1; Path=/"),
        (b"sandgate_session=1; Domain=example.com", None),
    ],
)
def test_cookie_on_an_own_origin_keeps_its_path(sent: bytes, received: bytes | None) -> None:
    assert confined(sent, b"") == received


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"a=1;b=2;;c", b"a=1;b=2;;c"),
        (b"", b""),
        (b"sandgate_session=x", b""),
        (b"a=1; sandgate_session=x; b=2", b"a=1; b=2"),
        (b"sandgate_session=x; a=1", b"a=1"),
        (b"a=1; SANDGATE-x=2", b"a=1"),
        (b"a=1; __Host-sandgate_session=x", b"a=1"),
        (b"a=1; __Secure-Sandgate=x", b"a=1"),
        (b"a=1; \tsandgate_session = x", b"a=1"),
        (b'a=1; "sandgate_session"=x', b"a=1"),
        (b"a=sandgate_session", b"a=sandgate_session"),
        (b"mysandgate=1", b"mysandgate=1"),
        (b"a=1; sandgate_session", b"a=1"),
    ],
)
def test_cookies_of_the_gateway_reach_no_sandbox(sent: bytes, received: bytes) -> None:
    assert without_own(sent) == received


def test_header_of_nothing_but_the_gateways_cookies_is_left_out() -> None:
    head = read_request([(b"cookie", b"sandgate_session=x"), (b"cookie", b"a=1"), (b"a", b"b")])
    assert head.lines == b"cookie: a=1\r\na: b\r\n"


@pytest.mark.parametrize("name", [b"sandgate", b"sandgate_x", b"__Http-sandgate", b"SANDGATE_X"])
def test_names_of_the_gateway(name: bytes) -> None:
    assert is_own(name)
