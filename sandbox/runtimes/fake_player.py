"""Plays the runner's side of the protocol for the in-memory runtime, and runs no code at all.

What a sandbox does is scripted by comments in the code it is given, one per line:
`# fake: fail import_error no such thing`, `# fake: slow 0.2` (before it is ready),
`# fake: hang` (never ready), `# fake: exit` (ends while starting), `# fake: deaf` (ready but
answers nothing), `# fake: print hello`, `# fake: openapi {"a":1}` (what it says of
itself). Every call is answered 200 with what was asked.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.runner.frames import Message
from sandbox.runner.link import Link, LinkLostError
from sandbox.runtimes.base import Launch
from sandbox.waiting import readable

_PREFIX = "# fake: "
_HEAD_BYTES = 64 * 1024
_REDIAL_SECONDS = 0.02
_SPARES = 4


@dataclass(slots=True)
class FakeSandbox:
    """One in memory, as runtime and player see it."""

    launch: Launch
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    going: asyncio.Event = field(default_factory=asyncio.Event)  # cleared while frozen
    task: asyncio.Task[None] | None = None
    say: Callable[[Message], None] | None = None  # to the manager, while it is connected
    order: Message = field(default_factory=dict)
    cores: frozenset[int] = frozenset()


class Player:
    """The runner's side of one sandbox."""

    def __init__(self, sandbox: FakeSandbox) -> None:
        self._sandbox = sandbox
        self._path = str(sandbox.launch.control_dir / "control.sock")
        self._going = sandbox.going
        self._state = "blank"
        self._identity: Message = {}
        self._calls = str(sandbox.launch.control_dir / "calls.sock")
        self._server: asyncio.Server | None = None
        self._spares: list[asyncio.Task[None]] = []
        self._calls_under_way: set[asyncio.Task[None]] = set()

    async def play(self) -> None:
        """Until told to stop."""
        link = Link(self._path)
        try:
            while True:
                self._greet(link)
                try:
                    await self._obey_until_stop(link)
                    return
                except LinkLostError:
                    link.close()
                    if self._state != "running":
                        return
                    link = await self._redial()
        finally:
            link.close()
            if self._server is not None:
                self._server.close()
            # a hung one still holds its calls; processes that end close their connections
            ending = [*self._spares, *self._calls_under_way]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _redial(self) -> Link:
        while True:
            try:
                return Link(self._path)
            except LinkLostError:
                await asyncio.sleep(_REDIAL_SECONDS)

    def _greet(self, link: Link) -> None:
        hello = {"type": "hello", "pid": os.getpid(), "python": "fake", "state": self._state}
        link.send(hello | self._identity)
        link.flush()
        self._sandbox.say = lambda message: self._say(link, message)

    async def _obey_until_stop(self, link: Link) -> None:
        while True:
            await readable(link.sock)
            await self._going.wait()
            for message in link.receive():
                if message["type"] == "stop":
                    self._say(link, {"type": "exited", "reason": "stopped"})
                    return
                if message["type"] == "describe":
                    self._describe(link)
                elif not await self._specialise(link, message):
                    return

    async def _specialise(self, link: Link, message: Message) -> bool:
        self._sandbox.order = message
        number = link.take_descriptor()
        if (number is None) != (message["listener"] == "dial"):
            raise LinkLostError("a listener came along, or none did, against the message")
        listener = None if number is None else socket.socket(fileno=number)
        with contextlib.closing(listener) if listener else contextlib.nullcontext():
            self._identity = {key: message[key] for key in ("api_id", "version_id")}
            self._say(link, {"type": "specialising"})
            ready, deaf = True, False
            for words in _script(message["code"]):
                ready, deaf = await self._act(link, words, deaf)
                if not ready:
                    return False
            if not deaf:
                await self._serve(listener)
        self._state = "running"
        self._say(link, {"type": "ready"})
        return True

    async def _serve(self, listener: socket.socket | None) -> None:
        if listener is not None:
            self._server = await asyncio.start_server(self._accept, sock=listener.dup())
            return
        self._spares = [asyncio.create_task(self._keep_dialled()) for _ in range(_SPARES)]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._calls_under_way.add(task)
        task.add_done_callback(self._calls_under_way.discard)

    async def _keep_dialled(self) -> None:
        """One connection that waits for a call, again and again."""
        while True:
            try:
                streams = await asyncio.open_unix_connection(self._calls)
            except OSError:
                await asyncio.sleep(_REDIAL_SECONDS)
            else:
                await self._answer(*streams)

    async def _act(self, link: Link, words: list[str], deaf: bool) -> tuple[bool, bool]:
        """Whether to go on, and whether to answer calls later."""
        match words:
            case ["fail", kind, *reason]:
                said = " ".join(reason) or f"scripted {kind}"
                failed = {"type": "failed", "kind": kind, "reason": said, "file": "app.py"}
                self._say(link, {**failed, "line": 1, "traceback": ""})
                return False, deaf
            case ["exit"]:
                self._say(link, {"type": "exited", "reason": "exited with code 3"})
                return False, deaf
            case ["slow", seconds]:
                await asyncio.sleep(float(seconds))
            case ["hang"]:
                await asyncio.Event().wait()
            case ["deaf"]:
                return True, True
            case ["print", *text]:
                at = asyncio.get_running_loop().time()
                line = {"stream": "stdout", "text": " ".join(text), "at": at}
                self._say(link, {"type": "log", **line})
        return True, deaf

    def _describe(self, link: Link) -> None:
        code = str(self._sandbox.order.get("code", ""))
        said = [" ".join(words[1:]) for words in _script(code) if words[:1] == ["openapi"]]
        data = base64.b64encode("".join(said).encode()).decode()
        self._say(link, {"type": "document", "data": data, "note": "the fake runs no code"})

    def _say(self, link: Link, message: Message) -> None:
        link.send(message)
        link.flush()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n"))[:_HEAD_BYTES].decode("latin-1")
                lines = head.split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in
                           (line.partition(":") for line in lines[1:])}  # fmt: skip
                body = await reader.readexactly(int(headers.get("content-length") or 0))
                await self._going.wait()
                writer.write(self._response(lines[0], headers, body))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the caller left, or was no HTTP client
        finally:
            writer.transport.abort()

    def _response(self, first: str, headers: dict[str, str], body: bytes) -> bytes:
        if headers.get("x-sandgate-context") == "probe":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        method, _, target = first.removesuffix(" HTTP/1.1").partition(" ")
        asked = {"method": method, "target": target, "bytes": len(body), **self._identity}
        data = json.dumps(asked).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
        return head.encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else data)


def _script(code: str) -> list[list[str]]:
    lines = (line.strip() for line in code.splitlines())
    return [line.removeprefix(_PREFIX).split() for line in lines if line.startswith(_PREFIX)]
