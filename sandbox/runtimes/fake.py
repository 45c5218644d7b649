"""The in-memory runtime: plays the runner's side of the protocol itself and runs no code at all.

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
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.runner.frames import Message
from sandbox.runner.link import Link, LinkLostError
from sandbox.runtimes.base import Found, Handle, Launch, RuntimeUnavailableError
from sandbox.types import EndReason, Resources, Tier
from sandbox.waiting import readable

_PREFIX = "# fake: "
_HEAD_BYTES = 64 * 1024
_REDIAL_SECONDS = 0.02
_SPARES = 4


@dataclass(slots=True)
class Faults:
    """What goes wrong, changeable while it runs."""

    engine_down: bool = False  # every call to the engine fails
    launch_error: str = ""
    never_dial: bool = False
    keep_destroyed: bool = False  # destroy fails; the sandbox lives on
    end: EndReason | None = None  # what the kernel is said to have ended it for
    freeze_error: str = ""
    thaw_error: str = ""
    resize_error: str = ""
    memory_bytes: int | None = 20_000_000
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sandbox:
    launch: Launch
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    going: asyncio.Event = field(default_factory=asyncio.Event)  # cleared while frozen
    task: asyncio.Task[None] | None = None
    say: Callable[[Message], None] | None = None  # to the manager, while it is connected
    order: Message = field(default_factory=dict)


class FakeHandle:
    """One sandbox in memory."""

    def __init__(self, runtime: "FakeRuntime", sandbox: _Sandbox) -> None:
        self._runtime = runtime
        self._sandbox = sandbox

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        return self._sandbox.launch.sandbox_id

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._sandbox.ended.wait()

    async def end_reason(self) -> EndReason | None:
        """As the faults say."""
        return self._runtime.faults.end

    async def freeze(self) -> None:
        """Answer nothing until it is thawed."""
        self._fail_if_gone(self._runtime.faults.freeze_error)
        self._sandbox.going.clear()

    async def thaw(self) -> None:
        """Go on."""
        self._fail_if_gone(self._runtime.faults.thaw_error)
        self._sandbox.going.set()

    async def resize(self, resources: Resources) -> None:
        """Note it down."""
        self._fail_if_gone(self._runtime.faults.resize_error)
        self._sandbox.launch = replace(self._sandbox.launch, resources=resources)

    async def memory_bytes(self) -> int | None:
        """As the faults say."""
        return self._runtime.faults.memory_bytes

    def _fail_if_gone(self, fault: str) -> None:
        self._runtime.fail_if_down()
        if fault or self._sandbox.ended.is_set():
            raise RuntimeUnavailableError(fault or "the sandbox is gone")

    async def destroy(self) -> None:
        """End it and forget it."""
        self._runtime.fail_if_down()
        if self._runtime.faults.keep_destroyed:
            raise RuntimeUnavailableError("the engine does not remove it")
        await self._runtime.end(self.sandbox_id)


class FakeRuntime:
    """Sandboxes are tasks; they outlive a manager as containers do."""

    name = "fake"
    tier = Tier.NONE
    takes_descriptors = True
    can_freeze = True

    def __init__(self) -> None:
        self.faults = Faults()
        self.launches = 0
        self._sandboxes: dict[str, _Sandbox] = {}

    def fail_if_down(self) -> None:
        """As an engine that is away does."""
        if self.faults.engine_down:
            raise RuntimeUnavailableError("the fake engine is down")

    async def prepare(self) -> None:
        """Nothing to make."""
        self.fail_if_down()

    async def check(self) -> tuple[str, ...]:
        """As the faults say."""
        self.fail_if_down()
        return self.faults.missing

    async def launch(self, launch: Launch) -> Handle:
        """Start the task that plays the runner."""
        self.fail_if_down()
        if self.faults.launch_error:
            raise RuntimeUnavailableError(self.faults.launch_error)
        self.launches += 1
        sandbox = _Sandbox(launch)
        sandbox.going.set()
        self._sandboxes[launch.sandbox_id] = sandbox
        if not self.faults.never_dial:
            sandbox.task = asyncio.create_task(self._play(sandbox))
        return FakeHandle(self, sandbox)

    async def find(self, installation: str) -> list[Found]:
        """Those with the label."""
        self.fail_if_down()
        return [
            Found(sandbox_id, sandbox.launch.labels, not sandbox.ended.is_set())
            for sandbox_id, sandbox in self._sandboxes.items()
            if sandbox.launch.labels.get("sandgate.installation") == installation
        ]

    async def adopt(self, found: Found) -> Handle | None:
        """Take a living one over, thawed."""
        self.fail_if_down()
        sandbox = self._sandboxes.get(found.sandbox_id)
        if sandbox is None or sandbox.ended.is_set():
            return None
        sandbox.going.set()
        return FakeHandle(self, sandbox)

    async def remove(self, found: Found) -> None:
        """Remove a stray."""
        self.fail_if_down()
        await self.end(found.sandbox_id)

    async def close(self) -> None:
        """Sandboxes stay."""

    @property
    def sandbox_ids(self) -> list[str]:
        """All that the engine knows, dead ones included until they are removed."""
        return list(self._sandboxes)

    def resources_of(self, sandbox_id: str) -> Resources:
        """What one may use now."""
        return self._sandboxes[sandbox_id].launch.resources

    def layer_of(self, sandbox_id: str) -> Path | None:
        """Which packages one was launched with."""
        return self._sandboxes[sandbox_id].launch.layer

    def is_frozen(self, sandbox_id: str) -> bool:
        """Whether one is stopped where it is."""
        return not self._sandboxes[sandbox_id].going.is_set()

    def told(self, sandbox_id: str) -> Message:
        """The order with which one got its code."""
        return self._sandboxes[sandbox_id].order

    def hang(self, sandbox_id: str) -> None:
        """From now on one answers nothing, although it runs."""
        self._sandboxes[sandbox_id].going.clear()

    def lose(self, sandbox_id: str) -> None:
        """The engine does not know one any more, and tells nobody."""
        self._sandboxes.pop(sandbox_id)

    async def exit(self, sandbox_id: str, end: EndReason, reason: str) -> None:
        """One ends, and its runner says why."""
        sandbox = self._sandboxes[sandbox_id]
        if sandbox.say is not None:
            sandbox.say({"type": "exited", "reason": reason, "end": str(end)})
        await self.die(sandbox_id)

    async def die(self, sandbox_id: str) -> None:
        """Crash one: it ends by itself, and the engine still knows it."""
        sandbox = self._sandboxes[sandbox_id]
        if sandbox.task is not None:
            sandbox.task.cancel()
            await asyncio.wait({sandbox.task})
        sandbox.ended.set()

    async def end(self, sandbox_id: str) -> None:
        """Remove every trace."""
        if sandbox_id in self._sandboxes:
            await self.die(sandbox_id)
            self._sandboxes.pop(sandbox_id, None)

    async def _play(self, sandbox: _Sandbox) -> None:
        try:
            await _Player(sandbox).play()
        finally:
            sandbox.ended.set()


class _Player:
    """The runner's side of one sandbox."""

    def __init__(self, sandbox: _Sandbox) -> None:
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
