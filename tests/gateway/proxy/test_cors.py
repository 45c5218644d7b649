"""Cross-origin calls: preflights, dressed answers, and what is never said."""

import pytest

from gateway.proxy.cors import allowed_origin, dressed, origin_of, preflight
from gateway.proxy.headers import Field
from gateway.store.call_settings import Cors

APP = b"https://app.example.com"
OPEN = Cors(("*",))
NAMED = Cors(("https://app.example.com", "https://*.example.org"), credentials=True)
ASK: list[Field] = [(b"origin", APP), (b"access-control-request-method", b"PUT")]


def asked(settings: Cors, *headers: Field) -> dict[bytes, bytes]:
    answer = preflight(settings, [*ASK, *headers])
    assert answer is not None
    assert answer.status == 204
    return dict(answer.headers)


def test_preflight_of_an_open_api() -> None:
    answer = asked(OPEN, (b"access-control-request-headers", b"authorization,content-type"))
    assert answer[b"access-control-allow-origin"] == b"*"
    assert answer[b"access-control-allow-methods"] == b"GET, HEAD, POST, PUT, PATCH, DELETE"
    assert answer[b"access-control-allow-headers"] == b"authorization,content-type"
    assert answer[b"access-control-max-age"] == b"600"
    assert b"access-control-allow-credentials" not in answer
    assert answer[b"vary"] == b"Access-Control-Request-Method, Access-Control-Request-Headers"


def test_preflight_of_an_origin_that_is_named() -> None:
    answer = asked(NAMED)
    assert answer[b"access-control-allow-origin"] == APP
    assert answer[b"access-control-allow-credentials"] == b"true"
    assert answer[b"vary"].startswith(b"Origin, ")


def test_preflight_of_another_origin_is_answered_without_a_permission() -> None:
    answer = preflight(NAMED, [(b"origin", b"https://evil.example"), ASK[1]])
    assert answer is not None
    assert [name for name, _ in answer.headers] == [b"content-length", b"vary"]


def test_headers_that_are_listed_are_told_whatever_is_asked() -> None:
    settings = Cors(("*",), headers=("authorization", "x-a"), methods=("GET",), max_age=0)
    answer = asked(settings, (b"access-control-request-headers", b"x-evil"))
    assert answer[b"access-control-allow-headers"] == b"authorization, x-a"
    assert answer[b"access-control-allow-methods"] == b"GET"
    assert answer[b"access-control-max-age"] == b"0"


def test_an_answer_to_a_preflight_is_dressed_already() -> None:
    answer = preflight(NAMED, ASK)
    assert answer is not None
    assert dressed(NAMED, APP, answer.headers) is answer.headers


@pytest.mark.parametrize("names", [b"a b", b"a;b", b"a,,b", b"a\x00", b"x" * 4097, b"", b"(a)"])
def test_names_that_are_none_are_not_echoed(names: bytes) -> None:
    answer = asked(OPEN, (b"access-control-request-headers", names))
    assert b"access-control-allow-headers" not in answer


@pytest.mark.parametrize(
    "headers", [[], [(b"origin", APP)], [(b"access-control-request-method", b"GET")]]
)
def test_an_options_call_that_is_no_preflight_is_the_apps(headers: list[Field]) -> None:
    assert preflight(OPEN, headers) is None


def test_two_origins_are_none() -> None:
    answer = preflight(OPEN, [*ASK, (b"origin", b"https://b.example")])
    assert answer is not None
    assert b"access-control-allow-origin" not in dict(answer.headers)
    assert origin_of([(b"origin", b"a"), (b"origin", b"b")]) is None
    assert origin_of([(b"x", b"y"), (b"origin", b"a")]) == b"a"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (APP, True),
        (b"https://x.example.org", True),
        (b"https://x.y-z.example.org", True),
        (b"https://example.org", False),
        (b"https://.example.org", False),
        (b"https://evil.example/.example.org", False),
        (b"https://evil.example:1@x.example.org", False),
        (b"https://evil.example?.example.org", False),
        (b"http://x.example.org", False),
        (b"https://x.example.org:8443", False),
        (b"https://x.example.org.evil.example", False),
        (b"https://xexample.org", False),
        (b"https://app.example.com:8443", False),
        (b"https://app.example.com.evil.example", False),
        (b"HTTPS://APP.EXAMPLE.COM", False),
        (b"https://" + b"x" * 300 + b".example.org", False),
        (b"null", False),
        (b"", False),
        (b"*", False),
    ],
)
def test_origin(origin: bytes, allowed: bool) -> None:
    assert allowed_origin(NAMED, origin) == (origin if allowed else None)


def test_answer_is_dressed_and_the_apps_own_words_are_gone() -> None:
    answer: list[Field] = [
        (b"content-type", b"text/plain"),
        (b"vary", b"Accept"),
        (b"access-control-allow-origin", b"https://evil.example"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-private-network", b"true"),
    ]
    headers = dressed(NAMED, APP, answer)
    assert headers[:2] == answer[:2]
    assert headers[2:4] == [
        (b"access-control-allow-origin", APP),
        (b"access-control-allow-credentials", b"true"),
    ]
    assert headers[-1] == (b"vary", b"Origin")
    assert len(headers) == 6


def test_pages_can_read_where_the_limits_stand() -> None:
    exposed = dict(dressed(Cors(("*",), expose=("x-total", "ratelimit")), APP, []))
    assert exposed[b"access-control-expose-headers"] == (
        b"retry-after, ratelimit, ratelimit-policy, x-ratelimit-limit, x-ratelimit-remaining, "
        b"x-ratelimit-reset, x-request-id, x-total"
    )


@pytest.mark.parametrize("origin", [None, b"https://evil.example", b"null"])
def test_others_are_told_nothing_but_that_it_depends(origin: bytes | None) -> None:
    assert dressed(NAMED, origin, []) == [(b"vary", b"Origin")]


@pytest.mark.parametrize("origin", [APP, b"null", b"https://evil.example"])
def test_an_open_api_says_star_and_never_credentials(origin: bytes) -> None:
    headers = dict(dressed(OPEN, origin, [(b"access-control-allow-credentials", b"true")]))
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in headers
    assert b"vary" not in headers


def test_an_open_api_adds_nothing_to_calls_of_no_page() -> None:
    assert dressed(OPEN, None, []) == []
