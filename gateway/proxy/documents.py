"""An API's `/openapi.json` and `/docs`, answered by the gateway from what is stored.

Nothing of it comes from a sandbox, so it is there while none runs. It is the document that
the version gave when it was stored; a path that this document names itself stays the app's.
"""

import asyncio
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.deadline import within
from gateway.errors import SandgateError, UnavailableError
from gateway.proxy.headers import Field
from gateway.proxy.openapi import an_object
from gateway.proxy.page_style import STYLE_HASH
from gateway.proxy.reference_page import ORIGIN, render_page
from gateway.store.call_settings import CallSettings
from gateway.store.documents import StoredDocument

DOCUMENT, PAGE = b"/openapi.json", b"/docs"
CACHE_BYTES = 32 * 1024 * 1024
_LOAD_SECONDS = 2.0
_UNKNOWN_SECONDS = 10.0  # until a version that was never asked for its document is looked at again
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
    is_final: bool = True
    own: frozenset[bytes] = frozenset()  # paths that are the app's after all

    @property
    def size(self) -> int:
        return len(self.document) + len(self.page) + 1000


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
        self._clock = clock
        self._room = cache_bytes
        self._known: OrderedDict[tuple[str, str], tuple[_Files, float]] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Task[_Files]] = {}

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
        files = await self._files(version_id, root.decode("ascii", "replace"))
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

    async def _files(self, version_id: str, root: str) -> _Files:
        key = (version_id, root)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock():
            self._known.move_to_end(key)
            return known[0]
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(version_id, root))
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)  # it outlives a caller who leaves

    async def _load(self, version_id: str, root: str) -> _Files:
        try:
            stored = await within(_LOAD_SECONDS, self._source.of(version_id))
        except (SandgateError, TimeoutError) as error:
            raise UnavailableError("The document cannot be looked up; try again.") from error
        if stored is None or stored.document is None:
            files = _Files(is_final=stored is not None and stored.note is not None)
        else:
            files = await asyncio.to_thread(_made, stored.document, root)
        self._remember((version_id, root), files)
        return files

    def _remember(self, key: tuple[str, str], files: _Files) -> None:
        until = float("inf") if files.is_final else self._clock() + _UNKNOWN_SECONDS
        old = self._known.pop(key, None)
        self._room += old[0].size if old else 0
        self._known[key] = files, until
        self._room -= files.size
        while self._room < 0 and self._known:
            _, (gone, _) = self._known.popitem(last=False)
            self._room += gone.size


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
