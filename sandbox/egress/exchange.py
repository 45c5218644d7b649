"""One HTTP request and its answer between a sandbox and a host, both parsed and written anew."""

import contextlib

import h11

from sandbox.egress import messages
from sandbox.egress.flow import Flow, both
from sandbox.egress.refusals import Code, RefusedError
from sandbox.egress.streams import Stream

_MOST_INTERIM = 8
_RESPONSE_HEAD_BYTES = 128 * 1024


class _ResponseEnded(Exception):  # noqa: N818
    """The answer is complete: what is left of the request does not matter any more."""


class ClientSide:
    """The sandbox's end: one request comes in, one answer goes out."""

    def __init__(self, stream: Stream, head_bytes: int) -> None:
        self.stream = stream
        self._head_bytes = head_bytes
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=head_bytes)

    @property
    def has_answered(self) -> bool:
        """Whether an answer has begun, so that no other one can be given."""
        return self.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def early(self) -> bytes:
        """What came behind a CONNECT request."""
        return bytes(self.connection.trailing_data[0])

    async def request(self) -> h11.Request:
        """The head of the request; RefusedError when it is none."""
        event = await self.event()
        if not isinstance(event, h11.Request):
            raise ConnectionResetError("the sandbox left without a request")
        if event.http_version not in (b"1.0", b"1.1"):
            raise RefusedError(Code.BAD_REQUEST, "only HTTP/1.1 and HTTP/1.0 are understood")
        # the parser only counts while something is missing, so what came at once is counted here
        size = sum(len(name) + len(value) for name, value in event.headers)
        if size + len(event.target) > self._head_bytes:
            raise RefusedError(Code.BAD_REQUEST, "the head of the request is too long")
        return event

    async def event(self) -> h11.Event:
        """The next piece of the request."""
        try:
            while (event := self.connection.next_event()) is h11.NEED_DATA:
                self.connection.receive_data(await self.stream.read())
        except h11.RemoteProtocolError as error:
            raise RefusedError(Code.BAD_REQUEST, str(error)) from error
        if not isinstance(event, h11.Event):
            raise ConnectionResetError("the sandbox left")
        return event

    async def send(self, event: h11.Event) -> None:
        """A piece of the answer."""
        if data := self.connection.send(event):
            await self.stream.write(data)


class Exchange:
    """`request` goes to `upstream` with the body that follows on the client's side."""

    def __init__(self, client: ClientSide, upstream: Stream, flow: Flow) -> None:
        self._client = client
        self._upstream = upstream
        self._flow = flow
        self._connection = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=_RESPONSE_HEAD_BYTES
        )

    async def run(self, request: h11.Request) -> None:
        """To the end of the answer."""
        with contextlib.suppress(_ResponseEnded):
            await self._flow.watch(both(self._forward(request), self._answer()))

    async def _forward(self, request: h11.Request) -> None:
        """The request. Trailers are not passed on."""
        event: h11.Event = request
        while await self._sent(event) and not isinstance(event, h11.EndOfMessage):
            event = await self._client.event()
            if isinstance(event, h11.EndOfMessage):
                event = h11.EndOfMessage()

    async def _sent(self, event: h11.Event) -> bool:
        """False when the host reads no more: it may still answer, so that is no error."""
        data = self._connection.send(event)
        try:
            await self._upstream.write(self._flow.send(data or b""))
        except OSError:
            return False
        return True

    async def _answer(self) -> None:
        interim = 0
        while True:
            event = await self._next()
            if isinstance(event, h11.InformationalResponse):
                interim += 1
                if interim > _MOST_INTERIM or event.status_code == 101:
                    raise RefusedError(Code.UNREACHABLE, "the host does not answer in HTTP")
                if event.status_code == 100:
                    await self._client.send(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Response):
                await self._client.send(messages.returning(event))
            elif isinstance(event, h11.Data):
                await self._client.send(event)
            else:
                await self._client.send(h11.EndOfMessage())
                raise _ResponseEnded

    async def _next(self) -> h11.Event:
        try:
            while (event := self._connection.next_event()) is h11.NEED_DATA:
                self._connection.receive_data(self._flow.receive(await self._upstream.read()))
        except (h11.RemoteProtocolError, OSError) as error:
            raise RefusedError(Code.UNREACHABLE, "the host does not answer in HTTP") from error
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise RefusedError(Code.UNREACHABLE, "the host closed the connection")
        return event
