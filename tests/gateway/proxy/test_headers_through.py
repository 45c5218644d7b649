"""Headers, path and query as both ends see them, over real sockets."""

import pytest

from tests.support.datapath import DataPath
from tests.support.rawhttp import echo, ok, replies


async def seen(path: DataPath, *headers: str, target: str = "/x", key_header: bool = True) -> bytes:
    """What the sandbox gets of a call with these headers."""
    _, key = path.serve(echo, slug="cats")
    lines = [f"GET /cats{target} HTTP/1.1", "Host: example.test:99"]
    if key_header:
        lines.append(f"X-API-Key: {key}")
    lines += [line.replace("KEY", key) for line in headers]
    answer = await path.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))
    assert answer.status == 200, answer.body
    return answer.body


async def test_the_private_header_comes_first_then_the_trace_and_nothing_else_is_added(
    path: DataPath,
) -> None:
    """Address, scheme, root path, request id and time left in one line; Host as it was sent."""
    raw = await seen(path, "Accept: a/b")
    request, context, trace, *rest = raw.decode().split("\r\n")
    assert request == "GET /x HTTP/1.1"
    name, host, port, scheme, root, request_id, milliseconds = context.split(" ")
    assert 0 < int(milliseconds) <= 30_000
    assert (name, host, scheme, root) == ("x-sandgate-context:", "127.0.0.1", "http", "/cats")
    assert port.isdecimal()
    assert path.records()[0]["request_id"] == request_id
    assert trace == f"traceparent: 00-{request_id}-{request_id[16:]}-01"
    assert rest == ["host: example.test:99", "accept: a/b", "", ""]


async def test_repeated_headers_stay_repeated_and_in_order(path: DataPath) -> None:
    """Nothing is joined, sorted or trimmed but the space around values."""
    raw = await seen(path, "X-A: 1", "Cookie: a=1", "X-A: 2", "Cookie: b=2", "X-A: 1")
    assert raw.count(b"x-a: 1\r\n") == 2
    lines = [line for line in raw.split(b"\r\n") if line.startswith((b"x-a", b"cookie"))]
    assert lines == [b"x-a: 1", b"cookie: a=1", b"x-a: 2", b"cookie: b=2", b"x-a: 1"]


async def test_the_key_never_reaches_the_sandbox(path: DataPath) -> None:
    """Whichever header carried it, and however its name was written."""
    raw = await seen(path, "Authorization: bEaReR KEY", key_header=False)
    assert b"sg_live" not in raw
    assert b"authorization" not in raw


async def test_with_x_api_key_the_apps_own_authorization_passes(path: DataPath) -> None:
    """Untouched: many apps have their own sign-in."""
    raw = await seen(path, "Authorization: Bearer the-apps-own")
    assert b"authorization: Bearer the-apps-own\r\n" in raw
    assert b"x-api-key" not in raw


@pytest.mark.parametrize(
    "header",
    [
        "Connection: keep-alive, X-Mine",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: h2c",
        "X-Sandgate-Context: 1.2.3.4 5 https / forged",
        "X-Sandgate-Anything: x",
        "X_Sandgate_Context: 1.2.3.4 5 https / forged",
    ],
)
async def test_hop_by_hop_and_private_headers_end_here(path: DataPath, header: str) -> None:
    """They are for this hop, or would forge what the gateway says."""
    raw = await seen(path, header)
    names = [line.partition(b":")[0] for line in raw.split(b"\r\n")[2:]]
    assert names == [b"traceparent", b"host", b"", b""]
    assert b"forged" not in raw


async def test_headers_named_in_connection_end_here(path: DataPath) -> None:
    """But nobody can have Host or the body's length removed that way."""
    raw = await seen(path, "X-Mine: 1", "Connection: x-mine, host, content-length, close")
    assert b"x-mine" not in raw
    assert b"host: example.test:99" in raw


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "/a/b/",
        "//double//slash",
        "/%2F%2f..%00",
        "/./a/../b",
        "/a;b=c",
        "/%E4%BD%A0",
        "/@2",
        "/x?",
        "/x?a=1&a=2&=&a=%20+",
        "?only=query",
        "/x?a?b/../c",
    ],
)
async def test_path_and_query_arrive_byte_for_byte(path: DataPath, target: str) -> None:
    """Without the prefix; at least a slash."""
    raw = await seen(path, target=target)
    at, _, query = target.partition("?")
    expected = (at or "/") + (f"?{query}" if query else "")
    assert raw.split(b" ")[1] == expected.encode()


@pytest.mark.parametrize(
    "forged",
    [
        b"X-Request-ID: forged",
        b"x-process-time: forged",
        b"X-RateLimit-Limit: forged",
        b"X-Ratelimit-Anything: forged",
        b"RateLimit: forged",
        b"RateLimit-Policy: forged",
        b"X-Sandgate-Node: forged",
        b"Date: forged",
        b"Connection: x-hop\r\nX-Hop: forged",
        b"Keep-Alive: forged",
        b"Proxy-Authenticate: forged",
        b"Trailer: forged",
        b"Upgrade: forged",
        b"TE: forged",
    ],
)
async def test_a_sandbox_cannot_speak_for_the_gateway(path: DataPath, forged: bytes) -> None:
    """Its own headers for this hop and the gateway's names are dropped."""
    route, key = path.serve(replies(ok(b"x", forged)))
    answer = await path.call(f"/{route.api_id}", key)
    assert answer.status == 200
    assert b"forged" not in b"".join(value for _, value in answer.headers)
    for name in (b"x-request-id", b"x-process-time", b"x-ratelimit-limit", b"ratelimit", b"date"):
        assert answer.header(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        b"Alt-Svc",
        b"Clear-Site-Data",
        b"NEL",
        b"Report-To",
        b"Reporting-Endpoints",
        b"Service-Worker-Allowed",
        b"Strict-Transport-Security",
        b"X-Accel-Redirect",
        b"X-Accel-Buffering",
        b"X_Accel_Expires",
        b"X-Sendfile",
    ],
)
async def test_orders_to_browsers_and_to_servers_in_front_end_here(
    path: DataPath, name: bytes
) -> None:
    """They would hold for every API of the origin, or be obeyed by whoever stands before us."""
    route, key = path.serve(replies(ok(b"x", name + b": order")))
    answer = await path.call(f"/{route.api_id}", key)
    assert answer.status == 200
    assert b"order" not in [value for _, value in answer.headers]


@pytest.mark.parametrize(
    ("kind", "is_caged"),
    [
        (b"text/html", True),
        (b"Text/HTML; charset=utf-8", True),
        (b"application/xhtml+xml", True),
        (b"image/svg+xml", True),
        (b"text/xml", True),
        (b"application/json", False),
        (b"image/png", False),
    ],
)
async def test_a_page_gets_an_origin_of_its_own(
    path: DataPath, kind: bytes, *, is_caged: bool
) -> None:
    """Scripts in it are not those of the origin that all APIs share; its own policy stays."""
    own = b"Content-Security-Policy: default-src 'self'"
    route, key = path.serve(replies(ok(b"x", b"Content-Type: " + kind, own)))
    answer = await path.call(f"/{route.api_id}", key)
    policies = [value for name, value in answer.headers if name == b"content-security-policy"]
    assert policies[0] == b"default-src 'self'"
    assert any(policy.startswith(b"sandbox ") for policy in policies) == is_caged
    assert (answer.header(b"x-content-type-options") == b"nosniff") == is_caged


async def test_repeated_headers_of_an_answer_stay_repeated(path: DataPath) -> None:
    """Set-Cookie above all; and Retry-After is the app's to use."""
    route, key = path.serve(
        replies(ok(b"x", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Retry-After: 7", b"X-N: \xe4"))
    )
    answer = await path.call(f"/{route.api_id}", key)
    cookies = [value for name, value in answer.headers if name == b"set-cookie"]
    path_of = f"Path=/{route.api_id}".encode()
    assert cookies == [b"a=1; " + path_of, b"b=2; " + path_of]
    assert answer.header(b"retry-after") == b"7"
    assert answer.header(b"x-n") == b"\xe4"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Content-Length: 3", "Transfer-Encoding: chunked"), 400),
        (("Content-Length: 3", "Content-Length: 4"), 400),
        (("Transfer-Encoding: gzip",), 400),
        (("Transfer-Encoding: gzip, chunked",), 400),
        (("Content-Length: +3",), 400),
        (("X-Folded: a", " b"), 400),
        (("X-Bare: a\rb",), 400),
        (("X-Nul: a\0b",), 400),
        (("X-API-Key: second",), 400),
    ],
)
async def test_a_request_with_two_readings_is_refused(
    path: DataPath, headers: tuple[str, ...], status: int
) -> None:
    """And no byte of it reaches a sandbox."""
    route, key = path.serve(echo)
    lines = [f"POST /{route.api_id} HTTP/1.1", "Host: x", f"X-API-Key: {key}", *headers, "", ""]
    answer = await path.raw("\r\n".join(lines).encode() + b"0\r\n\r\n", "POST")
    assert answer.status == status
    assert path.sandboxes.started == []
