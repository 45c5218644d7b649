"""Which answers may be given again, to whom, for how long: a strict part of RFC 9111. Pure.

The app cannot see who calls, because the gateway takes the key out. So an answer that says it
is fresh is fresh for every caller, unless the call carried credentials of the app's own.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.proxy.headers import Field, named_in
from gateway.tracing import TRACEPARENT, TRACESTATE

METHODS = frozenset({"GET", "HEAD"})
STATUSES = frozenset({200, 203, 204, 300, 301, 404, 410})
MAX_SECONDS = 86_400  # nothing is kept longer, whatever the app says
_MAX_VARY = 8

_DIRECTIVE = re.compile(rb"[ \t,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"([^\"]*)\"|([^\s,\"]*)))?")
# The app sees these, but they change no answer that does not say so in Vary. Every header
# that is not named here or told by Vary is part of what an answer is kept under.
_USUAL = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"content-length",  # zero, or the call has a body
        b"dnt",
        b"host",  # kept under it always
        b"if-modified-since",
        b"if-none-match",
        b"keep-alive",
        b"pragma",
        b"priority",
        b"referer",
        b"te",
        b"traceparent",
        b"tracestate",
        b"upgrade-insecure-requests",
        b"user-agent",
        b"x-api-key",
    }
)
_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_NOT_FROM_HERE = frozenset({b"range", b"if-range", b"if-match", b"if-unmodified-since"})
_NEVER = frozenset({b"no-store", b"no-cache", b"private"})
# in Vary: no other call is like this one
_EACH_CALL_ITS_OWN = frozenset({b"*", TRACEPARENT, TRACESTATE})
_SHARED = frozenset({b"public", b"s-maxage", b"must-revalidate"})

Directives = Mapping[bytes, bytes]


class Asked(NamedTuple):
    """What a call's headers say about answers from memory."""

    host: bytes
    fields: Mapping[bytes, bytes]  # all that the app sees, values of one name joined
    unusual: tuple[Field, ...]  # those of them that an answer is always kept under
    has_credentials: bool  # of the app's own: a cookie, or Authorization beside X-API-Key
    may_be_old: bool  # False: an answer is wanted from the app itself
    max_age: int | None
    etags: frozenset[bytes] | None  # of If-None-Match; `*` among them means any


class Freshness(NamedTuple):
    """What an answer says about being given again."""

    seconds: int  # left from now
    age: int  # that it had when it came
    vary: tuple[bytes, ...]
    is_shared: bool  # said to be for everybody, credentials or not


def asked_of(method: str, headers: Iterable[Field]) -> Asked | None:
    """What a call wants; None when memory has no part in it, neither before nor after."""
    if method not in METHODS:
        return None
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    if b"connection" in fields:  # what it names is for this hop, and the app does not see it
        for name in named_in([fields[b"connection"]]):
            fields.pop(name, None)
    if not _NOT_FROM_HERE.isdisjoint(fields) or b"transfer-encoding" in fields:
        return None
    if fields.get(b"content-length", b"0").strip(b"0"):
        return None
    if b"x-api-key" not in fields:
        fields.pop(b"authorization", None)  # it was the key, and the app does not see it
    fields.pop(b"x-api-key", None)
    wishes = directives(fields.get(b"cache-control", b""))
    if b"no-store" in wishes:
        return None
    no_cache = b"no-cache" in wishes
    if not wishes and b"no-cache" in fields.get(b"pragma", b"").lower():
        no_cache = True
    max_age = _seconds(wishes[b"max-age"]) if b"max-age" in wishes else None
    return Asked(
        host=fields.get(b"host", b"").lower(),
        fields=fields,
        unusual=tuple(
            sorted(field for field in fields.items() if field[0] not in _USUAL | _CREDENTIALS)
        ),
        has_credentials=not _CREDENTIALS.isdisjoint(fields),
        may_be_old=not no_cache and max_age != 0,
        max_age=max_age,
        etags=etags_of(fields[b"if-none-match"]) if b"if-none-match" in fields else None,
    )


def freshness_of(asked: Asked, status: int, headers: Iterable[Field]) -> Freshness | None:
    """For how long an answer may be given again; None when it may not be kept at all."""
    if status not in STATUSES:
        return None
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = fields[name] + b"," + value if name in fields else value
    if b"set-cookie" in fields or b"content-range" in fields:
        return None
    said = directives(fields.get(b"cache-control", b""))
    if not _NEVER.isdisjoint(said):
        return None
    lifetime = _seconds(said.get(b"s-maxage", said.get(b"max-age", b"")))
    age = _seconds(fields.get(b"age", b""))
    is_shared = not _SHARED.isdisjoint(said)
    vary = tuple(sorted(_names(fields.get(b"vary", b""))))
    if not _EACH_CALL_ITS_OWN.isdisjoint(vary) or len(vary) > _MAX_VARY:
        return None
    if asked.has_credentials and not is_shared:
        return None
    seconds = min(lifetime, MAX_SECONDS) - age
    return Freshness(seconds, age, vary, is_shared) if seconds > 0 else None


def selected(asked: Asked, vary: tuple[bytes, ...]) -> tuple[bytes | None, ...]:
    """The call's values of the headers that an answer depends on."""
    return tuple(asked.fields.get(name) for name in vary)


def directives(value: bytes) -> dict[bytes, bytes]:
    """Of Cache-Control. Said twice, the smaller number or the empty argument holds.

    What cannot be read is `no-store`: who knows what was meant.
    """
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(value):
        match = _DIRECTIVE.match(value, at)
        if match is None:
            if value[at:].strip(b" \t,"):
                found[b"no-store"] = b""
            break
        name, argument = match[1].lower(), match[2] if match[2] is not None else match[3] or b""
        if name in found and found[name] != argument:
            argument = b"%d" % min(_seconds(found[name]), _seconds(argument))
        found[name] = argument
        at = match.end()
        if at < len(value) and value[at] not in b" \t,":
            found[b"no-store"] = b""
            break
    return found


def etags_of(value: bytes) -> frozenset[bytes]:
    """Of If-None-Match, compared weakly as it asks for."""
    return frozenset(each.strip().removeprefix(b"W/") for each in value.split(b","))


def _names(value: bytes) -> set[bytes]:
    return {name for each in value.split(b",") if (name := each.strip(b" \t").lower())}


def _seconds(text: bytes) -> int:
    """Delta-seconds; what is no number is none."""
    return min(int(text), 2**31) if text.isdigit() and len(text) < 20 else 0
