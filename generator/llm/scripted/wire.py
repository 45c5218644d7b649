"""The server's HTTP: a connection each request or kept, chunks, and breaking off on purpose."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import h11

from generator.llm.scripted.asked import Asked, RefusedRequestError, check
from generator.llm.scripted.events import Counter, Event, events, message
from generator.llm.scripted.scenario import Answering, Fault, Reply

LARGEST = 8_000_000
COUNTING = "/v1/messages/count_tokens"
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
Headers = Iterable[tuple[str, str]]


class Dropped(Exception):  # noqa: N818 - the plan, not an error
    """The connection ends here."""


class Server:
    """Answers as it is told; one object, one listening socket."""

    def __init__(
        self,
        answering: Answering,
        *,
        compatible: bool = False,
        seen: list[Asked] | None = None,
        pace: float = 0.0,
    ) -> None:
        self._answering = answering
        self._compatible = compatible
        self._seen = seen
        self._pace = pace
        self._counter = Counter()
        self._number = 0
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; the base URL."""
        self._server = await asyncio.start_server(self._connected, host, port)
        where = self._server.sockets[0].getsockname()
        shown = f"[{where[0]}]" if ":" in where[0] else where[0]
        return f"http://{shown}:{where[1]}"

    async def close(self) -> None:
        """End it, and every answer that hangs."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open.add(task)
        try:
            await self._requests(Wire(reader, writer))
        except (Dropped, OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            self._open.discard(task)

    async def _requests(self, wire: "Wire") -> None:
        while (request := await wire.request()) is not None:
            method, path, headers, body = request
            self._number += 1
            wire.request_id = f"req_scripted_{self._number:06}"
            await self._answer(wire, method, path, headers, body)
            if not wire.next():
                return

    async def _answer(
        self, wire: "Wire", method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        try:
            asked = self._asked(method, path, headers, body)
            if asked.path.endswith("count_tokens"):
                await self._count(wire, asked)
            else:
                await self._say(wire, asked)
        except RefusedRequestError as error:
            await wire.error(error.status, str(error))

    def _asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
        plain = path.partition("?")[0]
        places = {"/v1/messages"} if self._compatible else {"/v1/messages", COUNTING}
        if method != "POST" or plain not in places:
            raise RefusedRequestError("there is nothing here", 404)
        asked = Asked(plain, headers, _object(body))
        if self._seen is not None:
            self._seen.append(asked)
        if not (headers.get("x-api-key") or headers.get("authorization")):
            raise RefusedRequestError("x-api-key header is required", 401)
        check(asked, compatible=self._compatible)
        return asked

    async def _count(self, wire: "Wire", asked: Asked) -> None:
        reply = self._answering(asked)
        if reply is not None and reply.status:
            await wire.failed(reply)
        else:
            counted = {"input_tokens": self._counter.count(asked)}
            await wire.json(200, counted if reply is None else reply.usage)

    async def _say(self, wire: "Wire", asked: Asked) -> None:
        reply = self._answering(asked)
        if reply is None:
            what = asked.form or ", ".join(asked.tools) or "text"
            raise RefusedRequestError(f"the scenario has no reply to a request for {what}")
        if reply.status:
            await wire.failed(reply)
            return
        whole = message(reply, asked, self._counter, compatible=self._compatible)
        if asked.body.get("stream"):
            await self._stream(wire, reply, events(whole, reply.pieces))
        else:
            await wire.json(200, whole)

    async def _stream(self, wire: "Wire", reply: Reply, said: Iterable[Event]) -> None:
        fault = reply.fault
        if fault is not None and fault.after == 0:
            await _go_wrong(wire, fault)
        await wire.head(200, "text/event-stream", reply.headers.items())
        for number, (name, data) in enumerate(said, 1):
            await wire.chunk(_event(name, json.dumps(data, ensure_ascii=False)))
            if self._pace:
                await asyncio.sleep(self._pace)
            if fault is not None and fault.after == number:
                await _go_wrong(wire, fault)
        await wire.end()


async def _go_wrong(wire: "Wire", fault: Fault) -> None:
    match fault.kind:
        case "hang":
            await wire.gone()
        case "malformed":
            await wire.chunk(_event("content_block_delta", '{"type": "content_blo'))
            return
        case "error":
            told = {"type": "error", "error": {"type": fault.error, "message": "told to fail"}}
            await wire.chunk(_event("error", json.dumps(told)))
            await wire.end()
    raise Dropped


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise RefusedRequestError("the body is no JSON") from error
    if not isinstance(value, dict):
        raise RefusedRequestError("the body is no object")
    return value


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request_id = ""
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)

    async def request(self) -> tuple[str, str, Mapping[str, str], bytes] | None:
        """The next request, or None when the client is done."""
        head: h11.Request | None = None
        body = bytearray()
        async for event in self._events():
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LARGEST:
                    raise Dropped
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                return head.method.decode(), head.target.decode(), headers, bytes(body)
        return None

    async def _events(self) -> AsyncIterator[h11.Event]:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65_536))
            elif isinstance(event, h11.Event) and not isinstance(event, h11.ConnectionClosed):
                yield event
            else:
                return

    def next(self) -> bool:
        """Whether another request can follow on this connection."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def head(self, status: int, kind: str, headers: Headers = ()) -> None:
        """Status and headers; the body follows in chunks."""
        own = [("content-type", kind), ("request-id", self.request_id), *headers]
        await self._send(h11.Response(status_code=status, headers=own))

    async def chunk(self, data: bytes) -> None:
        """A piece of the body."""
        await self._send(h11.Data(data))

    async def end(self) -> None:
        """The body's end."""
        await self._send(h11.EndOfMessage())

    async def json(self, status: int, value: Mapping[str, Any], headers: Headers = ()) -> None:
        """A whole answer."""
        await self.head(status, "application/json", headers)
        await self.chunk(json.dumps(value, ensure_ascii=False).encode())
        await self.end()

    async def error(self, status: int, text: str, kind: str = "", headers: Headers = ()) -> None:
        """An error in the service's own form."""
        error = {"type": kind or ERRORS[status], "message": text}
        told = {"type": "error", "error": error, "request_id": self.request_id}
        await self.json(status, told, headers)

    async def failed(self, reply: Reply) -> None:
        """The error that a reply is."""
        kind = reply.error or ERRORS.get(reply.status, "api_error")
        await self.error(reply.status, reply.message, kind, reply.headers.items())

    async def gone(self) -> None:
        """Wait until the client goes away."""
        while await self._reader.read(65_536):
            pass

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()
