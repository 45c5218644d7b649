"""A stage without walls, for code that the tests wrote themselves and for nothing else."""

import asyncio
import importlib.util
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import uvicorn

from generator.calls import CallFailed, Request, call
from generator.contract import Contract
from generator.stage import StartFailed

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["fastapi", "uvicorn.protocols.http.httptools_impl"])
_SECONDS = 20.0


class TrustedRunning:
    """An app under uvicorn in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def socket_path(self) -> str:
        """Where it answers."""
        return str(self._folder / "app.sock")

    async def document(self) -> str:
        """As FastAPI serves it."""
        reply = await call(self.socket_path, Request("GET", "/openapi.json"), _SECONDS)
        return reply.text if reply.status == 200 else ""

    async def log(self) -> Sequence[str]:
        """What it wrote."""
        return (self._folder / "log").read_text(errors="replace").splitlines()[-200:]


class TrustedStage:
    """Starts code of the tests; remembers what it started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    @asynccontextmanager
    async def running(self, code: str, contract: Contract) -> AsyncIterator[TrustedRunning]:
        """The code in a child, killed at the end."""
        self.started.append(code)
        folder = Path(tempfile.mkdtemp(prefix="sgs-", dir="/tmp"))
        (folder / "app.py").write_text(code)
        child = _FORKS.Process(target=serve, args=(str(folder),), daemon=True)
        await asyncio.to_thread(child.start)
        try:
            running = TrustedRunning(folder)
            await _until_open(running, child, folder)
            yield running
        finally:
            child.kill()
            child.join()
            child.close()
            shutil.rmtree(folder)


async def _until_open(running: TrustedRunning, child: BaseProcess, folder: Path) -> None:
    async with asyncio.timeout(_SECONDS):
        while True:
            try:
                await call(running.socket_path, Request("GET", "/openapi.json"))
            except CallFailed:
                if not child.is_alive():
                    log = (folder / "log").read_text()
                    raise StartFailed("exception", "it failed", line=None, log=log) from None
                await asyncio.sleep(0.01)
            else:
                return


def serve(folder: str) -> None:
    """In the child: import the code and answer."""
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    spec = importlib.util.spec_from_file_location("app", f"{folder}/app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["app"] = module
    spec.loader.exec_module(module)
    uvicorn.run(module.app, uds=f"{folder}/app.sock", log_level="warning", ws="none")
