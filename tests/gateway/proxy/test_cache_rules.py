"""Which answers may be given again, and which calls may be given one."""

import pytest

from gateway.proxy.cache_rules import asked_of, directives, freshness_of
from gateway.proxy.headers import Field

GET = asked_of("GET", [(b"host", b"api.example.com"), (b"authorization", b"Bearer key")])


def said(*headers: Field, status: int = 200) -> int | None:
    """Seconds for which an answer to a plain call may be given again."""
    assert GET is not None
    freshness = freshness_of(GET, status, list(headers))
    return None if freshness is None else freshness.seconds


def control(value: bytes) -> Field:
    return (b"cache-control", value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"max-age=60", 60),
        (b"public, max-age=60", 60),
        (b"MAX-AGE=60", 60),
        (b'max-age="60"', 60),
        (b"max-age=60, s-maxage=5", 5),
        (b"s-maxage=90", 90),
        (b"max-age=60, must-revalidate", 60),
        (b"max-age=999999999", 86_400),
        (b"max-age=60,max-age=10", 10),
        (b"max-age=60, stale-while-revalidate=30", 60),
        (b"", None),
        (b"public", None),
        (b"max-age=0", None),
        (b"max-age", None),
        (b"max-age=-1", None),
        (b"max-age=1.5", None),
        (b"max-age=60s", None),
        (b"max-age=60, s-maxage=0", None),
        (b"max-age=60, s-maxage=x", None),
        (b"no-store, max-age=60", None),
        (b"max-age=60, private", None),
        (b'max-age=60, private="x-a"', None),
        (b"max-age=60, no-cache", None),
        (b'no-cache="set-cookie", max-age=60', None),
        (b'max-age=60, "no-store', None),
        (b"max-age=60;no-store", None),
        (b"max-age=60 no-store", None),
    ],
)
def test_only_what_says_how_long_it_is_fresh_is_kept(value: bytes, seconds: int | None) -> None:
    assert said(control(value)) == seconds


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 404, 410])
def test_statuses_that_are_kept(status: int) -> None:
    assert said(control(b"max-age=60"), status=status) == 60


@pytest.mark.parametrize("status", [201, 206, 302, 304, 307, 308, 400, 401, 403, 429, 500, 503])
def test_statuses_that_are_not(status: int) -> None:
    assert said(control(b"max-age=60"), status=status) is None


@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"a=1"),
        (b"content-range", b"bytes 0-1/2"),
        (b"vary", b"*"),
        (b"vary", b"Accept, *"),
        (b"vary", b"Accept, Traceparent"),
        (b"vary", b"Tracestate"),
        (b"vary", b"a,b,c,d,e,f,g,h,i"),
        (b"age", b"60"),
        control(b"no-store"),
    ],
)
def test_headers_that_keep_an_answer_out(header: Field) -> None:
    assert said(control(b"max-age=60"), header) is None


def test_age_that_it_came_with_counts() -> None:
    assert said(control(b"max-age=60"), (b"age", b"20")) == 40


@pytest.mark.parametrize(
    ("headers", "takes_part"),
    [
        ([], True),
        ([(b"content-length", b"0")], True),
        ([(b"content-length", b"1")], False),
        ([(b"transfer-encoding", b"chunked")], False),
        ([(b"range", b"bytes=0-1")], False),
        ([(b"if-range", b'"a"')], False),
        ([(b"if-match", b'"a"')], False),
        ([(b"if-unmodified-since", b"x")], False),
        ([control(b"no-store")], False),
        ([control(b"no-cache")], True),
    ],
)
def test_calls_in_which_memory_has_a_part(headers: list[Field], takes_part: bool) -> None:
    assert (asked_of("GET", headers) is not None) is takes_part


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"])
def test_other_methods_have_no_part(method: str) -> None:
    assert asked_of(method, []) is None


@pytest.mark.parametrize(
    ("headers", "may_be_old"),
    [
        ([], True),
        ([control(b"no-cache")], False),
        ([control(b"max-age=0")], False),
        ([control(b"max-age=5")], True),
        ([(b"pragma", b"no-cache")], False),
        ([(b"pragma", b"no-cache"), control(b"max-age=5")], True),
    ],
)
def test_callers_may_ask_for_the_app_itself(headers: list[Field], may_be_old: bool) -> None:
    asked = asked_of("GET", headers)
    assert asked is not None
    assert asked.may_be_old is may_be_old


@pytest.mark.parametrize(
    ("headers", "has_credentials"),
    [
        ([(b"authorization", b"Bearer key")], False),  # the key, which the app never sees
        ([(b"x-api-key", b"key")], False),
        ([(b"x-api-key", b"key"), (b"authorization", b"Bearer theirs")], True),
        ([(b"authorization", b"Bearer key"), (b"cookie", b"a=1")], True),
    ],
)
def test_credentials_are_those_that_the_app_sees(
    headers: list[Field], has_credentials: bool
) -> None:
    asked = asked_of("GET", headers)
    assert asked is not None
    assert asked.has_credentials is has_credentials
    assert b"x-api-key" not in asked.fields


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (b"max-age=60", False),
        (b"max-age=60, public", True),
        (b"s-maxage=60", True),
        (b"max-age=60, must-revalidate", True),
    ],
)
def test_an_answer_to_credentials_is_kept_only_when_it_is_said_to_be_for_all(
    value: bytes, is_kept: bool
) -> None:
    asked = asked_of("GET", [(b"cookie", b"session=1")])
    assert asked is not None
    assert (freshness_of(asked, 200, [control(value)]) is not None) is is_kept


def test_directives_that_cannot_be_read_mean_no_store() -> None:
    assert b"no-store" in directives(b"=5")
    assert b"no-store" in directives(b'max-age="5')
    assert directives(b" , max-age=5 ,, public ") == {b"max-age": b"5", b"public": b""}
