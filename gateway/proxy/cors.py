"""Cross-origin calls by browsers: preflights answered, answers dressed, as the API is set. Pure.

Only for APIs that have CORS settings; the CORS headers of other apps pass as they are. With
settings the gateway alone decides: a preflight has no key and never reaches a sandbox, and
refusals of the gateway can be read by the page that caused them.
"""

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from gateway.proxy.headers import Field
from gateway.store.call_settings import Cors

_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_MOST_ASKED = 4096  # bytes of header names that a preflight is answered for
_OURS = b"access-control-"
# What every answer of the gateway tells a caller, so that pages can heed it too.
_EXPOSED = (
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
)


class Said(list[Field]):
    """The headers of a preflight's answer: whole, so that `dressed` leaves them alone."""


class Preflight(NamedTuple):
    """The answer to a preflight; it has no body."""

    status: int
    headers: Said


class _Policy(NamedTuple):
    """The settings as they are sent and compared."""

    any_origin: bool
    exact: frozenset[bytes]
    below: tuple[tuple[bytes, bytes], ...]  # what an origin starts and ends with
    methods: bytes
    headers: bytes
    any_header: bool
    expose: bytes
    max_age: bytes


def preflight(settings: Cors, headers: Iterable[Field]) -> Preflight | None:
    """The answer to an OPTIONS call that is a preflight; None when it is one for the app."""
    origins: list[bytes] = []
    method, asked = None, b""
    for name, value in headers:
        if name == b"origin":
            origins.append(value)
        elif name == b"access-control-request-method":
            method = value
        elif name == b"access-control-request-headers":
            asked += (b", " if asked else b"") + value
    if not origins or method is None:
        return None
    policy = _policy(settings)
    answer = Said([(b"content-length", b"0")])
    allowed = allowed_origin(settings, origins[0]) if len(origins) == 1 else None
    if allowed is not None:
        answer.append((b"access-control-allow-origin", allowed))
        if settings.credentials:
            answer.append((b"access-control-allow-credentials", b"true"))
        answer.append((b"access-control-allow-methods", policy.methods))
        names = policy.headers
        if policy.any_header:
            names = asked if len(asked) <= _MOST_ASKED and _TOKENS.fullmatch(asked) else b""
        if names:
            answer.append((b"access-control-allow-headers", names))
        answer.append((b"access-control-max-age", policy.max_age))
    answer.append((b"vary", _vary(policy)))
    return Preflight(204, answer)


def dressed(settings: Cors, origin: bytes | None, headers: list[Field]) -> list[Field]:
    """An answer's headers, the app's or the gateway's, as this origin may read them.

    `origin` is the call's only Origin header; None when it had none, or several.
    """
    if isinstance(headers, Said):
        return headers
    policy = _policy(settings)
    result = [field for field in headers if not field[0].startswith(_OURS)]
    allowed = None if origin is None else allowed_origin(settings, origin)
    if allowed is not None:
        result.append((b"access-control-allow-origin", allowed))
        if settings.credentials:
            result.append((b"access-control-allow-credentials", b"true"))
        result.append((b"access-control-expose-headers", policy.expose))
    if not policy.any_origin:  # also without an origin: a cache may keep this answer for others
        result.append((b"vary", b"Origin"))
    return result


def origin_of(headers: Iterable[Field]) -> bytes | None:
    """The call's one Origin header."""
    found = [value for name, value in headers if name == b"origin"]
    return found[0] if len(found) == 1 else None


def allowed_origin(settings: Cors, origin: bytes) -> bytes | None:
    """What Access-Control-Allow-Origin says to this origin; None when it may not read."""
    policy = _policy(settings)
    if policy.any_origin:
        return b"*"
    if origin in policy.exact:
        return origin
    for start, end in policy.below:
        if len(origin) <= 255 and origin.startswith(start) and origin.endswith(end):
            labels = origin[len(start) : -len(end)]
            if labels and re.fullmatch(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", labels):
                return origin
    return None


def _vary(policy: _Policy) -> bytes:
    names = [] if policy.any_origin else [b"Origin"]
    return b", ".join([*names, b"Access-Control-Request-Method", b"Access-Control-Request-Headers"])


@functools.lru_cache(maxsize=4096)
def _policy(settings: Cors) -> _Policy:
    below = []
    for origin in settings.origins:
        scheme, wild, domain = origin.partition("://*")
        if wild:
            below.append((f"{scheme}://".encode(), domain.encode()))
    return _Policy(
        any_origin="*" in settings.origins,
        exact=frozenset(origin.encode() for origin in settings.origins if "*" not in origin),
        below=tuple(below),
        methods=", ".join(settings.methods).encode(),
        headers=", ".join(settings.headers).encode(),
        any_header="*" in settings.headers,
        expose=", ".join(dict.fromkeys([*_EXPOSED, *settings.expose])).encode(),
        max_age=b"%d" % settings.max_age,
    )
