"""Kept answers: found again by those they are for, by nobody else, and within bounds."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.cache_rules import Asked, asked_of
from gateway.proxy.headers import Field
from gateway.proxy.response_cache import Address, Kept, ResponseCache, status_line

ADDRESS = Address("api", "version", 1, "GET", "https", b"/cats", b"/facts", b"n=1")
HOST: Field = (b"host", b"api.example.com")
FRESH: list[Field] = [(b"cache-control", b"max-age=60"), (b"content-type", b"text/plain")]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ResponseCache:
    return ResponseCache(clock)


def call(*headers: Field, host: Field = HOST, method: str = "GET") -> Asked:
    asked = asked_of(method, [host, (b"authorization", b"Bearer key"), *headers])
    assert asked is not None
    return asked


def keep(
    cache: ResponseCache,
    asked: Asked,
    body: bytes = b"meow",
    *more: Field,
    address: Address = ADDRESS,
    status: int = 200,
) -> bool:
    filling = cache.filling(address, asked, status, [*FRESH, *more])
    if filling is None:
        return False
    filling.add(body[:2])
    filling.add(body[2:])
    return filling.finish()


def body(found: Kept | None) -> bytes | None:
    return None if found is None else found.body


def test_a_kept_answer_tells_its_age_and_where_it_came_from(
    cache: ResponseCache, clock: Clock
) -> None:
    assert keep(cache, call(), b"meow", (b"age", b"10"))
    clock.now += 5.5
    found = cache.find(ADDRESS, call())
    assert found is not None
    assert (found.status, found.body) == (200, b"meow")
    assert found.headers == [
        *FRESH,
        (b"age", b"15"),
        (b"cache-status", b"sandgate; hit; ttl=44"),
    ]


def test_it_is_gone_when_its_time_is_over(cache: ResponseCache, clock: Clock) -> None:
    keep(cache, call())
    clock.now += 60
    assert cache.find(ADDRESS, call()) is None
    assert (len(cache), cache.size) == (0, 0)


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS._replace(generation=2),
        ADDRESS._replace(version_id="another"),
        ADDRESS._replace(api_id="another"),
        ADDRESS._replace(method="HEAD"),
        ADDRESS._replace(scheme="http"),
        ADDRESS._replace(root=b"/cats@1"),
        ADDRESS._replace(path=b"/facts/"),
        ADDRESS._replace(path=b"/%66acts"),
        ADDRESS._replace(query=b"n=2"),
        ADDRESS._replace(query=b""),
    ],
)
def test_another_address_is_another_answer(cache: ResponseCache, address: Address) -> None:
    keep(cache, call())
    assert cache.find(address, call()) is None


def test_vary_tells_variants_apart(cache: ResponseCache) -> None:
    vary: Field = (b"vary", b"Accept-Language, accept")
    german, english = (b"accept-language", b"de"), (b"accept-language", b"en")
    keep(cache, call(german), b"miau", vary)
    keep(cache, call(english), b"meow", vary)
    assert body(cache.find(ADDRESS, call(german))) == b"miau"
    assert body(cache.find(ADDRESS, call(english))) == b"meow"
    assert cache.find(ADDRESS, call()) is None
    assert cache.find(ADDRESS, call(german, (b"accept", b"x/y"))) is None


def test_an_answer_that_varies_otherwise_replaces_all_variants(cache: ResponseCache) -> None:
    keep(cache, call(), b"one", (b"vary", b"accept"))
    keep(cache, call(), b"two", (b"vary", b"accept-language"))
    assert (len(cache), body(cache.find(ADDRESS, call()))) == (1, b"two")


def test_variants_of_one_address_are_bounded(cache: ResponseCache) -> None:
    for n in range(100):
        keep(cache, call((b"accept", b"x/%d" % n)), b"x", (b"vary", b"accept"))
    assert len(cache) == 32


@pytest.mark.parametrize(
    "header",
    [
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-forwarded-prefix", b"/evil"),
        (b"x-original-url", b"/admin"),
        (b"x-rewrite-url", b"/admin"),
        (b"x-http-method-override", b"POST"),
        (b"forwarded", b"host=evil.example"),
        (b"origin", b"https://evil.example"),
        (b"x-anything", b"<script>"),
    ],
)
def test_a_header_that_a_caller_made_up_poisons_nobody_else(
    cache: ResponseCache, header: Field
) -> None:
    """An app may build its answer with it without saying so: it is kept under it."""
    keep(cache, call(header), b"poison")
    assert cache.find(ADDRESS, call()) is None
    assert cache.find(ADDRESS, call((header[0], b"other"))) is None
    assert body(cache.find(ADDRESS, call(header))) == b"poison"


def test_another_host_poisons_nobody_else(cache: ResponseCache) -> None:
    keep(cache, call(host=(b"host", b"evil.example")), b"poison")
    assert cache.find(ADDRESS, call()) is None
    assert body(cache.find(ADDRESS, call(host=(b"host", b"EVIL.example")))) == b"poison"


def test_a_repeated_header_is_not_its_first_value(cache: ResponseCache) -> None:
    keep(cache, call((b"x-a", b"1")))
    assert cache.find(ADDRESS, call((b"x-a", b"1"), (b"x-a", b"2"))) is None


def test_callers_with_credentials_get_only_what_is_for_all(cache: ResponseCache) -> None:
    cookie = (b"cookie", b"session=1")
    keep(cache, call())
    assert cache.find(ADDRESS, call(cookie)) is None
    keep(cache, call(), b"all", (b"cache-control", b"public"))
    assert body(cache.find(ADDRESS, call(cookie))) == b"all"


def test_keys_of_the_gateway_make_no_difference(cache: ResponseCache) -> None:
    keep(cache, call())
    other = asked_of("GET", [HOST, (b"x-api-key", b"another")])
    assert other is not None
    assert body(cache.find(ADDRESS, other)) == b"meow"


def test_who_wants_the_app_itself_gets_it_and_freshens_what_is_kept(
    cache: ResponseCache, clock: Clock
) -> None:
    keep(cache, call(), b"old")
    clock.now += 20
    assert cache.find(ADDRESS, call((b"cache-control", b"no-cache"))) is None
    assert cache.find(ADDRESS, call((b"cache-control", b"max-age=19"))) is None
    assert body(cache.find(ADDRESS, call((b"cache-control", b"max-age=20")))) == b"old"
    keep(cache, call((b"cache-control", b"no-cache")), b"new")
    assert (len(cache), body(cache.find(ADDRESS, call()))) == (1, b"new")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b'"a"', 304),
        (b'W/"a"', 304),
        (b'"x", "a"', 304),
        (b"*", 304),
        (b'"b"', 200),
        (b"", 200),
    ],
)
def test_who_has_it_already_is_told_so(cache: ResponseCache, asked: bytes, status: int) -> None:
    keep(cache, call(), b"meow", (b"etag", b'"a"'), (b"content-length", b"4"))
    found = cache.find(ADDRESS, call((b"if-none-match", asked)))
    assert found is not None
    assert (found.status, found.body) == (status, b"" if status == 304 else b"meow")
    assert (b"etag", b'"a"') in found.headers
    assert ((b"content-length", b"4") in found.headers) is (status == 200)


def test_a_call_that_changes_things_spoils_what_is_kept(cache: ResponseCache) -> None:
    keep(cache, call())
    keep(cache, call(method="HEAD"), b"", address=ADDRESS._replace(method="HEAD"))
    other = ADDRESS._replace(query=b"n=2")
    keep(cache, call(), address=other)
    cache.spoil(ADDRESS._replace(method="PUT"), b"API.example.com")
    assert (len(cache), body(cache.find(other, call()))) == (1, b"meow")


def test_the_longest_unused_goes_first(clock: Clock) -> None:
    cache = ResponseCache(clock, total_bytes=5000)
    one, two, three = [ADDRESS._replace(path=b"/%d" % n) for n in range(3)]
    for address in (one, two):
        keep(cache, call(), b"x" * 500, address=address)
    assert cache.find(one, call()) is not None
    keep(cache, call(), b"x" * 500, address=three)
    assert cache.find(two, call()) is None
    assert cache.find(one, call()) is not None
    assert cache.size <= 5000


def test_one_api_takes_no_more_than_its_share(clock: Clock) -> None:
    cache = ResponseCache(clock, api_bytes=10_000)
    keep(cache, call(), address=ADDRESS._replace(api_id="small"))
    for n in range(50):
        keep(cache, call(), b"x" * 1000, address=ADDRESS._replace(path=b"/%d" % n))
    assert cache.find(ADDRESS._replace(api_id="small"), call()) is not None
    assert cache.size < 13_000


@pytest.mark.parametrize("more", [(), ((b"content-length", b"1001"),)])
def test_what_is_too_large_for_an_entry_is_not_kept(clock: Clock, more: tuple[Field, ...]) -> None:
    cache = ResponseCache(clock, entry_bytes=1000)
    assert not keep(cache, call(), b"x" * 1001, *more)
    assert (len(cache), cache.filling_bytes) == (0, 0)


def test_an_answer_that_breaks_off_is_not_kept(cache: ResponseCache) -> None:
    filling = cache.filling(ADDRESS, call(), 200, FRESH)
    assert filling is not None
    filling.add(b"half")
    assert cache.filling_bytes == 4
    del filling
    gc.collect()
    assert (len(cache), cache.filling_bytes) == (0, 0)


def test_answers_on_their_way_are_bounded_together(clock: Clock) -> None:
    cache = ResponseCache(clock, total_bytes=40_000)
    fillings = [cache.filling(ADDRESS, call(), 200, FRESH) for _ in range(5)]
    for each in fillings:
        assert each is not None
        each.add(b"x" * 3000)
    assert cache.filling_bytes == 9000
    assert [each.finish() for each in fillings if each is not None] == [True] * 3 + [False] * 2
    assert (len(cache), cache.filling_bytes) == (1, 0)


def test_status_of_answers_that_came_from_the_app() -> None:
    assert status_line(stored=True) == (b"cache-status", b"sandgate; fwd=miss; stored")
    assert status_line(stored=False) == (b"cache-status", b"sandgate; fwd=miss")


_HEADERS = st.sampled_from([(), ((b"accept", b"a"),), ((b"accept", b"b"),), ((b"x-a", b"1"),)])
_VARY = st.sampled_from([(), ((b"vary", b"accept"),), ((b"vary", b"x-b"),)])
_STEPS = st.tuples(
    st.sampled_from(["keep", "find", "spoil", "wait"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from([b"/a", b"/b", b"/c"]),
    _HEADERS,
    _VARY,
    st.integers(0, 3000),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_STEPS, max_size=40))
def test_in_any_order_it_stays_within_bounds_and_mixes_nothing_up(
    steps: list[tuple[str, str, bytes, tuple[Field, ...], tuple[Field, ...], int]],
) -> None:
    clock = Clock()
    cache = ResponseCache(clock, total_bytes=12_000, api_bytes=8_000, entry_bytes=2_000)
    for n, (what, api, path, headers, vary, size) in enumerate(steps):
        address = ADDRESS._replace(api_id=api, path=path)
        asked = call(*headers)
        told = b"%d %b %b " % (n, address.api_id.encode(), path)
        if what == "keep":
            accept = asked.fields.get(b"accept", b"") if vary and vary[0][1] == b"accept" else b""
            keep(cache, asked, told + accept + b" " + b"." * size, *vary, address=address)
        elif what == "spoil":
            cache.spoil(address, HOST[1])
        elif what == "wait":
            clock.now += 21
        found = cache.find(address, asked)
        if found is not None:
            _, its_api, its_path, accept, _ = found.body.split(b" ", 4)
            assert (its_api, its_path) == (api.encode(), path)
            assert accept in (b"", asked.fields.get(b"accept"))
        assert 0 <= cache.size <= 12_000
        assert cache.filling_bytes == 0
    for api in ("one", "two"):
        for path in (b"/a", b"/b", b"/c"):
            cache.spoil(ADDRESS._replace(api_id=api, path=path), HOST[1])
    assert (len(cache), cache.size) == (0, 0)
