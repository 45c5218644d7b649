"""A call's body is read once for the check, and once more by the sandbox."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Receive

from gateway.proxy.call import Call
from gateway.proxy.described import Described, is_public
from gateway.proxy.errors import UploadTooSlowError
from gateway.proxy.resolve import Target
from gateway.proxy.validation import MOST_BODY, RequestInvalidError
from gateway.store.call_settings import CallSettings
from gateway.store.documents import StoredDocument
from gateway.store.routes import Instances, Route
from sandbox.types import Resources, SandboxSpec

SCHEMA = {"type": "object", "required": ["a"]}
DOCUMENT = {
    "info": {"title": "x"},
    "paths": {
        "/": {"post": {"requestBody": {"content": {"application/json": {"schema": SCHEMA}}}}}
    },
}
JSON = [(b"host", b"x.example"), (b"content-type", b"application/json")]
TARGET = Target(SandboxSpec("a", "v"), 1, Instances())


class Store:
    """One document."""

    async def of(self, version_id: str) -> StoredDocument:
        return StoredDocument(DOCUMENT)


def call_of(method: str, path: bytes, seconds: float = 5) -> Call:
    call: Any = Call.__new__(Call)
    call.method, call.path, call.query, call.root, call.scheme = method, path, b"", b"/x", "https"
    call.deadline = asyncio.get_running_loop().time() + seconds
    return call  # type: ignore[no-any-return]


def sending(*messages: Message) -> Receive:
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def piece(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def checked(
    receive: Receive, length: int | None, headers: Any = JSON, **more: Any
) -> Receive:
    described = Described(Store())
    try:
        call = call_of("POST", b"/", **more)
        return await described.checked(call, TARGET, headers, receive, length)
    finally:
        described.close()


@pytest.mark.parametrize("length", [8, None])
async def test_what_was_read_comes_once_more_piece_by_piece(length: int | None) -> None:
    pieces = [piece(b'{"a"', more=True), piece(b": 1}")]
    receive = await checked(sending(*pieces, {"type": "http.disconnect"}), length)
    assert [await receive(), await receive()] == pieces
    assert (await receive())["type"] == "http.disconnect"


async def test_a_body_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RequestInvalidError) as caught:
        await checked(sending(piece(b"{}")), 2)
    assert caught.value.extra["errors"] == [{"field": "body.a", "detail": "is missing"}]


async def test_a_body_that_gets_too_large_goes_through_as_it_comes() -> None:
    first = piece(b" " * (MOST_BODY + 1), more=True)
    receive = await checked(sending(first, piece(b"{}")), None)
    assert [await receive(), await receive()] == [first, piece(b"{}")]


@pytest.mark.parametrize(
    ("length", "headers"), [(MOST_BODY + 1, JSON), (2, [(b"content-type", b"text/plain")])]
)
async def test_what_is_not_looked_at_is_not_waited_for(length: int, headers: Any) -> None:
    receive = sending()
    assert await checked(receive, length, headers) is receive


async def test_a_caller_who_leaves_meanwhile_has_left() -> None:
    receive = await checked(sending(piece(b"{", more=True), {"type": "http.disconnect"}), 9)
    assert (await receive())["body"] == b"{"
    assert (await receive())["type"] == "http.disconnect"


async def test_408_when_the_body_does_not_arrive() -> None:
    with pytest.raises(UploadTooSlowError):
        await checked(sending(piece(b"{", more=True)), 9, seconds=0.05)


async def test_the_page_is_answered_with_the_callers_address() -> None:
    described = Described(Store())
    call = call_of("GET", b"/docs")
    answer = await described.answer(call, TARGET, JSON, CallSettings())
    assert answer is not None
    assert b"https://x.example/x" in answer[2]
    assert await described.answer(call_of("GET", b"/a"), TARGET, JSON, CallSettings()) is None
    off = CallSettings(documents="off")
    assert await described.answer(call, TARGET, JSON, off) is None
    described.close()


def test_an_api_that_answers_nobody_shows_nobody_its_document() -> None:
    public = CallSettings(documents="public")
    up = Route("a", "x", "t", "active", "active", 1, {}, Resources(), (), settings=public)
    assert is_public(up)
    assert not is_public(replace(up, status="suspended"))
    assert not is_public(replace(up, tenant_status="suspended"))
    assert not is_public(replace(up, settings=CallSettings()))
