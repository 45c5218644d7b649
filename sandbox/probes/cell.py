"""One sandbox without a manager: launch, hand code in, call it, and see how it ends."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox.channel import Channel, ChannelClosedError, ControlDoor, bind
from sandbox.outlets import bind_ways
from sandbox.probes.limits import RESOURCES
from sandbox.relay import Relay
from sandbox.runner.frames import Message
from sandbox.runtimes.base import Handle, Launch, Runtime, RuntimeUnavailableError

LAUNCH_SECONDS = 60.0
START_SECONDS = 20.0
_LARGEST_ANSWER = 4 * 1024 * 1024
_TARGET = re.compile(r"[\w/?=&.%-]+")


class CellError(Exception):
    """It did not start, or does not answer; the text says how."""


@dataclass(frozen=True, slots=True)
class End:
    """What its runner or the kernel said of its end."""

    end: str
    reason: str


class Cell:
    """A launched sandbox. Whatever it says is hostile."""

    def __init__(self, sandbox_id: str, handle: Handle, channel: Channel, path: Path) -> None:
        self.sandbox_id = sandbox_id
        self.lines = 0
        self._handle = handle
        self._channel = channel
        self._path = path
        self._settled: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._last: Message = {}
        self._hearing = asyncio.create_task(self._hear())
        self._relaying: asyncio.Task[None] | None = None

    async def specialise(
        self,
        code: str,
        environment: Mapping[str, str],
        calls: socket.socket | None,
        cpu_seconds: float,
    ) -> None:
        """Hand the code in, and a listener unless `calls` are fetched; CellError when it fails."""
        message = {
            "type": "specialise",
            "api_id": "probe",
            "version_id": "probe",
            "filename": "app.py",
            "code": code,
            "seconds": START_SECONDS,
            "environment": dict(environment),
            "egress": True,
            "resources": asdict(RESOURCES),
            "call_cpu_seconds": cpu_seconds,
            "listener": "descriptor" if calls is None else "dial",
        }
        with contextlib.closing(bind(self._path / "app.sock")) as listener:
            if calls is not None:
                self._relaying = Relay(listener, calls).start()
                await asyncio.sleep(0)  # it has its own copy then
            await self._channel.send(message, listener.fileno() if calls is None else None)
            try:
                async with asyncio.timeout(START_SECONDS + 5):
                    heard = await asyncio.shield(self._settled)
            except TimeoutError:
                raise CellError("it said nothing about its start") from None
        if heard.get("type") != "ready":
            raise CellError(f"it did not start: {str(heard.get('reason'))[:200]}")

    async def get(self, target: str, seconds: float = 20.0, deadline_ms: int = 0) -> Any:
        """What a call is answered, as JSON; CellError when there is no answer."""
        try:
            async with asyncio.timeout(seconds):
                return json.loads(await self._get(target, deadline_ms))
        except (OSError, ValueError, RecursionError, asyncio.IncompleteReadError) as error:
            raise CellError(f"no answer: {type(error).__name__}") from error
        except asyncio.LimitOverrunError as error:
            raise CellError("an answer without an end") from error

    async def _get(self, target: str, deadline_ms: int) -> bytes:
        context = f"127.0.0.1 5000 http /probe probe {deadline_ms}"
        head = f"GET {quote(target, safe='/?=&')} HTTP/1.1\r\nx-sandgate-context: {context}\r\n"
        reader, writer = await asyncio.open_unix_connection(self._path / "app.sock")
        try:
            writer.write(f"{head}Host: probe\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\ncontent-length: *(\d{1,9})\r", answer)
            if length is None or int(length[1]) > _LARGEST_ANSWER:
                raise ValueError("no length, or too long")
            return await reader.readexactly(int(length[1]))
        finally:
            writer.transport.abort()

    async def ended(self, seconds: float) -> End | None:
        """How it ended, when it does within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._handle.wait()
                await asyncio.wait({self._hearing})
        except TimeoutError:
            return None
        kernel = await self._handle.end_reason()
        said = self._last if self._last.get("type") == "exited" else {}
        return End(str(kernel or said.get("end", "")), str(said.get("reason", ""))[:200])

    async def _hear(self) -> None:
        """Everything its runner says, until it is gone."""
        try:
            while True:
                message = await self._channel.receive()
                if message.get("type") == "log":
                    self.lines += 1
                    continue
                self._last = message
                if message.get("type") in ("ready", "failed", "exited"):
                    self._settle(message)
        except ChannelClosedError as error:
            self._settle({"type": "exited", "reason": str(error)})

    def _settle(self, message: Message) -> None:
        if not self._settled.done():
            self._settled.set_result(message)

    async def close(self) -> None:
        """Stop listening to it."""
        tasks = [task for task in (self._hearing, self._relaying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._channel.close()


@asynccontextmanager
async def cell(
    runtime: Runtime,
    folder: Path,
    installation: str,
    code: str,
    environment: Mapping[str, str] | None = None,
    *,
    cpu_seconds: float = 20.0,
) -> AsyncIterator[Cell]:
    """A sandbox that runs this code, destroyed at the end, whatever happened to it.

    Raises CellError or RuntimeUnavailableError.
    """
    sandbox_id = uuid.uuid4().hex
    path = folder / sandbox_id
    control = path / "ctl"
    control.mkdir(mode=0o755, parents=True)
    labels = {"sandgate.installation": installation, "sandgate.sandbox": sandbox_id}
    door = ControlDoor(control / "control.sock")
    ways = bind_ways(control)
    calls = None if runtime.takes_descriptors else _bind_calls(control / "calls.sock")
    try:
        handle = await runtime.launch(Launch(sandbox_id, control, RESOURCES, labels))
        try:
            one = await _dialled(sandbox_id, handle, door, path)
            try:
                await one.specialise(code, environment or {}, calls, cpu_seconds)
                yield one
            finally:
                await one.close()
        finally:
            await handle.destroy()
    except ChannelClosedError as error:
        raise CellError(str(error)) from error
    finally:
        for listener in (ways, door, calls):
            if listener is not None:
                listener.close()
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _bind_calls(path: Path) -> socket.socket:
    """Where a runner fetches calls that can be given no listener."""
    listener = bind(path)
    path.chmod(0o666)
    return listener


async def _dialled(sandbox_id: str, handle: Handle, door: ControlDoor, path: Path) -> Cell:
    """Once its runner has reported."""
    try:
        async with asyncio.timeout(LAUNCH_SECONDS):
            channel = await door.accept()
            try:
                while (await channel.receive()).get("type") != "hello":
                    pass
            except BaseException:
                channel.close()
                raise
    except TimeoutError:
        raise RuntimeUnavailableError("no runner reported") from None
    return Cell(sandbox_id, handle, channel, path)
