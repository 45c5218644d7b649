"""`/openapi.json` and `/docs` of an API: from the store, for browsers that trust nothing."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UnavailableError
from gateway.proxy.documents import Answer, Documents
from gateway.proxy.reference_page import render_page
from gateway.store.call_settings import CallSettings
from gateway.store.documents import StoredDocument

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Cats", "version": "2"},
    "paths": {
        "/cats/{n}": {
            "get": {
                "summary": "One cat",
                "parameters": [
                    {"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}}
                ],
                "responses": {"200": {"description": "It"}},
            }
        }
    },
}


class Store:
    """Counts how often it is asked."""

    def __init__(self, stored: StoredDocument | None) -> None:
        self.stored = stored
        self.asked = 0
        self.fails = False

    async def of(self, version_id: str) -> StoredDocument | None:
        self.asked += 1
        if self.fails:
            raise UnavailableError
        return self.stored


async def get(documents: Documents, path: bytes, **more: Any) -> Answer | None:
    asked: dict[str, Any] = {
        "method": "GET",
        "root": b"/cats",
        "scheme": "https",
        "host": b"api.example.com",
        "if_none_match": None,
        "is_public": False,
    }
    return await documents.answer("v1", path, **asked | more)


async def got(path: bytes, document: Any = DOCUMENT, **more: Any) -> Answer:
    answer = await get(Documents(Store(StoredDocument(document))), path, **more)
    assert answer is not None
    return answer


def header(answer: Answer, name: bytes) -> bytes:
    return dict(answer[1]).get(name, b"")


async def test_200_document_with_the_address_it_was_asked_at() -> None:
    answer = await got(b"/openapi.json", root=b"/cats@2")
    assert json.loads(answer[2]) == DOCUMENT | {"servers": [{"url": "/cats@2"}]}
    assert header(answer, b"content-type") == b"application/json"
    assert header(answer, b"cache-control") == b"private, no-cache"
    assert header(answer, b"content-length") == str(len(answer[2])).encode()


async def test_200_page_without_scripts_for_a_browser_that_would_run_none() -> None:
    answer = await got(b"/docs", is_public=True)
    page = answer[2].decode()
    assert "<title>Cats</title>" in page
    assert "curl &#x27;https://api.example.com/cats/cats/0&#x27;" in page
    assert b"default-src 'none'" in header(answer, b"content-security-policy")
    assert b"script" not in header(answer, b"content-security-policy")
    assert header(answer, b"cache-control") == b"no-cache"


@pytest.mark.parametrize("path", [b"/openapi.json", b"/docs"])
async def test_304_when_the_caller_has_it_and_no_body_for_head(path: bytes) -> None:
    full = await got(path)
    tag = header(full, b"etag")
    for known in (tag, b"W/" + tag, b'"x", ' + tag, b"*"):
        again = await got(path, if_none_match=known)
        assert (again[0], again[2], header(again, b"etag")) == (304, b"", tag)
    assert (await got(path, if_none_match=b'"x"'))[0] == 200
    head = await got(path, method="HEAD")
    assert (head[0], head[1], head[2]) == (200, full[1], b"")


async def test_a_host_that_is_none_is_not_repeated() -> None:
    page = (await got(b"/docs", host=b'"><script>'))[2]
    assert b"<script" not in page
    assert b"curl &#x27;/cats/cats/0" in page or b"curl /cats/cats/0" in page


async def test_without_a_document_the_paths_are_the_apps() -> None:
    for stored in (None, StoredDocument(None, "it has none"), StoredDocument(None)):
        documents = Documents(Store(stored))
        assert await get(documents, b"/openapi.json") is None
        assert await get(documents, b"/docs") is None


async def test_a_path_that_the_document_names_is_the_apps() -> None:
    paths: dict[str, Any] = {"/docs": {"get": {}}, "/openapi.json": {"post": {}}}
    documents = Documents(Store(StoredDocument(DOCUMENT | {"paths": paths})))
    assert await get(documents, b"/docs") is None
    assert await get(documents, b"/openapi.json") is not None


def test_only_reading_these_two_paths_concerns_us_and_only_when_it_is_on() -> None:
    on, off = CallSettings(), CallSettings(documents="off")
    asked = [("GET", b"/docs"), ("HEAD", b"/openapi.json"), ("POST", b"/docs"), ("GET", b"/docs/")]
    assert [Documents.concerns(on, *one) for one in asked] == [True, True, False, False]
    assert not any(Documents.concerns(off, *one) for one in asked)


async def test_the_store_is_asked_once_and_again_only_while_nobody_knows() -> None:
    store, now = Store(StoredDocument(None)), 0.0
    documents = Documents(store, clock=lambda: now)
    await get(documents, b"/docs")
    await get(documents, b"/docs")
    assert store.asked == 1
    now, store.stored = 11.0, StoredDocument(DOCUMENT)
    assert await get(documents, b"/docs") is not None
    now = 1e9
    assert await get(documents, b"/openapi.json") is not None
    assert store.asked == 2


async def test_what_is_remembered_is_bounded() -> None:
    store = Store(StoredDocument(DOCUMENT))
    documents = Documents(store, cache_bytes=20_000)
    for n in range(20):
        await get(documents, b"/docs", root=b"/cats@%d" % n)
    await get(documents, b"/docs", root=b"/cats@19")
    assert store.asked == 20
    await get(documents, b"/docs", root=b"/cats@0")
    assert store.asked == 21


async def test_503_when_the_store_does_not_answer() -> None:
    store = Store(None)
    store.fails = True
    with pytest.raises(UnavailableError):
        await get(Documents(store), b"/docs")


# --- hostile documents


class Page(HTMLParser):
    """Which tags and attributes a page has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(f"@{name}" for name, _ in attrs)}
        self.links |= {value or "" for name, value in attrs if name == "href"}


ALL = frozenset(Page(render_page(DOCUMENT, "/cats")).seen) | frozenset(
    [
        "nav",
        "h2",
        "ul",
        "li",
        "a",
        "b",
        "details",
        "summary",
        "pre",
        "code",
        "table",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "div",
        "p",
    ]
)
LINKS = {"#operations", "#op-", "/cats/openapi.json"}
PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{origin}}",
    "&lt;script&gt;",
    "\u202ealert",
    "$(touch /tmp/x)`id`'; id #",
    "\x00<b\x00>",
]


def everywhere(text: str) -> dict[str, Any]:
    """A document with this text in every place of it."""
    schema = {
        "type": text,
        "properties": {text: {"type": "string", "default": text, "enum": [text]}},
        "required": [text],
    }
    operation = {
        "summary": text,
        "description": text,
        "tags": [text],
        "parameters": [
            {"name": text, "in": place, "required": True, "schema": schema, "description": text}
            for place in ("query", "header", "path", "cookie")
        ],
        "requestBody": {
            "description": text,
            "content": {"application/json": {"schema": schema}, text: {"schema": schema}},
        },
        "responses": {text: {"description": text, "content": {text: {"schema": schema}}}},
    }
    methods = {"get": operation, "post": operation, text: operation}
    info = {"title": text, "version": text, "summary": text, "description": text}
    return {"openapi": "3.1.0", "info": info, "paths": {text: methods, "/" + text: methods}}


@pytest.mark.parametrize("text", PAYLOADS)
def test_no_text_of_a_document_becomes_markup(text: str) -> None:
    page = render_page(everywhere(text), "/cats")
    seen = Page(page).seen
    assert seen <= ALL | {"@tabindex", "@aria-label", "@scope"}
    assert {link.rstrip("0123456789") for link in Page(page).links} <= LINKS
    assert "\u202e" not in page
    assert "\x00" not in page


def test_a_command_to_paste_contains_no_command_of_the_document() -> None:
    text = "'; touch /tmp/x; '"
    page = render_page(everywhere(text), "/cats")
    for block in page.split("curl ")[1:]:
        command = block.partition("</code>")[0].replace("&#x27;", "'").replace("&quot;", '"')
        assert "'; touch" not in command.replace("'\"'\"'; touch", "")


def test_a_header_cannot_make_curl_read_a_file() -> None:
    assert "-H &#x27;@" not in render_page(everywhere("@/etc/passwd"), "/cats")


def test_a_page_is_bounded_however_much_a_document_offers() -> None:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/A"}
    fields = {f"f{n}": schema for n in range(300)}
    document = {
        "paths": {
            f"/p{n}": {"get": {"responses": {"200": {"content": {"a/b": {"schema": schema}}}}}}
            for n in range(1500)
        },
        "components": {"schemas": {"A": {"type": "object", "properties": fields}}},
    }
    page = render_page(document, "/cats")
    assert len(page) < 4_000_000
    assert " more are in " in page


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just({"$ref": "#/paths/~1a"}),
    lambda one: (
        st.lists(one, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "get",
                    "post",
                    "parameters",
                    "name",
                    "in",
                    "schema",
                    "content",
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "allOf",
                    "enum",
                    "responses",
                    "requestBody",
                    "description",
                    "tags",
                    "required",
                    "path",
                    "query",
                    "example",
                    "200",
                ]
            ),
            one,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=60, deadline=None)
@given(_json, _json)
def test_any_shape_is_rendered(item: Any, components: Any) -> None:
    document = {"info": components, "paths": {"/a": item, "/b": {"get": item}}}
    assert render_page(document, "/cats").endswith("</html>\n")
