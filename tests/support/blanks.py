"""A manager's part in one sandbox, without the manager: launch, accept, specialise, call."""

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.channel import Channel, ControlDoor, bind
from sandbox.relay import Relay
from sandbox.runtimes.base import Handle, Launch, Runtime
from sandbox.types import Resources

SECONDS = 30.0
USUAL = Resources()
CONTEXT = b"127.0.0.1 5000 http /api 0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Blank:
    """A launched sandbox whose runner has dialled."""

    def __init__(
        self,
        handle: Handle,
        channel: Channel,
        door: ControlDoor,
        folder: Path,
        *,
        takes_descriptors: bool = True,
        has_layer: bool = False,
    ) -> None:
        self.handle = handle
        self.channel = channel
        self._door = door
        self._takes_descriptors = takes_descriptors
        self._has_layer = has_layer
        self._relay: asyncio.Task[None] | None = None
        self._socket = folder / "app.sock"
        self._calls = folder / "calls.sock"

    async def specialise(self, code: str) -> dict[str, Any]:
        """Hand code and listener in; the first message that says how it went."""
        listener = bind(self._socket)
        if not self._takes_descriptors:
            self._start_relay(listener)
        try:
            await self.channel.send(
                {
                    "type": "specialise",
                    "api_id": "a",
                    "version_id": "v",
                    "filename": "app.py",
                    "code": code,
                    "seconds": SECONDS,
                    "layer": self._has_layer,
                    "listener": "descriptor" if self._takes_descriptors else "dial",
                },
                listener.fileno() if self._takes_descriptors else None,
            )
            return await self.heard("ready", "failed", "exited")
        finally:
            listener.close()

    def _start_relay(self, listener: socket.socket) -> None:
        with bind(self._calls) as calls:
            self._calls.chmod(0o666)
            self._relay = Relay(listener, calls).start()

    async def heard(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these kinds."""
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self.channel.receive()
                if message["type"] in kinds:
                    return message

    async def get(self, path: str = "/") -> Answer:
        """Call the app over its socket."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write(
                    b"GET %b HTTP/1.1\r\nx-sandgate-context: %b\r\n"
                    b"Host: x\r\nConnection: close\r\n\r\n" % (path.encode(), CONTEXT)
                )
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
                body = await (reader.readexactly(int(length[1])) if length else reader.read())
            finally:
                writer.close()
                await writer.wait_closed()
        return Answer(int(head.split()[1]), body)

    async def let_go(self) -> None:
        """Close the manager's end, as a manager that dies would."""
        if self._relay is not None:
            self._relay.cancel()
            await asyncio.gather(self._relay, return_exceptions=True)
        self.channel.close()
        self._door.close()


def new_launch(
    folder: Path,
    installation: str,
    resources: Resources = USUAL,
    *,
    sandbox_id: str = "",
    layer: Path | None = None,
) -> Launch:
    """A launch with a control directory of its own."""
    sandbox_id = sandbox_id or uuid.uuid4().hex
    control = folder / sandbox_id
    control.mkdir(mode=0o755, parents=True, exist_ok=True)
    labels = {"sandgate.installation": installation, "sandgate.sandbox": sandbox_id}
    return Launch(sandbox_id, control, resources, labels, layer)


@asynccontextmanager
async def launched(
    runtime: Runtime,
    folder: Path,
    installation: str,
    resources: Resources = USUAL,
    *,
    layer: Path | None = None,
) -> AsyncIterator[Blank]:
    """A blank that is destroyed at the end, whatever happened to it."""
    launch = new_launch(folder, installation, resources, layer=layer)
    door = ControlDoor(launch.control_dir / "control.sock")
    handle = await runtime.launch(launch)
    try:
        async with asyncio.timeout(SECONDS):
            channel = await door.accept()
        blank = Blank(
            handle,
            channel,
            door,
            launch.control_dir,
            takes_descriptors=runtime.takes_descriptors,
            has_layer=layer is not None,
        )
        await blank.heard("hello")
        try:
            yield blank
        finally:
            await blank.let_go()
    finally:
        await handle.destroy()
