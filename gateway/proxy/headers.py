"""Which headers pass, in both directions, and how a body's length is told. Pure.

Names arrive in lower case from the server. Nothing is added towards the app but the
gateway's private header, which the runner takes out again, and the call's place in its trace.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from gateway.proxy.cookies import without_own
from gateway.proxy.errors import AmbiguousRequestError
from gateway.tracing import BEGUN_HERE, NAMES, TRACEPARENT, TRACESTATE, Trace, read_trace

Field = tuple[bytes, bytes]

CONTEXT = b"x-sandgate-context"

_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# A caller may not have these removed by naming them in Connection: they tell where the
# message goes and where it ends.
_NEVER_NAMED = frozenset({b"host", b"content-length", b"transfer-encoding"})
_READ_AND_PASSED = frozenset({b"authorization", b"content-length", b"cookie"})
_READ = _HOP | _READ_AND_PASSED | NAMES | {b"x-api-key"}
_DROPPED_ANSWER = _HOP | {
    b"date",  # the server in front writes it
    b"x-request-id",
    b"x-process-time",
    b"ratelimit",
    b"ratelimit-policy",
    b"server-timing",
    # all APIs share one origin: what one of them tells a browser about it would hold for all,
    # and servers in front of us take orders from nobody but us
    b"accept-ch",
    b"alt-svc",
    b"clear-site-data",
    b"expect-ct",
    b"nel",
    b"origin-agent-cluster",
    b"public-key-pins",
    b"public-key-pins-report-only",
    b"report-to",
    b"reporting-endpoints",
    b"secure-session-registration",
    b"service-worker-allowed",
    b"set-login",
    b"strict-transport-security",
    b"use-as-dictionary",
    b"x-lighttpd-send-file",
    b"x-reproxy-url",
}
_PRIVATE = (b"x-sandgate-", b"proxy-")
_PRIVATE_ANSWER = (
    b"x-sandgate-", b"x-ratelimit-", b"x-accel-", b"x-litespeed-", b"x-sendfile", b"proxy-",
)  # fmt: skip
# Common and certainly harmless: spares most headers the look at their prefix.
HARMLESS = frozenset(
    {
        b"host",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-type",
        b"origin",
        b"referer",
        b"cache-control",
        b"server",
        b"set-cookie",
        b"vary",
        b"etag",
        b"location",
        b"content-encoding",
    }
)


class RequestHead(NamedTuple):
    """What a caller's headers say: the key, the body's framing, and the lines that pass."""

    key: str  # empty when none was presented
    length: int | None  # of the body; None when it is chunked
    lines: bytes
    trace: Trace = BEGUN_HERE

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return self.length != 0


def read_request(headers: Iterable[Field]) -> RequestHead:
    """Read a caller's headers once; AmbiguousRequestError when they have two readings."""
    passed: list[Field] = []
    read: dict[bytes, list[bytes]] = {}
    for field in headers:
        name = field[0]
        if name in HARMLESS:
            passed.append(field)
        elif name in _READ:
            read.setdefault(name, []).append(field[1])
            if name in _READ_AND_PASSED:
                passed.append(field)
        elif not _is_private(name, _PRIVATE):
            passed.append(field)
    key, dropped = _presented(read)
    if b"connection" in read:
        dropped = dropped | named_in(read[b"connection"])
    if dropped:
        passed = [field for field in passed if field[0] not in dropped]
    if b"cookie" in read:
        passed = _without_our_cookies(passed)
    length = _length(read)
    lines = _lines(passed)
    if length is None:
        lines += b"transfer-encoding: chunked\r\n"
    return RequestHead(key, length, lines, _trace(read, dropped))


def _trace(read: dict[bytes, list[bytes]], dropped: frozenset[bytes]) -> Trace:
    """What goes on of the caller's; nothing that it meant for this hop alone."""
    if TRACEPARENT not in read or TRACEPARENT in dropped:
        return BEGUN_HERE
    return read_trace(read[TRACEPARENT], () if TRACESTATE in dropped else read.get(TRACESTATE, ()))


def _lines(passed: list[Field]) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % field for field in passed])
    if lines.count(b"\n") != len(passed):
        raise AmbiguousRequestError("A header holds a line break.")
    return lines


def _without_our_cookies(passed: list[Field]) -> list[Field]:
    """The gateway's own reach no sandbox; a header with nothing else in it goes."""
    seen = [
        (name, without_own(value)) if name == b"cookie" else (name, value) for name, value in passed
    ]
    return [field for field, sent in zip(seen, passed, strict=True) if field[1] or not sent[1]]


def passes_to_caller(name: bytes) -> bool:
    """Whether a sandbox's header, its name in lower case, may reach the caller."""
    if name in HARMLESS:
        return True
    name = name.replace(b"_", b"-")  # see `_is_private`
    return name not in _DROPPED_ANSWER and not name.startswith(_PRIVATE_ANSWER)


# What no browser shows as a document in which scripts run. Everything else may be one: types
# nobody told or knows, of which browsers look into the body, lists, and all kinds of XML.
_QUIET = re.compile(
    rb"(?:application/(?:(?:[a-z0-9.-]+\+)?json|x-ndjson|octet-stream|pdf|zip|gzip|javascript)"
    rb"|text/(?:plain|css|csv|event-stream|javascript|markdown)"
    rb"|image/(?!svg)[a-z0-9.-]+|(?:audio|font|video)/[a-z0-9.-]+)[\t ]*(?:;[^,]*)?",
    re.IGNORECASE,
)
_CAGE: list[Field] = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts",
    ),
]


def cage(headers: list[Field]) -> list[Field]:
    """What a page of an API is given on the origin that all share: one of its own, without rights.

    A policy of the page's own holds beside it, never instead of it.
    """
    kinds = [value for name, value in headers if name == b"content-type"]
    return [] if len(kinds) == 1 and _QUIET.fullmatch(kinds[0]) else _CAGE


def is_caged(field: Field) -> bool:
    """Whether this very header came from `cage`; an app's own of the same text did not."""
    return any(field is each for each in _CAGE)


def named_in(connection: Iterable[bytes]) -> frozenset[bytes]:
    """The headers that Connection headers say are for this hop only."""
    return connection_tokens(connection) - _NEVER_NAMED


def connection_tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The tokens of all Connection headers."""
    return frozenset(
        token for value in values for each in value.split(b",") if (token := each.strip().lower())
    )


def context_start(client: tuple[str, int] | None, scheme: str, root: bytes) -> bytes:
    """The start of the private header that tells the runner what the gateway knows.

    The call's id and its milliseconds follow.
    """
    host, port = client or ("unknown", 0)
    text = f"{host.replace(' ', '')} {port} {scheme} {root.decode('ascii')} "
    return b"%b: %b" % (CONTEXT, text.encode("ascii", "replace"))


def _is_private(name: bytes, prefixes: tuple[bytes, ...]) -> bool:
    """Also under an alias: servers behind CGI-like interfaces read `_` as `-`."""
    if b"_" in name:
        name = name.replace(b"_", b"-")
    return name.startswith(prefixes)


def _presented(read: dict[bytes, list[bytes]]) -> tuple[str, frozenset[bytes]]:
    """The presented key and the names of further headers that must not pass."""
    keys = read.get(b"x-api-key")
    if keys is not None:
        return _only(keys, "X-API-Key").decode("latin-1").strip(), frozenset()
    tokens = read.get(b"authorization")
    if tokens is None:
        return "", frozenset()
    scheme, _, token = _only(tokens, "Authorization").partition(b" ")
    if scheme.lower() != b"bearer":
        return "", frozenset()
    return token.decode("latin-1").strip(), frozenset({b"authorization"})


def _only(values: list[bytes], name: str) -> bytes:
    if len(values) > 1:
        raise AmbiguousRequestError(f"{name} may be sent once.")
    return values[0]


def _length(read: dict[bytes, list[bytes]]) -> int | None:
    """The body's length; None for chunked. Without either header there is no body."""
    codings, lengths = read.get(b"transfer-encoding"), read.get(b"content-length")
    if codings is not None:
        if lengths is not None or len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise AmbiguousRequestError("Only 'Transfer-Encoding: chunked' and no Content-Length.")
        return None
    if lengths is None:
        return 0
    text = _only(lengths, "Content-Length")
    if not text.isdigit() or len(text) > 15:
        raise AmbiguousRequestError("Content-Length is not a number.")
    return int(text)
