"""The caller's end of one call: its body as it arrives, then whether it is still there."""

import asyncio

from starlette.types import Message, Receive

from gateway.errors import SandgateError
from gateway.proxy.connection import Connection
from gateway.proxy.errors import BodyTooLargeError, ClientGoneError


class Caller:
    """Reads one request's body once, piece by piece, and never more than the sandbox takes.

    `open` reads the first piece. `attend` hands over the rest in the background and ends
    the connection's call when the caller leaves or sends too much.
    """

    def __init__(self, receive: Receive, length: int | None, cap: int) -> None:
        self._receive = receive
        self._is_chunked = length is None
        self._cap = cap
        self._task: asyncio.Task[None] | None = None
        self._piece = b""  # the last one as it came
        self.first = b""  # framed, as it goes to the sandbox
        self.is_complete = length == 0
        self.size = 0

    async def open(self, deadline: float) -> None:
        """Read the first piece; TimeoutError when it is not there by the deadline."""
        async with asyncio.timeout_at(deadline):
            self.first = await self._next()

    async def gather(self, most: int, deadline: float) -> bytes | None:
        """Hold the body back until all of it is here; its content, None when there is more.

        TimeoutError when it does not come by the deadline.
        """
        framed, content = [], []
        async with asyncio.timeout_at(deadline):
            while not self.is_complete and self.size <= most:
                framed.append(await self._next())
                content.append(self._piece)
        self.first = b"".join(framed)
        return b"".join(content) if self.is_complete else None

    def has_all(self, body: bytes) -> None:
        """The body was there at once; it is not framed in chunks."""
        self.first, self.size, self.is_complete = body, len(body), True

    def attend(self, connection: Connection) -> None:
        """Go on in the background, unless that has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._attend(connection))

    def leave(self) -> None:
        """The call is over, or is to be tried again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _attend(self, connection: Connection) -> None:
        try:
            while not self.is_complete:
                connection.send(await self._next())
                if not connection.can_send:
                    await connection.drained()
            connection.sent()
            while True:
                await self._message()
        except SandgateError as error:
            connection.fail(error)

    async def _next(self) -> bytes:
        """The next piece, framed; past the last one `is_complete`."""
        message = await self._message()
        piece: bytes = message.get("body", b"")
        self._piece = piece
        self.is_complete = not message.get("more_body", False)
        self.size += len(piece)
        if self.size > self._cap:
            raise BodyTooLargeError(self._cap)
        if not self._is_chunked:
            return piece
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return framed + b"0\r\n\r\n" if self.is_complete else framed

    async def _message(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        return message
