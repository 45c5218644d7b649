"""What may leave in a log line or a report: secrets are taken out, by name and by shape. Pure.

One rule for every process. Bounded in time and size, because part of what is logged was written
by somebody else's code.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
TEXT_MAX: Final = 16_384
_ITEMS_MAX = 200
_DEPTH_MAX = 8

# A name is secret when one of its words is one of these …
_SECRET_WORDS = frozenset((
    "apikey", "apikeys", "authorization", "cookie", "cookies", "credential", "credentials",
    "dsn", "jwt", "key", "keys", "otp", "passphrase", "passwd", "password", "passwords", "pem",
    "pwd", "secret", "secrets", "session", "signature", "token", "tokens", "totp",
))  # fmt: skip
# … unless the last one says that it is only about a secret.
_ABOUT = frozenset((
    "age", "at", "bytes", "count", "expires", "hint", "id", "ids", "kind", "length", "limit",
    "limits", "max", "name", "names", "prefix", "seconds", "status", "type", "version",
))  # fmt: skip
# Numbers under these are counts.
_COUNTED = frozenset({"cookies", "credentials", "keys", "passwords", "secrets", "tokens"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

_NAMES = (
    r"(?:[a-z0-9]{1,20}[_-]){0,3}"
    r"(?:(?:api|access|secret|private|role|signing|encryption|admin)[_-]?key|token|password|passwd|pwd|passphrase|secret|jwt|signature|session"
    r"|credentials?)"
)
_SHAPES = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.{0,8192}?(?:-----END [A-Z ]{0,40}-----|\Z)",
        r"\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,2}",  # a JSON web token, or most of one
        r"(?:sg_live|sg_admin|sb_secret|sk_live|sk_test|rk_live|whsec|ghp|gho|glpat|xox[abp])"
        r"[_-][A-Za-z0-9_-]{6,}",
        r"\bsk-[A-Za-z0-9_-]{16,}",
        r"\bAKIA[A-Z0-9]{12,}",
    )
)
_SCHEME = re.compile(r"\b(bearer|basic|digest)(\s+)(?!\[redacted\])[^\s'\",;]+", re.IGNORECASE)
_LINE = re.compile(
    r"\b((?:set-)?cookie|(?:proxy-)?authorization|x-api-key|apikey)"
    r"(['\"]?\s{0,4}[:=]\s{0,4}b?['\"]?)(?!\[redacted\])[^\r\n'\"]+",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"\b({_NAMES})(\\?['\"]?\s{{0,4}}(?:=>|[:=,])\s{{0,4}}b?)"
    r"(\\\"(?:[^\"\\]|\\[^\"])*(?:\\\"|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)|(?!\[redacted\])[^\s&;,'\"<>)}\]]+)",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@'\"]{1,512}@", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name must not be told; `key_id` may, `api_key` may not."""
    words = _words(name)
    if not words or words[-1] in _ABOUT:
        return False
    return not _SECRET_WORDS.isdisjoint(words) or "".join(words[-2:]) in _SECRET_WORDS


def redact_text(text: str) -> str:
    """The text without what looks like a secret, cut off when it is very long."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}… ({len(text)} characters)"
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    text = _LINE.sub(rf"\1\2{REDACTED}", text)
    text = _SCHEME.sub(rf"\1\2{REDACTED}", text)
    text = _PAIR.sub(rf"\1\2{REDACTED}", text)
    return _USERINFO.sub(rf"\1{REDACTED}@", text)


def redact(value: Any, depth: int = 0) -> Any:
    """The same value with every secret taken out. `Any`: whatever somebody logs."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return redact_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each, depth + 1) for each in list(value)[:_ITEMS_MAX]]
    if isinstance(value, bytes | bytearray | memoryview):
        return redact_text(bytes(value[: TEXT_MAX + 1]).decode("utf-8", "backslashreplace"))
    return redact_text(repr(value))


def redact_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Every field by its name first, then by what is in it."""
    return {
        redact_text(str(name)): REDACTED if _is_secret(str(name), value) else redact(value, depth)
        for name, value in list(fields.items())[:_ITEMS_MAX]
    }


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """The same as a processor of structlog; the first and the second are structlog's own."""
    return redact_fields(event)


def _is_secret(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool) or value == "" or not is_secret_name(name):
        return False
    is_count = isinstance(value, int | float) and _words(name)[-1] in _COUNTED
    return not is_count


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name[:200])]
