"""A caller made of raw bytes: reads one answer and says whatever is wrong with its form."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass

_HEAD = re.compile(
    rb"HTTP/1\.1 [1-5][0-9]{2} [ -~]*\r\n(?:[!#$%&'*+.^_`|~0-9a-z-]+: [^\r\n\0]*\r\n)+"
)
_ONCE = (b"date", b"x-request-id", b"x-process-time", b"server-timing", b"x-sandgate-generation")
_BODILESS = (204, 304)


@dataclass
class RawAnswer:
    """Head as it came, content of the body, and whether it came to its end."""

    head: bytes = b""
    body: bytes = b""
    whole: bool = False

    @property
    def status(self) -> int:
        """0 when there was no answer."""
        return int(self.head[9:12]) if self.head else 0

    def values(self, name: bytes) -> list[bytes]:
        """Of all fields of this name."""
        fields = [line.partition(b": ") for line in self.head.split(b"\r\n")[1:]]
        return [value for each, _, value in fields if each == name]

    def wrong(self) -> str:
        """What no answer of the gateway may look like, whatever a sandbox sent."""
        if not self.head:
            return ""
        if _HEAD.fullmatch(self.head) is None:
            return f"malformed head {self.head[:200]!r}"
        for name in _ONCE:
            if len(self.values(name)) != 1:
                return f"{name.decode()} came {len(self.values(name))} times"
        lengths, codings = self.values(b"content-length"), self.values(b"transfer-encoding")
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            return f"lengths {lengths} and codings {codings}"
        if b"nosniff" in self.values(b"x-content-type-options")[1:]:
            return "of several values the first holds, and that is not nosniff"
        if self.status == 204 and lengths:
            return "204 with a length"
        return ""


class RawCaller:
    """One connection of a caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def ask(self, request: bytes) -> None:
        """Send it."""
        self._writer.write(request)

    async def answer(self, on_head: Callable[[], None], *, is_head: bool) -> RawAnswer:
        """The next answer, as much of it as comes."""
        it = RawAnswer()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            it.head = (await self._reader.readuntil(b"\r\n\r\n"))[:-2]
            on_head()
            if is_head or it.status in _BODILESS:
                it.whole = True
            elif it.values(b"transfer-encoding"):
                await self._chunks(it)
            elif lengths := it.values(b"content-length"):
                await self._exactly(it, int(lengths[0]))
            else:
                await self._until_the_end(it)
        return it

    async def _exactly(self, it: RawAnswer, length: int) -> None:
        try:
            it.body += await self._reader.readexactly(length)
            it.whole = True
        except asyncio.IncompleteReadError as error:
            it.body += error.partial

    async def _until_the_end(self, it: RawAnswer) -> None:
        """A reset is the only way to tell such a caller that it is not whole."""
        while piece := await self._reader.read(65536):
            it.body += piece
        it.whole = True

    async def _chunks(self, it: RawAnswer) -> None:
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            if size == 0:
                it.whole = await self._reader.readexactly(2) == b"\r\n"
                return
            it.body += (await self._reader.readexactly(size + 2))[:-2]

    async def has_ended(self) -> bool:
        """Whether nothing more comes; waits for it."""
        try:
            return not await self._reader.read(1)
        except ConnectionError:
            return True

    async def close(self) -> None:
        """Go."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
