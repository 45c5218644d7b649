"""What the documents of versions are for on the call path: shown, and held against calls."""

import asyncio
from collections import deque
from collections.abc import Sequence

from starlette.types import Message, Receive

from gateway.proxy.call import Call
from gateway.proxy.documents import DOCUMENT, PAGE, Answer, Documents, Source
from gateway.proxy.errors import UploadTooSlowError
from gateway.proxy.headers import Field
from gateway.proxy.resolve import Target
from gateway.proxy.validation import MOST_BODY, Validators, is_json
from gateway.store.call_settings import CallSettings
from gateway.store.routes import Route

SHOWN = frozenset({DOCUMENT, PAGE})  # paths inside an API that the warm path leaves alone
shows = Documents.concerns


def is_public(route: Route) -> bool:
    """Whether its document needs no key; one that answers nobody shows nobody anything."""
    is_up = route.status == "active" and route.tenant_status == "active"
    return is_up and route.settings.documents == "public"


class Described:
    """One in each gateway."""

    def __init__(self, source: Source) -> None:
        self._documents = Documents(source)
        self._validators = Validators(source)

    async def answer(
        self, call: Call, target: Target, headers: Sequence[Field], settings: CallSettings
    ) -> Answer | None:
        """Status, headers and body when the path is the document's or its page's."""
        if not Documents.concerns(settings, call.method, call.path):
            return None
        given = dict(headers)
        return await self._documents.answer(
            target.spec.version_id,
            call.path,
            method=call.method,
            root=call.root,
            scheme=call.scheme,
            host=given.get(b"host", b""),
            if_none_match=given.get(b"if-none-match"),
            is_public=settings.documents == "public",
        )

    async def checked(
        self,
        call: Call,
        target: Target,
        headers: Sequence[Field],
        receive: Receive,
        length: int | None,
    ) -> Receive:
        """Where the body, which was read for the check, comes from once more.

        Raises RequestInvalidError when the call certainly does not fit the document.
        """
        body: bytes | None = b"" if length == 0 else None  # None: it goes through as it comes
        if length != 0 and is_json(headers) and (length or 0) <= MOST_BODY:
            body, receive = await _read(receive, call.deadline)
        refusal = await self._validators.check(
            target.spec.version_id, call.method, call.path, call.query, headers, body
        )
        if refusal is not None:
            raise refusal
        return receive

    @property
    def skipped(self) -> int:
        """Calls that passed because their check would have taken too long."""
        return self._validators.skipped

    def close(self) -> None:
        """Its threads end."""
        self._validators.close()


async def _read(receive: Receive, deadline: float) -> tuple[bytes | None, Receive]:
    """The whole body, and a `receive` that begins with it; None of a caller who left, or of
    a body that gets too large."""
    messages: list[Message] = []
    size, is_whole = 0, False
    try:
        async with asyncio.timeout_at(deadline):
            while size <= MOST_BODY and not is_whole:
                messages.append(message := await receive())
                if message["type"] != "http.request":
                    break
                size += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
    except TimeoutError as error:
        raise UploadTooSlowError(
            "The body did not arrive within the time that a call has."
        ) from error
    waiting = deque(messages)

    async def again() -> Message:
        return waiting.popleft() if waiting else await receive()

    body = b"".join(message.get("body", b"") for message in messages)
    return (body if is_whole and size <= MOST_BODY else None), again
