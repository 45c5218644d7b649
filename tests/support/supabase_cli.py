"""The real command line tool of Supabase, and a loopback port in front of a server's socket."""

import asyncio
import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.store.embedded import SOCKET_NAME
from gateway.store.migrate import MIGRATIONS

VERSION = "3.1.0"
_FOLDER = Path.home() / ".cache" / "sandgate-tests" / f"supabase-{VERSION}"


def cli_program() -> Path:
    """Installed once by npm, for all test runs of this user; skips where that is not possible."""
    program = _FOLDER / "node_modules" / ".bin" / "supabase"
    npm = shutil.which("npm")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists():
            return program
        if npm is None:
            pytest.skip("npm is missing, so the Supabase CLI cannot be had")
        arguments = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
            f"supabase@{VERSION}",
        ]
        made = subprocess.run(
            arguments, cwd=_FOLDER, capture_output=True, text=True, timeout=110, check=False
        )
        if made.returncode != 0 or not program.exists():
            pytest.skip(f"the Supabase CLI cannot be installed: {made.stderr[-300:]}")
    return program


@dataclass(frozen=True)
class Pushed:
    """How one run of the tool ended."""

    status: int
    text: str


@dataclass(frozen=True)
class SupabaseCli:
    """The tool in a project folder, for databases behind a port of loopback."""

    program: Path
    project: Path
    port: int

    @property
    def migrations(self) -> Path:
        """What it pushes."""
        return self.project / "supabase" / "migrations"

    def address(self, database: str) -> str:
        """As the role that projects give their owners, who is no superuser."""
        return f"postgresql://postgres:x@127.0.0.1:{self.port}/{database}?sslmode=disable"

    async def start(self, database: str, *more: str) -> asyncio.subprocess.Process:
        """Begin a push."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.project), "DO_NOT_TRACK": "1",
            "SUPABASE_TELEMETRY_DISABLED": "1",
        }  # fmt: skip
        return await asyncio.create_subprocess_exec(
            self.program, "db", "push", "--yes", "--db-url", self.address(database), *more,
            cwd=self.project, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    async def push(self, database: str, *more: str) -> Pushed:
        """A whole push."""
        process = await self.start(database, *more)
        output, _ = await process.communicate()
        return Pushed(process.returncode or 0, output.decode())


def make_project(folder: Path, *, ours: bool) -> Path:
    """A project of the tool with our configuration, and our migrations or none."""
    target = folder / "supabase"
    target.mkdir(parents=True)
    for name in ("config.toml", "seed.sql"):
        shutil.copy(MIGRATIONS.parent / name, target / name)
    if ours:
        shutil.copytree(MIGRATIONS, target / "migrations")
    else:
        (target / "migrations").mkdir()
    return folder


@asynccontextmanager
async def loopback_port(socket_dir: Path) -> AsyncIterator[int]:
    """A port that leads to the server's private socket; the tool knows no sockets."""
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        inner, outer = await asyncio.open_unix_connection(str(socket_dir / SOCKET_NAME))
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
