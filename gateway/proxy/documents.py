"""An API's `/openapi.json` and `/docs`, answered by the gateway from what is stored.

Nothing of it comes from a sandbox, so it is there while none runs. It is the document that
the version gave when it was stored; a path that this document names itself stays the app's.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.deadline import within
from gateway.errors import SandgateError, UnavailableError
from gateway.proxy.headers import Field
from gateway.proxy.openapi import an_object
from gateway.proxy.page_style import STYLE_HASH
from gateway.proxy.reference_page import ORIGIN, render_page
from gateway.proxy.shelf import Made, Shelf
from gateway.store.call_settings import CallSettings
from gateway.store.documents import StoredDocument

DOCUMENT, PAGE = b"/openapi.json", b"/docs"
CACHE_BYTES = 32 * 1024 * 1024
_LOAD_SECONDS = 2.0
_ENTRY_BYTES = 1000
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

Answer = tuple[int, list[Field], bytes]


class Source(Protocol):
    """Where documents are kept."""

    async def of(self, version_id: str) -> StoredDocument | None:
        """A version's; None when there is no such version."""
        ...


@dataclass(frozen=True, slots=True)
class _Files:
    """What is served of one version under one address; empty when it has no document."""

    document: bytes = b""
    page: bytes = b""
    own: frozenset[bytes] = frozenset()  # paths that are the app's after all


class Documents:
    """One in each gateway; versions never change, so neither does what is remembered."""

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._source = source
        self._shelf = Shelf(self._make, room=cache_bytes, clock=clock)

    @staticmethod
    def concerns(settings: CallSettings, method: str, path: bytes) -> bool:
        """Whether `answer` is to be asked; costs nothing on other paths."""
        return (
            path in (DOCUMENT, PAGE) and method in ("GET", "HEAD") and settings.documents != "off"
        )

    async def answer(
        self,
        version_id: str,
        path: bytes,
        *,
        method: str,
        root: bytes,
        scheme: str,
        host: bytes,
        if_none_match: bytes | None,
        is_public: bool,
    ) -> Answer | None:
        """Status, headers and body; None when the path is the app's.

        `root` is the address as the caller wrote it, `/<api>` or `/<api>@<n>`, empty on an
        origin of its own. UnavailableError when the store does not answer.
        """
        files = await self._shelf.get((version_id, root.decode("ascii", "replace")))
        if not files.document or path in files.own:
            return None
        if path == DOCUMENT:
            body, kind = files.document, b"application/json"
        else:
            body, kind = _addressed(files.page, scheme, host), b"text/html; charset=utf-8"
        headers = _headers(body, kind, is_public=is_public)
        if _matches(if_none_match, headers[0][1]):
            return 304, headers, b""
        headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        return 200, headers, b"" if method == "HEAD" else body

    async def _make(self, key: tuple[str, str]) -> Made[_Files]:
        version_id, root = key
        stored = await look_up(self._source, version_id)
        if stored is None or stored.document is None:
            is_final = stored is not None and stored.note is not None
            return Made(_Files(), _ENTRY_BYTES, is_final)
        files = await asyncio.to_thread(_made, stored.document, root)
        return Made(files, _ENTRY_BYTES + len(files.document) + len(files.page))


async def look_up(source: Source, version_id: str) -> StoredDocument | None:
    """UnavailableError when the store does not answer in time."""
    try:
        return await within(_LOAD_SECONDS, source.of(version_id))
    except (SandgateError, TimeoutError) as error:
        raise UnavailableError("The document cannot be looked up; try again.") from error


def _made(document: object, root: str) -> _Files:
    """Half a megabyte of JSON and a page of it: not on the event loop."""
    known = an_object(document)
    told = {**known, "servers": [{"url": root or "/"}]}
    own = (path.decode() for path in (DOCUMENT, PAGE))
    paths = an_object(known.get("paths"))
    return _Files(
        json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        render_page(known, root).encode("utf-8", "replace"),
        own=frozenset(one.encode() for one in own if "get" in an_object(paths.get(one))),
    )


def _addressed(page: bytes, scheme: str, host: bytes) -> bytes:
    """With the address at which this caller reached us; one that is none is left out."""
    origin = b""
    if scheme in ("http", "https") and _HOST.fullmatch(host):
        origin = scheme.encode() + b"://" + host
    return page.replace(ORIGIN.encode(), origin)


def _headers(body: bytes, kind: bytes, *, is_public: bool) -> list[Field]:
    """The tag first; the rest tells browsers to trust nothing in it."""
    tag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
    headers = [
        (b"etag", tag),
        (b"cache-control", b"no-cache" if is_public else b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if kind.startswith(b"text/html"):
        headers.append((b"content-security-policy", _POLICY.encode()))
        headers.append((b"referrer-policy", b"no-referrer"))
    return headers


def _matches(if_none_match: bytes | None, tag: bytes) -> bool:
    if if_none_match is None:
        return False
    named = {one.strip().removeprefix(b"W/") for one in if_none_match.split(b",")}
    return tag in named or named == {b"*"}
