"""Texts that go through every field, and what no answer to them may be."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import httpx

NUL, SURROGATE = "a\x00b", "a\ud800b"
WORST: Mapping[str, str] = {
    "nul": NUL,
    "lone surrogate": SURROGATE,
    "sql": "'; drop table public.apis; --",
    "sql in a value": "x' or '1'='1",
}
OTHERS: Mapping[str, str] = {
    "nothing": "",
    "blanks": " \t ",
    "sql that selects": "x'||(select key_hash from consumer_api_keys limit 1)||'",
    "sql comment": "x\\'; select pg_sleep(10); /*",
    "placeholder": "$1 %s :name ? {0}",
    "json that ends": '","is_admin":true,"x":"',
    "json operator": '{"$ne": null}',
    "pattern": "%_\\",
    "path": "../../../etc/passwd",
    "encoded path": "..%2f..%2fetc%2fpasswd%00",
    "header": "x\r\nSet-Cookie: a=b",
    "template": "{{7*7}}${7*7}",
    "markup": "<script>alert(1)</script>",
    "escape": "\x1b[2J\x07\x08",
    "last control character": "a\x7fb\x9f",
    "other surrogate": "\udfff",
    "pair the wrong way": "\udc00\ud800",
    "no character": "\uffff\ufffe",
    "from right to left": "\u202egnp.exe",
    "zero width": "a\u200b\u200d\ufeffb",
    "look-alike": "ＡＰＩ раураl",
    "composed": "e" + "\u0301" * 300,
    "beyond the plane": "\U0001f9ff" * 50,
    "day that is not": "2026-02-30T25:61:61Z",
    "time zone that is not": "2030-01-01T00:00:00+99:99",
    "far time zone": "2030-01-01T00:00:00-23:59",
    "time without zone": "2030-01-01T00:00:00",
    "year of few": "0000-01-01T00:00:00Z",
    "year of many": "99999-01-01T00:00:00Z",
    "number that is none": "NaN",
    "number of many": "9" * 400,
    "leap": "-Infinity",
    "long": "a" * 200_000,
}


def encoded(text: str) -> str:
    """For an address; what is no character goes as the bytes it would be."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")[:60_000]


def printable(text: str) -> bytes:
    """For a header, which has no line ends, and no more than servers take."""
    return bytes(b for b in text.encode("utf-8", "surrogatepass") if b >= 32 and b != 127)[
        :8000
    ].strip()


def faults_of(answer: httpx.Response, media_type: str) -> Sequence[str]:
    """What is wrong with the answer; refusals have this media type."""
    found = []
    if answer.status_code >= 500:
        found.append("5xx")
    if answer.is_error and answer.headers["content-type"] != media_type:
        found.append("no problem")
    if "set-cookie" in answer.headers:
        found.append("a header was injected")
    if answer.is_error and len(answer.content) > 5000:
        found.append("the answer repeats what was sent")
    return found
