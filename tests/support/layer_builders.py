"""Builders for layer tests: the real builder code in a bare bubblewrap, and scripted liars."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.types import Resources
from tests.support.engines import require_bubblewrap
from tests.support.runtimes import runner_root

_START = (
    "import sys, uvicorn; sys.path.insert(0, '/work');"
    "uvicorn.run('app:app', uds='/work/app.sock', log_level='warning')"
)


def command(work: Path, tools: Path, resources: Resources) -> list[str]:
    """The runner root with nothing of the manager's: files are apart, the network is the host's."""
    root = runner_root().path
    size = str(resources.tmp_mb * 1024 * 1024)
    return [
        *("bwrap", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"),
        *("--setenv", "HOME", "/tmp", "--setenv", "PATH", "/python/bin"),
        *("--ro-bind", str(root / "python"), "/python", "--ro-bind", str(root / "usr"), "/usr"),
        *("--ro-bind", str(root / "runner"), "/runner", "--ro-bind", str(root / "etc"), "/etc"),
        *(part for link in ("lib", "lib64") for part in _link(root, link)),
        *("--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/tmp"),
        *("--ro-bind", str(tools), "/layer", "--bind", str(work), "/work", "--chdir", "/"),
        *("/python/bin/python3", "-I", "-c", _START),
    ]


def _link(root: Path, name: str) -> list[str]:
    path = root / name
    return ["--symlink", str(path.readlink()), f"/{name}"] if path.is_symlink() else []


@dataclass
class PlainBuilder:
    """Runs the builder code as it is. `calls` are the egress hosts of each sandbox."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    running: int = 0

    @asynccontextmanager
    async def throwaway(
        self,
        code: str,
        egress_hosts: tuple[str, ...],
        trusted: tuple[str, ...],
        environment: Mapping[str, str],
        resources: Resources,
        layer: Path | None,
    ) -> AsyncIterator[Path]:
        require_bubblewrap()
        assert layer is not None
        self.calls.append(egress_hosts)
        with tempfile.TemporaryDirectory(prefix="sgl-") as folder:
            work = Path(folder)
            (work / "app.py").write_text(code)
            process = await asyncio.create_subprocess_exec(*command(work, layer, resources))
            self.running += 1
            try:
                async with asyncio.timeout(30):
                    while not await _answers(work / "app.sock"):
                        assert process.returncode is None, "the builder ended"
                        await asyncio.sleep(0.02)
                yield work / "app.sock"
            finally:
                process.kill()
                await process.wait()
                self.running -= 1


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


Answer = Callable[[str, dict[str, object], asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedBuilder:
    """A builder that answers as the test wants; `bodies` are what it was asked, by path."""

    answer: Answer
    bodies: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)

    @asynccontextmanager
    async def throwaway(
        self,
        code: str,
        egress_hosts: tuple[str, ...],
        trusted: tuple[str, ...],
        environment: Mapping[str, str],
        resources: Resources,
        layer: Path | None,
    ) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="sgl-") as folder:
            path = Path(folder) / "s"
            server = await asyncio.start_unix_server(self._begin, path)
            try:
                yield path
            finally:
                server.close()
                for task in self._serving:
                    task.cancel()
                await asyncio.gather(*self._serving, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.partition(":")[2])
                for line in head.splitlines()
                if line.lower().startswith("content-length:")
            )
            body = json.loads(await reader.readexactly(length))
            path = head.split(" ")[1]
            self.bodies.append((path, body))
            await self.answer(path, body, writer)
            writer.write_eof()
            await writer.drain()
            await reader.read()


def announce(value: object) -> bytes:
    """An announcement of the layer stream."""
    data = json.dumps(value).encode()
    return len(data).to_bytes(4, "big") + data


def file(path: str, data: bytes) -> bytes:
    """A file of the layer stream."""
    return announce({"path": path, "size": len(data)}) + data


def head(status: int = 200, length: int | None = None) -> bytes:
    """The beginning of an HTTP answer; without a length it ends with the connection."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status} X\r\n{size}Connection: close\r\n\r\n".encode()
