"""The gateway processes: as many as asked for, on one listener, each replaced alone."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.cli import files
from gateway.cli.children import Program, start, stop
from gateway.cli.failures import CommandError, StartError
from gateway.cli.identity import Identities
from gateway.cli.supervisor import ChildProcess
from gateway.server.ending import drain_seconds
from gateway.server.succession import marker
from gateway.settings import Settings
from sandbox.paths import RunPaths

REPLACE_SECONDS = 60.0  # for a new one to be ready
_LOOK_SECONDS = 0.02
_REST_SECONDS = 5.0  # for one that has drained to close what it holds

log = structlog.get_logger("gateways")


class SharedLimitsError(CommandError):
    """Several gateways cannot share limits that each keeps in its own memory."""


def check(settings: Settings) -> None:
    """Before anything starts: whether so many gateways can work together."""
    if settings.gateway_workers > 1 and settings.redis_url is None:
        raise SharedLimitsError(
            f"{settings.gateway_workers} workers need REDIS_URL: limits kept in the memory of one "
            "process cannot be shared; set REDIS_URL or start with one worker"
        )


def names(workers: int) -> list[str]:
    """What each is called; the only one has no number."""
    return ["gateway"] if workers == 1 else [f"gateway-{n}" for n in range(1, workers + 1)]


class GatewayProcess(ChildProcess):
    """One gateway. It can give way to a fresh one.

    The two overlap, unless `is_alone`: then the fresh one, ready to begin, waits for the end of
    the old one, because both would count in a memory of their own.
    """

    def __init__(
        self, program: Program, is_ready: Callable[[int], bool], *, is_alone: bool = False
    ) -> None:
        super().__init__(program)
        self._is_ready = is_ready
        self._is_alone = is_alone
        self._turn = asyncio.Lock()
        self._leaving: set[asyncio.subprocess.Process] = set()

    async def start(self) -> None:
        """Start it, unless a replacement is there already."""
        async with self._turn:
            if self._process is None or self._process.returncode is not None:
                await super().start()

    async def ended(self) -> str:
        """Wait for the end of the one that serves; being replaced is not an end."""
        while True:
            process = self._process
            assert process is not None
            status = await process.wait()
            if process is self._process:
                return f"exit status {status}"

    async def replace(self) -> None:
        """Start another, and when it is ready drain and end the old one.

        When the new one does not come up, the old one goes on and StartError says so.
        """
        async with self._turn:
            old = self._process
            new = await start(self._successor())
            try:
                await self._until_ready(new)
            except BaseException:
                await stop(new, self._program.stop_seconds)
                raise
            self._process = new
        if old is not None:
            self._leaving.add(old)
            await self._leave(old)

    def _successor(self) -> Program:
        old = self._process
        if old is None or not self._is_alone:
            return self._program
        return replace(self._program, arguments=(*self._program.arguments, "--after", str(old.pid)))

    async def stop(self) -> None:
        """End it, and what it was still being replaced from."""
        await asyncio.gather(super().stop(), *(self._leave(old) for old in self._leaving))

    async def _leave(self, old: asyncio.subprocess.Process) -> None:
        await stop(old, self._program.stop_seconds)
        self._leaving.discard(old)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(REPLACE_SECONDS):
                while not self._is_ready(process.pid):
                    if process.returncode is not None:
                        raise StartError(f"{self.name} ended with {process.returncode}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise StartError(f"{self.name} is not ready after {REPLACE_SECONDS:g} s") from None


def gateways(
    settings: Settings, run_dir: Path, listener: socket.socket, users: Identities
) -> tuple[GatewayProcess, ...]:
    """All of them, not started yet; each has its own log."""
    paths = RunPaths(run_dir)
    sandgate = (sys.executable, "-m", "gateway.cli.main")
    drained = drain_seconds(settings.call_deadline_seconds)

    def one(name: str) -> GatewayProcess:
        program = Program(
            name,
            (*sandgate, "gateway", "--fd", str(listener.fileno()), "--run-dir", str(run_dir)),
            files.fresh_log(settings.data_dir, name),
            pass_fds=(listener.fileno(),),
            hidden=users.hidden,
            stop_seconds=settings.drain_notice_seconds + drained + _REST_SECONDS,
            extra=settings.as_environment() | users.home | {"GATEWAY_NAME": name},
            become=users.gateway,
        )
        return GatewayProcess(
            program,
            lambda pid: _has_come_up(paths.gateway_socket(pid)),
            is_alone=settings.redis_url is None,
        )

    return tuple(one(name) for name in names(settings.gateway_workers))


def _has_come_up(own: Path) -> bool:
    """Whether it serves, or waits for nothing but its turn."""
    return own.exists() or marker(own).exists()


class Rolling:
    """Replaces the gateways one after the other, whenever asked; two requests at once are one."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def request(self) -> None:
        """From a signal handler: as soon as may be."""
        self._asked.set()

    async def run(self, kept: Sequence[GatewayProcess]) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._once(kept)

    async def _once(self, kept: Sequence[GatewayProcess]) -> None:
        for gateway in kept:
            try:
                await gateway.replace()
            except Exception as error:  # the next request finds this task alive
                log.exception("not_replaced_the_old_one_goes_on", child=gateway.name)
                print(f"reload stopped: {error}", flush=True)
                return
            log.info("replaced", child=gateway.name, pid=gateway.pid)
        print(f"replaced {len(kept)} gateway(s)", flush=True)


def had_terminal() -> bool:
    """Whether a person's terminal is at the other end of standard input."""
    return os.isatty(0)


def terminal_is_gone() -> bool:
    """After SIGHUP: whether it came because the terminal was closed."""
    try:
        os.tcgetpgrp(0)
    except OSError:
        return True
    return False
