"""Settings of an API on real calls: CORS, memory, addresses, cookies, and versions that fail."""

import asyncio

from gateway.store.call_settings import CallSettings, Cors
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import Answer, ok, read_request, replies, serve_forever
from tests.support.waiting import until

PAGE = "https://app.example.com"
CORS = CallSettings(cors=Cors((PAGE,), credentials=True))
ASK = [("Origin", PAGE), ("Access-Control-Request-Method", "PUT")]


class Counter:
    """A sandbox that counts its calls in its answers, each with these headers."""

    def __init__(self, *headers: bytes) -> None:
        self.headers = headers
        self.calls = 0
        self.seen: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            self.seen.append(await read_request(reader))
            self.calls += 1
            body = b"" if self.seen[-1].startswith(b"HEAD") else b"%d" % self.calls
            writer.write(ok(body, *self.headers))
            await writer.drain()


def values(answer: Answer, name: bytes) -> list[bytes]:
    """All values of a header."""
    return [value for each, value in answer.headers if each == name]


async def test_preflight_is_answered_without_key_sandbox_or_record(path: DataPath) -> None:
    route, _ = path.serve(serve_forever, settings=CORS)
    answer = await path.call(f"/{route.api_id}/x", method="OPTIONS", headers=ASK)
    assert (answer.status, answer.body) == (204, b"")
    assert values(answer, b"access-control-allow-origin") == [PAGE.encode()]
    assert values(answer, b"access-control-allow-methods") == [
        b"GET, HEAD, POST, PUT, PATCH, DELETE"
    ]
    assert values(answer, b"access-control-expose-headers") == []
    assert (path.sandboxes.started, path.records()) == ([], [])


async def test_preflight_of_an_api_without_settings_is_a_call_like_any_other(
    path: DataPath,
) -> None:
    sandbox = Counter()
    route, key = path.serve(sandbox)
    assert (await path.call(f"/{route.api_id}", method="OPTIONS", headers=ASK)).status == 401
    assert (await path.call(f"/{route.api_id}", key, method="OPTIONS", headers=ASK)).status == 200
    assert sandbox.calls == 1


async def test_refusals_can_be_read_by_the_page(path: DataPath) -> None:
    route, key = path.serve(serve_forever, settings=CORS)
    for presented in ("", "sg_live_nonsense"):
        answer = await path.call(f"/{route.api_id}", presented, headers=ASK[:1])
        assert answer.status == 401
        assert values(answer, b"access-control-allow-origin") == [PAGE.encode()]
        assert values(answer, b"access-control-allow-credentials") == [b"true"]
    paused = path.change(route, status="paused")
    answer = await path.call(f"/{paused.api_id}", key, headers=ASK[:1])
    assert answer.status == 503
    assert values(answer, b"access-control-allow-origin") == [PAGE.encode()]


async def test_answers_are_dressed_however_warm_the_call_is(path: DataPath) -> None:
    route, key = path.serve(Counter(b"Access-Control-Allow-Origin: *"), settings=CORS)
    for _ in range(3):
        answer = await path.call(f"/{route.api_id}", key, headers=ASK[:1])
        assert values(answer, b"access-control-allow-origin") == [PAGE.encode()]
        assert b"Origin" in values(answer, b"vary")
    other = await path.call(f"/{route.api_id}", key, headers=[("Origin", "https://b.example")])
    assert (other.status, values(other, b"access-control-allow-origin")) == (200, [])


async def test_cors_of_apps_without_settings_is_left_alone(path: DataPath) -> None:
    route, key = path.serve(Counter(b"Access-Control-Allow-Origin: https://b.example"))
    for _ in range(2):
        answer = await path.call(f"/{route.api_id}", key, headers=ASK[:1])
        assert values(answer, b"access-control-allow-origin") == [b"https://b.example"]


async def test_addresses_and_cookies_are_mapped_however_warm_the_call_is(path: DataPath) -> None:
    sandbox = Counter(
        b"Location: /next",
        b"Content-Location: http://gateway.test/here",
        b"Set-Cookie: a=1; Path=/; Domain=test",
        b"Set-Cookie: __Host-b=1; Secure; Path=/",
        b"set-cookie: sandgate_session=1",
    )
    route, key = path.serve(sandbox)
    for ref in (route.api_id, route.slug, f"{route.slug}@1"):
        root = b"/" + ref.encode()
        for _ in range(2):
            answer = await path.call(f"/{ref}/x", key)
            assert answer.header(b"location") == root + b"/next"
            assert answer.header(b"content-location") == b"http://gateway.test" + root + b"/here"
            assert values(answer, b"set-cookie") == [b"a=1; Path=" + root]


async def test_cookies_of_the_gateway_reach_no_sandbox(path: DataPath) -> None:
    sandbox = Counter()
    route, key = path.serve(sandbox)
    for _ in range(2):
        cookies = [("Cookie", "a=1; sandgate_session=x; b=2")]
        assert (await path.call(f"/{route.api_id}", key, headers=cookies)).status == 200
        assert b"cookie: a=1; b=2\r\n" in sandbox.seen[-1].lower()


async def test_a_fresh_answer_is_given_again_and_counted_like_any_call(path: DataPath) -> None:
    sandbox = Counter(b"Cache-Control: max-age=60", b'ETag: "a"')
    route, key = path.serve(sandbox, settings=CallSettings(cache=True))
    first = await path.call(f"/{route.api_id}/x", key)
    assert first.header(b"cache-status") == b"sandgate; fwd=miss; stored"
    again = await path.call(f"/{route.api_id}/x", path.store.add_key(route))
    assert (again.body, sandbox.calls) == (b"1", 1)
    assert again.header(b"cache-status") == b"sandgate; hit; ttl=59"
    assert again.header(b"x-ratelimit-remaining") is not None
    assert len(path.records()) == 2
    had = await path.call(f"/{route.api_id}/x", key, headers=[("If-None-Match", '"a"')])
    assert (had.status, had.body, sandbox.calls) == (304, b"", 1)
    assert (await path.call(f"/{route.api_id}/x")).status == 401


async def test_answers_without_a_body_or_a_length_are_given_again_whole(path: DataPath) -> None:
    fresh = b"cache-control: max-age=60\r\n"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + fresh
    chunked += b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 204 No Content\r\n" + fresh + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" + fresh + b"\r\n"
    for method, given, status, body in (
        ("GET", chunked, 200, b"abcde"),
        ("GET", empty, 204, b""),
        ("HEAD", head, 200, b""),
    ):
        route, key = path.serve(replies(given), settings=CallSettings(cache=True))
        for _ in range(3):
            answer = await path.call(f"/{route.api_id}", key, method=method)
            assert (answer.status, answer.body, answer.is_whole) == (status, body, True)
            if method == "HEAD":
                assert answer.header(b"content-length") == b"5"


async def test_what_must_not_be_kept_is_asked_for_each_time(path: DataPath) -> None:
    for headers in (
        (),
        (b"Cache-Control: private, max-age=60",),
        (b"Cache-Control: max-age=60", b"Set-Cookie: a=1"),
        (b"Cache-Control: max-age=60", b"Set-Cookie: __Host-a=1; Secure; Path=/"),
        (b"Cache-Control: max-age=60", b"Vary: *"),
    ):
        sandbox = Counter(*headers)
        route, key = path.serve(sandbox, settings=CallSettings(cache=True))
        for _ in range(2):
            answer = await path.call(f"/{route.api_id}/x", key)
            assert answer.header(b"cache-status") == b"sandgate; fwd=miss"
        assert sandbox.calls == 2


async def test_what_the_app_did_not_see_is_not_what_an_answer_is_kept_under(
    path: DataPath,
) -> None:
    """Who has a header taken out on the way gets no answer that others with it would get."""

    async def tenant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen = (await read_request(reader)).lower()
            body = b"five" if b"x-tenant: 5" in seen else b"everybody"
            writer.write(ok(body, b"Cache-Control: max-age=60"))

    route, key = path.serve(tenant, settings=CallSettings(cache=True))
    five = ("X-Tenant", "5")
    where = f"/{route.api_id}/x"
    taken = await path.call(where, key, headers=[five, ("Connection", "X-Tenant")])
    assert taken.body == b"everybody"
    assert (await path.call(where, key, headers=[five])).body == b"five"
    assert (await path.call(where, key)).body == b"everybody"


async def test_a_new_generation_or_a_change_begins_anew(path: DataPath) -> None:
    sandbox = Counter(b"Cache-Control: max-age=60")
    route, key = path.serve(sandbox, settings=CallSettings(cache=True))
    where = f"/{route.api_id}/x"
    assert [(await path.call(where, key)).body for _ in range(2)] == [b"1", b"1"]
    assert (await path.call(where, key, method="POST")).body == b"2"
    assert [(await path.call(where, key)).body for _ in range(2)] == [b"3", b"3"]
    path.change(route, generation=2)
    assert [(await path.call(where, key)).body for _ in range(2)] == [b"4", b"4"]


async def test_nothing_is_kept_of_an_answer_that_breaks_off(path: DataPath) -> None:
    broken = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 9\r\n\r\nhalf"
    whole = ok(b"whole", b"cache-control: max-age=60")
    route, key = path.serve(replies(broken, then_close=True), settings=CallSettings(cache=True))
    assert not (await path.call(f"/{route.api_id}", key)).is_whole
    path.sandboxes.handlers[route.versions[0].version_id] = replies(whole, whole)
    for spec in list(path.sandboxes.living):
        await path.sandboxes.kill(spec)
    assert (await path.call(f"/{route.api_id}", key)).body == b"whole"


async def test_a_version_that_keeps_failing_is_spared(path: DataPath) -> None:
    """And an app that answers 500 is not."""
    sandbox = Counter()

    async def bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            sandbox.calls += 1
            writer.write(b"nonsense\r\n\r\n")
            await writer.drain()

    route, key = path.serve(bad)
    codes = [(await path.call(f"/{route.api_id}", key)).json()["code"] for _ in range(6)]
    assert codes == ["api_bad_response"] * 5 + ["api_unhealthy"]
    assert sandbox.calls == 5
    refused = await path.call(f"/{route.api_id}", key)
    assert (refused.status, refused.header(b"retry-after")) == (503, b"5")
    failing = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
    other, its_key = path.serve(replies(*[failing] * 8))
    assert {(await path.call(f"/{other.api_id}", its_key)).status for _ in range(8)} == {500}


async def on(path: DataPath, host: str, key: str, target: str = "/api/x?q") -> Answer:
    """A call to this Host; twice, because the second is warm."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", f"X-API-Key: {key}", "", ""]
    first = await path.raw("\r\n".join(lines).encode())
    again = await path.raw("\r\n".join(lines).encode())
    assert again.status == first.status
    return again


async def test_on_an_origin_of_its_own_the_whole_path_is_the_apps() -> None:
    async with data_path(base_domain="apis.test") as path:
        sandbox = Counter(
            b"Location: /next",
            b"Set-Cookie: a=1; Path=/x; Domain=apis.test",
            b"Content-Type: text/html",
        )
        route, key = path.serve(sandbox)
        for host in (f"{route.slug}.apis.test", f"{route.slug.upper()}.apis.test.:8000"):
            answer = await on(path, host, key)
            assert answer.status == 200
            assert sandbox.seen[-1].startswith(b"GET /api/x?q HTTP/1.1\r\n")
            assert answer.header(b"location") == b"/next"
            assert values(answer, b"set-cookie") == [b"a=1; Path=/x"]
            assert values(answer, b"content-security-policy") == []
        assert (await on(path, f"{route.slug}.apis.test", "")).status == 401
        shared = await on(path, "apis.test", key, f"/{route.slug}/x")
        assert shared.header(b"location") == f"/{route.slug}/next".encode()
        assert len(values(shared, b"content-security-policy")) == 1


async def test_names_below_the_base_domain_that_are_no_apis_lead_nowhere() -> None:
    async with data_path(base_domain="apis.test") as path:
        route, key = path.serve(serve_forever)
        for name in ("nobody", f"a.{route.slug}", "xn--x", route.api_id, ""):
            answer = await on(path, f"{name}.apis.test", key, f"/{route.slug}")
            assert (answer.status, answer.json()["code"]) == (404, "api_not_found")


class Moody:
    """A sandbox that answers well, badly, or when the test says so, as the path wants it."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.waiting = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            path = (await read_request(reader)).split(b" ")[1]
            if path == b"/late":
                self.waiting += 1
                await self.gate.wait()
            writer.write(b"nonsense\r\n\r\n" if path == b"/bad" else ok())
            await writer.drain()


async def test_calls_for_which_all_is_at_hand_are_refused_too(path: DataPath) -> None:
    sandbox = Moody()
    route, key = path.serve(sandbox)
    where = f"/{route.api_id}"
    calls = [asyncio.create_task(path.call(f"{where}/late", key)) for _ in range(8)]
    await until(lambda: sandbox.waiting == 8)
    sandbox.gate.set()
    await asyncio.gather(*calls)  # now there are connections
    codes = [(await path.call(f"{where}/bad", key)).json()["code"] for _ in range(5)]
    assert codes == ["api_bad_response"] * 5
    assert (await path.call(where, key)).status == 503


async def test_failures_with_answers_between_them_are_not_in_a_row(path: DataPath) -> None:
    route, key = path.serve(Moody())
    where = f"/{route.api_id}"
    for _ in range(3):
        for _ in range(4):
            assert (await path.call(f"{where}/bad", key)).status == 502
        assert (await path.call(where, key)).status == 200
